// A study's own check: a server of the study takes one of two players out of a game. Who is taken out reads that server's words;
// the partner reads nothing of it, and goes on; the data of both are whole. When the check is away nobody is taken out, and the
// data say so. At the end the study's server is told of both visits (X2, X3, S5).
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import { open, snapshot, until } from "./lib/browser.mjs";
import { exported, serve } from "./lib/server.mjs";
import { enterStudy, playing, press, scene, study } from "./lib/study.mjs";

const SECRET = Buffer.from("a secret that only this test knows!!");
const words = (tab) => tab.evaluate(() => document.getElementById("over-text").textContent);
const isOver = (tab) => until(tab, "the game's end", (now) => now.scene?.over, 20);

/** The study's server: checks every signature, and answers as `answer` says; none is silence. */
async function studyServer() {
  const own = { questions: [], events: [], answer: () => ({ exclude: false }), forged: 0 };
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    const { "webhook-id": id, "webhook-timestamp": at, "webhook-signature": signature } = request.headers;
    const expected = `v1,${createHmac("sha256", SECRET).update(`${id}.${at}.${body}`).digest("base64")}`;
    if (signature !== expected) own.forged += 1;
    const told = JSON.parse(body);
    if (request.url === "/visits") {
      own.events.push(...told.events);
      return response.end();
    }
    own.questions.push(told);
    const answer = own.answer(told);
    if (answer) response.end(JSON.stringify(answer));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  own.url = `http://127.0.0.1:${server.address().port}`;
  own.close = () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); });
  return own;
}

export default async function ({ say, shot }) {
  const lab = await studyServer();
  const { folder, remove } = await study("survey-and-game", [
    ["max_ping_ms = 500", `webhook = "${lab.url}/check", every_s = 1, deadline_s = 0.5`],
    ["max_frames = 450", "max_frames = 9000"],
    ["[[scene]]\nkind = \"start\"", `[screening]\nwebhook = { url = "${lab.url}/check" }\n\n[webhook]\nurl = "${lab.url}/visits"\n\n[[scene]]\nkind = "start"`],
  ]);
  process.env.INTERPLAY_WEBHOOK_SECRET = `whsec_${SECRET.toString("base64")}`;
  const server = await serve([], { folder });
  const browsers = await Promise.all([open(), open()]);
  const [one, two] = browsers.map(({ tab }) => tab);
  try {
    for (const tab of [one, two]) await enterStudy(tab, server.url);
    const entries = lab.questions.filter(({ type }) => type === "entry");
    assert.equal(entries.length, 2);
    assert.ok(entries.every(({ device, browser, browser_version }) => device === "desktop" && browser === "chrome" && browser_version > 100), JSON.stringify(entries));
    await playing([one, two]);

    // Silence, and nonsense: the game goes on.
    lab.answer = () => undefined;
    await until(one, "some frames", (now) => now.game.frame > 120, 20);
    lab.answer = () => ({ excluded: "yes" });
    await until(one, "more frames", (now) => now.game.frame > 180, 20);
    lab.answer = () => ({ exclude: false });
    await one.waitForTimeout(2500);
    const mine = (await snapshot(one)).game;
    const about = lab.questions.findLast(({ type, seat }) => type === "game" && seat === mine.seat);
    assert.deepEqual([about.game, about.scene, about.hidden, about.connected], [mine.id, "first-game", false, true]);
    assert.ok(about.rtt_ms >= 0 && Math.abs(about.frame - mine.frame) < 120, JSON.stringify(about));

    // It takes one out.
    const frames = (await snapshot(two)).game.confirmedFrame;
    lab.answer = ({ seat }) => (seat === mine.seat ? { exclude: true, message: "The lab has ended this <game> for you." } : { exclude: false });
    await Promise.all([isOver(one), isOver(two)]);
    assert.equal(await words(one), "The lab has ended this <game> for you.");
    assert.equal(await words(two), "Your partner experienced a technical issue. The game has ended.");
    await shot(one, "own");
    await one.reload();
    await isOver(one);
    assert.equal(await words(one), "The lab has ended this <game> for you.", "after a reload");
    await press(one, "Continue");
    await press(two, "Continue");
    assert.equal((await scene(one, "sorry")).scene.reason, "self_exclusion");
    await scene(two, "in-between");
    await press(two, "Leave the study");
    await press(two, "Leave");
    await until(two, "the end", (now) => now.scene?.reason === "withdrawn", 10);

    const { tables } = await exported(server.data);
    assert.deepEqual(tables.sessions.map((row) => row.termination_reason).sort(), ["partner_exclusion", "self_exclusion"]);
    for (const row of tables.sessions) {
      assert.equal(row.is_partial, "true");
      assert.ok(Number(row.frames_reported) >= frames, `${row.frames_reported} of ${frames} frames`);
    }
    assert.ok(tables.steps.length >= 2 * frames && tables.steps.every((row) => row.verified === "true"));
    const rows = (kind) => tables.events.filter((row) => row.kind === kind).map((row) => JSON.parse(row.detail));
    assert.deepEqual(rows("mid_game_exclusion").map(({ reason }) => reason), ["custom"]);
    assert.equal(rows("custom_check_unanswered").length, 2);
    assert.ok(rows("custom_check_unanswered").every(({ result }) => result === "late"));
    assert.ok(rows("custom_check_answered").length === 2 && rows("custom_check_answered").every(({ unanswered }) => unanswered >= 2));
    assert.deepEqual(tables.visits.map((row) => [row.screening, row.device, row.browser]), [["passed", "desktop", "chrome"], ["passed", "desktop", "chrome"]]);

    for (let waited = 0; lab.events.length < 2 && waited < 150; waited++) await one.waitForTimeout(100);
    assert.deepEqual(lab.events.map(({ type, ending, entry }) => [type, ending, entry]), [["visit_ended", "self_exclusion", undefined], ["visit_ended", "withdrawn", undefined]]);
    assert.equal(lab.forged, 0, "a signature is wrong");
    say(`${lab.questions.length} questions; silence and nonsense changed nothing, one answer took one player out, and the partner went on`);
  } catch (error) {
    say(`the server's log:\n${server.log()}`);
    throw error;
  } finally {
    delete process.env.INTERPLAY_WEBHOOK_SECRET;
    await Promise.all(browsers.map((browser) => browser.close()));
    await server.stop();
    await lab.close();
    await remove();
  }
}
