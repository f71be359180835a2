// In which language a page is: every word of it, seen or only heard.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

/** The texts of a language, by name. A line's text is in JSON's quotes as well as in TOML's. */
export async function texts(language) {
  const file = await readFile(join(import.meta.dirname, `../../texts/${language}.toml`), "utf8");
  return Object.fromEntries([...file.matchAll(/^(\w+) = (".*")$/gm)].map(([, name, text]) => [name, JSON.parse(text)]));
}

/** What there is to read, to hear and in the tab's title; what is for browsers without scripts is not for this one. */
const everything = (tab) => tab.evaluate(() => {
  const said = [document.title];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) if (!walker.currentNode.parentElement.closest("script, noscript")) said.push(walker.currentNode.data);
  for (const element of document.querySelectorAll("[aria-label], [alt], [title], [placeholder]")) {
    for (const name of ["aria-label", "alt", "title", "placeholder"]) said.push(element.getAttribute(name) ?? "");
  }
  return said.map((text) => text.trim()).filter(Boolean);
});

/** A check that a page is in one language: it says so, and has nothing of another one's texts, shown or hidden. */
export async function speaks(language, not) {
  const [own, others] = await Promise.all([texts(language), texts(not)]);
  assert.ok(Object.keys(own).length > 100);
  // What stands between placeholders. A sign is no word.
  const parts = (text) => text.split(/\{\w+\}|\n/).map((part) => part.trim()).filter((part) => /\p{L}{2}/u.test(part));
  const ours = new Set(Object.values(own).flatMap(parts));
  const foreign = [...new Set(Object.values(others).flatMap(parts))].filter((part) => !ours.has(part));
  const escape = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const patterns = foreign.map((part) => [part, new RegExp(`(?<![\\p{L}\\p{N}-])${escape(part)}(?![\\p{L}\\p{N}-])`, "u")]);
  return async (tab, what) => {
    assert.equal(await tab.evaluate(() => document.documentElement.lang), language, `${what} is not said to be in ${language}`);
    const said = await everything(tab);
    assert.ok(said.length > 3, `${what} says nothing`);
    const found = said.flatMap((text) => patterns.filter(([, pattern]) => pattern.test(text)).map(([part]) => `${part}: ${text}`));
    assert.deepEqual(found, [], `${what} has words of ${not}`);
  };
}
