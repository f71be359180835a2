// Where everybody points is volatile: only now counts. Dots are kept: who was away gets those that it missed.
import { joinRoom } from "/rooms.js";

const board = document.getElementById("board");
const words = { connecting: "Connecting …", joined: "Connected", away: "Connection lost. Coming back …", closed: "Closed" };
const colour = (name) => `hsl(${[...name].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 360, 7)} 70% 50%)`;

// One name a tab, also after a reload.
const name = (sessionStorage.name ??= `guest-${Math.random().toString(36).slice(2, 6)}`);
const { url } = await (await fetch("/where")).json();
const token = async () => {
  const answer = await fetch(`/token?member=${name}`);
  if (!answer.ok) throw new Error(await answer.text());
  return answer.text();
};
const room = joinRoom(url, token, { resume: "start" });
window.room = room;

const place = (element, { x, y }) => {
  element.style.left = `${x * 100}%`;
  element.style.top = `${y * 100}%`;
};

function dot(member, at) {
  const element = Object.assign(document.createElement("div"), { className: "dot" });
  element.style.background = colour(member);
  place(element, at);
  board.append(element);
}

// A room does not send one's own messages back: own dots are this tab's to remember.
const own = JSON.parse(sessionStorage.dots ?? "[]");
for (const at of own) dot(name, at);

const cursors = new Map();
function cursor(member) {
  if (!cursors.has(member)) {
    const element = Object.assign(document.createElement("div"), { className: "cursor" });
    element.style.borderColor = colour(member);
    element.append(Object.assign(document.createElement("span"), { textContent: member }));
    board.append(element);
    cursors.set(member, element);
  }
  return cursors.get(member);
}

room.on("state", (state) => (document.getElementById("state").textContent = words[state]));
room.on("message", ({ from, class: kind, data }) => (kind === "volatile" ? place(cursor(from), data) : dot(from, data)));
room.on("presence", ({ member, state }) => {
  cursors.get(member)?.classList.toggle("away", state === "dropped");
  if (state === "left") cursors.get(member)?.remove(), cursors.delete(member);
});

const where = ({ clientX, clientY }) => {
  const { left, top, width, height } = board.getBoundingClientRect();
  return { x: (clientX - left) / width, y: (clientY - top) / height };
};
let shown = 0;
board.addEventListener("pointermove", (event) => {
  if (event.timeStamp - shown < 33) return;
  shown = event.timeStamp;
  room.send(where(event), { class: "volatile" });
});
board.addEventListener("pointerdown", (event) => {
  const at = where(event);
  dot(name, at);
  sessionStorage.dots = JSON.stringify([...own, at].slice(-200));
  own.push(at);
  room.send(at, { class: "keep" }).catch((error) => (document.getElementById("state").textContent = error.message));
});
