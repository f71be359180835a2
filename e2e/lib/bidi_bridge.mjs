// Runs Firefox, and passes WebDriver BiDi messages between it and this process's standard input and output, one a
// line. So that it can run where the browser does, in a network namespace for example. Arguments: the profile's folder.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import WebSocket from "ws";

const [profile] = process.argv.slice(2);
const firefox = spawn(
  "firefox-esr",
  ["--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0", "about:blank"],
  { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, HOME: profile, MOZ_DISABLE_CONTENT_SANDBOX: "1" } },
);
firefox.once("exit", (code) => process.exit(code ?? 1));
process.stdin.once("end", () => firefox.kill("SIGTERM"));

const url = await new Promise((resolve) => {
  createInterface({ input: firefox.stderr }).on("line", (line) => {
    const found = line.match(/WebDriver BiDi listening on (ws:\S+)/);
    if (found) resolve(found[1]);
  });
});
const socket = new WebSocket(`${url}/session`, { perMessageDeflate: false });
socket.on("message", (message) => process.stdout.write(`${message}\n`));
socket.on("close", () => firefox.kill("SIGTERM"));
socket.once("open", () => createInterface({ input: process.stdin }).on("line", (line) => socket.send(line)));
