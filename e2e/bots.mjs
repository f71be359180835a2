// A study is tried alone: one page and a bot play the demo to its end, with a reload in mid-game. The data say who is a bot, and
// everything in them is verified (H1).
import assert from "node:assert/strict";
import { open, playRandomly, snapshot, until } from "./lib/browser.mjs";
import { everythingIsExported } from "./lib/game.mjs";
import { serve } from "./lib/server.mjs";

const [FRAMES, EPISODES] = [300, 2];

export default async function ({ say, shot }) {
  const server = await serve(["--bots", "1", "--bot-seed", "7", "--max-frames", `${FRAMES}`, "--episodes", `${EPISODES}`]);
  const { tab, problems, close } = await open();
  try {
    await tab.goto(server.url);
    await until(tab, "the start", (now) => now.scene?.kind === "start");
    const entered = Date.now();
    await tab.keyboard.press("Enter");
    await tab.waitForFunction(() => window.interplay?.snapshot()?.game?.frame > 0, null, { polling: 10, timeout: 20_000 });
    const wait = Date.now() - entered;
    const played = await until(tab, "a third of the first round", (now) => now.game?.frame > FRAMES / 3);
    await shot(tab, "game");
    assert.deepEqual(played.lanes.map((lane) => lane.active), ["server"]);

    const reloaded = Date.now();
    await tab.reload();
    await until(tab, "the game to go on", (now) => now.phase === "connected" && !now.pause && now.game?.frame > played.game.frame + 30);
    const back = Date.now() - reloaded;
    const stalled = (await snapshot(tab)).game.stalledFrames;
    const last = await playRandomly(tab, 3, 60);
    assert.equal((await snapshot(tab)).scene.reason, "completed");
    assert.deepEqual(problems, []);
    assert.equal(last.game.desyncs, 0);
    assert.ok(last.game.comparedHashes > 0, "no hash was compared");

    const tables = await everythingIsExported(server.data, { players: 2, episodes: EPISODES, frames: FRAMES });
    assert.deepEqual(tables.sessions.map((row) => row.is_bot).sort(), ["false", "true"]);
    const [own, bot] = ["false", "true"].map((is) => tables.sessions.find((row) => row.is_bot === is));
    assert.deepEqual([own.reloads, bot.reloads, own.pauses], ["1", "0", "1"]);
    const ended = tables.visits.filter((row) => row.ended === "completed").map((row) => row.is_bot).sort();
    assert.deepEqual(ended, ["false", "true"]);
    const after = last.game.stalledFrames - stalled;
    say(`from the lobby to the first frame: ${wait} ms; playing again ${back} ms after the reload, countdown included`);
    say(`stalled frames: ${played.game.stalledFrames} before the reload, ${after} after it, of ${FRAMES * EPISODES}; the bot: ${bot.stalls} stalls, ${bot.stalled_ms} ms`);
    assert.ok(wait <= 3000, `from the lobby to the first frame it took ${wait} ms`);
    assert.ok(played.game.stalledFrames + after <= FRAMES * EPISODES * 0.05, "the game stalls too often");
  } finally {
    await close();
    await server.stop();
  }
}
