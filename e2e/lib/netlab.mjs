// Networks of their own, by `netlab`: a router that loses, delays and cuts what it is told to.
import { spawn } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { open } from "./browser.mjs";
import { openFirefox } from "./firefox.mjs";

const root = process.getuid() === 0 ? [] : ["sudo", "-n"];
const binary = join(process.env.INTERPLAY_TARGET ?? "target/release", "netlab");

/** Builds a topology (`netlab --help` lists them). Ends with `remove`, or with this process. */
export async function lab(topology, { seed = 1, hosts = 2 } = {}) {
  const words = [...root, binary, topology, "--seed", String(seed), "--hosts", String(hosts)];
  const child = spawn(words[0], words.slice(1), { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const next = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`netlab ended with ${await ended}`);
    return value;
  };
  const about = JSON.parse(await next()).hosts;
  const folder = await mkdtemp(join(tmpdir(), "interplay-lab-"));
  let queue = Promise.resolve();

  /** Tells the router something, and waits until it is so. */
  const tell = (line) =>
    (queue = queue.then(async () => {
      child.stdin.write(`${line}\n`);
      const answer = await next();
      if (!answer.startsWith("ok")) throw new Error(`${line}: ${answer}`);
      return answer.slice(3);
    }));

  const within = (host) => [...root, "ip", "netns", "exec", about[host].namespace];

  // There is no multicast DNS here by which browsers tell each other addresses that they would rather hide.
  const flags = ["--disable-features=WebRtcHideLocalIpsWithMdns"];

  /** A program that runs Chromium, or another, in a host. */
  async function executable(host, program = "/usr/bin/chromium") {
    const path = join(folder, `${host}.sh`);
    await writeFile(path, `#!/bin/sh\nexec ${within(host).join(" ")} ${program} "$@"\n`);
    await chmod(path, 0o755);
    return path;
  }

  return {
    tell,
    within,
    address: (host) => about[host].address,
    /** The same to both directions between two hosts. */
    async both(one, other, settings) {
      await tell(`set ${one} ${other} ${settings}`);
      await tell(`set ${other} ${one} ${settings}`);
    },
    stats: async () => JSON.parse(await tell("stats")),
    /** A browser in a host. */
    async browser(host, { kind = "chromium", ...options } = {}) {
      if (kind === "firefox") return openFirefox({ within: within(host) });
      return open({ ...options, executable: await executable(host, options.executable), flags });
    },
    executable,
    flags,
    async remove() {
      child.stdin.end();
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
