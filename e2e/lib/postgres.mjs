// A real Postgres server of a test's own, on a free port of this machine, with nothing in it but the database `study`.
import { execFile, spawn } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Postgres does not run as root: root has it run by the user whom its package makes. */
const user = process.getuid() === 0 ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] : [];

/** Debian keeps its programs where no shell looks. */
async function programs() {
  const place = "/usr/lib/postgresql";
  const versions = await readdir(place).catch(() => []);
  const newest = versions.sort((one, other) => Number(one) - Number(other)).at(-1);
  return newest ? join(place, newest, "bin") : "";
}

/** A port of this machine that nobody listens on. */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Starts one: its `url`, and `stop()`, which takes everything away. */
export async function postgres() {
  const bin = await programs();
  const folder = await mkdtemp(join(tmpdir(), "interplay-postgres-"));
  const port = await freePort();
  const as = (program, ...words) => [...user, join(bin, program), ...words];
  const does = ([program, ...words]) => run(program, words, { cwd: "/" });
  if (user.length > 0) await run("chown", ["postgres", folder]);
  const data = join(folder, "data");
  await does(as("initdb", "-D", data, "--auth=trust", "--username=ann", "--no-sync"));
  const [program, ...words] = as("postgres", "-D", data, "-p", String(port), "-k", folder, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off");
  const server = spawn(program, words, { cwd: "/", stdio: "ignore" });
  const ended = new Promise((resolve) => server.once("exit", resolve));
  const url = (database) => `postgres://ann@127.0.0.1:${port}/${database}`;
  const stop = async () => {
    server.kill("SIGINT");
    await ended;
    await rm(folder, { recursive: true, force: true });
  };
  for (let tries = 0; ; tries++) {
    const made = await does(as("psql", "-q", url("postgres"), "-c", "CREATE DATABASE study")).then(() => true, () => false);
    if (made) return { url: url("study"), stop };
    if (tries === 100 || server.exitCode !== null) {
      await stop();
      throw new Error("Postgres does not start");
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
