// The page that tells people of the HTTP API can be used by all of them (WCAG 2.2 AA), and fits a small screen.
import assert from "node:assert/strict";
import { open } from "./lib/browser.mjs";
import { accessible } from "./lib/axe.mjs";
import { serve } from "./lib/server.mjs";

export default async function ({ shot }) {
  const server = await serve();
  const { tab, close } = await open();
  try {
    await tab.goto(`${server.url}/api`);
    await tab.getByText("/api/v1/visits", { exact: false }).first().waitFor();
    await accessible(tab, "the page of the API");
    await shot(tab, "large");
    await tab.setViewportSize({ width: 360, height: 640 });
    await accessible(tab, "the page of the API, small");
    await shot(tab, "small");
    const wide = await tab.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `the page is ${wide} pixels wider than the screen`);
  } finally {
    await close();
    await server.stop();
  }
}
