// An environment that takes long to play anew: who comes back to it takes the others' state instead (P5).
import assert from "node:assert/strict";
import { until } from "./lib/browser.mjs";
import { exported } from "./lib/server.mjs";
import { group } from "./lib/vanish.mjs";

/** How long a step takes, in milliseconds: a third of a frame. */
const STEP = 10;
const FRAMES = 600;

/** Runs in the page before its own scripts: makes every step of the environment slow. */
function slow(step) {
  const { instantiate } = WebAssembly;
  WebAssembly.instantiate = async (...words) => {
    const made = await instantiate.apply(WebAssembly, words);
    const exports = made.instance?.exports;
    if (!exports?.interplay_step) return made;
    const interplay_step = (frame) => {
      const until = performance.now() + step;
      while (performance.now() < until);
      return exports.interplay_step(frame);
    };
    return { module: made.module, instance: { exports: { ...exports, interplay_step } } };
  };
}

export default async function ({ say, shot }) {
  const world = await group(2, {
    say,
    recovery: "{ countdown_s = 0, reconnect_timeout_s = 30 }",
    init: [slow, STEP],
  });
  try {
    const [, victim] = world.browsers;
    const [, before] = await world.all("a game that is long", (now) => now.game?.frame > FRAMES, 60);
    const began = Date.now();
    await victim.tab.reload();
    await until(victim.tab, "the game anew", (now) => now.phase === "reconnecting" && now.game !== null, 10);
    await shot(victim.tab, "taking-the-state");
    await world.all("the game again", (now) => now.phase === "connected" && !now.pause && now.game, 30);
    const took = (Date.now() - began) / 1000;
    const after = await world.playing("frames after the pause");
    say(`a reload after ${before.game.frame} frames of ${STEP} ms, ${(before.game.frame * STEP / 1000).toFixed(0)} s to play anew: all went on after ${took.toFixed(1)} s`);
    assert.ok(took < 4.5, `it took ${took} s`);
    assert.ok(after.every(({ game }) => game.frame > before.game.frame && game.desyncs === 0));
    const told = () => exported(world.server.data).then(({ tables }) => tables.events.filter((row) => row.kind === "rebuilt"));
    let rebuilt = await told();
    for (const limit = Date.now() + 8000; rebuilt.length === 0 && Date.now() < limit;) rebuilt = await told();
    assert.deepEqual(rebuilt.map((row) => JSON.parse(row.detail).frames), [0], "it has played frames anew");
  } finally {
    await world.end();
  }
}
