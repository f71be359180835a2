// What deploy/ says, on this machine: its proxy with TLS in front of its two nodes with its Redis. Two people play, two members of a
// room talk, and each node is stopped and started again in turn, as for an update: no game ends, and no message is lost (C1, C2).
import assert from "node:assert/strict";
import WebSocket from "ws";
import { joinRoom } from "../clients/javascript/rooms.js";
import { open, playRandomly, snapshot, until } from "./lib/browser.mjs";
import { healthcheck, proxy, redis, services, trusting } from "./lib/deployment.mjs";
import { everythingIsExported } from "./lib/game.mjs";
import { hasTheStage, soon } from "./lib/nodes.mjs";
import { freePort, postgres } from "./lib/postgres.mjs";
import { serve } from "./lib/server.mjs";

const FRAMES = 750;

/** How often a member of the room says something, in milliseconds. */
const OFTEN = 25;

const { ask } = trusting();
const sleep = (millis) => new Promise((resolve) => setTimeout(resolve, millis));

const isReady = ({ url }) => fetch(`${url}/readyz`).then((answer) => answer.status === 200, () => false);

/** A service as compose starts it; what it is told of other containers is told of this machine. */
async function node({ command, environment }, { database, store, port }) {
  const own = {
    ...environment,
    INTERPLAY_DATABASE: database.url,
    INTERPLAY_REDIS: store.url,
    INTERPLAY_NODE: `http://127.0.0.1:${port}`,
    INTERPLAY_TRUSTED_PROXIES: "127.0.0.1",
    INTERPLAY_TURN_PORTS: String(await freePort()),
  };
  assert.deepEqual(Object.keys(own), Object.keys(environment), "the service says the same");
  assert.deepEqual(command, ["run", "/study"]);
  const variables = Object.entries(own).map(([name, value]) => `${name}=${value}`);
  const settings = { episodes: "1", max_frames: String(FRAMES) };
  const started = await serve([], { listen: `127.0.0.1:${port}`, within: ["env", ...variables], settings });
  await soon("a node is ready", () => isReady(started));
  return started;
}

/** Every port of STUN and TURN leads to the one node that has it. */
function portsArePublished(all) {
  const published = new Set();
  for (const { environment, ports } of all) {
    const [turn, relays] = [environment.INTERPLAY_TURN_PORTS, environment.INTERPLAY_RELAY_PORTS];
    assert.deepEqual(ports, [`${turn}:${turn}/udp`, `${turn}:${turn}/tcp`, `${relays}:${relays}/udp`]);
    const [first, last] = relays.split("-").map(Number);
    for (const port of [Number(turn), ...Array.from({ length: last - first + 1 }, (_, at) => first + at)]) {
      assert.ok(!published.has(port), `both nodes have port ${port}`);
      published.add(port);
    }
  }
}

/** Two members of a room, of whom one talks all the time. */
async function talk(url, key) {
  // The proxy's certificate is of its own making, and Node.js has no WebSockets of its own everywhere.
  globalThis.WebSocket = class extends WebSocket {
    constructor(address) {
      super(address, { rejectUnauthorized: false });
    }
  };
  const join = async (member) => {
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    const body = JSON.stringify({ room: "talk", member });
    const { status, text } = await ask(`${url}/api/v1/tokens`, { method: "POST", headers, body });
    assert.equal(Math.floor(status / 100), 2, text);
    const room = joinRoom(`${url.replace("https", "wss")}/ws/rooms/talk`, JSON.parse(text).token);
    await new Promise((resolve) => room.on("joined", resolve));
    return room;
  };
  const [ann, bob] = [await join("ann"), await join("bob")];
  const heard = [], gaps = [];
  let returns = 0, longest = 0, last = Date.now();
  bob.on("message", ({ data }) => {
    heard.push(data);
    longest = Math.max(longest, Date.now() - last);
    last = Date.now();
  });
  for (const room of [ann, bob]) {
    room.on("returned", ({ gap }) => {
      returns += 1;
      if (gap) gaps.push(gap);
    });
  }
  let count = 0;
  const answered = [];
  const talking = setInterval(() => answered.push(ann.send(count++)), OFTEN);
  return async () => {
    clearInterval(talking);
    await Promise.all(answered);
    await soon("everything was heard", () => heard.length >= count);
    await sleep(200);
    for (const room of [ann, bob]) room.leave();
    assert.deepEqual(heard, [...Array(count).keys()], "everything once, in order");
    assert.deepEqual(gaps, []);
    return { count, returns, longest };
  };
}

