// Cuts of the direct lane in mid-game: what they cost, read from the pages' own frame logs.
import assert from "node:assert/strict";
import { snapshot, until } from "./browser.mjs";
import { playOn } from "./journey.mjs";

const CUT_SECONDS = 3;
const ROUND_SECONDS = CUT_SECONDS + 5;

const snapshots = (browsers) => Promise.all(browsers.map(({ tab }) => snapshot(tab)));

/**
 * Plays at `fps` with the server lane used as `mode` says, and cuts the direct lane so many times. Gives back the
 * number of cuts in which a frame stalled.
 */
export async function cutTheDirectLane({ fps, mode, cuts }, { say }) {
  const frames = fps * (4 + cuts * (ROUND_SECONDS + 1));
  const stalls = [];
  const returns = [];
  await playOn("lan", {
    say,
    settings: { fps, max_frames: frames, window: 8, recovery: `{ lanes = "${mode}" }` },
    lanes: ["direct"],
    seconds: 60 + frames / fps,
    // 20 ms from page to page over the server, 10 ms directly.
    before: (net) => net.tell("set * * delay=10"),
    meanwhile: async ({ net, browsers }) => {
      await Promise.all(browsers.map(({ tab }) => until(tab, "a steady game", (now) => now.game?.frame > 2 * fps)));
      for (let cut = 0; cut < cuts; cut++) {
        const before = await snapshots(browsers);
        await net.both("a", "b", "cut=on");
        await browsers[0].tab.waitForTimeout(CUT_SECONDS * 1000);
        const after = await snapshots(browsers);
        await net.both("a", "b", "cut=off");
        const healed = Date.now();
        await Promise.all(browsers.map(({ tab }) =>
          until(tab, "the direct lane", (now) => now.lanes[0]?.active === "direct")));
        returns.push((Date.now() - healed) / 1000);
        stalls.push(after.reduce((sum, { game }, at) => sum + game.stalledFrames - before[at].game.stalledFrames, 0));
        for (const { lanes: [{ active }] } of after) {
          assert.ok(["server", "direct"].includes(active), `the lane is ${active}`);
        }
        await browsers[0].tab.waitForTimeout(1000);
      }
    },
    check: ({ told }) => {
      const away = told("lane_switched").filter(({ lane }) => lane === "server");
      say(`${fps} fps, ${mode}: ${stalls.filter(Boolean).length} of ${cuts} cuts stalled a frame (${stalls.join(" ")} ticks), ` +
        `direct again after ${Math.max(...returns).toFixed(1)} s at most; ${away.length} switches to the server lane, ` +
        `because of ${[...new Set(away.map(({ cause }) => cause))].join(", ")}`);
      assert.ok(Math.max(...returns) <= 5, `direct was used again after ${returns} s`);
      assert.ok(away.length >= (mode === "warm" ? cuts : 0), "a switch of lanes was not recorded");
    },
  });
  return stalls.filter(Boolean).length;
}

/** How many cuts: a few by default, more when the environment says so. */
export const CUTS = Number(process.env.INTERPLAY_CUTS ?? 2);
