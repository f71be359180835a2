// Pages that are really in the background: in one study everyone waits for them, and for too long is too long; in another the
// game goes on, and the data say which frames they came to there (X2).
import assert from "node:assert/strict";
import { open, snapshot, until } from "./lib/browser.mjs";
import { openHeaded } from "./lib/headed.mjs";
import { exported, serve } from "./lib/server.mjs";
import { playing, press, scene, study } from "./lib/study.mjs";

const text = (tab, id) => tab.evaluate((id) => document.getElementById(id).textContent, id);
const isOver = (tab) => until(tab, "the game's end", (now) => now.scene?.over, 20);

/** Two play with such rules: one in a window of its own, and something else to look at. */
async function two(monitor, act, { say }) {
  const { folder, remove } = await study("two-player", [
    ["recovery = { reconnect_timeout_s = 30,", `monitor = ${monitor}\nrecovery = { reconnect_timeout_s = 6, countdown_s = 1,`],
    ["max_frames = 900", "max_frames = 9000"],
  ]);
  const server = await serve([], { folder });
  const [headed, partner] = await Promise.all([openHeaded(), open()]);
  try {
    const one = await headed.open(server.url);
    await scene(one, "welcome");
    await one.evaluate(() => { document.querySelector("#sheet-fields input").click(); document.querySelector("#sheet-button").click(); });
    await partner.tab.goto(server.url);
    await partner.tab.getByLabel(/I agree to take part/).check();
    await press(partner.tab, "Start");
    await playing([one, partner.tab]);
    await act(one, partner.tab, headed, server);
  } catch (error) {
    say(`the server's log:\n${server.log()}`);
    throw error;
  } finally {
    await Promise.all([headed.close(), partner.close()]);
    await server.stop();
    await remove();
  }
}

/** The frames of each participant that are marked, from and to. */
function marked(tables) {
  const of = new Map();
  for (const { agent, frame, hidden } of tables.steps) {
    if (hidden === "true") of.set(agent, [...(of.get(agent) ?? []), Number(frame)]);
  }
  return of;
}

async function waits({ say, shot }) {
  await two("{ on_hidden = \"pause\" }", async (one, partner, headed, server) => {
    const other = await headed.open("about:blank");
    await until(partner, "a pause", (now) => now.pause, 10);
    const stood = (await snapshot(partner)).game;
    assert.equal(await text(partner, "pause-title"), "Waiting for the other player");
    assert.equal(await text(partner, "pause-line"), "They are in another tab or window. The game goes on as soon as they are back.");
    await shot(partner, "waiting");
    await one.waitForTimeout(3000);
    assert.equal(await one.evaluate(() => document.title), "Please come back to the game");
    const now = (await snapshot(partner)).game;
    assert.ok(now.frame - stood.frame <= 1, `${now.frame - stood.frame} frames while everyone waits`);
    await one.bringToFront();
    const goes = (tab) => until(tab, "the game", (now) => now.phase === "connected" && now.game?.frame > stood.frame + 30, 15);
    await Promise.all([goes(one), goes(partner)]);

    // For too long.
    await other.bringToFront();
    const began = Date.now();
    await isOver(partner);
    const seconds = (Date.now() - began) / 1000;
    assert.equal(await text(partner, "over-text"), "Your partner experienced a technical issue. The game has ended.");
    await one.bringToFront();
    await isOver(one);
    assert.equal(await text(one, "over-text"), "This page was in the background for too long.");
    assert.ok(seconds > 5 && seconds < 9, `${seconds} s`);
    await one.evaluate(() => document.getElementById("over-button").click());
    await press(partner, "Continue");
    assert.equal((await scene(one, "thanks")).scene.reason, "focus_timeout");
    assert.equal((await scene(partner, "thanks")).scene.reason, "partner_exclusion");
    const { tables } = await exported(server.data);
    assert.deepEqual(tables.sessions.map((row) => row.termination_reason).sort(), ["focus_timeout", "partner_exclusion"]);
    const pauses = tables.gaps.filter(({ kind }) => kind === "pause");
    assert.deepEqual(pauses.map(({ reason, cause, outcome }) => [reason, cause, outcome]), [["tab_hidden", "tab", "resumed"], ["tab_hidden", "tab", "ended"]]);
    say(`everyone waited, went on, and after ${seconds.toFixed(1)} s of a second time the game was over`);
  }, { say });
}

async function goesOn({ say }) {
  await two("{ on_hidden = \"continue\" }", async (one, partner, headed, server) => {
    await headed.open("about:blank");
    await one.waitForTimeout(2500);
    const hidden = (await snapshot(one)).game;
    await one.bringToFront();
    await one.waitForTimeout(1500);
    const shown = (await snapshot(one)).game;
    assert.ok(shown.frame - hidden.frame > 30 && shown.pausedFrames === 0, "the game stood still");
    await partner.waitForTimeout(2000);
    const { tables } = await exported(server.data);
    const frames = marked(tables);
    assert.deepEqual([...frames.keys()], [String(shown.seat)], "only that seat's frames are marked");
    const mine = frames.get(String(shown.seat));
    assert.ok(mine.includes(hidden.frame - 15) && !mine.includes(shown.frame - 15), `${mine[0]} to ${mine.at(-1)}, hidden at ${hidden.frame}, in front at ${shown.frame}`);
    assert.ok(mine.length > 60 && mine.length === mine.at(-1) - mine[0] + 1, `${mine.length} frames`);
    assert.ok(tables.steps.every((row) => row.verified === "true"));
    say(`${mine.length} frames in the background are marked, of one seat`);
  }, { say });
}

export default async function (journey) {
  await waits(journey);
  await goesOn(journey);
}
