// From one network to another in mid-game, as from wifi to mobile (L7): play goes on, ICE is restarted, and how the
// two are joined is recorded anew.
import assert from "node:assert/strict";
import { until } from "./lib/browser.mjs";
import { connectionTypes, playOn } from "./lib/journey.mjs";

export default async function ({ say }) {
  await playOn("lan", {
    say,
    settings: { max_frames: 900 },
    before: (net) => net.tell("set * * delay=10"),
    lanes: ["direct", "relay"],
    meanwhile: async ({ net, browsers }) => {
      await net.tell("move b 11.77.0.99");
      const moved = Date.now();
      await Promise.all(browsers.map(({ tab }) => until(tab, "a restart", (now) =>
        now.lanes[0]?.restarts > 0 || now.game?.seat === 1, 15)));
      await browsers[0].tab.waitForTimeout(1000);
      await Promise.all(browsers.map(({ tab }) => until(tab, "the direct lane", (now) => now.lanes[0]?.active === "direct", 15)));
      say(`direct again ${((Date.now() - moved) / 1000).toFixed(1)} s after the address changed`);
    },
    check: ({ told, games }) => {
      const [restarts, rebuilds] = [told("ice_restarted").length, told("connection_rebuilt").length];
      say(`${restarts} ICE restarts, ${rebuilds} rebuilds, stalled ticks ${games.map(({ game }) => game.stalledFrames).join(" and ")}`);
      assert.ok(restarts >= 1 && restarts <= 3, `${restarts} restarts`);
      assert.ok(connectionTypes(told).length >= 4, "how the two are joined was not recorded anew");
    },
  });
}
