// Whatever fails in mid-game: everyone stands still together, comes back to one state, and plays on (P1–P8).
import assert from "node:assert/strict";
import { snapshot, until } from "./browser.mjs";
import { lab } from "./netlab.mjs";
import { exported, serve } from "./server.mjs";

const HOSTS = ["a", "b", "c"];
const FPS = 30;

const sleep = (millis) => new Promise((resolve) => setTimeout(resolve, millis));
const seconds = (since) => (Date.now() - since) / 1000;

/** Runs in the page before its own scripts: lets a test change a byte of the environment's state. */
function corruptible() {
  const { instantiate } = WebAssembly;
  WebAssembly.instantiate = async (...words) => {
    const made = await instantiate.apply(WebAssembly, words);
    const memory = made.instance?.exports.memory;
    if (made.instance?.exports.interplay_step) {
      window.corrupt = () => { new Uint8Array(memory.buffer)[200] ^= 1; };
    }
    return made;
  };
}

/** A group on a network of its own, in mid-game. */
export async function group(players, { settings = {}, recovery, say, init = [corruptible] }) {
  const net = await lab("lan", { hosts: players });
  const browsers = [];
  let server;
  const world = {
    net, browsers, players, say,
    get server() { return server; },
    async end() {
      await Promise.all(browsers.map((browser) => browser.close()));
      await server?.stop();
      await net.remove();
    },
    all: (what, wanted, limit) => Promise.all(browsers.map(({ tab }) => until(tab, what, wanted, limit))),
    snapshots: () => Promise.all(browsers.map(({ tab }) => snapshot(tab))),
    async cut(host, on) {
      await net.tell(`set ${host} * cut=${on}`);
      await net.tell(`set * ${host} cut=${on}`);
    },
    /** Everyone plays: frames go on, and every lane is in use. */
    async playing(what, limit = 15) {
      const before = await world.snapshots();
      return Promise.all(browsers.map(({ tab }, at) => until(tab, what, (now) =>
        now.phase === "connected" && !now.pause && now.game?.frame > (before[at]?.game?.frame ?? 0) + 10, limit)));
    },
  };
  try {
    server = await serve([], {
      listen: `${net.address("server")}:8080`,
      within: net.within("server"),
      settings: { players, fps: FPS, episodes: 1, max_frames: 100_000, recovery, ...settings },
    });
    for (const host of HOSTS.slice(0, players)) browsers.push(await net.browser(host));
    for (const { tab } of browsers) {
      await tab.addInitScript(...init);
      await tab.goto(server.url);
      await until(tab, "the start", (now) => now.scene?.kind === "start");
      await tab.keyboard.press("Enter");
      await until(tab, "the lobby or the game", (now) => now.scene?.kind === "game");
    }
    await world.all("a steady game", (now) => now.game?.frame > 2 * FPS && now.phase === "connected", 40);
    return world;
  } catch (error) {
    await explain(world, error).catch(() => {});
    await world.end();
    throw error;
  }
}

/** Shows what there is to know of a world in which something failed. */
async function explain(world, error) {
  world.say(`the server's log:\n${world.server?.log()}`);
  for (const { tab } of world.browsers) world.say(JSON.stringify(await snapshot(tab).catch(String)));
  throw error;
}

/** Keys on every page, held and let go, until told to stop. */
function press(world) {
  let on = true;
  const keys = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"];
  const typing = (async () => {
    for (let turn = 0; on; turn++) {
      for (const [at, { tab }] of world.browsers.entries()) {
        const key = keys[(turn + at) % keys.length];
        await tab.keyboard.down(key).catch(() => {});
        await sleep(60);
        await tab.keyboard.up(key).catch(() => {});
      }
    }
  })();
  return async () => { on = false; await typing; };
}

const GRACE = 3;
const RECOVERY = "{ grace_s = 3, countdown_s = 0, max_pauses = 20, max_paused_s = 600 }";

