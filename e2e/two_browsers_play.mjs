// Two people open the link, are matched, play three rounds and come to the end; the export has every step.
import assert from "node:assert/strict";
import { open, until } from "./lib/browser.mjs";
import { enter, everythingIsExported, matchToFirstFrame, playToTheEnd } from "./lib/game.mjs";
import { serve } from "./lib/server.mjs";

export default async function ({ say, shot }) {
  const server = await serve(["--max-frames", "150"]);
  const browsers = await Promise.all([open(), open()]);
  try {
    await browsers[0].tab.goto(server.url);
    await until(browsers[0].tab, "the start", (now) => now.scene?.kind === "start");
    await shot(browsers[0].tab, "start");
    await enter(browsers.slice(0, 1), server.url);
    await shot(browsers[0].tab, "lobby");
    await enter(browsers.slice(1), server.url);
    await until(browsers[0].tab, "the game", (now) => now.game?.frame > 60);
    await shot(browsers[0].tab, "game");
    const waits = await Promise.all(browsers.map(({ tab }) => matchToFirstFrame(tab)));
    await playToTheEnd(browsers, 60);
    await shot(browsers[0].tab, "end");
    await everythingIsExported(server.data, { players: 2, episodes: 3, frames: 150 });
    say(`match to first frame: ${waits.map((wait) => `${wait.toFixed(0)} ms`).join(", ")}`);
    assert.ok(Math.max(...waits) <= 1000, `match to first frame took ${waits} ms`);
  } finally {
    await Promise.all(browsers.map((browser) => browser.close()));
    await server.stop();
  }
}
