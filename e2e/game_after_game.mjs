// Ten games one after another in one page: after each, nothing of it is alive (L9, S3).
import assert from "node:assert/strict";
import { open, until } from "./lib/browser.mjs";
import { enter } from "./lib/game.mjs";
import { exported, serve } from "./lib/server.mjs";

const GAMES = 10;

/** Runs in the page before its own scripts: counts what is made and what is still alive. */
function counted() {
  const connections = [], channels = [], workers = new Set();
  const listeners = new Map();
  const Connection = window.RTCPeerConnection;
  window.RTCPeerConnection = function (configuration) {
    const connection = new Connection(configuration);
    connections.push(connection);
    const create = connection.createDataChannel.bind(connection);
    connection.createDataChannel = (...words) => {
      const channel = create(...words);
      channels.push(channel);
      return channel;
    };
    return connection;
  };
  window.RTCPeerConnection.prototype = Connection.prototype;
  const { Worker } = window;
  window.Worker = function (...words) {
    const worker = new Worker(...words);
    workers.add(worker);
    const terminate = worker.terminate.bind(worker);
    worker.terminate = () => { workers.delete(worker); terminate(); };
    return worker;
  };
  for (const target of [window, document]) {
    const { addEventListener, removeEventListener } = target;
    target.addEventListener = function (type, listener, ...rest) {
      listeners.set(type, (listeners.get(type) ?? 0) + 1);
      return addEventListener.call(target, type, listener, ...rest);
    };
    target.removeEventListener = function (type, listener, ...rest) {
      listeners.set(type, (listeners.get(type) ?? 0) - 1);
      return removeEventListener.call(target, type, listener, ...rest);
    };
  }
  const handlers = ["onmessage", "onopen", "onclose", "onicecandidate", "onnegotiationneeded", "onconnectionstatechange"];
  const listening = (made) => made.filter((one) => handlers.some((name) => one[name])).length;
  window.alive = () => ({
    made: connections.length,
    connections: connections.filter((one) => one.connectionState !== "closed").length,
    channels: channels.filter((one) => !["closed", "closing"].includes(one.readyState)).length,
    listening: listening(connections) + listening(channels),
    workers: workers.size,
    listeners: JSON.stringify([...listeners].filter(([, count]) => count > 0)),
  });
}

export default async function ({ say }) {
  const server = await serve([], { settings: { players: 2, episodes: 1, max_frames: 45 }, games: GAMES });
  const browsers = await Promise.all([open(), open()]);
  try {
    for (const { tab } of browsers) await tab.addInitScript(counted);
    await enter(browsers, server.url);
    const began = Date.now();
    let before;
    for (let game = 1; game <= GAMES; game++) {
      const next = game < GAMES ? `play${game + 1}` : "thanks";
      for (const { tab } of browsers) {
        await until(tab, `game ${game}`, (now) => now.game?.frame > 5 || now.scene?.id === next);
      }
      // The next game's connection may be there already: its own, and no other.
      for (const { tab } of browsers) {
        await until(tab, `the scene after game ${game}`, (now) => now.scene?.id === next);
        await until(tab, "its connection", (now) => now.game?.frame >= 0 || now.scene.kind === "end");
        const alive = await tab.evaluate(() => window.alive());
        const allowed = game < GAMES ? 1 : 0;
        const named = `after game ${game}: ${JSON.stringify(alive)}`;
        assert.ok(alive.connections <= allowed && alive.channels <= allowed, named);
        assert.ok(alive.listening <= 2 * allowed, named);
        assert.ok(alive.workers <= 1 + allowed, named);
        assert.ok(alive.made >= game, named);
        if (game === GAMES) before = alive;
      }
    }
    for (const { problems } of browsers) assert.deepEqual(problems, []);
    const { tables } = await exported(server.data);
    assert.equal(tables.sessions.filter((row) => row.termination_reason === "normal").length, 2 * GAMES);
    say(`${GAMES} games in ${((Date.now() - began) / 1000).toFixed(0)} s; left alive: ${JSON.stringify(before)}`);
  } finally {
    await Promise.all(browsers.map((browser) => browser.close()));
    await server.stop();
  }
}
