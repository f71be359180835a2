// A network to play with: `cargo xtask netlab TOPOLOGY`. Two browsers play tag in it; lines on standard input go to
// the router (`netlab --help` lists them), `lanes` shows what the pages say of their lanes, `end` ends it.
import { createInterface } from "node:readline";
import { snapshot } from "./browser.mjs";
import { enter } from "./game.mjs";
import { lab } from "./netlab.mjs";
import { serve } from "./server.mjs";

const topology = process.argv[2] ?? "lan";
const headless = !process.env.DISPLAY;
const net = await lab(topology);
const browsers = [];
let server;
try {
  server = await serve([], {
    listen: `${net.address("server")}:8080`,
    within: net.within("server"),
    settings: { max_frames: 18000 },
  });
  for (const host of ["a", "b"]) browsers.push(await net.browser(host, { page: { headless } }));
  await enter(browsers, server.url);
  console.log(`${topology}: two browsers play at ${server.url}${headless ? ", unseen, because there is no DISPLAY" : ""}.`);
  console.log("Try: set a b cut=on | set * * delay=50 jitter=20 | stats | lanes | end");
  for await (const line of createInterface({ input: process.stdin })) {
    const command = line.trim();
    if (command === "end") break;
    if (command === "lanes") {
      for (const { tab } of browsers) {
        const { game, lanes } = await snapshot(tab);
        console.log(JSON.stringify({ frame: game?.frame, stalledFrames: game?.stalledFrames, lanes }));
      }
    } else if (command) {
      console.log(await net.tell(command).catch((error) => error.message));
    }
  }
} finally {
  await Promise.all(browsers.map((browser) => browser.close()));
  await server?.stop();
  await net.remove();
}
