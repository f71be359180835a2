// At 60 frames a second the window is 133 ms: hot lanes never stall, warm ones hardly ever (L5).
import assert from "node:assert/strict";
import { CUTS, cutTheDirectLane } from "./lib/cuts.mjs";

export default async function (journey) {
  const hot = await cutTheDirectLane({ fps: 60, mode: "hot", cuts: CUTS }, journey);
  assert.equal(hot, 0, "a cut stalled a frame though both lanes were used");
  const warm = await cutTheDirectLane({ fps: 60, mode: "warm", cuts: CUTS }, journey);
  assert.ok(warm <= 1, `${warm} of ${CUTS} cuts stalled a frame`);
}
