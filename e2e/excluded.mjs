// Taken out of a game by the study's rules: a connection that is too slow for too long, and a page that is really in the
// background. Who is taken out reads why; the partner reads nothing of it, and goes on; the data of both are whole (X2, X3).
import assert from "node:assert/strict";
import { open, snapshot, until } from "./lib/browser.mjs";
import { openHeaded } from "./lib/headed.mjs";
import { lab } from "./lib/netlab.mjs";
import { exported, serve } from "./lib/server.mjs";
import { enterStudy, playing, press, scene, study } from "./lib/study.mjs";

const isOver = (tab, limit = 20) => until(tab, "the game's end", (now) => now.scene?.kind === "end" || now.scene?.over, limit);
const words = (tab) => tab.evaluate(() => document.getElementById("over-text").textContent);
const reasons = (tables) => tables.sessions.map((row) => row.termination_reason);

/** Both parts of the data have every frame that both had confirmed, and it is verified. */
function isWhole(tables, frames) {
  for (const row of tables.sessions) {
    assert.equal(row.is_partial, "true");
    assert.ok(Number(row.frames_reported) >= frames, `${row.frames_reported} of ${frames} frames`);
    assert.ok(Math.abs(Number(row.terminated_at_frame) - Number(row.frames_reported)) <= 45, `ended at ${row.terminated_at_frame} of ${row.frames_reported}`);
  }
  assert.ok(tables.steps.length >= 2 * frames && tables.steps.every((row) => row.verified === "true"));
}

/** Two in mid-game, who can be put far away from the server. */
async function inLab(say, act) {
  const { folder, remove } = await study("survey-and-game", [["max_ping_ms = 500", "max_ping_ms = 200"], ["max_frames = 450", "max_frames = 9000"]]);
  const net = await lab("lan");
  const browsers = [];
  let server;
  try {
    server = await serve([], { folder, listen: `${net.address("server")}:8080`, within: net.within("server") });
    for (const host of ["a", "b"]) browsers.push(await net.browser(host));
    const tabs = browsers.map(({ tab }) => tab);
    for (const tab of tabs) await enterStudy(tab, server.url);
    await playing(tabs, 60);
    await act({ net, server, tabs });
  } catch (error) {
    say(`the server's log:\n${server?.log()}`);
    throw error;
  } finally {
    await Promise.all(browsers.map((browser) => browser.close()));
    await server?.stop();
    await net.remove();
    await remove();
  }
}

const OWN = "Your connection was too slow for this game for a while.";
const PARTNERS = "Your partner experienced a technical issue. The game has ended.";
const told = (tables) => tables.events.filter((row) => row.kind === "mid_game_exclusion").map((row) => JSON.parse(row.detail));

const slow = ({ say, shot }) => inLab(say, async ({ net, server, tabs: [one, two] }) => {
  await net.both("a", "server", "delay=150");
  const began = Date.now();
  await isOver(one);
  const seconds = (Date.now() - began) / 1000;
  await isOver(two);
  assert.deepEqual([await words(one), await words(two)], [OWN, PARTNERS]);
  await shot(one, "slow");
  await shot(two, "partner");
  await press(one, "Continue");
  await press(two, "Continue");
  assert.equal((await scene(one, "sorry")).scene.reason, "self_exclusion");
  await scene(two, "in-between");
  const { tables } = await exported(server.data);
  assert.deepEqual(reasons(tables).sort(), ["partner_exclusion", "self_exclusion"]);
  isWhole(tables, 60);
  assert.deepEqual(told(tables).map(({ reason }) => reason), ["sustained_ping"]);
  assert.ok(seconds > 2 && seconds < 8, `taken out after ${seconds} s`);
  say(`300 ms to the server: taken out after ${seconds.toFixed(1)} s, the partner goes on`);
});

