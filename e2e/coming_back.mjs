// Who is who (S5): a reload, a personal link and a platform's id are the same participant, a new tab is a new one; the ids are
// kept, leave the address bar, and are exported only when asked for.
import assert from "node:assert/strict";
import { open, until } from "./lib/browser.mjs";
import { exported, serve } from "./lib/server.mjs";

const arrived = (tab) => until(tab, "the start", (now) => now.scene?.kind === "start" && now.participant);

export default async function ({ shot }) {
  const server = await serve();
  const [one, two] = await Promise.all([open(), open()]);
  try {
    await one.tab.goto(`${server.url}/?PROLIFIC_PID=pid-77&unknown=kept-out`);
    const { participant } = await arrived(one.tab);
    assert.equal(await one.tab.evaluate(() => location.search + location.hash), "", "the address bar keeps ids");

    await one.tab.keyboard.press("Enter");
    await until(one.tab, "the lobby", (now) => now.scene?.kind === "game");
    await one.tab.reload();
    const reloaded = await until(one.tab, "the lobby again", (now) => now.scene?.kind === "game");
    assert.equal(reloaded.participant, participant, "a reload is the same participant, in the same scene");

    const other = await one.context.newPage();
    await other.goto(server.url);
    assert.notEqual((await arrived(other)).participant, participant, "a new tab is a new participant");
    await other.close();

    const answer = await fetch(`${server.url}/api/v1/visits`, {
      method: "POST", headers: { "content-type": "application/json" }, body: "{}",
    });
    const visit = await answer.json();
    await one.tab.goto(`${server.url}${visit.link}`);
    await one.tab.reload();
    assert.equal((await arrived(one.tab)).participant, visit.participant);
    await two.tab.goto(`${server.url}${visit.link}`);
    assert.equal((await arrived(two.tab)).participant, visit.participant, "the link is the same participant");
    await one.tab.getByRole("heading", { name: "Continued in another window" }).waitFor();
    await shot(one.tab, "replaced");

    // A platform's id is one person: it goes on where it was, but not while it is open elsewhere.
    const again = `${server.url}/?PROLIFIC_PID=pid-88`;
    await two.tab.evaluate(() => sessionStorage.clear());
    await two.tab.goto(again);
    const person = (await arrived(two.tab)).participant;
    await two.tab.keyboard.press("Enter");
    await until(two.tab, "the lobby", (now) => now.scene?.kind === "game");
    const third = await one.context.newPage();
    await third.goto(again);
    await third.getByRole("heading", { name: "The study is open elsewhere" }).waitFor();
    await shot(third, "open-elsewhere");
    await two.tab.goto("about:blank");
    await third.waitForTimeout(500);
    await third.getByRole("button", { name: "Load the page again" }).click();
    const returned = await until(third, "the lobby again", (now) => now.scene?.kind === "game");
    assert.equal(returned.participant, person, "the same id is another person");
    assert.equal(await third.evaluate(() => location.search), "");

    const plain = await exported(server.data);
    assert.ok(!JSON.stringify(plain.tables).includes("pid-77"), "platforms' ids are exported unasked");
    const asked = await exported(server.data, ["--with-platform-ids"]);
    const entries = asked.tables.visits.map((row) => JSON.parse(row.entry));
    assert.equal(entries.filter((entry) => entry.PROLIFIC_PID === "pid-77").length, 1);
    assert.ok(!JSON.stringify(entries).includes("kept-out"));
  } finally {
    await Promise.all([one.close(), two.close()]);
    await server.stop();
  }
}
