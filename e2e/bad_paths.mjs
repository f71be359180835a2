// Paths that lose in bursts, delay and reorder, or come and go: episodes end, states are equal, and ICE is not
// restarted without need (L5–L7).
import assert from "node:assert/strict";
import { playOn } from "./lib/journey.mjs";

const PATHS = [
  ["30 % lost in bursts", ["loss=30 burst=4 delay=10"], 300],
  ["100 ± 75 ms, reordered", ["delay=100 jitter=75 reorder=on"], 300],
  ["up and down every half second for 30 s", ["delay=10"], 960],
];

export default async function ({ say }) {
  for (const [name, [settings], frames] of PATHS) {
    await playOn("lan", {
      say,
      settings: { max_frames: frames },
      lanes: ["direct", "relay", "unknown"],
      before: async (net) => {
        await net.tell("set * * delay=10");
        await net.both("a", "b", settings);
      },
      meanwhile: async ({ net, browsers }) => {
        if (frames < 900) return;
        for (const pair of ["a b", "b a"]) await net.tell(`flap ${pair} 500 500`);
        await browsers[0].tab.waitForTimeout(28_000);
        for (const pair of ["a b", "b a"]) await net.tell(`flap ${pair} 0 0`);
      },
      check: ({ tables, told, games }) => {
        assert.equal(tables.steps.length, 2 * frames);
        const restarts = told("ice_restarted");
        say(`${name}: ${games.map(({ game }) => game.stalledFrames).join(" and ")} stalled ticks of ${frames} frames, ` +
          `${games.map(({ game }) => game.rollbacks).join(" and ")} rollbacks, ${told("lane_switched").length} switches, ` +
          `${restarts.length} ICE restarts, ${told("connection_rebuilt").length} rebuilds`);
        assert.ok(restarts.every(({ attempt }) => attempt <= 3), JSON.stringify(restarts));
        for (const { game } of games) assert.ok(game.comparedHashes > 0 && game.desyncs === 0);
      },
    });
  }
}
