// Cuts of the direct lane in mid-game: what they cost, read from the pages' own frame logs.
import assert from "node:assert/strict";
import { snapshot, until } from "./browser.mjs";
import { enter, playToTheEnd } from "./game.mjs";
import { lab } from "./netlab.mjs";
import { exported, serve } from "./server.mjs";

const CUT_SECONDS = 3;
const ROUND_SECONDS = CUT_SECONDS + 5;

/** Both pages' lanes to each other. */
const lanes = async (browsers) =>
  (await Promise.all(browsers.map(({ tab }) => snapshot(tab)))).map((now) => now.lanes[0]);

/**
 * Plays at `fps` with the server lane used as `mode` says, and cuts the direct lane so many times. Gives back the
 * cuts in which a frame stalled.
 */
export async function cutTheDirectLane({ fps, mode, cuts }, { say }) {
  const net = await lab("lan");
  const browsers = [];
  let server;
  try {
    // 20 ms from page to page over the server, 10 ms directly.
    await net.tell("set * * delay=10");
    const frames = fps * (4 + cuts * (ROUND_SECONDS + 1));
    const settings = {
      players: 2, fps, episodes: 1, max_frames: frames, window: 8, recovery: `{ lanes = "${mode}" }`,
    };
    server = await serve([], { listen: `${net.address("server")}:8080`, within: net.within("server"), settings });
    for (const host of ["a", "b"]) browsers.push(await net.browser(host));
    await enter(browsers, server.url);
    const playing = playToTheEnd(browsers, 60 + frames / fps);
    await Promise.all(browsers.map(({ tab }) => until(tab, "the game", (now) => now.game?.frame > 2 * fps)));
    const stalls = [];
    const returns = [];
    for (let cut = 0; cut < cuts; cut++) {
      const stalled = async () => (await Promise.all(browsers.map(({ tab }) => snapshot(tab)))).map((now) => now.game.stalledFrames);
      const before = await stalled();
      await net.both("a", "b", "cut=on");
      await browsers[0].tab.waitForTimeout(CUT_SECONDS * 1000);
      const meanwhile = await lanes(browsers);
      const after = await stalled();
      await net.both("a", "b", "cut=off");
      const healed = Date.now();
      await Promise.all(browsers.map(({ tab }) => until(tab, "the direct lane", (now) => now.lanes[0]?.active === "direct")));
      returns.push((Date.now() - healed) / 1000);
      stalls.push(after.reduce((sum, count, at) => sum + count - before[at], 0));
      for (const lane of meanwhile) assert.ok(["server", "direct"].includes(lane.active), `the lane is ${lane.active}`);
      await browsers[0].tab.waitForTimeout(1000);
    }
    await playing;
    const { tables } = await exported(server.data);
    const switches = tables.events.filter((row) => row.kind === "lane_switched").map((row) => JSON.parse(row.detail));
    const away = switches.filter(({ lane }) => lane === "server");
    assert.ok(tables.steps.every((row) => row.verified === "true"), "a step is not verified");
    say(`${fps} fps, ${mode}: ${stalls.filter(Boolean).length} of ${cuts} cuts stalled a frame (${stalls.join(" ")} ticks), ` +
      `direct again after ${Math.max(...returns).toFixed(1)} s at most; ${away.length} switches to the server lane, ` +
      `because of ${[...new Set(away.map(({ cause }) => cause))].join(", ")}`);
    assert.ok(Math.max(...returns) <= 5, `direct was used again after ${returns} s`);
    assert.ok(away.length >= (mode === "warm" ? cuts : 0), "a switch of lanes was not recorded");
    return stalls.filter(Boolean).length;
  } catch (error) {
    say(`the server's log:\n${server?.log()}`);
    throw error;
  } finally {
    await Promise.all(browsers.map((browser) => browser.close()));
    await server?.stop();
    await net.remove();
  }
}

/** How many cuts: a few by default, more when the environment says so. */
export const CUTS = Number(process.env.INTERPLAY_CUTS ?? 2);
