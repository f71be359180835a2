// The same prepared module does the same in Chromium as natively: 10,000 random steps, saves and restores (E4). The
// course is told in crates/host/examples/trial.rs. And a rollback of eight frames of tag is fast.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { open } from "./lib/browser.mjs";
import { serve } from "./lib/server.mjs";

const run = promisify(execFile);
const target = process.env.INTERPLAY_TARGET ?? "target/release";
const modules = join(import.meta.dirname, "../assets/environments");
const OPERATIONS = 10_000;

/** Runs in the page. */
async function trial({ base64, seed, operations }) {
  const { default: start, BrowserEnvironment } = await import("/page/interplay.js");
  await start({ module_or_path: "/page/interplay_bg.wasm" });
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const environment = await BrowserEnvironment.create(bytes);
  let state = seed || 1, digest = 0x811c9dc5;
  const random = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>>= 0);
  };
  const take = (word) => {
    const mixed = Math.imul(digest ^ word, 0x9e3779b1);
    digest = ((mixed << 15) | (mixed >>> 17)) >>> 0;
  };
  const takeHash = (slot) => {
    const hash = environment.hash(slot);
    take(parseInt(hash.slice(8), 16));
    take(parseInt(hash.slice(0, 8), 16));
  };
  const words = new Uint32Array(2), reward = new Float64Array(words.buffer);
  const line = (steps, fault) => ({ steps, digest: digest.toString(16).padStart(8, "0"), fault });
  environment.reset(2, 0, seed, 0);
  let frame = 0;
  const slots = new Array(8).fill(null);
  for (let step = 0; step < operations; step++) {
    const what = random() % 8;
    if (what < 5) {
      const inputs = Uint8Array.from({ length: 2 * environment.input_bytes() }, () => random() & 255);
      let over;
      try {
        over = environment.step(frame, inputs);
      } catch (error) {
        return line(step, { step, kind: error.message.split(":")[0] });
      }
      take(Number(over));
      for (const seat of [0, 1]) {
        reward[0] = environment.reward(seat);
        take(words[0]);
        take(words[1]);
      }
      frame += 1;
    } else if (what === 5) {
      const slot = random() % 8;
      environment.save(slot);
      slots[slot] = frame;
      takeHash(slot);
    } else {
      const slot = random() % 8;
      if (slots[slot] !== null) {
        environment.load(slot);
        frame = slots[slot];
      }
    }
  }
  environment.save(0);
  takeHash(0);
  return line(operations, null);
}

/** Runs in the page: milliseconds of a rollback of eight frames, environment included; each is the mean of ten. */
async function rollbacks({ base64, seats }) {
  const { default: start, BrowserEnvironment } = await import("/page/interplay.js");
  await start({ module_or_path: "/page/interplay_bg.wasm" });
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const environment = await BrowserEnvironment.create(bytes);
  const inputs = (frame) => Uint8Array.from({ length: seats }, (_, seat) => (Math.floor(frame / 7) + seat * 5) % 32);
  environment.reset(seats, 0, 1, 0);
  for (let frame = 0; frame < 100; frame++) environment.step(frame, inputs(frame));
  environment.save(0);
  const rollback = () => {
    environment.load(0);
    for (let ahead = 0; ahead < 8; ahead++) {
      environment.step(100 + ahead, inputs(100 + ahead));
      environment.save(ahead + 1);
    }
    environment.hash(8);
  };
  for (let warm = 0; warm < 200; warm++) rollback();
  return Array.from({ length: 100 }, () => {
    const began = performance.now();
    for (let time = 0; time < 10; time++) rollback();
    return (performance.now() - began) / 10;
  }).sort((one, other) => one - other);
}

export default async function ({ say }) {
  const folder = await mkdtemp(join(tmpdir(), "interplay-modules-"));
  const server = await serve();
  const browser = await open();
  try {
    await browser.tab.goto(`${server.url}/healthz`);
    const prepared = async (name) => {
      const to = join(folder, `${name}.wasm`);
      await run(join(target, "examples/prepare"), [join(modules, `${name}.wasm`), to]);
      return (await readFile(to)).toString("base64");
    };
    for (const [name, seeds] of [["allocating", [1, 2]], ["floating", [3, 4]], ["runaway", [5, 6, 7, 8]]]) {
      const base64 = await prepared(name);
      for (const seed of seeds) {
        const words = [join(modules, `${name}.wasm`), String(seed), String(OPERATIONS)];
        const native = JSON.parse((await run(join(target, "examples/trial"), words)).stdout);
        const page = await browser.tab.evaluate(trial, { base64, seed, operations: OPERATIONS });
        assert.deepEqual(page, native, `${name}, seed ${seed}`);
        if (name === "runaway") assert.ok(native.fault, "it did not run away");
        else assert.equal(native.fault, null);
        say(`${name}, seed ${seed}: ${JSON.stringify(native)}`);
      }
    }
    const base64 = await prepared("tag");
    for (const seats of [2, 8]) {
      const times = await browser.tab.evaluate(rollbacks, { base64, seats });
      const [median, slowest] = [times[50], times[99]];
      say(`rollback of 8 frames of tag, ${seats} seats: median ${median.toFixed(3)} ms, slowest ${slowest.toFixed(3)} ms`);
      assert.ok(median < 1, `a rollback takes ${median} ms`);
    }
  } finally {
    await browser.close();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}
