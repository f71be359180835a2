// One experiment on two nodes behind a proxy that sends each connection to the next of them. In the middle of a game the node that
// runs the stage is killed: the game does not notice, and nothing of it is lost (C1, C2, P6).
import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import { open, playRandomly, snapshot, until } from "./lib/browser.mjs";
import { everythingIsExported } from "./lib/game.mjs";
import { hasTheStage, soon } from "./lib/nodes.mjs";
import { freePort, postgres } from "./lib/postgres.mjs";
import { serve } from "./lib/server.mjs";

const FRAMES = 450;

/** Nodes have the same secrets. */
const SECRETS = {
  INTERPLAY_SECRET: "one secret for all nodes of a study, of 32 bytes or more",
  INTERPLAY_API_KEY: "one key for all nodes of a study, of 32 bytes or more",
};

/** Sends each connection to the next of some ports that takes it, and knows nothing else, not even that they speak HTTP. */
async function roundRobin(ports) {
  let next = 0;
  const used = new Map(ports.map((port) => [port, 0]));
  const sockets = new Set();
  const server = createServer({ noDelay: true }, (client) => {
    sockets.add(client.on("close", () => sockets.delete(client)).on("error", () => {}));
    const attempt = (left) => {
      const port = ports[next++ % ports.length];
      const node = connect({ port, host: "127.0.0.1", noDelay: true });
      node.once("error", () => (left > 1 ? attempt(left - 1) : client.destroy()));
      node.once("connect", () => {
        used.set(port, used.get(port) + 1);
        node.removeAllListeners("error");
        node.on("error", () => client.destroy()).on("close", () => client.destroy());
        client.on("close", () => node.destroy());
        client.pipe(node).pipe(client);
      });
    };
    attempt(ports.length);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    used,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

export default async function ({ say }) {
  const database = await postgres();
  Object.assign(process.env, SECRETS);
  const nodes = [];
  const browsers = [];
  let proxy;
  try {
    const ports = [await freePort(), await freePort()];
    for (const port of ports) {
      const turn = String(await freePort());
      const node = await serve(
        ["--database", database.url, "--node", `http://127.0.0.1:${port}`, "--turn-ports", turn, "--episodes", "1", "--max-frames", String(FRAMES)],
        { listen: `127.0.0.1:${port}` },
      );
      nodes.push(node);
      await soon("a node is ready", () => fetch(`${node.url}/readyz`).then((answer) => answer.ok, () => false));
    }
    proxy = await roundRobin(ports);
    for (let at = 0; at < 2; at++) {
      const browser = await open();
      browsers.push(browser);
      await browser.tab.goto(proxy.url);
      await until(browser.tab, "the start", (now) => now.scene?.kind === "start");
      await browser.tab.keyboard.press("Enter");
      await until(browser.tab, "the lobby or the game", (now) => now.scene?.kind === "game");
    }
    const tabs = browsers.map(({ tab }) => tab);
    const playing = Promise.all(tabs.map((tab, at) => playRandomly(tab, 5 + at, 60)));
    playing.catch(() => {});
    await Promise.all(tabs.map((tab) => until(tab, "a steady game", (now) => now.game?.frame > 90 && now.lanes[0].active === "direct")));
    const before = await Promise.all(tabs.map(snapshot));
    const owners = await Promise.all(nodes.map(({ url }) => hasTheStage(url)));
    assert.deepEqual([...owners].sort(), [false, true], "one node runs the stage");
    assert.ok([...proxy.used.values()].every((times) => times > 2), "both nodes were asked");
    const [killed, left] = owners[0] ? nodes : [nodes[1], nodes[0]];
    await killed.kill();
    const away = await soon("the other node runs the stage", () => hasTheStage(left.url));
    const last = await playing;
    for (const [at, { game, lanes }] of last.entries()) {
      const was = before[at].game;
      const waited = [game.stalledFrames - was.stalledFrames, game.pausedFrames - was.pausedFrames];
      assert.deepEqual(waited, [0, 0], `page ${at} stalled and paused for so many frames`);
      assert.equal(game.desyncs, 0);
      assert.equal(lanes[0].connectionType, "direct");
      const end = await snapshot(tabs[at]);
      assert.equal(end.scene.reason, "completed");
    }
    await everythingIsExported(left.data, { players: 2, episodes: 1, frames: FRAMES }, ["--database", database.url]);
    say(`after kill -9 the other node ran the stage in ${away} ms; no frame stalled or paused`);
  } catch (error) {
    for (const [at, node] of nodes.entries()) say(`node ${at}:\n${node.log()}`);
    throw error;
  } finally {
    await Promise.all(browsers.map((browser) => browser.close()));
    proxy?.close();
    await Promise.all(nodes.map((node) => node.stop().catch((error) => say(String(error)))));
    for (const name of Object.keys(SECRETS)) delete process.env[name];
    await database.stop();
  }
}
