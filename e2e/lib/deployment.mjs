// What is in deploy/, run on this machine without containers: its own commands, variables and configuration, with addresses of this
// machine in the place of the containers' names.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { copyFile, mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { freePort } from "./postgres.mjs";

const run = promisify(execFile);
const deploy = resolve(import.meta.dirname, "../../deploy");
/** It has a YAML parser. */
const python = resolve(process.env.INTERPLAY_TARGET ?? "target/release", "../schemathesis/bin/python");

/** What deploy/make-env makes, by name; it is for its owner's eyes only, and is not made anew. */
async function environment(site, address, study) {
  const folder = await mkdtemp(join(tmpdir(), "interplay-deploy-"));
  try {
    const [script, file] = [join(folder, "make-env"), join(folder, ".env")];
    await copyFile(join(deploy, "make-env"), script);
    await run(script, [site, address, study]);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    const text = await readFile(file, "utf8");
    await assert.rejects(run(script, [site, address, study]), "secrets that are in use are not to be lost");
    assert.equal(await readFile(file, "utf8"), text);
    return Object.fromEntries(text.trim().split("\n").map((line) => line.match(/^(\w+)=(.+)$/).slice(1)));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The services of deploy/compose.yaml, with the variables of an environment in their places. */
export async function services(site, address, study) {
  const variables = await environment(site, address, study);
  const program = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
  const { stdout } = await run(python, ["-c", program, join(deploy, "compose.yaml")]);
  const filled = stdout.replaceAll(/\$\{(\w+):\?[^}]*\}/g, (_, name) => {
    assert.ok(variables[name], `deploy/make-env does not make ${name}`);
    return variables[name];
  });
  assert.ok(!filled.includes("$"), "a variable is left in deploy/compose.yaml");
  return { variables, ...JSON.parse(filled) };
}

/** The image's own way to see whether a server lives, for one on another port. */
export async function healthcheck() {
  const text = await readFile(join(deploy, "Containerfile"), "utf8");
  const command = JSON.parse(text.match(/^HEALTHCHECK .*CMD (\[.*\])$/m)[1]);
  return (port) => {
    const [program, ...words] = command.map((word) => word.replace("/8080", `/${port}`));
    return run(program, words).then(() => true, () => false);
  };
}

/** A process of a service's, on a free port; `stop()` ends it. */
async function start([program, ...words], { env, within }) {
  const child = spawn(program, words, { cwd: within, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (log += chunk));
  const ended = new Promise((resolve) => child.once("exit", resolve).once("error", resolve));
  return {
    log: () => log,
    async stop() {
      child.kill("SIGTERM");
      await ended;
      await rm(within, { recursive: true, force: true });
    },
  };
}

async function answers(what, ask, log) {
  for (let tries = 0; tries < 200; tries++) {
    if (await ask().then(() => true, () => false)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${what} does not answer:\n${log()}`);
}

/** The service's own Redis. */
export async function redis({ command }) {
  const [port, within] = [await freePort(), await mkdtemp(join(tmpdir(), "interplay-redis-"))];
  const server = await start([...command, "--port", String(port), "--bind", "127.0.0.1"], { within });
  const ask = (...words) => run("redis-cli", ["-p", String(port), ...words]).then(({ stdout }) => stdout.trim());
  await answers("Redis", () => ask("ping"), server.log);
  return { ...server, ask, url: `redis://127.0.0.1:${port}` };
}

/** Caddy as deploy/Caddyfile has it, in front of some nodes, with certificates of its own making. */
export async function proxy(site, nodes) {
  const within = await mkdtemp(join(tmpdir(), "interplay-proxy-"));
  const [http, https] = [await freePort(), await freePort()];
  const env = {
    SITE: site, NODES: nodes.join(" "), HTTP_PORT: String(http), HTTPS_PORT: String(https),
    HOME: within, XDG_DATA_HOME: within, XDG_CONFIG_HOME: within,
  };
  const words = ["run", "--adapter", "caddyfile", "--config", join(deploy, "Caddyfile")];
  const server = await start(["caddy", ...words], { within, env });
  const url = `https://${site}:${https}`;
  const { ask } = trusting();
  await answers("the proxy", async () => assert.equal((await ask(`${url}/healthz`)).status, 200), server.log);
  return { ...server, url };
}

/** Asks servers whose certificates nobody knows. */
export function trusting() {
  const ask = async (url, { method = "GET", headers = {}, body } = {}) => {
    const given = Object.entries(headers).flatMap(([name, value]) => ["--header", `${name}: ${value}`]);
    const sent = body === undefined ? [] : ["--data", body];
    const words = ["-sSk", "--max-time", "20", "--request", method, ...given, ...sent, "--write-out", "\n%{http_code}", url];
    const { stdout } = await run("curl", words);
    const [text, status] = stdout.match(/^([^]*)\n(\d+)$/).slice(1);
    return { status: Number(status), text };
  };
  return { ask };
}
