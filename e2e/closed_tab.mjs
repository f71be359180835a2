// A partner closes the tab, in every kind of scene and at every boundary between them. Who stays sees nothing of it where it is
// not their shared game, and is never stranded: one walks through the whole study, and loses somebody everywhere (S3, P9).
import assert from "node:assert/strict";
import { open, snapshot, until } from "./lib/browser.mjs";
import { exported, serve } from "./lib/server.mjs";
import { enterStudy, playing, press, scene, study } from "./lib/study.mjs";

const GRACE = 1;
const TIMEOUT = 4;

/** What lies over the page, if anything does. */
const over = (tab) => tab.evaluate(() =>
  ["over", "notice", "pause", "overlay", "network"].filter((id) => {
    const element = document.getElementById(id);
    return element.checkVisibility() && !element.hidden;
  }));

export default async function ({ say, shot }) {
  const { folder, remove } = await study("survey-and-game", [
    ["recovery = { reconnect_timeout_s = 30,", `recovery = { grace_s = ${GRACE}, countdown_s = 1, reconnect_timeout_s = ${TIMEOUT},`],
    ["max_frames = 450", "max_frames = 150"],
    ['monitor = { max_ping_ms = 500, on_hidden = "exclude", on_excluded = "sorry" }', "monitor = { max_ping_ms = 2000 }"],
    // The second game too.
    ['id = "second-game"\nenvironment = "tag.wasm"', `id = "second-game"\nrecovery = { grace_s = ${GRACE}, countdown_s = 1, reconnect_timeout_s = ${TIMEOUT} }\nenvironment = "tag.wasm"`],
  ]);
  const server = await serve([], { folder });
  const staying = await open();
  const { tab } = staying;
  const opened = new Set();
  const another = async () => {
    const browser = await open();
    opened.add(browser);
    return browser;
  };
  const close = async (browser) => {
    opened.delete(browser);
    await browser.close();
  };
  /** Somebody else goes as far as `until`, and closes the tab there. */
  async function lose(at, go) {
    const browser = await another();
    await go(browser.tab);
    await close(browser);
    await tab.waitForTimeout(1500);
    assert.deepEqual(await over(tab), [], `something is over the page after a stranger's tab was closed in ${at}`);
  }
  const answer = async (page) => {
    await page.getByLabel("5", { exact: true }).check();
    await press(page, "Continue");
  };
  try {
    await tab.goto(server.url);
    await scene(tab, "welcome");
    await lose("the start", async (page) => { await page.goto(server.url); await scene(page, "welcome"); });
    await tab.getByLabel(/I agree to take part/).check();
    await press(tab, "Start");
    await scene(tab, "about-you");
    await lose("a form", async (page) => {
      await page.goto(server.url);
      await page.getByLabel(/I agree to take part/).check();
      await press(page, "Start");
      await scene(page, "about-you");
    });
    await tab.getByLabel("How old are you?").fill("33");
    await tab.getByLabel("Every week").check();
    await press(tab, "Continue");
    await scene(tab, "first-game");

    // While the link is checked: the lobby stays, and takes the next one.
    const early = await another();
    // It never hears of the other's way: the check takes its time.
    await early.tab.addInitScript(() => (RTCPeerConnection.prototype.setRemoteDescription = () => new Promise(() => {})));
    await enterStudy(early.tab, server.url);
    await tab.getByRole("heading", { name: "Everyone is here" }).waitFor();
    await close(early);
    await tab.getByRole("heading", { name: "Waiting for one more player" }).waitFor({ timeout: 15_000 });
    assert.deepEqual(await over(tab), []);
    await shot(tab, "lobby");

    // In mid-game: a pause, and then on to the next scene.
    const partner = await another();
    await enterStudy(partner.tab, server.url);
    await playing([tab, partner.tab]);
    await close(partner);
    const closed = Date.now();
    await until(tab, "the pause", (now) => now.pause !== null, 10);
    await until(tab, "the end of the game", (now) => now.scene?.over, 20);
    const waited = (Date.now() - closed) / 1000;
    await press(tab, "Continue");
    await scene(tab, "in-between");
    await lose("another game", (page) => enterStudy(page, server.url));
    assert.equal((await snapshot(tab)).scene.id, "in-between");

    // A partner who has played with this one, and closes the tab in the form after the game, then in the last frames of a game.
    await answer(tab);
    await scene(tab, "second-game");
    await lose("a first game", (page) => enterStudy(page, server.url));
    const two = [await another(), await another()];
    await Promise.all(two.map((browser) => enterStudy(browser.tab, server.url)));
    await Promise.all(two.map((browser) => scene(browser.tab, "in-between", 40)));
    await close(two[0]);
    await two[1].tab.waitForTimeout(1500);
    assert.deepEqual(await over(two[1].tab), [], "a partner's tab was closed after the game");
    await answer(two[1].tab);
    await playing([tab, two[1].tab], 100);
    await until(two[1].tab, "the last frames", (now) => now.game === null || now.game.frame >= 148, 20);
    await close(two[1]);
    await until(tab, "the end", (now) => now.scene?.kind === "end" || now.scene?.over, 40);
    if ((await snapshot(tab)).scene.over) await press(tab, "Continue");
    const { scene: last } = await scene(tab, "thanks");
    assert.deepEqual(await over(tab), []);
    await shot(tab, "thanks");

    const { tables } = await exported(server.data);
    const own = tables.sessions.filter((row) => row.visit_id === tables.visits[0].visit_id);
    assert.deepEqual(own.map((row) => row.scene), ["first-game", "second-game"]);
    assert.equal(own[0].termination_reason, "reconnect_timeout");
    assert.ok(tables.steps.every((row) => row.verified === "true"));
    // Two closed the tab in the first lobby, or while links were checked; that is no game.
    assert.ok(tables.events.some((row) => row.kind === "game_cancelled"));
    say(`a partner lost in every kind of scene: the game went on after ${waited.toFixed(1)} s, the visit ended as ${last.reason}`);
  } catch (error) {
    say(`the server's log:\n${server.log()}`);
    say(JSON.stringify(await snapshot(tab).catch(String)));
    throw error;
  } finally {
    await Promise.all([staying, ...opened].map((browser) => browser.close()));
    await server.stop();
    await remove();
  }
}
