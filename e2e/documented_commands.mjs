// Every command line in the documents works as it stands there: it ends well, or serves until it is told to stop.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { postgres } from "./lib/postgres.mjs";
import { serve } from "./lib/server.mjs";

const root = resolve(import.meta.dirname, "..");
const target = resolve(process.env.INTERPLAY_TARGET ?? join(root, "target/release"));

/** Those that are this test's own beginning, or repeat it for hours; each is a command of xtask. */
const KNOWN = ["demo", "test", "build", "check", "e2e", "bench", "prove", "fuzz", "dist", "netlab"];

/** Blocks of command lines; one that does more than start programs of ours is a script. */
async function blocks() {
  const docs = (await readdir(join(root, "docs"))).map((file) => `docs/${file}`);
  const lines = [], scripts = [];
  for (const file of ["README.md", "ARCHITECTURE.md", ...docs]) {
    if (!file.endsWith(".md")) continue;
    const text = await readFile(join(root, file), "utf8");
    for (const [, block] of text.matchAll(/```sh\n([^]*?)```/g)) {
      const own = block.split("\n").map((line) => line.replace(/ #.*/, "").trim()).filter(Boolean);
      if (own.every((line) => /^(cargo xtask|\S*interplay) /.test(line))) lines.push(...own.map((line) => ({ file, line })));
      else scripts.push({ file, script: block });
    }
  }
  return { lines, scripts };
}

/** Runs a script beside a server whose data are in `rooms-data` and `interplay-data`. */
async function runScript({ file, script }, folder, database) {
  const server = await serve();
  try {
    for (const name of ["rooms-data", "interplay-data"]) {
      await rm(join(folder, name), { recursive: true, force: true });
      await symlink(server.data, join(folder, name));
    }
    const here = script.replaceAll("http://127.0.0.1:8080", server.url).replace(DATABASE, database.url);
    const child = spawn("sh", ["-euc", here], { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr.on("data", (chunk) => (said += chunk));
    const code = await new Promise((resolve) => child.once("exit", resolve));
    assert.equal(code, 0, `${file}:\n${script}${said}`);
  } finally {
    await server.stop();
  }
}

/** Runs a line; one that serves is told to stop as soon as it says where. */
function run(line, cwd) {
  return new Promise((resolve, reject) => {
    const words = line.split(/\s+/);
    const child = spawn(words[0], words.slice(1), { cwd });
    let said = "";
    const hear = (chunk) => {
      said += chunk;
      if (said.includes("Open http://")) child.kill("SIGTERM");
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    child.once("error", reject);
    child.once("exit", (code) => (code === 0 ? resolve() : reject(new Error(`${line}: ${code}\n${said}`))));
  });
}

/** Runs a line that forgets somebody, who is on the way just then. */
async function runForget(line, folder) {
  const server = await serve();
  try {
    const [, , id] = line.split(/\s+/);
    const body = JSON.stringify({ entry: { PROLIFIC_PID: id } });
    const headers = { "content-type": "application/json" };
    const come = async () => (await fetch(`${server.url}/api/v1/visits`, { method: "POST", headers, body })).status;
    assert.equal(await come(), 201);
    await rm(join(folder, "interplay-data"), { recursive: true, force: true });
    await symlink(server.data, join(folder, "interplay-data"));
    await run(line.replace(/^\S+/, join(target, "interplay")), folder);
    assert.equal(await come(), 201, "who comes again is somebody new");
  } finally {
    await server.stop();
  }
}

/** The address of a database that stands in the documents. */
const DATABASE = /'postgres:[^']*'/;

export default async function ({ say }) {
  let database;
  const folder = await mkdtemp(join(tmpdir(), "interplay-documents-"));
  try {
    await symlink(join(root, "experiments"), join(folder, "experiments"));
    const { lines: all, scripts } = await blocks();
    assert.ok(all.length >= 5, "there are hardly any commands in the documents");
    // An export needs what a server has written, and there must be something before somebody is forgotten.
    const rank = ({ line }) => [" export ", " forget "].findIndex((command) => line.includes(command));
    const order = [...all].sort((one, other) => rank(one) - rank(other));
    database = await postgres();
    for (const { file, line: shown } of order) {
      const line = shown.replace(DATABASE, database.url);
      const [program, command] = line.split(/\s+/);
      if (program === "cargo" && command === "xtask") {
        const [, , task, ...rest] = line.split(/\s+/);
        if (task === "sim") await run([join(target, "sim"), ...rest].join(" "), folder);
        else assert.ok(KNOWN.includes(task), `${file}: xtask has no such command: ${line}`);
        continue;
      }
      assert.ok(program.endsWith("interplay"), `${file}: nothing runs this line: ${line}`);
      if (command === "forget") {
        await runForget(line, folder);
        continue;
      }
      const free = / (demo|run) /.test(`${line} `) ? " --listen 127.0.0.1:0" : "";
      await run(line.replace(/ --listen \S+/, "").replace(program, join(target, "interplay")) + free, folder);
    }
    for (const script of scripts) await runScript(script, folder, database);
    say(`${all.length} command lines, ${scripts.length} scripts`);
  } finally {
    await database?.stop();
    await rm(folder, { recursive: true, force: true });
  }
}