/** Everything that may fail, one after another, in one game; then its data. */
export async function vanishAndReturn(players, { say, shot }) {
  const world = await group(players, { say, recovery: RECOVERY });
  const { net, browsers } = world;
  const last = HOSTS[players - 1];
  const victim = browsers[players - 1];
  const others = browsers.slice(0, -1);
  const release = press(world);
  try {
    await offline();
    await reload();
    await killTab();
    await killServer();
    await serverAndPath();
    await everyone();
    await corrupt();
    await release();
    await data();
  } catch (error) {
    await release();
    await explain(world, error);
  } finally {
    await world.end();
  }

  async function offline() {
    const before = await world.snapshots();
    const began = Date.now();
    await world.cut(last, "on");
    const paused = (now) => ["paused", "pausing", "reconnecting"].includes(now.phase);
    const seen = await Promise.all(browsers.map(async ({ tab }) => {
      await until(tab, "the pause", paused);
      return seconds(began);
    }));
    await shot(others[0].tab, "waiting");
    await shot(victim.tab, "interrupted");
    await sleep(Math.max(0, 10_000 - (Date.now() - began)));
    const stood = await world.snapshots();
    await world.cut(last, "off");
    const back = Date.now();
    await world.all("the game again", (now) => now.phase === "connected" && !now.pause, 10);
    const returned = seconds(back);
    const after = await world.playing("frames after the pause");
    say(`offline for 10 s: the pause was seen by all after ${Math.max(...seen).toFixed(1)} s, all went on ${returned.toFixed(1)} s after the path was back`);
    assert.ok(Math.max(...seen) <= GRACE + 1, `seen after ${seen}`);
    assert.ok(returned <= 2, `went on after ${returned} s`);
    for (const [at, { game }] of stood.entries()) {
      assert.ok(game.frame - before[at].game.frame < FPS * 3, "it did not stand still");
      assert.equal(after[at].game.desyncs, 0);
    }
  }

  async function comesBack(what, act) {
    const began = Date.now();
    await act();
    await world.all(`the game after ${what}`, (now) => now.phase === "connected" && !now.pause && now.game?.frame > 0, 20);
    const returned = seconds(began);
    await world.playing(`frames after ${what}`);
    say(`${what}: all went on after ${returned.toFixed(1)} s`);
  }

  async function reload() {
    const { participant, game } = await snapshot(victim.tab);
    await comesBack("a reload", () => victim.tab.reload());
    const now = await snapshot(victim.tab);
    assert.deepEqual([now.participant, now.game.id, now.game.seat], [participant, game.id, game.seat]);
    assert.ok(now.game.frame >= game.confirmedFrame, "it went back");
  }

  async function killTab() {
    const token = await victim.tab.evaluate(() => sessionStorage.getItem("interplay.token"));
    await comesBack("a killed tab, opened again by its link", async () => {
      const old = victim.tab;
      victim.tab = await victim.context.newPage();
      await old.close();
      await victim.tab.addInitScript(corruptible);
      await victim.tab.goto(`${world.server.url}/#visit=${token}`);
    });
  }

  /** Until the server has everyone's control channel again. */
  async function connected(back) {
    const { tab } = browsers[0];
    for (;;) {
      const count = await tab.evaluate(async () => {
        const text = await fetch("/metrics").then((answer) => answer.text(), () => "");
        return Number(text.match(/^interplay_connections (\d+)/m)?.[1] ?? 0);
      });
      if (count === players) return seconds(back);
      assert.ok(seconds(back) < 20, `${count} of ${players} came back to the server`);
      await sleep(100);
    }
  }

  async function killServer() {
    const before = await world.snapshots();
    await world.server.kill();
    const during = await world.playing("frames without a server");
    await sleep(4000);
    await world.server.startAgain();
    const back = Date.now();
    const returned = await connected(back);
    const after = await world.playing("frames with the new server");
    // What was recorded meanwhile is on the new server before long.
    await Promise.all(browsers.map(({ tab }, at) => until(tab, "the record of the time without a server",
      (now) => now.uploads.acknowledged > during[at].game.confirmedFrame, 15)));
    const stalls = after.map(({ game }, at) => game.stalledFrames - before[at].game.stalledFrames);
    const paused = after.map(({ game }, at) => game.pausedFrames - before[at].game.pausedFrames);
    say(`server away for 4 s: ${stalls.join(" ")} stalled and ${paused.join(" ")} paused frames, all connected ${returned.toFixed(1)} s after it was back`);
    assert.ok(returned <= 5, `the control channel was back after ${returned} s`);
    assert.deepEqual([...stalls, ...paused], [...stalls, ...paused].map(() => 0), "a server that is gone stopped a frame");
  }

  async function serverAndPath() {
    const others = HOSTS.slice(0, players - 1);
    await world.server.kill();
    for (const host of others) await net.both(host, last, "cut=on");
    await world.all("everyone to stand still", (now) => now.phase === "pausing", 10);
    await sleep(3000);
    await world.server.startAgain();
    for (const host of others) await net.both(host, last, "cut=off");
    await comesBack("server and direct path down together", () => {});
  }

  async function everyone() {
    for (const host of HOSTS.slice(0, players)) await world.cut(host, "on");
    await sleep(10_000);
    for (const host of HOSTS.slice(0, players)) await world.cut(host, "off");
    await comesBack("everyone gone for 10 s", () => {});
  }

  async function corrupt() {
    const before = await snapshot(victim.tab);
    await comesBack("a changed state", async () => {
      for (let turn = 0; turn < 100; turn++) {
        await victim.tab.evaluate(() => window.corrupt());
        const now = await snapshot(victim.tab);
        if (now.game.desyncs > before.game.desyncs) break;
        await sleep(50);
      }
    });
    await sleep(1500);
    const now = await snapshot(victim.tab);
    assert.ok(now.game.desyncs > before.game.desyncs, "the change was not found");
    const later = await until(victim.tab, "equal states", (later) => later.game.comparedHashes > now.game.comparedHashes + 30);
    assert.equal(later.game.desyncs, now.game.desyncs, "the states still differ");
  }

  async function data() {
    const confirmed = Math.min(...(await world.snapshots()).map(({ game }) => game.confirmedFrame));
    let steps = [];
    let tables;
    const limit = Date.now() + 8000;
    do {
      ({ tables } = await exported(world.server.data));
      steps = tables.steps;
    } while (steps.length < confirmed * players && Date.now() < limit);
    assert.ok(steps.length >= confirmed * players, `${steps.length / players} of ${confirmed} frames`);
    const wrong = steps.filter((row) => row.verified !== "true");
    // What the changed page had told of before it was mended is kept, and marked.
    assert.ok(wrong.length / players < FPS * 8, `${wrong.length} steps are not verified`);
    const reasons = tables.gaps.filter((row) => row.kind === "pause").map((row) => `${row.reason} (${row.cause}, ${row.duration_ms} ms, ${row.outcome})`);
    say(`the ledger: ${reasons.join(", ")}`);
    for (const reason of ["connection_lost", "reload", "desync"]) {
      assert.ok(tables.gaps.some((row) => row.reason === reason && row.outcome === "resumed"), `no ${reason} in the ledger`);
    }
    assert.ok(tables.gaps.filter((row) => row.kind === "pause").every((row) => row.outcome === "resumed"));
    assert.equal(tables.events.filter((row) => row.kind === "server_restarted").length, 2);
  }
}

