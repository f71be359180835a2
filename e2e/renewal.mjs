// TURN's credentials expire in mid-game (L1): they are renewed before that, and who plays over TURN moves to a new
// allocation without a stalled frame.
import assert from "node:assert/strict";
import { connectionTypes, playOn } from "./lib/journey.mjs";

const LIFETIME_SECONDS = 10;

/** Runs in the page before its own scripts. */
function counted() {
  window.credentials = new Set();
  window.restarts = 0;
  const { setConfiguration, restartIce } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.setConfiguration = function (configuration) {
    for (const { username } of configuration.iceServers) if (username) window.credentials.add(username);
    return setConfiguration.call(this, configuration);
  };
  RTCPeerConnection.prototype.restartIce = function () {
    window.restarts += 1;
    return restartIce.call(this);
  };
}

export default async function ({ say }) {
  await playOn("nat", {
    say,
    args: ["--turn-lifetime", String(LIFETIME_SECONDS)],
    settings: { force_relay: "true", max_frames: 900 },
    lanes: ["relay"],
    init: counted,
    check: async ({ told, games, browsers }) => {
      for (const [at, { tab }] of browsers.entries()) {
        const [renewals, restarts] = await tab.evaluate(() => [window.credentials.size, window.restarts]);
        say(`page ${at}: ${renewals} new credentials, ${restarts} restarts, ${games[at].game.stalledFrames} stalled ticks`);
        assert.ok(renewals >= 3, `${renewals} renewals in 30 s`);
        assert.equal(games[at].game.stalledFrames, 0);
      }
      assert.ok(connectionTypes(told).every((type) => type.localCandidateType === "relay"));
    },
  });
}