export default async function ({ say }) {
  const { variables, services: all } = await services("localhost", "127.0.0.1", "experiments/tag");
  portsArePublished([all["node-a"], all["node-b"]]);
  const started = [], nodes = [], browsers = [];
  try {
    const database = await postgres();
    started.push(database);
    const store = await redis(all.redis);
    started.push(store);
    assert.match(await store.ask("config", "get", "maxmemory-policy"), /noeviction$/);
    assert.match(await store.ask("config", "get", "save"), /^save$/);
    const isWell = await healthcheck();
    for (const name of ["node-a", "node-b"]) {
      const port = await freePort();
      assert.equal(await isWell(port), false);
      nodes.push(await node(all[name], { database, store, port }));
      assert.equal(await isWell(port), true, "the image's own check");
    }
    const front = await proxy("localhost", nodes.map(({ url }) => new URL(url).host));
    started.push(front);
    assert.equal((await ask(`${front.url}/metrics`)).status, 404);

    for (let at = 0; at < 2; at++) {
      const browser = await open({ flags: ["--ignore-certificate-errors"] });
      browsers.push(browser);
      await browser.tab.goto(front.url);
      await until(browser.tab, "the start", (now) => now.scene?.kind === "start");
      await browser.tab.keyboard.press("Enter");
      await until(browser.tab, "the lobby or the game", (now) => now.scene?.kind === "game");
    }
    const tabs = browsers.map(({ tab }) => tab);
    const playing = Promise.all(tabs.map((tab, at) => playRandomly(tab, 5 + at, 90)));
    playing.catch(() => {});
    await Promise.all(tabs.map((tab) => until(tab, "a steady game", (now) => now.game?.frame > 60 && now.lanes[0].active === "direct")));
    const before = await Promise.all(tabs.map(snapshot));
    const silence = await talk(front.url, variables.INTERPLAY_API_KEY);
    await sleep(500);

    // The one that runs the stage first, and then the other, which has it by then.
    const owners = await Promise.all(nodes.map(({ url }) => hasTheStage(url)));
    assert.deepEqual([...owners].sort(), [false, true]);
    const order = owners[0] ? nodes : [...nodes].reverse();
    const took = [];
    for (const each of order) {
      const began = Date.now();
      await each.end();
      took.push(Date.now() - began);
      assert.equal((await ask(`${front.url}/`)).status, 200, "the other node answers");
      await each.startAgain();
      await soon("it is ready again", () => isReady(each));
      // As whoever updates one node after another waits until the proxy sees it, too.
      await sleep(1000);
    }
    const { game: during } = await snapshot(tabs[0]);
    assert.ok(during.frame < FRAMES - 30, `the game was over before both nodes were started again: ${during.frame}`);
    const talked = await silence();

    const last = await playing;
    for (const [at, { game }] of last.entries()) {
      const was = before[at].game;
      const waited = [game.stalledFrames - was.stalledFrames, game.pausedFrames - was.pausedFrames];
      assert.deepEqual(waited, [0, 0], `page ${at} stalled and paused for so many frames`);
      assert.equal(game.desyncs, 0);
      assert.equal((await snapshot(tabs[at])).scene.reason, "completed");
    }
    await everythingIsExported(nodes[0].data, { players: 2, episodes: 1, frames: FRAMES }, ["--database", database.url]);
    say(`nodes stopped after ${took.join(" and ")} ms; no frame stalled or paused`);
    say(`${talked.count} messages in a room, once and in order, over ${talked.returns} returns; the longest silence was ${talked.longest} ms`);
  } catch (error) {
    for (const each of [...nodes, ...started]) if (each.log) say(each.log().split("\n").slice(-40).join("\n"));
    throw error;
  } finally {
    await Promise.all(browsers.map((browser) => browser.close()));
    await Promise.all(nodes.map((each) => each.stop().catch((error) => say(String(error)))));
    for (const each of started.reverse()) await each.stop();
  }
}
