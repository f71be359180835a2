// WCAG 2.2 AA, as far as a machine can tell.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const source = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

/** Fails when a page has something that some people cannot use. */
export async function accessible(tab, what) {
  // The page's policy runs no script but its own: this comes from outside.
  await tab.evaluate(source);
  const violations = await tab.evaluate(async (tags) => {
    const { violations } = await window.axe.run(document, { runOnly: { type: "tag", values: tags } });
    return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.target.join(" ")).join(", ")}`);
  }, TAGS);
  assert.deepEqual(violations, [], `${what} is not accessible`);
}
