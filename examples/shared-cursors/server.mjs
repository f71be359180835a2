// The application's own server: serves the page, and asks Interplay for a token for whoever comes.
//
//   INTERPLAY_API_KEY=$(cat interplay-data/api-key) node examples/shared-cursors/server.mjs
//
// Interplay must let pages of this server join: `interplay demo --allow-origin http://127.0.0.1:3000`.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

const interplay = process.env.INTERPLAY_URL ?? "http://127.0.0.1:8080";
const key = process.env.INTERPLAY_API_KEY;
const port = Number(process.env.PORT ?? 3000);
const host = process.env.HOST ?? "127.0.0.1";
const room = "board";
const here = import.meta.dirname;
const files = {
  "/": ["index.html", "text/html"],
  "/style.css": ["style.css", "text/css"],
  "/app.js": ["app.js", "text/javascript"],
  "/rooms.js": ["../../clients/javascript/rooms.js", "text/javascript"],
};

async function token(member) {
  const answer = await fetch(`${interplay}/api/v1/tokens`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${key}` },
    body: JSON.stringify({ room, member, expires_in: 3600 }),
  });
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.detail);
  return told.token;
}

const server = createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url, "http://here");
  const answer = (status, type, body) => response.writeHead(status, { "Content-Type": `${type}; charset=utf-8` }).end(body);
  try {
    if (pathname in files) {
      const [file, type] = files[pathname];
      answer(200, type, await readFile(join(here, file)));
    } else if (pathname === "/where") {
      answer(200, "application/json", JSON.stringify({ url: `${interplay}/ws/rooms/${room}` }));
    } else if (pathname === "/token") {
      answer(200, "text/plain", await token(searchParams.get("member")));
    } else {
      answer(404, "text/plain", "there is nothing here");
    }
  } catch (error) {
    answer(502, "text/plain", error.message);
  }
});
server.listen(port, host, () => console.log(`Open http://${host}:${port}`));
