// The embedded TURN, spoken to by another project's client over UDP and TCP, and beside another project's server:
// what a relayed packet costs in processor time (L1). And what `interplay doctor` says.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { serve } from "./lib/server.mjs";

const run = promisify(execFile);
const LOCAL = "127.0.0.1";
const hmac = (key, text) => createHmac("sha1", key).update(text).digest();

/** A port that was free a moment ago. */
const freePort = () =>
  new Promise((resolve) => {
    const socket = createSocket("udp4").bind(0, LOCAL, () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });

/** Seconds of processor time that a process has used. */
async function processorTime(pid) {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const [user, system] = stat.slice(stat.lastIndexOf(")") + 2).split(" ").slice(11, 13).map(Number);
  return (user + system) / 100;
}

/** Sends packets from relay to relay; gives back how many came and were lost. */
async function load(port, name, password, { tcp = false, tls = false, clients = 2, packets = 50, interval = 5 } = {}) {
  const words = ["-u", name, "-w", password, "-p", port, "-y", "-c", "-n", packets, "-m", clients, "-l", 170, "-z", interval];
  const { stdout } = await run("turnutils_uclient", [...words, ...(tcp ? ["-t"] : []), ...(tls ? ["-S"] : []), LOCAL].map(String), { timeout: 120_000 });
  const numbers = [...stdout.matchAll(/tot_send_msgs=(\d+), tot_recv_msgs=(\d+)/g)].at(-1);
  assert.ok(numbers, stdout);
  return { sent: Number(numbers[1]), received: Number(numbers[2]) };
}

export default async function ({ say }) {
  const port = await freePort();
  const secret = randomBytes(32).toString("hex");
  process.env.INTERPLAY_SECRET = secret;
  const folder = await mkdtemp(join(tmpdir(), "interplay-certificate-"));
  const [certificate, privateKey, tlsPort] = [join(folder, "certificate.pem"), join(folder, "key.pem"), await freePort()];
  await run("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
    "-subj", "/CN=localhost", "-keyout", privateKey, "-out", certificate]);
  const tls = ["--tls-cert", certificate, "--tls-key", privateKey, "--turns-ports", String(tlsPort)];
  const limits = ["--turn-allow-private", "--turn-allocations", "200", "--turn-bandwidth", "100000000"];
  const server = await serve(["--turn-ports", String(port), "--relay-ports", "20000-29999", ...limits, ...tls]);
  const other = await freePort();
  const coturn = spawn("turnserver", [
    "-n", "--no-tls", "--no-dtls", "--no-cli", "-a", "-u", "name:password", "-r", "realm", "-L", LOCAL, "-E", LOCAL,
    "-p", String(other), "--allow-loopback-peers", "--min-port", "30000", "--max-port", "32000", "--log-file", "stdout",
    "--pidfile", join(server.data, "coturn.pid"),
  ], { stdio: "ignore" });
  try {
    const name = `${Math.floor(Date.now() / 1000) + 600}:${"ab".repeat(16)}`;
    const password = hmac(hmac(secret, "interplay turn"), name).toString("base64");
    for (const tcp of [false, true]) {
      const { sent, received } = await load(port, name, password, { tcp });
      say(`turnutils_uclient over ${tcp ? "TCP" : "UDP"}: ${received} of ${sent} messages came`);
      assert.ok(sent >= 100 && received === sent, `${received} of ${sent} messages came`);
    }

    const secure = await load(tlsPort, name, password, { tcp: true, tls: true });
    say(`turnutils_uclient over TLS: ${secure.received} of ${secure.sent} messages came`);
    assert.ok(secure.sent >= 100 && secure.received === secure.sent, "messages were lost over TLS");

    const binary = join(process.env.INTERPLAY_TARGET ?? "target/release", "interplay");
    const doctor = await run(binary, ["doctor", "--turn-ports", String(port), "--json"]);
    const found = JSON.parse(doctor.stdout);
    assert.ok(found.works && found.findings.length === 3, doctor.stdout);
    const closed = await run(binary, ["doctor", "--turn-ports", String(await freePort())]).catch((error) => error);
    assert.equal(closed.code, 1);
    assert.match(closed.stdout, /open UDP port \d+/);
    assert.match(closed.stdout, /open TCP port \d+/);

    const many = { clients: 10, packets: 1000, interval: 1 };
    const cost = async (pid, ...words) => {
      const before = await processorTime(pid);
      const { received } = await load(...words, many);
      return ((await processorTime(pid)) - before) * 1e6 / received;
    };
    const costs = [[], []];
    for (let round = 0; round < 2; round++) {
      costs[0].push(await cost(server.pid, port, name, password));
      costs[1].push(await cost(coturn.pid, other, "name", "password"));
    }
    const [own, theirs] = costs.map((rounds) => Math.min(...rounds));
    say(`processor time a relayed message: ${own.toFixed(1)} µs here, ${theirs.toFixed(1)} µs in coturn`);
    assert.ok(own <= 1.3 * theirs, `${own} µs a message against coturn's ${theirs} µs`);
  } finally {
    delete process.env.INTERPLAY_SECRET;
    coturn.kill("SIGTERM");
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}