/** Both break the rule: one is the first, and the game ends once. What the other had done is written down beside that (X4). */
const bothSlow = ({ say }) => inLab(say, async ({ net, server, tabs }) => {
  await Promise.all(["a", "b"].map((host) => net.both(host, "server", "delay=150")));
  await Promise.all(tabs.map((tab) => isOver(tab)));
  const read = await Promise.all(tabs.map(words));
  assert.deepEqual([...read].sort(), [OWN, PARTNERS]);
  const [first, second] = read[0] === OWN ? tabs : [tabs[1], tabs[0]];
  // For as long as the second has the ending before it, its connection is looked at.
  await second.waitForTimeout(4000);
  assert.equal(await words(second), PARTNERS, "one ending, and no other after it");
  await press(first, "Continue");
  await press(second, "Continue");
  assert.equal((await scene(first, "sorry")).scene.reason, "self_exclusion");
  await scene(second, "in-between");
  const { tables } = await exported(server.data);
  assert.deepEqual(reasons(tables).sort(), ["partner_exclusion", "self_exclusion"]);
  isWhole(tables, 60);
  const causes = told(tables).map(({ reason, after }) => [reason, after ?? null]);
  assert.deepEqual(causes, [["sustained_ping", null], ["sustained_ping", "partner_exclusion"]]);
  say("both at once: one ending, and both causes are written down");
});

async function hidden({ say, shot }) {
  const { folder, remove } = await study("two-player", [
    ["recovery = {", "monitor = { on_hidden = \"exclude\", tab_warning_s = 2, tab_exclude_s = 5 }\nrecovery = {"],
    ["max_frames = 900", "max_frames = 9000"],
  ]);
  const server = await serve([], { folder });
  const [headed, partner] = await Promise.all([openHeaded(), open()]);
  const two = partner.tab;
  try {
    const one = await headed.open(server.url);
    const visible = () => one.evaluate(() => document.visibilityState);
    await scene(one, "welcome");
    await one.evaluate(() => { document.querySelector("#sheet-fields input").click(); document.querySelector("#sheet-button").click(); });
    await two.goto(server.url);
    await two.getByLabel(/I agree to take part/).check();
    await press(two, "Start");
    await playing([one, two]);
    assert.equal(await visible(), "visible");
    const before = (await snapshot(two)).game;

    // In the background for a while: the tab says so, nothing else happens.
    const other = await headed.open("about:blank");
    await one.waitForTimeout(3500);
    assert.equal(await visible(), "hidden");
    assert.equal(await one.evaluate(() => document.title), "Please come back to the game");
    await one.bringToFront();
    await one.waitForTimeout(3000);
    assert.equal(await visible(), "visible");
    assert.equal(await one.evaluate(() => document.title), "A game for two");
    const during = (await snapshot(two)).game;
    assert.equal(during.stalledFrames, before.stalledFrames, "the partner was held up");
    assert.ok(during.frame - before.frame > 150, `${during.frame - before.frame} frames in 6.5 s`);

    // For too long.
    await other.bringToFront();
    const began = Date.now();
    const confirmed = (await isOver(two)).game?.confirmedFrame ?? during.confirmedFrame;
    const seconds = (Date.now() - began) / 1000;
    assert.equal(await words(two), "Your partner experienced a technical issue. The game has ended.");
    assert.equal(await visible(), "hidden");
    await one.bringToFront();
    await isOver(one);
    assert.equal(await words(one), "This page was in the background for too long.");
    await shot(one, "hidden");
    await one.evaluate(() => document.getElementById("over-button").click());
    await press(two, "Continue");
    assert.equal((await scene(one, "thanks")).scene.reason, "focus_timeout");
    assert.equal((await scene(two, "thanks")).scene.reason, "partner_exclusion");
    const { tables } = await exported(server.data);
    assert.deepEqual(reasons(tables).sort(), ["focus_timeout", "partner_exclusion"]);
    isWhole(tables, confirmed);
    const count = (kind) => tables.events.filter((row) => row.kind === kind).length;
    assert.deepEqual([count("tab_hidden"), count("tab_shown"), count("mid_game_exclusion")], [2, 1, 1]);
    assert.ok(seconds > 4 && seconds < 8, `taken out after ${seconds} s`);
    say(`a hidden tab: asked back after 2 s, taken out after ${seconds.toFixed(1)} s; the partner stalled no frame`);
  } catch (error) {
    say(`the server's log:\n${server.log()}`);
    throw error;
  } finally {
    await Promise.all([headed.close(), partner.close()]);
    await server.stop();
    await remove();
  }
}

export default async function (journey) {
  await slow(journey);
  await bothSlow(journey);
  await hidden(journey);
}
