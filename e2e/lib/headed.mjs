// A browser with windows, on a display of its own. Playwright makes every page believe that it is in front; what is in the
// background here is, so this speaks the browser's own protocol.
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import WebSocket from "ws";

const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--remote-debugging-port=0", "--window-size=800,700",
];

/** Starts a display and a browser on it. `open(url)` gives a tab in front, with what the helpers of `browser.mjs` need. */
export async function openHeaded() {
  const display = spawn("Xvfb", ["-displayfd", "3", "-screen", "0", "1280x900x24", "-nolisten", "tcp"], {
    stdio: ["ignore", "ignore", "ignore", "pipe"],
  });
  const number = await new Promise((resolve, reject) => {
    display.stdio[3].once("data", (data) => resolve(String(data).trim()));
    display.once("error", reject);
  });
  const profile = await mkdtemp(join(tmpdir(), "interplay-browser-"));
  const browser = spawn("/usr/bin/chromium", [...FLAGS, `--user-data-dir=${profile}`, "about:blank"], {
    env: { ...process.env, DISPLAY: `:${number}` },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let address;
  for await (const line of createInterface({ input: browser.stderr })) {
    address = line.match(/DevTools listening on (ws:\S+)/)?.[1];
    if (address) break;
  }
  browser.stderr.resume();
  const socket = new WebSocket(address);
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  const waiting = new Map();
  let last = 0;
  socket.on("message", (text) => {
    const { id, result, error } = JSON.parse(text);
    const answer = waiting.get(id);
    if (!answer) return;
    waiting.delete(id);
    if (error) answer.reject(new Error(error.message));
    else answer.resolve(result);
  });
  const send = (method, params = {}, sessionId) => new Promise((resolve, reject) => {
    last += 1;
    waiting.set(last, { resolve, reject });
    socket.send(JSON.stringify({ id: last, method, params, sessionId }));
  });

  return {
    async open(url) {
      const { targetId } = await send("Target.createTarget", { url });
      const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
      return {
        async evaluate(act, value) {
          const expression = `(${act})(${JSON.stringify(value) ?? ""})`;
          const { result, exceptionDetails } =
            await send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true }, sessionId);
          if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
          return result.value;
        },
        waitForTimeout: (millis) => new Promise((resolve) => setTimeout(resolve, millis)),
        bringToFront: () => send("Target.activateTarget", { targetId }),
        async screenshot({ path }) {
          const { data } = await send("Page.captureScreenshot", {}, sessionId);
          await (await import("node:fs/promises")).writeFile(path, Buffer.from(data, "base64"));
        },
      };
    },
    async close() {
      const ended = Promise.all([browser, display].map((child) => new Promise((resolve) => child.once("exit", resolve))));
      await send("Browser.close").catch(() => browser.kill());
      socket.close();
      display.kill();
      await ended;
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
