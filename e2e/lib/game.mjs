// A whole game, from the entry link to the export.
import assert from "node:assert/strict";
import { playRandomly, snapshot, until } from "./browser.mjs";
import { exported } from "./server.mjs";

/** Opens the study in every browser and presses the button. */
export async function enter(browsers, url) {
  for (const { tab } of browsers) {
    await tab.goto(url);
    await until(tab, "the start", (now) => now.scene?.kind === "start");
    await tab.keyboard.press("Enter");
    await until(tab, "the lobby or the game", (now) => now.scene?.kind === "game");
  }
}

/** Plays with random keys on every page until every page has come to the end. */
export async function playToTheEnd(browsers, seconds, connection = ["direct"]) {
  const games = await Promise.all(browsers.map(({ tab }, at) => playRandomly(tab, 77 + at, seconds)));
  for (const [at, { tab, problems }] of browsers.entries()) {
    const end = await snapshot(tab);
    assert.equal(end.scene.reason, "completed", `page ${at} ended with ${end.scene.reason}`);
    assert.deepEqual(problems, [], `page ${at} reported problems`);
    assert.equal(games[at].game.desyncs, 0, `page ${at} found a difference`);
    for (const lane of games[at].lanes) {
      assert.ok(connection.includes(lane.connectionType), `page ${at} is joined by ${lane.connectionType}`);
    }
    assert.ok(games[at].game.comparedHashes > 0, `page ${at} compared no hash`);
  }
  return games;
}

/** The export has every step of everyone, and everything in it is verified. */
export async function everythingIsExported(data, { players, episodes, frames }, flags = []) {
  const { tables, said } = await exported(data, flags);
  assert.equal(tables.steps.length, players * episodes * frames, said);
  assert.equal(tables.sessions.length, players);
  assert.equal(tables.episodes.length, episodes);
  assert.ok(tables.steps.every((row) => row.verified === "true"), "a step is not verified");
  for (const row of tables.sessions) {
    assert.equal(row.termination_reason, "normal");
    assert.equal(row.is_partial, "false");
    assert.equal(Number(row.frames_reported), episodes * frames);
    assert.equal(Number(row.frames_verified), episodes * frames);
    assert.deepEqual([row.hash_mismatches, row.conflicts, row.desyncs_reported], ["0", "0", "0"]);
  }
  const columns = tables.dictionary.tables.find((table) => table.table === "steps").columns;
  assert.deepEqual(columns.map((column) => column.name), Object.keys(tables.steps[0]));
  return tables;
}

/** Milliseconds from being matched to the first simulated frame. */
export const matchToFirstFrame = (tab) =>
  tab.evaluate(() => {
    const at = (name) => performance.getEntriesByName(`interplay:${name}`)[0].startTime;
    return at("first-frame") - at("match");
  });
