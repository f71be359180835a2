// Networks of their own: a bridge, and namespaces on it that lose a share of the UDP packets which come in.
import { execFile } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const root = process.getuid() === 0 ? [] : ["sudo", "-n"];

async function run(...words) {
  const [program, ...rest] = [...root, ...words];
  return (await promisify(execFile)(program, rest)).stdout;
}

/** Makes a network of `hosts` (names). Everything is named after this process, and `remove` takes all of it away. */
export async function network(hosts) {
  const mark = `ip${process.pid % 100000}`;
  const hub = `${mark}-hub`;
  const made = [];
  const folder = await mkdtemp(join(tmpdir(), "interplay-network-"));
  const within = (name) => ["ip", "netns", "exec", `${mark}-${name}`];

  async function namespace(name) {
    await run("ip", "netns", "add", name);
    made.push(name);
    await run("ip", "-n", name, "link", "set", "lo", "up");
  }

  async function remove() {
    for (const name of made.reverse()) await run("ip", "netns", "delete", name).catch(() => {});
    await rm(folder, { recursive: true, force: true });
  }

  try {
    await namespace(hub);
    await run("ip", "-n", hub, "link", "add", "bridge", "type", "bridge");
    await run("ip", "-n", hub, "link", "set", "bridge", "up");
    for (const [at, host] of hosts.entries()) {
      const name = `${mark}-${host}`;
      await namespace(name);
      await run("ip", "-n", hub, "link", "add", `to${at}`, "type", "veth", "peer", "name", "eth0", "netns", name);
      await run("ip", "-n", hub, "link", "set", `to${at}`, "master", "bridge", "up");
      await run("ip", "-n", name, "address", "add", `10.77.0.${at + 1}/24`, "dev", "eth0");
      await run("ip", "-n", name, "link", "set", "eth0", "up");
      await run("ip", "-n", name, "route", "add", "default", "via", "10.77.0.254");
    }
  } catch (error) {
    await remove();
    throw error;
  }

  return {
    remove,
    address: (host) => `10.77.0.${hosts.indexOf(host) + 1}`,
    within: (host) => [...root, ...within(host)],

    /** A program that runs another within a host, for what takes a path only. */
    async wrapper(host, program) {
      const path = join(folder, `${host}.sh`);
      await writeFile(path, `#!/bin/sh\nexec ${[...root, ...within(host)].join(" ")} ${program} "$@"\n`);
      await chmod(path, 0o755);
      return path;
    },

    /** From now on a host drops so many percent of the UDP packets that come to it. */
    async lose(host, percent) {
      const rules = join(folder, `${host}.nft`);
      await writeFile(rules, `table inet loss {
        chain in {
          type filter hook input priority 0;
          iifname "lo" accept
          meta l4proto udp numgen random mod 100 < ${percent} counter drop
          meta l4proto udp counter accept
        }
      }\n`);
      await run(...within(host), "nft", "-f", rules);
    },

    /** What a host has dropped and let through. */
    async lost(host) {
      const listed = JSON.parse(await run(...within(host), "nft", "-j", "list", "table", "inet", "loss"));
      const counters = listed.nftables.flatMap((entry) => entry.rule?.expr ?? []).filter((part) => part.counter);
      const [dropped, passed] = counters.map((part) => part.counter.packets);
      return { dropped, passed };
    },
  };
}
