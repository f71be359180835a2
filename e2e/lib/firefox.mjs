// Firefox, over WebDriver BiDi: as much of Playwright's page as the journeys use.
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const KEYS = {
  ArrowLeft: "\uE012", ArrowUp: "\uE013", ArrowRight: "\uE014", ArrowDown: "\uE015", Enter: "\uE006", Space: " ",
};

const PREFERENCES = {
  // The networks of the journeys have no multicast DNS.
  "media.peerconnection.ice.obfuscate_host_addresses": false,
  "datareporting.policy.dataSubmissionEnabled": false,
  "app.update.enabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
};

/** Opens a Firefox of its own; `within` are words that run it elsewhere, in a network namespace for example. */
export async function openFirefox({ within = [] } = {}) {
  const profile = await mkdtemp(join(tmpdir(), "interplay-firefox-"));
  const lines = Object.entries(PREFERENCES).map(([name, value]) => `user_pref("${name}", ${JSON.stringify(value)});\n`);
  await writeFile(join(profile, "user.js"), lines.join(""));
  const words = [...within, process.execPath, join(import.meta.dirname, "bidi_bridge.mjs"), profile];
  const bridge = spawn(words[0], words.slice(1), { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise((resolve) => bridge.once("exit", resolve));

  let last = 0;
  const waiting = new Map();
  const problems = [];
  createInterface({ input: bridge.stdout }).on("line", (line) => {
    const message = JSON.parse(line);
    if (message.method === "log.entryAdded" && message.params.level === "error") problems.push(message.params.text);
    const asked = waiting.get(message.id);
    if (!asked) return;
    waiting.delete(message.id);
    if (message.type === "success") asked.resolve(message.result);
    else asked.reject(new Error(`${asked.method}: ${message.error} ${message.message}`));
  });
  const send = (method, params) =>
    new Promise((resolve, reject) => {
      last += 1;
      waiting.set(last, { method, resolve, reject });
      bridge.stdin.write(`${JSON.stringify({ id: last, method, params })}\n`);
      ended.then((code) => reject(new Error(`Firefox ended with ${code}`)));
    });

  await send("session.new", { capabilities: {} });
  await send("session.subscribe", { events: ["log.entryAdded"] });
  const { contexts } = await send("browsingContext.getTree", {});
  const { context } = contexts[0];
  const key = (type, name) =>
    send("input.performActions", {
      context,
      actions: [{ type: "key", id: "keyboard", actions: [{ type, value: KEYS[name] ?? name }] }],
    });
  const tab = {
    goto: (url) => send("browsingContext.navigate", { context, url, wait: "complete" }),
    async evaluate(act, argument) {
      const expression = `(async () => JSON.stringify((await (${act})(${JSON.stringify(argument) ?? ""})) ?? null))()`;
      const { result, exceptionDetails } = await send("script.evaluate", { expression, target: { context }, awaitPromise: true });
      if (exceptionDetails) throw new Error(exceptionDetails.text);
      return JSON.parse(result.value);
    },
    keyboard: {
      down: (name) => key("keyDown", name),
      up: (name) => key("keyUp", name),
      async press(name) {
        await key("keyDown", name);
        await key("keyUp", name);
        // Keys press buttons only in a window that has the focus, and a headless one has none: the pointer does.
        const button = await tab.evaluate(() => {
          const { activeElement: element } = document;
          if (document.hasFocus() || element?.tagName !== "BUTTON") return null;
          const { x, y, width, height } = element.getBoundingClientRect();
          return { x: Math.round(x + width / 2), y: Math.round(y + height / 2) };
        });
        if (!button) return;
        const actions = [{ type: "pointerMove", ...button }, { type: "pointerDown", button: 0 }, { type: "pointerUp", button: 0 }];
        await send("input.performActions", { context, actions: [{ type: "pointer", id: "mouse", actions }] });
      },
    },
    waitForTimeout: (millis) => new Promise((resolve) => setTimeout(resolve, millis)),
    async screenshot({ path }) {
      const { data } = await send("browsingContext.captureScreenshot", { context });
      await writeFile(path, Buffer.from(data, "base64"));
    },
  };
  return {
    tab, problems,
    async close() {
      bridge.stdin.end();
      await ended;
      await rm(profile, { recursive: true, force: true });
    },
  };
}
