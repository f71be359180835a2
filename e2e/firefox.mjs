// Firefox plays with Chromium: to the end, through a cut that an ICE restart outlives, and through one that takes a
// new connection (L7). Firefox has the lower seat: it restarts and rebuilds.
import assert from "node:assert/strict";
import { until } from "./lib/browser.mjs";
import { connectionTypes, playOn } from "./lib/journey.mjs";

export default async function ({ say }) {
  await playOn("lan", {
    say,
    settings: { max_frames: 1500 },
    // Over TURN, the connection would outlive any cut between the two.
    args: ["--turn-ports", "off"],
    browsers: ["firefox", "chromium"],
    before: (net) => net.tell("set * * delay=10"),
    lanes: ["direct"],
    seconds: 150,
    meanwhile: async ({ net, browsers }) => {
      for (const seconds of [3, 18]) {
        await net.both("a", "b", "cut=on");
        await browsers[1].tab.waitForTimeout(seconds * 1000);
        await net.both("a", "b", "cut=off");
        const healed = Date.now();
        await Promise.all(browsers.map(({ tab }) =>
          until(tab, "the direct lane", (now) => now.lanes[0]?.active === "direct", 15)));
        say(`cut for ${seconds} s: direct again ${((Date.now() - healed) / 1000).toFixed(1)} s after the path was back`);
      }
    },
    check: ({ told, games }) => {
      const [restarts, rebuilds] = [told("ice_restarted"), told("connection_rebuilt")];
      say(`${restarts.length} ICE restarts, ${rebuilds.length} rebuilds, ` +
        `stalled ticks ${games.map(({ game }) => game.stalledFrames).join(" and ")}, ` +
        `joined ${connectionTypes(told).map(({ connectionType }) => connectionType).join(", ")}`);
      assert.ok(restarts.length >= 1, "ICE was not restarted");
      assert.ok(rebuilds.length >= 1, "no connection was made anew");
    },
  });
}
