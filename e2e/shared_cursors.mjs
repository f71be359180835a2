// Rooms in the browser, by the example: what was pressed while somebody was away, by a network that swallows
// everything or a server that is killed, is there once and in order for everybody (R1, R3, R10, R11).
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { lab } from "./lib/netlab.mjs";
import { serve } from "./lib/server.mjs";

const EXAMPLE = join(import.meta.dirname, "../examples/shared-cursors/server.mjs");

/** The application's own server, in the network. */
async function application(net, interplay) {
  const host = net.address("server");
  const key = (await readFile(join(interplay.data, "api-key"), "utf8")).trim();
  const [program, ...words] = [...net.within("server"), process.execPath, EXAMPLE];
  const environment = { ...process.env, HOST: host, PORT: "3000", INTERPLAY_URL: interplay.url, INTERPLAY_API_KEY: key };
  const child = spawn(program, words, { env: environment, stdio: ["ignore", "pipe", "inherit"] });
  await new Promise((resolve, reject) => {
    child.stdout.once("data", resolve);
    child.once("exit", (code) => reject(new Error(`the example ended with ${code}`)));
  });
  return { url: `http://${host}:3000`, stop: () => child.kill() };
}

/** What the client does with what is unusual: two members of another room, in one page. */
async function oddities(tab, net, interplay) {
  const key = (await readFile(join(interplay.data, "api-key"), "utf8")).trim();
  const token = async (member) => {
    const headers = ["-H", `Authorization: Bearer ${key}`, "-H", "Content-Type: application/json"];
    const asked = ["-sS", `${interplay.url}/api/v1/tokens`, ...headers, "-d", JSON.stringify({ room: "odd", member })];
    const [program, ...words] = [...net.within("server"), "curl", ...asked];
    return JSON.parse((await promisify(execFile)(program, words)).stdout).token;
  };
  const url = `${interplay.url.replace("http", "ws")}/ws/rooms/odd`;
  return tab.evaluate(async ({ url, tokens }) => {
    const { joinRoom } = await import("/rooms.js");
    const [one, other] = tokens.map((token) => joinRoom(url, token));
    const heard = [];
    const failed = [];
    other.on("message", ({ data, class: kind }) => kind === "volatile" || heard.push(data));
    other.on("closed", ({ code }) => failed.push(code));
    one.on("closed", ({ code }) => failed.push(code));
    const joined = (room) => room.state === "joined" || new Promise((done) => room.on("joined", done));
    await joined(other);
    // Before the limits are known, and after.
    const refused = async (data) => one.send(data).then(() => "sent", ({ code }) => code);
    const tooLong = [await refused("x".repeat(70_000))];
    await joined(one);
    tooLong.push(await refused("é".repeat(33_000)), await refused(new Uint8Array(65_537)));
    const bytes = new Uint8Array([9, 1, 2, 9]).subarray(1, 3);
    const thing = { changed: false };
    const sends = [null, undefined, bytes, thing].map((data) => one.send(data));
    thing.changed = true;
    bytes.fill(7);
    // More than the server takes, of what counts and of what does not: the client keeps to what it was told.
    for (let at = 0; at < 1000; at++) one.send(at, { class: "volatile" });
    for (let at = 0; at < 250; at++) sends.push(one.send(at));
    await Promise.all(sends);
    while (heard.length < 254) await new Promise((done) => setTimeout(done, 20));
    one.leave();
    other.leave();
    return { tooLong, first: heard.slice(0, 4).map((data) => (data instanceof Uint8Array ? [...data] : data)), rest: heard.slice(4), failed };
  }, { url, tokens: [await token("one"), await token("other")] });
}

const dots = (tab, count) => tab.waitForFunction((count) => document.querySelectorAll(".dot").length === count, count);
const state = (tab, wanted) => tab.waitForFunction((wanted) => window.room?.state === wanted, wanted, { timeout: 40_000 });

async function press(tab, count) {
  const { x, y, width, height } = await tab.locator("#board").boundingBox();
  for (let at = 0; at < count; at++) await tab.mouse.click(x + width * Math.random(), y + height * Math.random());
}

export default async function ({ say, shot }) {
  const net = await lab("lan");
  const browsers = [];
  let interplay, example;
  try {
    const host = net.address("server");
    interplay = await serve(["--allow-origin", `http://${host}:3000`], {
      listen: `${host}:8080`, within: net.within("server"),
    });
    example = await application(net, interplay);
    for (const place of ["a", "b"]) browsers.push(await net.browser(place));
    const [ann, bob] = browsers.map(({ tab }) => tab);
    for (const tab of [ann, bob]) {
      await tab.goto(example.url);
      await state(tab, "joined");
      await tab.evaluate(() => {
        window.gaps = 0;
        window.room.on("returned", ({ gap }) => (window.gaps += gap ? 1 : 0));
      });
    }
    await press(ann, 3);
    await dots(bob, 3);
    assert.equal(await bob.locator(".cursor").count(), 1, "where the other points is shown");

    // The network swallows everything; nobody closes anything.
    await net.both("b", "server", "cut=on");
    const cut = Date.now();
    await press(ann, 20);
    await press(bob, 2);
    await state(bob, "away");
    const noticed = (Date.now() - cut) / 1000;
    await shot(bob, "away");
    await net.both("b", "server", "cut=off");
    const healed = Date.now();
    await dots(bob, 25);
    await dots(ann, 25);
    say(`a silent network was noticed after ${noticed.toFixed(1)} s, and made good ${((Date.now() - healed) / 1000).toFixed(1)} s after it was back`);

    // The server is killed; what is pressed meanwhile waits in the page.
    const restarted = interplay.killAndRestart();
    await press(ann, 3);
    await press(bob, 1);
    await restarted;
    await Promise.all([dots(ann, 29), dots(bob, 29)]);

    const odd = await oddities(ann, net, interplay);
    assert.deepEqual(odd.tooLong, ["too_long", "too_long", "too_long"]);
    assert.deepEqual(odd.first, [null, null, [1, 2], { changed: false }]);
    assert.deepEqual(odd.rest, Array.from({ length: 250 }, (_, at) => at));
    assert.deepEqual(odd.failed, [1000, 1000], "each left by itself, and was not closed before");

    // A page that forgets everything gets what there is.
    await bob.reload();
    await state(bob, "joined");
    await dots(bob, 29);
    await ann.waitForTimeout(500);
    for (const tab of [ann, bob]) assert.equal(await tab.locator(".dot").count(), 29, "a dot came twice");
    assert.equal(await ann.evaluate(() => window.gaps), 0, "something is missing");
    assert.equal(await ann.evaluate(() => window.room.pending), 0);
    await shot(ann, "board");
    await ann.setViewportSize({ width: 340, height: 600 });
    await shot(ann, "small");
    // While the server was down, nothing could be reached, and no token be had.
    const expected = /WebSocket|ERR_|502|fetch failed/;
    assert.deepEqual(browsers.flatMap(({ problems }) => problems.filter((problem) => !expected.test(problem))), []);
  } finally {
    await Promise.all(browsers.map((browser) => browser.close()));
    example?.stop();
    await interplay?.stop();
    await net.remove();
  }
}
