// The direct lane is cut in mid-episode, and no frame stalls (L5, L6).
import assert from "node:assert/strict";
import { CUTS, cutTheDirectLane } from "./lib/cuts.mjs";

export default async function (journey) {
  const stalled = await cutTheDirectLane({ fps: 30, mode: "warm", cuts: CUTS }, journey);
  assert.equal(stalled, 0, "a cut stalled a frame");
}
