// Something to read and questions, as a participant meets them: consent, every kind of question, mistakes that are told
// beside what they are about, a reload in the middle, the keyboard alone, and a small screen (S1).
import assert from "node:assert/strict";
import { join } from "node:path";
import { open, snapshot, until } from "./lib/browser.mjs";
import { accessible } from "./lib/axe.mjs";
import { exported, serve } from "./lib/server.mjs";

const scene = (tab, id) => until(tab, `the scene ${id}`, (now) => now.scene?.id === id);

export default async function ({ say, shot }) {
  const server = await serve([], { folder: join(import.meta.dirname, "../experiments/survey") });
  const { tab, problems, close } = await open();
  try {
    await tab.goto(server.url);
    await scene(tab, "welcome");
    const picture = tab.getByRole("img", { name: /^Two people/ });
    assert.ok(await picture.evaluate((image) => image.decode().then(() => image.naturalWidth)) > 0);
    assert.match(await picture.getAttribute("src"), /^\/files\/[0-9a-f]{64}\.svg$/);
    await shot(tab, "welcome");
    await accessible(tab, "a text with a picture");
    await tab.getByRole("button", { name: "Start" }).click();
    await tab.getByText("Please answer this question.").waitFor();
    assert.equal((await snapshot(tab)).scene.id, "welcome", "nobody goes on without consent");
    await tab.getByLabel("I agree to take part").check();
    await tab.getByRole("button", { name: "Start" }).click();

    await scene(tab, "about");
    assert.equal(await tab.getByRole("heading", { name: "Before we begin" }).count(), 1);
    await shot(tab, "about");
    await tab.reload();
    await scene(tab, "about");
    await tab.getByRole("button", { name: "Continue" }).click();

    await scene(tab, "you");
    const size = tab.viewportSize();
    await tab.setViewportSize({ width: 640, height: 1400 });
    await shot(tab, "questions");
    await tab.setViewportSize(size);
    await tab.getByLabel("How old are you?").fill("seven");
    await tab.getByRole("button", { name: "Continue" }).click();
    await tab.getByText("Please enter a number.").waitFor();
    assert.equal(await tab.evaluate(() => document.activeElement.id), "field-age", "the first mistake is gone to");
    assert.equal(await tab.getByText("Please answer this question.").count(), 2);
    await shot(tab, "mistakes");
    await accessible(tab, "a form with mistakes");

    // With the keyboard alone from here on.
    await tab.keyboard.press("Control+A");
    await tab.keyboard.type("34");
    for (const [keys, what] of [
      [["Tab", "ArrowDown"], "often"],
      [["Tab", "Tab", "Space"], "kinds"],
      [["Tab", "Tab", "ArrowRight", "ArrowRight"], "together"],
      [["Tab", "ArrowRight"], "awake"],
      [["Tab"], "hours"],
    ]) {
      for (const key of keys) await tab.keyboard.press(key);
      const at = await tab.evaluate(() => document.activeElement.id);
      assert.ok(at.startsWith(`field-${what}`), `${at} instead of ${what}`);
    }
    await tab.keyboard.type("1,5");
    await tab.keyboard.press("Tab");
    await tab.keyboard.type("<b>nothing</b>");
    await tab.reload();
    await scene(tab, "you");
    assert.equal(await tab.getByLabel("How old are you?").inputValue(), "34", "answers outlive a reload");
    assert.equal(await tab.getByLabel(/anything else/).inputValue(), "<b>nothing</b>");
    await shot(tab, "answered");
    await tab.setViewportSize({ width: 340, height: 640 });
    await shot(tab, "small");
    const wide = await tab.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `the page is ${wide} pixels wider than the screen`);
    await tab.getByRole("button", { name: "Continue" }).click();
    await until(tab, "the end", (now) => now.scene?.kind === "end");
    await shot(tab, "end");

    const { tables } = await exported(server.data);
    const told = Object.fromEntries(tables.answers.map((row) => [row.field, row.answer]));
    assert.deepEqual(told, {
      consent: "true", age: "34", often: "Now and then", kinds: "[\"Card games\"]", together: "3", awake: "51",
      hours: "1.5", more: "<b>nothing</b>",
    });
    assert.equal(new Set(tables.answers.map((row) => row.participant_id)).size, 1);
    assert.deepEqual(problems, []);
    say(`${tables.answers.length} answers, each once`);
  } finally {
    await close();
    await server.stop();
  }
}
