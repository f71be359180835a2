// Runs journeys: `node e2e/run.mjs [NAME ...]`, all without names. One after another: they share two cores.
import { mkdir, readdir } from "node:fs/promises";
import { basename, join } from "node:path";

const here = import.meta.dirname;
const files = (await readdir(here)).filter((file) => file.endsWith(".mjs") && file !== "run.mjs");
const all = files.map((file) => basename(file, ".mjs")).sort();
const names = process.argv.length > 2 ? process.argv.slice(2) : all;
const out = join(here, "out");
await mkdir(out, { recursive: true });

let passed = 0, failed = 0;
for (const name of names) {
  if (!all.includes(name)) {
    console.error(`there is no journey ${name}; they are ${all.join(", ")}`);
    process.exit(2);
  }
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
console.log(`journeys: ${passed} passed; ${failed} failed`);
process.exit(failed ? 1 : 0);
