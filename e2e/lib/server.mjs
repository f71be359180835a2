// The real server, on a free port, with a data folder of its own.
import { execFile, spawn } from "node:child_process";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const binary = join(process.env.INTERPLAY_TARGET ?? "target/release", "interplay");

/** The demo's folder with other settings in its game: {fps: "60", recovery: '{ lanes = "hot" }', …}, and so many games. */
async function experiment(settings, games) {
  const folder = await mkdtemp(join(tmpdir(), "interplay-experiment-"));
  const demo = join(import.meta.dirname, "../../experiments/tag");
  for (const file of ["welcome.md", "tag.wasm"]) await copyFile(join(demo, file), join(folder, file));
  let text = await readFile(join(demo, "experiment.toml"), "utf8");
  for (const [key, value] of Object.entries(settings)) {
    const line = new RegExp(`^${key} = .*$`, "m");
    const setting = `${key} = ${value}`;
    text = line.test(text) ? text.replace(line, setting) : text.replace(/^kind = "game"$/m, `$&\n${setting}`);
  }
  if (games > 1) {
    const scenes = text.split(/^(?=\[\[scene\]\])/m);
    const at = scenes.findIndex((scene) => scene.includes('kind = "game"'));
    const more = Array.from({ length: games - 1 }, (_, number) => scenes[at].replace(/^id = .*$/m, `id = "play${number + 2}"`));
    scenes.splice(at + 1, 0, ...more);
    text = scenes.join("");
  }
  await writeFile(join(folder, "experiment.toml"), text);
  return folder;
}

/**
 * Starts `interplay demo`, the demo with other `settings`, or the experiment in `folder`; `within` are words that run it elsewhere, in a network
 * namespace for example.
 */
export async function serve(args = [], { listen = "127.0.0.1:0", within = [], settings, games = 1, folder: own } = {}) {
  const data = await mkdtemp(join(tmpdir(), "interplay-data-"));
  const folder = settings && (await experiment(settings, games));
  const command = own || folder ? ["run", own ?? folder] : ["demo"];
  let child, log = "";
  const start = (address) => {
    const words = [...within, binary, ...command, "--listen", address, "--data", data, ...args];
    child = spawn(words[0], words.slice(1), { stdio: ["ignore", "pipe", "pipe"] });
    child.stderr.on("data", (chunk) => (log += chunk));
    return new Promise((resolve, reject) => {
      let said = "";
      child.stdout.on("data", (chunk) => {
        said += chunk;
        const found = said.match(/Open (http:\S+)/);
        if (found) resolve(found[1]);
      });
      child.once("exit", (code) => reject(new Error(`the server ended with ${code}:\n${log}`)));
    });
  };
  const url = await start(listen);
  return {
    url, data,
    get pid() { return child.pid; },
    log: () => log,
    /** SIGKILL. */
    async kill() {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await ended;
    },
    /** Another process at the same address on the same data. */
    startAgain: () => start(new URL(url).host),
    async killAndRestart() {
      await this.kill();
      await this.startAgain();
    },
    /** Stops the server as an operator would. */
    async end() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      const code = await ended;
      if (code !== 0) throw new Error(`the server ended with ${code}:\n${log}`);
    },
    /** The same, and removes its data. */
    async stop() {
      await this.end();
      for (const made of [data, folder]) if (made) await rm(made, { recursive: true, force: true });
    },
  };
}

/** Writes the tables and reads them back: {steps: [{game_id, …}], …} and what the command said. */
export async function exported(data, flags = []) {
  const out = await mkdtemp(join(tmpdir(), "interplay-tables-"));
  const { stdout } = await promisify(execFile)(binary, ["export", "--data", data, "--out", out, "--format", "csv", ...flags]);
  const tables = {};
  for (const name of ["steps", "episodes", "sessions", "events", "gaps", "answers", "visits"]) {
    const text = await readFile(join(out, `${name}.csv`), "utf8").catch(() => "");
    tables[name] = rows(text);
  }
  tables.dictionary = JSON.parse(await readFile(join(out, "dictionary.json"), "utf8"));
  await rm(out, { recursive: true, force: true });
  return { tables, said: stdout.trim() };
}

function rows(text) {
  const lines = [];
  let cell = "", line = [], quoted = false;
  for (let at = 0; at < text.length; at++) {
    const letter = text[at];
    if (quoted) {
      if (letter !== '"') cell += letter;
      else if (text[at + 1] === '"') { cell += '"'; at++; }
      else quoted = false;
    } else if (letter === '"') quoted = true;
    else if (letter === ",") { line.push(cell); cell = ""; }
    else if (letter === "\n") { line.push(cell); lines.push(line); line = []; cell = ""; }
    else if (letter !== "\r") cell += letter;
  }
  const [names = [], ...rest] = lines;
  return rest.map((cells) => Object.fromEntries(names.map((name, at) => [name, cells[at]])));
}
