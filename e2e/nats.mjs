// Behind NATs: connected directly where there is a way, over the embedded TURN where there is none, and over the
// server where there is not even that (L1, L3).
import assert from "node:assert/strict";
import { connectionTypes, playOn } from "./lib/journey.mjs";

export default async function ({ say }) {
  const types = (told) => connectionTypes(told).map((type) =>
    `${type.connectionType} (${type.localCandidateType}–${type.remoteCandidateType}, ${type.relayProtocol ?? type.protocol})`);

  await playOn("nat", {
    say,
    lanes: ["direct"],
    check: ({ told, tables }) => {
      say(`each behind a NAT: ${types(told).join(", ")}`);
      // A relayed pair may answer first, as ICE is; the direct one takes its place within a second, for good.
      for (const seat of ["0", "1"]) {
        const own = tables.events.filter((row) => row.kind === "p2p_connection_type" && row.seat === seat).map((row) => JSON.parse(row.detail).connection);
        const first = own.findIndex((type) => type.connectionType === "direct");
        assert.ok(first >= 0 && own.slice(first).every((type) => type.connectionType === "direct"));
        assert.ok(own[first].timestamp - own[0].timestamp < 1000, "it was relayed for longer than a second");
      }
      assert.ok(connectionTypes(told).some((type) => /srflx|prflx/.test(type.localCandidateType + type.remoteCandidateType)));
    },
  });

  await playOn("symmetric", {
    say,
    lanes: ["relay"],
    check: ({ told }) => {
      say(`behind symmetric NATs: ${types(told).join(", ")}`);
      assert.ok(connectionTypes(told).length >= 2);
      assert.ok(connectionTypes(told).every((type) => type.connectionType === "relay"));
    },
  });

  await playOn("nat", {
    say,
    settings: { force_relay: "true" },
    lanes: ["relay"],
    check: async ({ told, browsers }) => {
      say(`with force_relay: ${types(told).join(", ")}`);
      for (const type of connectionTypes(told)) {
        assert.deepEqual([type.localCandidateType, type.connectionType], ["relay", "relay"]);
      }
    },
  });

  await playOn("udp-blocked", {
    say,
    lanes: ["relay"],
    check: ({ told }) => {
      say(`with UDP blocked: ${types(told).join(", ")}`);
      assert.ok(connectionTypes(told).some((type) => type.relayProtocol === "tcp"), "nobody used TURN over TCP");
    },
  });

  await playOn("server-only", {
    say,
    lanes: ["unknown"],
    check: ({ told, games }) => {
      say(`with nothing but the server: ${told("lane_switched").map(({ lane, cause }) => `${lane} (${cause})`).join(", ")}`);
      for (const { lanes } of games) assert.equal(lanes[0].active, "server");
    },
  });
}
