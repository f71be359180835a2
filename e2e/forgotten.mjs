// Whoever leaves may wish to be forgotten, and a researcher may be asked to: then nothing of that person is left in the data,
// and what the partner has of their game stays whole (S7, D5).
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { open, snapshot, until } from "./lib/browser.mjs";
import { accessible } from "./lib/axe.mjs";
import { exported, serve } from "./lib/server.mjs";
import { enterStudy, playing, press, scene, study } from "./lib/study.mjs";

const binary = resolve(process.env.INTERPLAY_TARGET ?? "target/release", "interplay");

/** Which of a folder's files hold a word. */
async function holding(folder, word) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath ?? entry.path, entry.name));
  const held = await Promise.all(files.map(async (file) => (await readFile(file)).includes(word)));
  return files.filter((_, at) => held[at]);
}

/** Waits until none of them does: the database's log is emptied behind the participant's back. */
async function gone(folder, word) {
  const deadline = Date.now() + 5000;
  for (;;) {
    const held = await holding(folder, word);
    if (held.length === 0) return;
    assert.ok(Date.now() < deadline, `${word} is still in ${held}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export default async function ({ say, shot }) {
  const { folder, remove } = await study("survey-and-game", [
    ['title = "', 'on_withdrawal = "offer_deletion"\ntitle = "'],
    ["max_frames = 450", "max_frames = 9000"],
  ]);
  const server = await serve([], { folder });
  const browsers = await Promise.all([open(), open({ page: { viewport: { width: 360, height: 640 } } })]);
  const [one, two] = browsers.map(({ tab }) => tab);
  try {
    await enterStudy(one, `${server.url}/?PROLIFIC_PID=PERSON-ONE`, { age: "71" });
    await enterStudy(two, `${server.url}/?PROLIFIC_PID=PERSON-TWO`, { age: "72" });
    await playing([one, two], 60);
    assert.notDeepEqual(await holding(server.data, "PERSON-ONE"), []);

    // The second looks at the question on a phone, and stays.
    await press(two, "Leave the study");
    await two.getByLabel("Delete what was saved about me").waitFor();
    await shot(two, "offer-on-a-phone");
    await accessible(two, "the offer to delete, on a phone");
    await press(two, "Stay");

    // The first leaves, with rows that have not been sent.
    await one.route("**/records", (route) => route.abort());
    await one.waitForTimeout(1500);
    await press(one, "Leave the study");
    const box = one.getByLabel("Delete what was saved about me");
    assert.equal(await box.isChecked(), false, "nobody has data deleted without a wish");
    await box.press("Space");
    await shot(one, "offer");
    await press(one, "Leave");
    await one.getByText("What was saved about you is deleted. This is your completion code:").waitFor();
    await one.getByText("LEFT", { exact: true }).waitFor();
    await one.unroute("**/records");
    await shot(one, "deleted");
    await accessible(one, "the end of one whose data are deleted");
    const unsent = () => one.evaluate(() => Object.keys(localStorage).filter((key) => key.includes("unsent")));
    assert.deepEqual(await unsent(), []);
    await gone(server.data, "PERSON-ONE");
    await one.reload();
    await one.getByText("LEFT", { exact: true }).waitFor();
    assert.equal((await snapshot(one)).scene.reason, "withdrawn");

    // The partner goes on, and has its data of the game.
    await two.getByText("The connection to the other player was lost", { exact: false }).first().waitFor();
    await press(two, "Continue");
    await scene(two, "in-between");
    const { tables, said } = await exported(server.data, ["--with-platform-ids"]);
    assert.equal(tables.visits.length, 1);
    assert.ok(!JSON.stringify(tables).includes("PERSON-ONE"));
    assert.deepEqual([...new Set(tables.answers.filter((row) => row.field === "age").map((row) => row.answer))], ["72"]);
    const sessions = tables.sessions.map((row) => [row.participant_id === "", row.termination_reason, Number(row.frames_reported) > 0]);
    assert.deepEqual(sessions.sort(), [[false, "partner_lost", true], [true, "withdrawn", false]]);
    assert.ok(tables.steps.length > 120 && tables.steps.every((row) => row.verified === "true"), `${tables.steps.length} steps, ${said}`);

    // The researcher is asked to forget the partner, who is on the way.
    const { stdout } = await promisify(execFile)(binary, ["forget", "PERSON-TWO", "--data", server.data]);
    assert.match(stdout, /^Deleted: 1 visit, \d+ answers, 1 game\./);
    await until(two, "the end", (now) => now.scene?.kind === "end");
    await two.getByText("What was saved about you is deleted.", { exact: false }).waitFor();
    await shot(two, "forgotten");
    await gone(server.data, "PERSON-TWO");
    const after = await exported(server.data);
    assert.deepEqual([after.tables.visits.length, after.tables.steps?.length ?? 0, after.tables.answers.length], [0, 0, 0]);
    say(`${tables.steps.length / 2} frames of the one who stayed, all verified, when the other was forgotten`);
  } catch (error) {
    say(`the server's log:\n${server.log()}`);
    for (const tab of [one, two]) say(JSON.stringify(await snapshot(tab).catch(String)));
    throw error;
  } finally {
    await Promise.all(browsers.map((browser) => browser.close()));
    await server.stop();
    await remove();
  }
}
