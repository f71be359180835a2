// The HTTP API against its own description (H2): schemathesis makes requests that the document allows and others that
// it does not, and finds no answer that the document does not have, and no error of the server's own.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFile, cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import WebSocket from "ws";
import { serve } from "./lib/server.mjs";

const SCHEMATHESIS = resolve(process.env.INTERPLAY_TARGET ?? "target/release", "../schemathesis/bin/st");
/** Of each operation; more with INTERPLAY_EXAMPLES. */
const EXAMPLES = process.env.INTERPLAY_EXAMPLES ?? "40";

/** A socket that says something at once, until a message of a type comes. */
async function told(url, hello, type) {
  const socket = new WebSocket(url.replace("http", "ws"));
  socket.on("open", () => socket.send(JSON.stringify(hello)));
  const message = await new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.on("close", (code) => reject(new Error(`closed with ${code}`)));
    socket.on("message", (text) => {
      const said = JSON.parse(text);
      if (said.type === "activate_scene") socket.send(JSON.stringify({ type: "advance_scene", sceneId: said.scene.id }));
      if (said.type === type) resolve(said);
    });
  });
  return { socket, message };
}

export default async function ({ say }) {
  const folder = await mkdtemp(join(tmpdir(), "interplay-api-"));
  // The demo, with a picture in its text.
  const study = join(folder, "study");
  const picture = "<svg xmlns=\"http://www.w3.org/2000/svg\"/>";
  await cp(join(import.meta.dirname, "../experiments/tag"), study, { recursive: true, filter: (path) => !/\/(src|target)$/.test(path) });
  await writeFile(join(study, "picture.svg"), picture);
  await appendFile(join(study, "welcome.md"), "\n![](picture.svg)\n");
  const server = await serve([], { folder: study });
  const sockets = [];
  try {
    const key = (await readFile(join(server.data, "api-key"), "utf8")).trim();
    const post = async (path, body) => {
      const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
      const answer = await fetch(server.url + path, { method: "POST", headers, body: JSON.stringify(body) });
      assert.equal(answer.status, 201);
      return answer.json();
    };
    // What exists: a room with a member, and a game with its seats.
    const { token } = await post("/api/v1/tokens", { room: "fixed", member: "ann" });
    sockets.push((await told(`${server.url}/ws/rooms/fixed`, { type: "join", protocol: 1, token }, "joined")).socket);
    const visits = [await post("/api/v1/visits", {}), await post("/api/v1/visits", {})];
    const games = await Promise.all(visits.map(({ token }, page) => told(`${server.url}/ws`, { type: "hello", protocol: 1, token, page }, "game_start")));
    sockets.push(...games.map(({ socket }) => socket));

    const quoted = (text) => JSON.stringify(text);
    const settings = `
[auth.openapi.api_key]
bearer = ${quoted(key)}
[auth.openapi.room_token]
bearer = ${quoted(token)}
[auth.openapi.visit_token]
bearer = ${quoted(visits[0].token)}
[[operations]]
include-tag = "Rooms, for a member"
parameters = { room_id = "fixed" }
[[operations]]
include-path = "/api/v1/games/{game}/records"
parameters = { game = ${quoted(games[0].message.gameId)} }
# A batch is more than any bytes; its format is in docs/protocol.md, and has tests of its own.
checks = { positive_data_acceptance = { enabled = false } }
[[operations]]
include-path = "/files/{name}"
parameters = { name = "${createHash("sha256").update(picture).digest("hex")}.svg" }
[[operations]]
include-path = "/api/v1/games/{game}/inputs"
parameters = { game = ${quoted(games[0].message.gameId)} }
`;
    await writeFile(join(folder, "schemathesis.toml"), settings);
    const words = ["--config-file", "schemathesis.toml", "run", `${server.url}/api/v1/openapi.json`, "--no-color", "--max-examples", EXAMPLES];
    if (!process.env.INTERPLAY_EXAMPLES) words.push("--seed", "1", "--generation-deterministic");
    const child = spawn(SCHEMATHESIS, words, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (said += chunk));
    const code = await new Promise((resolve, reject) => child.once("exit", resolve).once("error", reject));
    assert.equal(code, 0, said);
    const [, cases] = said.match(/(\d+) generated, \d+ passed/);
    const [, operations] = said.match(/Tested: (\d+)/);
    const { paths } = await (await fetch(`${server.url}/api/v1/openapi.json`)).json();
    assert.equal(Number(operations), Object.values(paths).flatMap(Object.keys).length, said);
    assert.ok(!said.includes("only 401/403") && !said.includes("Missing test data"), said);
    assert.equal(server.log().match(/ERROR/), null, server.log());
    say(`${cases} requests to ${operations} operations: no failure`);
  } finally {
    for (const socket of sockets) socket.removeAllListeners("close").terminate();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}
