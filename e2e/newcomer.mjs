// What a newcomer does, and what two participants then go through: consent, questions, a lobby, a game, questions, a second
// game, the end. In every scene a page is loaded anew, and the server is killed on the way (S1–S3, S5).
import assert from "node:assert/strict";
import { open, snapshot } from "./lib/browser.mjs";
import { accessible } from "./lib/axe.mjs";
import { exported, serve } from "./lib/server.mjs";
import { playing, press, scene, study } from "./lib/study.mjs";

/** Loads the page anew: the same person in the same scene. */
async function reload(tab) {
  const before = await snapshot(tab);
  await tab.reload();
  const now = await scene(tab, before.scene.id);
  assert.equal(now.participant, before.participant);
}

async function answer(tab, age) {
  await scene(tab, "welcome");
  await tab.getByLabel(/I agree to take part/).check();
  await reload(tab);
  await press(tab, "Start");
  await scene(tab, "about-you");
  await tab.getByLabel("How old are you?").fill(age);
  await tab.getByLabel("Every week").check();
  await reload(tab);
  await press(tab, "Continue");
}

/** A whole game, with one page loaded anew in the middle of it. */
async function play(tabs, next, meanwhile = async () => {}) {
  await playing(tabs);
  await reload(tabs[0]);
  await playing(tabs, 60);
  await meanwhile();
  await Promise.all(tabs.map((tab) => scene(tab, next, 60)));
}

export default async function ({ say, shot }) {
  const { folder, remove } = await study("survey-and-game");
  const server = await serve([], { folder });
  const browsers = await Promise.all([open(), open()]);
  const tabs = browsers.map(({ tab }) => tab);
  const [one, two] = tabs;
  try {
    await Promise.all(tabs.map((tab) => tab.goto(server.url)));
    await shot(one, "welcome");
    await accessible(one, "the start");
    await answer(one, "31");
    await scene(one, "first-game");
    await one.getByRole("heading", { name: "Waiting for one more player" }).waitFor();
    await reload(one);
    await one.getByText(/At most \d:\d\d more/).waitFor();
    await shot(one, "lobby");
    await accessible(one, "the lobby");
    await answer(two, "32");
    await play(tabs, "in-between", async () => {
      await shot(one, "game");
      await accessible(one, "the game");
      await server.killAndRestart();
    });
    for (const [at, tab] of tabs.entries()) {
      await tab.getByLabel(String(5 + at), { exact: true }).check();
      await tab.getByLabel("What did you pay attention to?").fill("The <b>other</b> one");
      await reload(tab);
      await press(tab, "Continue");
    }
    await play(tabs, "thanks");
    for (const tab of tabs) {
      await tab.getByText("ALL-DONE").waitFor();
      await reload(tab);
      await tab.getByText("ALL-DONE").waitFor();
      assert.equal(await tab.getByRole("button", { name: "Leave the study" }).isVisible(), false);
    }
    await shot(one, "thanks");
    await accessible(one, "the end");

    const { tables } = await exported(server.data);
    const answers = (field) => tables.answers.filter((row) => row.field === field).map((row) => row.answer).sort();
    assert.deepEqual(["consent", "age", "games", "fun", "thoughts"].map(answers), [
      ["true", "true"], ["31", "32"], ["Every week", "Every week"], ["5", "6"], Array(2).fill("The <b>other</b> one"),
    ]);
    assert.equal(tables.answers.length, 10, "each answer once");
    assert.deepEqual(tables.visits.map((row) => row.ended), ["completed", "completed"]);
    assert.equal(tables.sessions.length, 4);
    for (const row of tables.sessions) {
      assert.deepEqual([row.termination_reason, row.is_partial, row.hash_mismatches], ["normal", "false", "0"]);
      assert.equal(row.experiment_sha256, tables.visits[0].experiment_sha256);
    }
    assert.equal(tables.steps.length, 2 * 2 * 450);
    assert.ok(tables.steps.every((row) => row.verified === "true"));
    say(`12 scenes, each loaded anew, and a server that was killed: ${tables.answers.length} answers, ${tables.steps.length} steps`);
  } catch (error) {
    say(`the server's log:\n${server.log()}`);
    for (const tab of tabs) say(JSON.stringify(await snapshot(tab).catch(String)));
    throw error;
  } finally {
    await Promise.all(browsers.map((browser) => browser.close()));
    await server.stop();
    await remove();
  }
}
