// A study in German: every page of it, also those that tell of trouble, is in German, is said to be, and fits a small screen.
// Whose visit began in German goes on in German when the study has become an English one (S2).
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { open, snapshot, until } from "./lib/browser.mjs";
import { accessible } from "./lib/axe.mjs";
import { speaks, texts } from "./lib/language.mjs";
import { serve } from "./lib/server.mjs";
import { playing, press, scene, study } from "./lib/study.mjs";

/** A mistake about a number with a fraction in it. */
const CHANGES = [
  ['type = "likert"\n', 'type = "number"\nmin = 0.5\n'], ["points = 7\n", ""], ['low = "überhaupt nicht"\nhigh = "sehr"\n', ""],
];

const SMALL = { width: 360, height: 640 };

export default async function ({ say, shot }) {
  const { folder, remove } = await study("survey-and-game", CHANGES, { language: "de" });
  const file = join(folder, "experiment.toml");
  const inGerman = await readFile(file, "utf8");
  const server = await serve(["--reload"], { folder });
  const browsers = await Promise.all([open(), open()]);
  const [one, two] = browsers.map(({ tab }) => tab);
  const [german, english, de] = await Promise.all([speaks("de", "en"), speaks("en", "de"), texts("de")]);
  const seen = new Set();
  /** A page is in German, usable by all, and as wide as the screen, large and small. */
  const good = async (tab, moment) => {
    seen.add(moment);
    await german(tab, moment);
    await accessible(tab, moment);
    await shot(tab, moment);
    const large = tab.viewportSize();
    await tab.setViewportSize(SMALL);
    await german(tab, moment);
    await accessible(tab, `${moment}, small`);
    await shot(tab, `${moment}-small`);
    const cut = await tab.evaluate(() => {
      const told = [...document.querySelectorAll("body *")].filter((element) => element.checkVisibility() && !element.closest(".unseen"));
      const out = told.filter((element) => {
        const { left, right } = element.getBoundingClientRect();
        return left < -1 || right > innerWidth + 1;
      });
      return out.map((element) => element.outerHTML.slice(0, 80));
    });
    assert.deepEqual(cut, [], `${moment} does not fit a small screen`);
    await tab.setViewportSize(large);
  };
  const shows = (tab, text) => tab.getByText(text, { exact: true }).and(tab.locator(":visible")).first().waitFor();
  /** The study is changed while it is served, and new visits get it so. */
  const becomes = async (language) => {
    await writeFile(file, inGerman.replace('language = "de"', `language = "${language}"`));
    const deadline = Date.now() + 30_000;
    while (!(await (await fetch(server.url)).text()).includes(`<html lang="${language}">`)) {
      assert.ok(Date.now() < deadline, "the change was not taken up");
      await one.waitForTimeout(100);
    }
  };
  const enter = async (tab, age) => {
    await tab.goto(server.url);
    await scene(tab, "welcome");
    await tab.getByLabel(/nehme freiwillig teil/).check();
    await press(tab, de.start);
    await scene(tab, "about-you");
    await tab.getByLabel("Wie alt sind Sie?").fill(age);
    await tab.getByLabel("Jede Woche").check();
    await press(tab, de.continue);
    await scene(tab, "first-game");
  };
  try {
    // What a browser shows before it has anything but the page itself, or has only half of it.
    await one.route("**/interplay.js", (route) => route.abort());
    await one.goto(server.url);
    await shows(one, de.connecting);
    await good(one, "connecting");
    await one.unroute("**/interplay.js");
    await one.route("**/*.wasm", (route) => route.abort());
    await one.goto(server.url);
    await shows(one, de.unsupported);
    await good(one, "unsupported");
    await one.unroute("**/*.wasm");
    await one.route("**/visits", (route) => route.abort());
    await one.goto(server.url);
    await shows(one, de.unreachable_title);
    await good(one, "unreachable");
    await one.unroute("**/visits");
    await press(one, de.reload);

    await scene(one, "welcome");
    assert.equal(await one.title(), "Zusammen spielen");
    await press(one, de.start);
    await shows(one, de.answer_missing);
    await one.getByText("sprinten").waitFor();
    await good(one, "welcome");
    await one.getByLabel(/nehme freiwillig teil/).check();
    await press(one, de.start);
    await scene(one, "about-you");
    await one.getByLabel("Wie alt sind Sie?").fill("sieben");
    await press(one, de.continue);
    await shows(one, de.answer_no_number);
    await one.getByLabel("Wie alt sind Sie?").fill("7");
    await press(one, de.continue);
    await shows(one, "Bitte geben Sie 18 oder mehr ein.");
    await good(one, "mistakes");
    await one.getByLabel("Wie alt sind Sie?").fill("31");
    await one.getByLabel("Nie").check();
    await press(one, de.continue);
    await scene(one, "first-game");
    await shows(one, de.lobby_missing_one);
    await one.getByText(/Höchstens noch \d:\d\d\./).waitFor();
    await good(one, "lobby");

    // The server is away for a while.
    await server.kill();
    await shows(one, de.network_lost);
    await good(one, "network");
    await server.startAgain();
    await one.locator("#network").waitFor({ state: "hidden" });

    // The study becomes an English one. Who is on the way goes on in German, on a page that is loaded anew too.
    await becomes("en");
    await two.goto(server.url);
    await scene(two, "welcome");
    await two.getByRole("button", { name: "Start", exact: true }).waitFor();
    await english(two, "the study in English");
    await one.reload();
    await scene(one, "first-game");
    await shows(one, de.lobby_missing_one);
    await german(one, "a visit that began in German");
    await accessible(one, "a visit that began in German");
    await becomes("de");
    await two.evaluate(() => sessionStorage.clear());

    // A game, which stands still for a while.
    await enter(two, "32");
    await playing([one, two]);
    await two.locator("#badge").focus();
    await good(two, "game");
    await two.locator("#field").focus();
    await one.goto("about:blank");
    await shows(two, de.missing_one);
    await good(two, "paused");
    await one.goto(server.url);
    await playing([one, two], 60);
    await Promise.all([one, two].map((tab) => scene(tab, "in-between", 60)));
    for (const tab of [one, two]) {
      await tab.getByLabel(/Spaß gemacht/).fill("0,4");
      await press(tab, de.continue);
      await shows(tab, "Bitte geben Sie 0,5 oder mehr ein.");
    }
    await good(one, "fraction");
    for (const tab of [one, two]) {
      await tab.getByLabel(/Spaß gemacht/).fill("2,5");
      await press(tab, de.continue);
    }

    // One leaves in the middle of the second game.
    await playing([one, two]);
    await press(one, de.leave);
    await one.getByRole("heading", { name: de.leave_title }).waitFor();
    await good(one, "leaving");
    await press(one, de.leave_yes);
    await scene(one, "sorry");
    await one.getByText("LEFT", { exact: true }).waitFor();
    await shows(one, de.end_title_withdrawn);
    await good(one, "withdrawn");
    await until(two, "the game's early end", (now) => now.scene?.over === true, 40);
    await two.locator("#over-button").waitFor();
    await shows(two, de.partner_lost);
    await good(two, "over");
    await press(two, de.continue);
    await two.getByText("P-LOST", { exact: true }).waitFor();
    await shows(two, de.end_title);
    await good(two, "partner-lost");

    // Another one does not want to wait, while the same study is opened elsewhere.
    await one.evaluate(() => sessionStorage.clear());
    await enter(one, "33");
    const token = await one.evaluate(() => sessionStorage.getItem("interplay.token"));
    await two.goto("about:blank");
    await two.goto(`${server.url}/#visit=${token}`);
    await scene(two, "first-game");
    await shows(one, de.replaced_title);
    await good(one, "replaced");
    await press(two, de.lobby_stop);
    assert.equal((await scene(two, "sorry")).scene.reason, "left");
    await shows(two, de.end_title_left);
    await good(two, "left");
    say(`${seen.size} moments, large and small: all in German, and said to be`);
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
