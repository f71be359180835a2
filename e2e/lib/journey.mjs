// Two people on a network that does what it is told, from the entry link to the export.
import assert from "node:assert/strict";
import { snapshot, until } from "./browser.mjs";
import { enter, playToTheEnd } from "./game.mjs";
import { lab } from "./netlab.mjs";
import { exported, serve } from "./server.mjs";

/**
 * Plays on a topology, with `settings` in the demo's game and `args` to the server. `meanwhile({net, browsers,
 * server})` runs once the game is on. Gives `check` the tables and the last snapshots of the game.
 */
export async function playOn(topology, { settings = {}, args = [], lanes, browsers: kinds = ["chromium", "chromium"], before, init, meanwhile, check, seconds = 90, say }) {
  const net = await lab(topology);
  const browsers = [];
  let server;
  try {
    await before?.(net);
    server = await serve(args, {
      listen: `${net.address("server")}:8080`,
      within: net.within("server"),
      settings: { players: 2, fps: 30, episodes: 1, max_frames: 300, ...settings },
    });
    for (const [at, host] of ["a", "b"].entries()) {
      browsers.push(await net.browser(host, { kind: kinds[at] }));
    }
    if (init) for (const { tab } of browsers) await tab.addInitScript(init);
    await enter(browsers, server.url);
    const playing = playToTheEnd(browsers, seconds, lanes);
    await Promise.all(browsers.map(({ tab }) => until(tab, "the game", (now) => now.game?.frame > 30, 40)));
    await meanwhile?.({ net, browsers, server });
    const games = await playing;
    const { tables } = await exported(server.data);
    assert.ok(tables.steps.length > 0 && tables.steps.every((row) => row.verified === "true"), "a step is not verified");
    for (const row of tables.sessions) {
      assert.equal(row.termination_reason, "normal");
      assert.equal(row.frames_verified, row.frames_reported);
    }
    const told = (kind) => tables.events.filter((row) => row.kind === kind).map((row) => JSON.parse(row.detail));
    await check?.({ tables, games, told, browsers, server, net });
  } catch (error) {
    say(`the server's log:\n${server?.log()}`);
    for (const { tab } of browsers) say(JSON.stringify(await snapshot(tab).catch(String)));
    throw error;
  } finally {
    await Promise.all(browsers.map((browser) => browser.close()));
    await server?.stop();
    await net.remove();
  }
}

/** What the pages and the export say of how the two were joined. */
export const connectionTypes = (told) => told("p2p_connection_type").map(({ connection }) => connection);
