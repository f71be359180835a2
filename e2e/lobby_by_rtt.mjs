// Twelve people arrive within four seconds, half of them with 200 ms more to everyone. Games take pairs within 150 ms, measured
// over the link that they would play with: only the near ones find each other, no pair is tried twice, and the far ones reach
// the scene for those who find nobody, when it was promised. One who leaves disturbs nobody (S4).
import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { FLAGS, snapshot, until } from "./lib/browser.mjs";
import { lab } from "./lib/netlab.mjs";
import { exported, serve } from "./lib/server.mjs";
import { press, scene, study } from "./lib/study.mjs";

const PEOPLE = 6;
const MAX_WAIT = 40;
const MAX_RTT = 150;

/** Notes every part of the page that was ever shown. */
function noteSections() {
  window.shown = new Set();
  setInterval(() => {
    for (const section of document.querySelectorAll("main > section:not([hidden])")) window.shown.add(section.id);
  }, 20);
}

async function enter(page, url) {
  await page.goto(url);
  await scene(page, "welcome");
  await page.getByLabel(/I have read this/).check();
  await press(page, "Start");
  await scene(page, "play");
  return Date.now();
}

export default async function ({ say, shot }) {
  const { folder, remove } = await study("two-player", [
    ["lobby = { max_wait_s = 120 }", `force_relay = true\nlobby = { match = "rtt", max_rtt_ms = ${MAX_RTT}, max_wait_s = ${MAX_WAIT}, on_timeout = "sorry" }`],
    ["episodes = 2", "episodes = 1"],
    ["max_frames = 900", "max_frames = 90"],
    ["[[scene]]\nkind = \"end\"", "[[scene]]\nkind = \"end\"\nid = \"sorry\"\n\n[[scene]]\nkind = \"end\""],
  ]);
  const net = await lab("lan");
  const browsers = [];
  let server;
  try {
    server = await serve([], { folder, listen: `${net.address("server")}:8080`, within: net.within("server") });
    for (const other of ["a", "server"]) await net.both("b", other, "delay=100");
    const people = [];
    for (const host of ["a", "b"]) {
      const browser = await chromium.launch({ executablePath: await net.executable(host), headless: true, args: [...FLAGS, ...net.flags] });
      browsers.push(browser);
      for (let at = 0; at < PEOPLE; at++) {
        const page = await (await browser.newContext({ viewport: { width: 640, height: 480 } })).newPage();
        await page.addInitScript(noteSections);
        people.push({ host, page, at });
      }
    }
    // In turns, one every third of a second.
    people.sort((one, other) => one.at - other.at || one.host.localeCompare(other.host));
    const from = Date.now();
    await Promise.all(people.map(async (person, turn) => {
      await person.page.waitForTimeout(Math.max(0, from + (turn * 4000) / people.length - Date.now()));
      person.entered = await enter(person.page, server.url);
    }));
    const [near, far] = ["a", "b"].map((host) => people.filter((person) => person.host === host));

    // One of the far ones has had enough.
    const leaver = far.pop();
    await leaver.page.waitForTimeout(2000);
    await shot(leaver.page, "waiting");
    await press(leaver.page, "Stop waiting");
    assert.equal((await scene(leaver.page, "sorry")).scene.reason, "left");

    const waits = await Promise.all(far.map(async ({ page, entered }) => {
      const now = await scene(page, "sorry", MAX_WAIT + 30);
      assert.equal(now.scene.reason, "waitroom_timeout");
      return (Date.now() - entered) / 1000;
    }));
    await Promise.all(near.map(({ page }) => until(page, "the end", (now) => now.scene?.reason === "completed", 60)));
    for (const { page } of far) {
      const shown = await page.evaluate(() => [...window.shown]);
      assert.deepEqual(shown.filter((part) => ["game", "over", "notice"].includes(part)), [], "somebody saw more than the lobby");
    }

    const { tables } = await exported(server.data);
    const host = {};
    for (const person of people) host[(await snapshot(person.page)).participant] = person.host;
    const visits = Object.fromEntries(tables.visits.map((row) => [row.visit_id, host[row.participant_id]]));
    const games = new Map();
    for (const row of tables.sessions) games.set(row.game_id, [...(games.get(row.game_id) ?? []), row]);
    assert.equal(games.size, PEOPLE / 2);
    for (const rows of games.values()) {
      assert.deepEqual(rows.map((row) => host[row.participant_id]), ["a", "a"], "a far one plays");
      assert.ok(rows.every((row) => row.termination_reason === "normal"));
    }
    const cancelled = tables.events.filter((row) => row.kind === "game_cancelled").map((row) => JSON.parse(row.detail));
    const tried = cancelled.filter(({ reason }) => reason === "slow").map((detail) => detail.visits);
    const played = [...games.values()].map((rows) => rows.map((row) => row.visit_id));
    const pairs = [...tried, ...played].map((pair) => [...pair].sort().join(" "));
    assert.equal(new Set(pairs).size, pairs.length, "a pair was tried twice");
    for (const pair of tried) assert.ok(pair.some((visit) => visits[visit] === "b"), "two near ones were kept apart");
    for (const game of games.keys()) {
      const measured = tables.events.filter((row) => row.game_id === game && row.kind === "link_checked");
      const rtt = Math.min(...measured.map((row) => JSON.parse(row.detail).rttMillis));
      assert.ok(rtt <= MAX_RTT, `a game began at ${rtt} ms`);
    }
    for (const wait of waits) assert.ok(wait >= MAX_WAIT - 1 && wait <= MAX_WAIT + 5, `${wait} s instead of ${MAX_WAIT}`);
    say(`${PEOPLE / 2} games, all of near ones; ${tried.length} pairs were too far apart (${cancelled.length} groups taken apart), none tried twice`);
    say(`the far ones went on after ${waits.map((wait) => wait.toFixed(1)).join(", ")} s (limit ${MAX_WAIT} s)`);
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
