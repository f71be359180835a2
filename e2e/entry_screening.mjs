// Who may take part: a phone and a tablet that calls itself a Mac, another browser, and a way to the server that is too long are
// told so, each in its own words, with the exit for it. Who opens the same link on the right device takes part (X1).
import assert from "node:assert/strict";
import { accessible } from "./lib/axe.mjs";
import { open, until } from "./lib/browser.mjs";
import { lab } from "./lib/netlab.mjs";
import { exported, serve } from "./lib/server.mjs";
import { scene, study } from "./lib/study.mjs";

const SAFARI = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6";
const PHONE = `Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) ${SAFARI} Mobile/15E148 Safari/604.1`;
const TABLET = `Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) ${SAFARI} Safari/605.1.15`;
const FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const fingers = (userAgent, width, height) =>
  ({ userAgent, hasTouch: true, isMobile: true, viewport: { width, height }, screen: { width, height } });
const AT_A_DESK = "Please open this link on a computer.";

/** Comes, and reads what there is at the end. */
async function turnedAway(url, page, words, shot) {
  const { tab, context, close } = await open({ page });
  try {
    if (page.hasTouch) {
      const browser = await context.newCDPSession(tab);
      await browser.send("Emulation.setTouchEmulationEnabled", { enabled: true, maxTouchPoints: 5 });
    }
    await tab.goto(url);
    const { scene } = await until(tab, "the end", (now) => now.scene?.kind === "end");
    assert.equal(scene.reason, "screened_out");
    await tab.getByText(words, { exact: true }).waitFor();
    await tab.getByText("OUT", { exact: true }).waitFor();
    assert.equal(await tab.getByRole("heading", { name: "This study does not work here" }).count(), 1);
    if (shot) {
      await shot(tab, "turned-away");
      await accessible(tab, "the end for who may not take part");
    }
  } finally {
    await close();
  }
}

export default async function ({ say, shot }) {
  const { folder, remove } = await study("two-player", [
    ["title = \"A game for two\"", `title = "A game for two"
[screening]
device = { allow = ["desktop"], message = "${AT_A_DESK}" }
browser = { allow = ["chrome >= 100"] }
ping = { max_ms = 100 }`],
    ["withdrawn = { code = \"LEFT\" }", "withdrawn = { code = \"LEFT\" }, screened_out = { code = \"OUT\" }"],
  ]);
  const net = await lab("lan");
  let server, far;
  try {
    server = await serve([], { folder });
    await turnedAway(`${server.url}?PROLIFIC_PID=p1`, fingers(PHONE, 390, 844), AT_A_DESK, shot);
    await turnedAway(server.url, fingers(TABLET, 820, 1180), AT_A_DESK);
    await turnedAway(server.url, { userAgent: FIREFOX }, "This study does not work in this browser. Please open it in one of these: Chrome (version 100 or newer).");

    // The same person, at a desk.
    const desk = await open();
    const began = Date.now();
    await desk.tab.goto(`${server.url}?PROLIFIC_PID=p1`);
    await scene(desk.tab, "welcome");
    const seconds = (Date.now() - began) / 1000;
    await desk.tab.reload();
    await scene(desk.tab, "welcome");
    assert.deepEqual(desk.problems, []);
    await desk.close();
    const { tables } = await exported(server.data);
    const told = tables.visits.map((row) => [row.ended, row.screening, row.device, row.browser, row.ping_ms !== ""].join());
    assert.deepEqual(told.sort(), [",passed,desktop,chrome,true", "screened_out,browser,desktop,firefox,true", "screened_out,device,tablet,safari,true"]);
    await server.stop();

    // From far away.
    server = await serve([], { folder, listen: `${net.address("server")}:8080`, within: net.within("server") });
    far = await net.browser("a");
    await net.both("a", "server", "delay=75");
    await far.tab.goto(server.url);
    await far.tab.getByText("One moment. We are looking whether the study works on your device.").waitFor();
    await far.tab.getByText("Your connection to our server is too slow for this study.", { exact: true }).waitFor();
    const [row] = (await exported(server.data)).tables.visits;
    assert.equal(row.screening, "ping");
    assert.ok(Number(row.ping_ms) >= 150 && Number(row.ping_ms) < 250, row.ping_ms);
    say(`screened in ${seconds.toFixed(1)} s with the page's loading; 75 ms away each way measured as ${Number(row.ping_ms).toFixed(0)} ms`);
  } catch (error) {
    say(`the server's log:\n${server?.log()}`);
    throw error;
  } finally {
    await far?.close();
    await server?.stop();
    await net.remove();
    await remove();
  }
}
