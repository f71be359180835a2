// Rooms whose messages survive reconnection: the browser's client. docs/protocol.md has what goes over the wire.

const PROTOCOL = 1;
/** Acknowledge at the latest after so many messages, or so many milliseconds. */
const ACKNOWLEDGE_AFTER = 32;
const ACKNOWLEDGE_WITHIN = 1000;
/** Milliseconds before the second attempt to come back, doubled for each further one, up to the most. */
const BACKOFF = 500;
const BACKOFF_MOST = 15000;
const ATTEMPT_LIMIT = 10000;
/** How much of what the server allows is used when a long queue is sent: its clock is another. */
const SHARE = 0.75;
const TOKEN_EXPIRED = 4005;

/** Why a send did not arrive, or whether it did is not known. */
export class RoomError extends Error {
  constructor(code, message) {
    super(message);
    this.name = "RoomError";
    this.code = code;
  }
}

const WORDS = {
  no_such_member: "the room has no such member",
  not_allowed: "the token does not allow sending",
  too_long: "the message is longer than the server's limit",
  queue_full: "too many messages wait for the connection",
  unknown: "the room began anew before the answer came: whether the message arrived is not known",
  closed: "the room is closed",
};

const failure = (code) => new RoomError(code, WORDS[code] ?? code);

const randomName = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** What fails in the application is the application's to see, and keeps nothing here from going on. */
const report = (error) => setTimeout(() => { throw error; });

const isBytes = (data) => data instanceof ArrayBuffer || ArrayBuffer.isView(data);

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What a message carries, as it is now: the text of its JSON, or a copy of its bytes. */
function payload(data) {
  // What JSON does not have is null, as within an array.
  if (!isBytes(data)) return JSON.stringify(data) ?? "null";
  return ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice() : new Uint8Array(data.slice());
}

const size = (carried) => (typeof carried === "string" ? encoder.encode(carried) : carried).length;

/** A send as a WebSocket takes it: text, or a header's length, the header and the bytes. */
function frame(header, carried) {
  const head = JSON.stringify({ type: "send", ...header });
  if (typeof carried === "string") return `${head.slice(0, -1)},"data":${carried}}`;
  const bytes = encoder.encode(head);
  const whole = new Uint8Array(2 + bytes.length + carried.length);
  new DataView(whole.buffer).setUint16(0, bytes.length);
  whole.set(bytes, 2);
  whole.set(carried, 2 + bytes.length);
  return whole;
}

function parse(data) {
  if (typeof data === "string") return JSON.parse(data);
  const length = new DataView(data).getUint16(0);
  const header = JSON.parse(decoder.decode(new Uint8Array(data, 2, length)));
  return { ...header, data: new Uint8Array(data, 2 + length) };
}

export function joinRoom(url, token, options = {}) {
  return new Room(url, token, options);
}

class Room {
  #url;
  #token;
  #options;
  #listeners = new Map();
  #state = "connecting";
  #members = new Map();

  /** The present socket; what an older one says is not heard. */
  #socket = null;
  #attempts = 0;
  #generation = 0;
  #retry;
  #limit;
  #heartbeat;
  #heard = 0;
  #asked = 0;

  /** Where to go on: {epoch, last, connection}. */
  #place = null;
  #returned = null;
  #acknowledged = 0;
  #acknowledging;

  #sender = randomName();
  #counter = 0;
  /** Sends without an answer, in order: {n, carried, to, class, resolve, reject, tried, socket}. */
  #pending = [];
  /** What the server allows, as it says in `joined`. */
  #limits = null;
  #budget = { messages: 0, bytes: 0, at: 0 };
  #pacing;
  #wake = () => this.#hurry();

