// With the keyboard alone, on a phone's screen by touch, in the dark, in a hidden tab; and what is left of a game
// whose partner closes the page.
import assert from "node:assert/strict";
import { open, snapshot, until } from "./lib/browser.mjs";
import { enter } from "./lib/game.mjs";
import { exported, serve } from "./lib/server.mjs";

const PHONE = { viewport: { width: 360, height: 640 }, hasTouch: true, isMobile: true, colorScheme: "dark" };

const overflow = (tab) => tab.evaluate(() => document.documentElement.scrollWidth - innerWidth);

/** Runs in the page before its own scripts: does to timers what browsers do in hidden tabs, when told to. */
function hideable() {
  let slow = false;
  const { setTimeout, setInterval, requestAnimationFrame } = window;
  window.slowTimers = (on) => (slow = on);
  window.setTimeout = (act, delay, ...rest) => setTimeout(act, slow ? Math.max(delay, 1000) : delay, ...rest);
  window.setInterval = (act, delay, ...rest) => setInterval(() => slow || act(...rest), delay);
  window.requestAnimationFrame = (paint) =>
    requestAnimationFrame(function later(time) {
      if (slow) setTimeout(() => requestAnimationFrame(later), 100);
      else paint(time);
    });
}

export default async function ({ say, shot }) {
  const server = await serve([], { settings: { players: 2, max_frames: 900, recovery: "{ reconnect_timeout_s = 5 }" } });
  const [desk, phone] = await Promise.all([open(), open({ page: PHONE })]);
  try {
    await desk.tab.addInitScript(hideable);
    await desk.tab.goto(server.url);
    await until(desk.tab, "the start", (now) => now.scene?.kind === "start");
    assert.equal(await desk.tab.evaluate(() => document.activeElement.id), "sheet-button");
    await desk.tab.keyboard.press("Space");
    await until(desk.tab, "the lobby", (now) => now.scene?.kind === "game");

    await phone.tab.goto(server.url);
    await until(phone.tab, "the start", (now) => now.scene?.kind === "start");
    await shot(phone.tab, "phone-start");
    assert.ok((await overflow(phone.tab)) <= 0, "the start scrolls sideways");
    await phone.tab.getByRole("button", { name: "Start" }).tap();
    await Promise.all([desk, phone].map(({ tab }) => until(tab, "the game", (now) => now.game?.frame > 30)));
    assert.ok((await overflow(phone.tab)) <= 0, "the game scrolls sideways");

    // The game has the focus, the badge is the next stop, and says in words what it means.
    assert.equal(await desk.tab.evaluate(() => document.activeElement.id), "field");
    await desk.tab.keyboard.press("Shift+Tab");
    assert.equal(await desk.tab.evaluate(() => document.activeElement.id), "badge");
    assert.ok(await desk.tab.locator("#badge-words").isVisible(), "the badge says nothing on focus");
    await desk.tab.keyboard.press("Tab");

    const buttons = phone.tab.locator("#touch button");
    assert.ok((await buttons.count()) >= 5, "a phone has no buttons");
    for (const button of await buttons.all()) {
      const box = await button.boundingBox();
      assert.ok(box.width >= 44 && box.height >= 44, `a button of ${box.width} × ${box.height}`);
      assert.ok(box.y + box.height <= 640 && box.x + box.width <= 360, "a button is off the screen");
    }
    await buttons.first().tap();
    await shot(phone.tab, "phone-game");

    // A hidden tab keeps time: its timers are slowed and nothing is painted, the page's clock goes on.
    const before = await snapshot(desk.tab);
    await desk.tab.evaluate(() => window.slowTimers(true));
    const began = Date.now();
    await phone.tab.waitForTimeout(3000);
    const after = await snapshot(desk.tab);
    const seconds = (Date.now() - began) / 1000;
    await desk.tab.evaluate(() => window.slowTimers(false));
    const frames = after.game.frame - before.game.frame;
    say(`${frames} frames in ${seconds.toFixed(1)} s with timers and painting as in a hidden tab`);
    assert.ok(frames > 25 * seconds, `${frames} frames in ${seconds} s`);

    // The partner goes for good: nobody is stranded.
    const gone = Date.now();
    await phone.close();
    await desk.tab.waitForTimeout(500);
    const confirmed = (await snapshot(desk.tab)).game.confirmedFrame;
    const goOn = desk.tab.getByRole("button", { name: "Continue" });
    await goOn.waitFor({ timeout: 40_000 });
    await shot(desk.tab, "game-over");
    await goOn.click();
    const end = await until(desk.tab, "the end", (now) => now.scene?.kind === "end");
    say(`the partner's end came ${((Date.now() - gone) / 1000).toFixed(1)} s after the page was closed`);
    assert.equal(end.scene.reason, "reconnect_timeout");
    await shot(desk.tab, "partner-lost");
    // What the page said to be saved is: every frame up to the last that both confirmed.
    const uploaded = Date.now() + 5000;
    let session;
    do {
      const { tables } = await exported(server.data);
      session = tables.sessions.find((row) => row.participant_id === end.participant);
    } while (Number(session.frames_reported) < confirmed && Date.now() < uploaded);
    assert.ok(Number(session.frames_reported) >= confirmed, `${session.frames_reported} of ${confirmed} frames`);
    assert.equal(session.is_partial, "true");
  } finally {
    await Promise.all([desk.close(), phone.close()]);
    await server.stop();
  }
}