/** Gone past the deadline: one ending, the same for all, and every row up to the last confirmed frame. */
export async function goneForGood(players, { say, shot }) {
  const recovery = "{ grace_s = 1, reconnect_timeout_s = 6, countdown_s = 0 }";
  const world = await group(players, { say, recovery });
  const { browsers } = world;
  const others = browsers.slice(0, -1);
  try {
    const began = Date.now();
    await world.cut(HOSTS[players - 1], "on");
    const confirmed = [];
    for (const { tab } of others) {
      confirmed.push((await until(tab, "the pause", (now) => now.pause)).game.confirmedFrame);
    }
    await shot(others[0].tab, "countdown");
    const on = (tab) => tab.getByRole("button", { name: "Continue" }).click({ timeout: 20_000 });
    for (const { tab } of others) {
      await on(tab);
      await until(tab, "the end", (now) => now.scene?.kind === "end");
    }
    say(`gone for good: the others were at the end after ${seconds(began).toFixed(1)} s`);
    await shot(others[0].tab, "ended");
    const ends = await Promise.all(others.map(({ tab }) => snapshot(tab)));
    for (const end of ends) assert.equal(end.scene.reason, "reconnect_timeout");
    // Who was gone arrives at the same end.
    await world.cut(HOSTS[players - 1], "off");
    await on(browsers.at(-1).tab);
    const late = await until(browsers.at(-1).tab, "the same end", (now) => now.scene?.kind === "end", 20);
    assert.equal(late.scene.reason, "reconnect_timeout");
    await sleep(2000);
    const { tables } = await exported(world.server.data);
    for (const row of tables.sessions) {
      assert.deepEqual([row.is_partial, row.termination_reason], ["true", "reconnect_timeout"]);
    }
    assert.ok(tables.steps.length >= Math.max(...confirmed) * players, "rows are missing");
    assert.ok(tables.steps.every((row) => row.verified === "true"));
    assert.deepEqual(tables.gaps.filter((row) => row.kind === "pause").map((row) => row.outcome), ["ended"]);
  } catch (error) {
    await explain(world, error);
  } finally {
    await world.end();
  }
}

/** How often: once by default, more when the environment says so. */
export const TIMES = Number(process.env.INTERPLAY_TIMES ?? 1);
