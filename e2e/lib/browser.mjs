// Browsers: one process for each participant.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

export const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

/** Opens a browser of its own; `executable` may run it elsewhere, in a network namespace for example. */
export async function open({ executable = "/usr/bin/chromium", flags = [], page = {} } = {}) {
  const profile = await mkdtemp(join(tmpdir(), "interplay-browser-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: executable,
    headless: true,
    args: [...FLAGS, ...flags],
    viewport: { width: 640, height: 480 },
    ...page,
  });
  const tab = context.pages()[0] ?? (await context.newPage());
  const problems = [];
  tab.on("pageerror", (error) => problems.push(String(error)));
  tab.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  return {
    context, tab, problems,
    async close() {
      await context.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}

/** What `window.interplay.snapshot()` says. */
export const snapshot = (tab) => tab.evaluate(() => window.interplay?.snapshot() ?? null);

/** Waits until the snapshot is as wanted; says what it was when it never is. */
export async function until(tab, what, wanted, seconds = 20) {
  const deadline = Date.now() + seconds * 1000;
  let last;
  while (Date.now() < deadline) {
    last = await snapshot(tab).catch((error) => ({ error: String(error) }));
    if (last && wanted(last)) return last;
    await tab.waitForTimeout(100);
  }
  throw new Error(`waited ${seconds} s for ${what}; the page says ${JSON.stringify(last)}`);
}

/** Numbers that a seed repeats. */
export function random(seed) {
  let state = seed >>> 0 || 1;
  return (bound) => {
    state ^= state << 13; state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5; state >>>= 0;
    return state % bound;
  };
}

const KEYS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Space"];

/** Holds and lets go random keys until the game is over. Returns the last snapshot of the game. */
export async function playRandomly(tab, seed, seconds) {
  const next = random(seed);
  const held = new Set();
  const deadline = Date.now() + seconds * 1000;
  let last = null;
  while (Date.now() < deadline) {
    const now = await snapshot(tab);
    if (now?.scene?.kind === "end") return last;
    if (now?.game) last = now;
    const key = KEYS[next(KEYS.length)];
    if (held.delete(key)) await tab.keyboard.up(key);
    else { held.add(key); await tab.keyboard.down(key); }
    await tab.waitForTimeout(40 + next(160));
  }
  throw new Error(`the game was not over after ${seconds} s: ${JSON.stringify(last)}`);
}
