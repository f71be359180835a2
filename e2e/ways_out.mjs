// The ways out of a study that are not its end: nobody else comes, one stops waiting, one leaves in mid-game. Nobody is
// stranded, and nothing is called saved, and no code given, before the server has it (P9, S4, S5, S7, X3).
import assert from "node:assert/strict";
import { open, snapshot, until } from "./lib/browser.mjs";
import { accessible } from "./lib/axe.mjs";
import { exported, serve } from "./lib/server.mjs";
import { enterStudy, playing, press, scene, study } from "./lib/study.mjs";

async function leave(tab, shot) {
  await press(tab, "Leave the study");
  await tab.getByRole("heading", { name: "Leave the study?" }).waitFor();
  await shot(tab, "leaving");
  await accessible(tab, "the question whether to leave");
  await press(tab, "Leave");
}

export default async function ({ say, shot }) {
  const redirect = "http://127.0.0.1:9/done?cc=ABC";
  const { folder, remove } = await study("survey-and-game", [
    ["max_wait_s = 120", "max_wait_s = 6"],
    ["partner_lost = { code = \"P-LOST\" }", `partner_lost = { redirect = "${redirect}" }`],
    ["max_frames = 450", "max_frames = 9000"],
  ]);
  const server = await serve([], { folder });
  const browsers = await Promise.all([open(), open({ page: { colorScheme: "dark" } })]);
  const [one, two] = browsers.map(({ tab }) => tab);
  const fresh = async (tab) => {
    await tab.evaluate(() => sessionStorage.clear()).catch(() => {});
    await enterStudy(tab, server.url);
  };
  try {
    await fresh(one);
    await fresh(two);
    // Both play; who leaves is asked first, and may stay.
    await playing([one, two]);
    await press(one, "Leave the study");
    await press(one, "Stay");
    assert.equal((await snapshot(one)).scene.id, "first-game");
    // What it has played cannot be sent just now.
    await one.route("**/records", (route) => route.abort());
    await one.waitForTimeout(1500);
    const confirmed = (await snapshot(one)).game.confirmedFrame;
    await leave(one, shot);
    await scene(one, "sorry");
    await one.locator("#end-saved", { hasText: "Saving. Please keep this page open…" }).waitFor();
    await one.waitForTimeout(2500);
    assert.equal(await one.getByText("LEFT", { exact: true }).isVisible(), false, "a code before everything is saved");
    await shot(one, "saving");
    // The server is killed at that moment; then all is well again.
    await server.kill();
    await one.unroute("**/records");
    await one.waitForTimeout(1500);
    assert.equal(await one.getByText("LEFT", { exact: true }).isVisible(), false, "a code without a server");
    await server.startAgain();
    await one.getByText("LEFT", { exact: true }).waitFor({ timeout: 20_000 });
    await shot(one, "code");
    const { tables } = await exported(server.data);
    const gone = tables.sessions.find((row) => row.participant_id === tables.visits.find((visit) => visit.ended === "withdrawn").participant_id);
    assert.deepEqual([gone.termination_reason, gone.is_partial], ["withdrawn", "true"]);
    assert.ok(Number(gone.frames_reported) >= confirmed, `${gone.frames_reported} of ${confirmed} frames`);

    // The partner reads that the game has ended, and goes on.
    await shot(two, "over");
    await accessible(two, "a game that has ended early");
    await two.getByText("The connection to the other player was lost", { exact: false }).first().waitFor();
    await press(two, "Continue");
    await scene(two, "in-between");
    await two.getByLabel("4", { exact: true }).check();
    await press(two, "Continue");
    await scene(two, "second-game");
    // Nobody else comes to the second game.
    const waited = Date.now();
    await scene(two, "sorry", 15);
    const seconds = (Date.now() - waited) / 1000;
    assert.ok(seconds > 4.5 && seconds < 9, `waited ${seconds} s`);
    assert.equal((await snapshot(two)).scene.reason, "waitroom_timeout");
    await shot(two, "nobody-came");

    // One waits, and stops waiting; another waits to the end.
    await fresh(one);
    await press(one, "Stop waiting");
    assert.equal((await scene(one, "sorry")).scene.reason, "left");
    await fresh(two);
    await scene(two, "sorry", 15);
    assert.equal((await snapshot(two)).scene.reason, "waitroom_timeout");
    await two.getByText("NOBODY", { exact: true }).waitFor();
    await shot(two, "waited");

    // A redirect, when everything is saved, with what the entry link brought.
    const { folder: other, remove: removeOther } = await study("two-player", [
      ["completed = { code = \"ALL-DONE\" }", `completed = { redirect = "${redirect}&pid={{ PROLIFIC_PID }}&study={{ STUDY_ID }}" }`], ["max_frames = 900", "max_frames = 60"],
    ]);
    const next = await serve([], { folder: other });
    try {
      const asked = [];
      for (const [tab, person] of [[one, "one"], [two, "two&cc=DEF"]]) {
        await tab.context().route("http://127.0.0.1:9/**", (route) => {
          asked.push(route.request().url());
          return route.fulfill({ contentType: "text/html", body: "<h1>Back</h1>" });
        });
        await tab.goto(`${next.url}/?PROLIFIC_PID=${encodeURIComponent(person)}`);
        await tab.getByLabel(/I agree to take part/).check();
        await press(tab, "Start");
      }
      await until(one, "the end", (now) => now.scene?.kind === "end", 40);
      await one.getByText("Everything is saved. You are being taken back…").waitFor();
      await shot(one, "redirect");
      await Promise.all([one, two].map((tab) => tab.getByRole("heading", { name: "Back" }).waitFor({ timeout: 15_000 })));
      assert.deepEqual(asked.sort(), [`${redirect}&pid=one&study=`, `${redirect}&pid=two%26cc%3DDEF&study=`]);
    } finally {
      await next.stop();
      await removeOther();
    }
    say(`left, waited for ${seconds.toFixed(1)} s, stopped waiting, taken back: ${confirmed} frames of the one who left are there`);
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
