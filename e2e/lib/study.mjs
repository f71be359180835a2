// A study as a newcomer makes it: `interplay new`, changed where a journey needs it.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { until } from "./browser.mjs";

const binary = resolve(process.env.INTERPLAY_TARGET ?? "target/release", "interplay");

/** Makes a study from a template; `changes` are [from, to] in its file. */
export async function study(template, changes = [], { language = "en" } = {}) {
  const place = await mkdtemp(join(tmpdir(), "interplay-study-"));
  const tell = async (...words) => (await promisify(execFile)(binary, words, { cwd: place })).stdout;
  const made = await tell("new", "study", "--template", template, "--language", language);
  assert.match(made, /study is ready: .*experiment\.toml/);
  const folder = join(place, "study");
  const file = join(folder, "experiment.toml");
  let text = await readFile(file, "utf8");
  for (const [from, to] of changes) {
    assert.ok(text.includes(from), `${from} is not in ${template}`);
    text = text.replaceAll(from, to);
  }
  await writeFile(file, text);
  assert.match(await tell("check", "study"), /study has no mistakes/);
  return { folder, remove: () => rm(place, { recursive: true, force: true }) };
}

export const scene = (tab, id, seconds) => until(tab, `the scene ${id}`, (now) => now.scene?.id === id, seconds);
export const press = (tab, name) => tab.getByRole("button", { name, exact: true }).click();

/** Agrees, and answers the first questions of `survey-and-game`. */
export async function enterStudy(tab, url, { age = "30" } = {}) {
  await tab.goto(url);
  await scene(tab, "welcome");
  await tab.getByLabel(/I agree to take part/).check();
  await press(tab, "Start");
  await scene(tab, "about-you");
  await tab.getByLabel("How old are you?").fill(age);
  await tab.getByLabel("Every week").check();
  await press(tab, "Continue");
  await scene(tab, "first-game");
}

/** Everyone is in mid-game. */
export const playing = (tabs, frames = 30) =>
  Promise.all(tabs.map((tab) => until(tab, "the game", (now) => now.game?.frame > frames && now.phase === "connected", 30)));
