// Both lanes cut, a reload, a killed tab, a killed server, everyone gone, a changed state: two people come back to one
// state each time, and nobody is stranded when one does not (P1–P8).
import { goneForGood, TIMES, vanishAndReturn } from "./lib/vanish.mjs";

export default async function (journey) {
  for (let time = 0; time < TIMES; time++) {
    await vanishAndReturn(2, journey);
    await goneForGood(2, journey);
  }
}