  constructor(url, token, { resume, queue = 1000, heartbeat = 5000 }) {
    this.#url = new URL(url, globalThis.location?.href);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    this.#token = token;
    this.#options = { resume, queue, heartbeat };
    globalThis.addEventListener?.("online", this.#wake);
    globalThis.addEventListener?.("pageshow", this.#wake);
    this.#connect();
  }

  get state() { return this.#state; }
  get members() { return this.#members; }
  get pending() { return this.#pending.length; }

  on(event, listener) {
    if (!this.#listeners.has(event)) this.#listeners.set(event, new Set());
    this.#listeners.get(event).add(listener);
    return () => this.#listeners.get(event).delete(listener);
  }

  send(data, { to, class: kind = "normal" } = {}) {
    if (this.#state === "closed") return Promise.reject(failure("closed"));
    const carried = payload(data);
    if (this.#isTooLong(carried)) return Promise.reject(failure("too_long"));
    if (kind === "volatile") {
      // It is for now: what cannot leave now is worth nothing later.
      if (this.#state === "joined" && this.#socket.bufferedAmount < 65536) {
        const whole = frame({ class: kind, to }, carried);
        // Those that count go first.
        if (!this.#pacing && this.#spend(size(whole))) this.#socket.send(whole);
      }
      return Promise.resolve(null);
    }
    if (this.#pending.length >= this.#options.queue) return Promise.reject(failure("queue_full"));
    return new Promise((resolve, reject) => {
      this.#counter += 1;
      this.#pending.push({ n: this.#counter, carried, to, class: kind, resolve, reject, tried: false, socket: null });
      this.#flush();
    });
  }

  leave() {
    if (this.#state === "joined") this.#socket.send('{"type":"leave"}');
    this.#end(1000, "left");
  }

  close() {
    if (this.#state === "joined") this.#acknowledge();
    this.#end(1000, "closed");
  }

  /** A message that the server would not take: it closes connections that send much more. */
  #isTooLong(carried) {
    return this.#limits !== null && size(carried) > this.#limits.message_bytes;
  }

  #emit(event, detail) {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) {
      // A listener that fails must not keep the next message from being heard.
      try {
        listener(detail);
      } catch (error) {
        report(error);
      }
    }
  }

  #become(state) {
    if (this.#state === state) return;
    this.#state = state;
    this.#emit("state", state);
  }

  async #connect() {
    this.#attempts += 1;
    const generation = (this.#generation += 1);
    let token;
    try {
      token = typeof this.#token === "function" ? await this.#token() : this.#token;
    } catch (error) {
      report(error);
    }
    if (this.#state === "closed" || generation !== this.#generation) return;
    if (token === undefined) return this.#again();
    const socket = new WebSocket(this.#url);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    // A socket that neither opens nor fails is given up.
    this.#limit = setTimeout(() => this.#lost(socket), ATTEMPT_LIMIT);
    socket.onopen = () => {
      const place = this.#place;
      const resume = place ? { after: { epoch: place.epoch, sequence: place.last } } : this.#options.resume;
      socket.send(JSON.stringify({ type: "join", protocol: PROTOCOL, token, sender: this.#sender, resume, after: place?.connection }));
    };
    socket.onmessage = ({ data }) => socket === this.#socket && this.#hear(parse(data));
    socket.onclose = ({ code, reason }) => socket === this.#socket && this.#closed(code, reason);
  }

  /** The socket is dead, whatever it says. */
  #lost(socket) {
    if (socket !== this.#socket) return;
    socket.onclose = socket.onmessage = null;
    socket.close();
    this.#closed(1006, "");
  }

  #closed(code, reason) {
    this.#socket = null;
    clearTimeout(this.#limit);
    clearInterval(this.#heartbeat);
    clearTimeout(this.#acknowledging);
    this.#acknowledging = undefined;
    const renewable = code === TOKEN_EXPIRED && typeof this.#token === "function";
    // 40xx means stop, and so it does before anything was joined; everything else, come back.
    if (code >= 4000 && code < 4100 && !renewable) this.#end(code, reason);
    else this.#again();
  }

  #again() {
    this.#become(this.#place ? "away" : "connecting");
    // The first attempt comes at once, but not everybody's in the same moment.
    const most = this.#attempts <= 1 ? BACKOFF : Math.min(BACKOFF * 2 ** (this.#attempts - 1), BACKOFF_MOST);
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#connect(), Math.random() * most);
  }

  /** The network is back, or the page: no reason to wait. */
  #hurry() {
    if (this.#state === "closed") return;
    if (this.#state === "joined") return this.#beat();
    if (this.#socket === null) {
      clearTimeout(this.#retry);
      this.#attempts = 0;
      this.#connect();
    }
  }

  #end(code, reason) {
    if (this.#state === "closed") return;
    const socket = this.#socket;
    this.#socket = null;
    this.#generation += 1;
    for (const timer of [this.#retry, this.#limit, this.#acknowledging, this.#pacing]) clearTimeout(timer);
    clearInterval(this.#heartbeat);
    globalThis.removeEventListener?.("online", this.#wake);
    globalThis.removeEventListener?.("pageshow", this.#wake);
    socket?.close(1000);
    this.#become("closed");
    for (const { reject, tried } of this.#pending.splice(0)) reject(failure(tried ? "unknown" : "closed"));
    this.#emit("closed", { code, reason });
  }

  #beat() {
    // Nothing since the last question: nobody is there.
    if (this.#heard < this.#asked) return this.#lost(this.#socket);
    this.#asked = performance.now();
    this.#socket.send('{"type":"ping"}');
  }

  #hear(said) {
    this.#heard = performance.now();
    switch (said.type) {
      case "reconnection-detected":
        this.#returned = said;
        break;
      case "joined":
        this.#joined(said);
        break;
      case "message":
        this.#message(said);
        break;
      case "sent":
        this.#answer(said.n, ({ resolve }) => resolve(said.sequence));
        break;
      case "refused":
        this.#answer(said.n, ({ reject }) => reject(failure(said.code)));
        break;
      case "presence":
        if (said.state === "left") this.#members.delete(said.member);
        else this.#members.set(said.member, said.state !== "dropped");
        this.#emit("presence", { member: said.member, state: said.state });
        break;
      case "tip":
        // The last message was lost on the way: it is fetched.
        if (said.sequence > this.#place.last) this.#lost(this.#socket);
        break;
      case "token-expiring":
        this.#renew();
        break;
    }
  }

  #joined({ member, epoch, connection, position, members, limits }) {
    clearTimeout(this.#limit);
    this.#limits = limits;
    this.#budget = { messages: Infinity, bytes: Infinity, at: performance.now() };
    const long = this.#pending.filter(({ carried }) => this.#isTooLong(carried));
    this.#pending = this.#pending.filter((send) => !long.includes(send));
    for (const { reject } of long) reject(failure("too_long"));
    this.#attempts = 0;
    this.#members = new Map(members.map((other) => [other.member, other.is_connected]));
    const anew = this.#place !== null && this.#place.epoch !== epoch;
    const first = this.#place === null;
    this.#place = { epoch, last: position, connection };
    this.#acknowledged = position;
    if (anew) {
      // Another epoch: what was on its way may have arrived in the old one, or not.
      const lost = this.#pending.filter(({ tried }) => tried);
      this.#pending = this.#pending.filter(({ tried }) => !tried);
      for (const { reject } of lost) reject(failure("unknown"));
    }
    this.#asked = 0;
    this.#heartbeat = setInterval(() => this.#beat(), this.#options.heartbeat);
    const returned = this.#returned;
    this.#returned = null;
    this.#become("joined");
    if (first) this.#emit("joined", { member });
    if (returned) {
      const { disconnect_duration: away, missed_message_count: missed, gap } = returned;
      this.#emit("returned", { away, missed, gap });
    }
    this.#flush();
  }

  #message({ sequence = null, prev, from = null, to = null, class: kind, time, data }) {
    if (sequence !== null) {
      if (prev !== this.#place.last) return this.#lost(this.#socket);
      this.#place.last = sequence;
    }
    this.#emit("message", { data, from, to, class: kind, sequence, time });
    // Acknowledged is what listeners have had.
    if (sequence === null || this.#state !== "joined") return;
    if (sequence - this.#acknowledged >= ACKNOWLEDGE_AFTER) this.#acknowledge();
    else this.#acknowledging ??= setTimeout(() => this.#acknowledge(), ACKNOWLEDGE_WITHIN);
  }

  #acknowledge() {
    clearTimeout(this.#acknowledging);
    this.#acknowledging = undefined;
    if (this.#state !== "joined" || this.#place.last === this.#acknowledged) return;
    this.#acknowledged = this.#place.last;
    this.#socket.send(JSON.stringify({ type: "ack", sequence: this.#acknowledged }));
  }

  #answer(n, settle) {
    const at = this.#pending.findIndex((send) => send.n === n);
    if (at >= 0) settle(this.#pending.splice(at, 1)[0]);
  }

  async #renew() {
    if (typeof this.#token !== "function") return;
    try {
      const token = await this.#token();
      if (this.#state === "joined") this.#socket.send(JSON.stringify({ type: "renew", token }));
    } catch (error) {
      report(error);
    }
  }

  /** Takes a message out of what the server allows, if there is enough. */
  #spend(bytes) {
    const budget = this.#budget;
    const now = performance.now();
    const seconds = (now - budget.at) / 1000;
    const refill = (left, each) => Math.min(left + seconds * each * SHARE, Math.max(1, each * SHARE));
    budget.messages = refill(budget.messages, this.#limits.messages_per_second);
    budget.bytes = refill(budget.bytes, this.#limits.bytes_per_second);
    budget.at = now;
    // One that is greater than what is ever saved up leaves when all of that is there.
    const enough = Math.min(bytes, this.#limits.bytes_per_second * SHARE);
    if (budget.messages < 1 || budget.bytes < enough) return false;
    budget.messages -= 1;
    budget.bytes -= bytes;
    return true;
  }

  /** Sends what this socket has not been given yet, no faster than the server takes it. */
  #flush() {
    if (this.#state !== "joined" || this.#pacing) return;
    for (const send of this.#pending) {
      if (send.socket === this.#socket) continue;
      const whole = frame({ n: send.n, class: send.class, to: send.to }, send.carried);
      if (!this.#spend(size(whole))) {
        this.#pacing = setTimeout(() => {
          this.#pacing = undefined;
          this.#flush();
        }, 50);
        return;
      }
      send.socket = this.#socket;
      send.tried = true;
      this.#socket.send(whole);
    }
  }
}
