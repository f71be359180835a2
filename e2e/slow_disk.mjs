// A disk that takes half a second for every sync, and a server that is killed at the moment in which a page says that everything
// is saved: nobody reads that, nor is sent away, before everything they did is on the disk (S5).
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { open, snapshot, until } from "./lib/browser.mjs";
import { exported, serve } from "./lib/server.mjs";
import { press, study } from "./lib/study.mjs";

const REDIRECT = "http://127.0.0.1:9/done?cc=ABC";
const SYNC_MS = 500;
const FRAMES = 90;

/** From here on every sync of a process takes longer. */
async function slowDown(pid) {
  const inject = `inject=fsync,fdatasync:delay_enter=${SYNC_MS * 1000}`;
  const child = spawn("strace", ["-f", "-p", pid, "-e", "trace=fsync,fdatasync", "-e", inject], { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  let syncs = 0;
  await new Promise((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`strace ended with ${code}: ${said}`)));
    child.stderr.on("data", (chunk) => {
      said += chunk;
      syncs += String(chunk).split("DELAYED").length - 1;
      if (/attached/.test(said)) resolve();
    });
  });
  child.removeAllListeners("exit");
  return { syncs: () => syncs, ended: new Promise((resolve) => child.once("exit", resolve)) };
}

export default async function ({ say }) {
  const { folder, remove } = await study("two-player", [
    ['completed = { code = "ALL-DONE" }', `completed = { redirect = "${REDIRECT}" }`],
    ["max_frames = 900", `max_frames = ${FRAMES}`], ["episodes = 2", "episodes = 1"],
  ]);
  const server = await serve([], { folder });
  const browsers = await Promise.all([open(), open()]);
  const tabs = browsers.map(({ tab }) => tab);
  try {
    const [saved, asked] = [new Map(), []];
    for (const tab of tabs) {
      await tab.context().route("http://127.0.0.1:9/**", async (route) => {
        asked.push(tab);
        await route.fulfill({ contentType: "text/html", body: "<h1>Back</h1>" });
      });
      await tab.goto(server.url);
      await tab.getByLabel(/I agree to take part/).check();
      await press(tab, "Start");
      saved.set(tab, tab.getByText("Everything is saved.", { exact: false }).waitFor({ timeout: 60_000 }).then(() => tab));
    }
    const participants = new Map();
    for (const tab of tabs) participants.set(tab, (await until(tab, "the game", (now) => now.game?.frame > 10, 40)).participant);
    // The first reads it, and then the other, of the server's next process.
    let syncs = 0;
    for (let left = tabs; left.length > 0;) {
      const disk = await slowDown(server.pid);
      const gone = await Promise.race(left.map((tab) => saved.get(tab)));
      await server.kill();
      await disk.ended;
      syncs += disk.syncs();
      left = left.filter((tab) => tab !== gone);
      const { tables } = await exported(server.data);
      const of = (table) => tables[table].find((row) => row.participant_id === participants.get(gone));
      assert.equal(of("visits").ended, "completed");
      const { termination_reason: reason, is_partial: partial, frames_reported: frames } = of("sessions");
      assert.deepEqual([reason, partial, Number(frames)], ["normal", "false", FRAMES]);
      await server.startAgain();
    }
    assert.ok(syncs > 0, "no sync was slow");
    for (const tab of tabs) await tab.getByRole("heading", { name: "Back" }).waitFor({ timeout: 15_000 });
    assert.equal(asked.length, tabs.length);
    say(`a server with ${syncs} syncs of ${SYNC_MS} ms was killed whenever a page said that all is saved: all ${FRAMES} frames of each are there`);
  } catch (error) {
    say(`the server's log:\n${server.log()}`);
    for (const tab of tabs) say(JSON.stringify(await snapshot(tab).catch(String)));
    throw error;
  } finally {
    await Promise.all(browsers.map((browser) => browser.close()));
    await server.stop();
    await remove();
  }
}
