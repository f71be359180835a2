// Runs journeys: `node e2e/run.mjs [NAME ...]`, all without names. One after another, since they share two cores and most of them
// count frames; those that mostly wait, two at a time.
import { mkdir, readdir } from "node:fs/promises";
import { basename, join } from "node:path";

const here = import.meta.dirname;
const files = (await readdir(here)).filter((file) => file.endsWith(".mjs") && file !== "run.mjs");
const all = files.map((file) => basename(file, ".mjs")).sort();
const names = process.argv.length > 2 ? process.argv.slice(2) : all;
const out = join(here, "out");
await mkdir(out, { recursive: true });

/** They wait for people's deadlines more than for the processor, and measure no frames. */
const patient = new Set(["api_page", "closed_tab", "coming_back", "forgotten", "german", "newcomer", "own_check", "survey", "ways_out"]);

const unknown = names.find((name) => !all.includes(name));
if (unknown !== undefined) {
  console.error(`there is no journey ${unknown}; they are ${all.join(", ")}`);
  process.exit(2);
}

let passed = 0, failed = 0;

async function run(name) {
  const started = Date.now();
  const said = [];
  try {
    const { default: journey } = await import(join(here, `${name}.mjs`));
    await journey({
      say: (line) => said.push(line),
      shot: (tab, moment) => tab.screenshot({ path: join(out, `${name}-${moment}.png`) }),
    });
    passed += 1;
    console.log(`ok     ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED ${name}\n${error.stack}`);
  }
  for (const line of said) console.log(`       ${line}`);
}

for (const name of names.filter((name) => !patient.has(name))) await run(name);
const waiting = names.filter((name) => patient.has(name)).values();
await Promise.all([1, 2].map(async () => {
  for (const name of waiting) await run(name);
}));
console.log(`journeys: ${passed} passed; ${failed} failed`);
process.exit(failed ? 1 : 0);
