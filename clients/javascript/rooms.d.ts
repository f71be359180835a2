/** Any value that JSON can hold. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** What a message carries: JSON, or bytes, which arrive as a `Uint8Array`. */
export type Data = Json | ArrayBuffer | Uint8Array;

/** `keep` is not pushed out of the buffer by chatter; `volatile` is for who is there now, and not kept. */
export type MessageClass = "normal" | "keep" | "volatile";

export interface Message {
  data: Json | Uint8Array;
  /** Who sent it; null when it was the application's own server. */
  from: string | null;
  /** The only recipient, or null. */
  to: string | null;
  class: MessageClass;
  /** Its number in the room; null when it is volatile, or when the server is cut off from the others and keeps nothing. */
  sequence: number | null;
  /** Milliseconds since the Unix epoch, by the server's clock. */
  time: number;
}

/** Messages numbered after `after` and before `before` may have been for you, and are gone. */
export interface Gap {
  reason: "buffer" | "epoch";
  after: number;
  before: number;
}

/** `away` while a way back is looked for; `closed` when none will be. */
export type State = "connecting" | "joined" | "away" | "closed";

/** Why a send did not arrive, or whether it did is not known. */
export type SendFailure = "no_such_member" | "not_allowed" | "too_long" | "queue_full" | "unknown" | "closed";

export class RoomError extends Error {
  readonly code: SendFailure;
}

export interface Events {
  /** A message, once and in order. */
  message: Message;
  /** Joined for the first time. */
  joined: { member: string };
  /** Back: `missed` messages come now, after `away` seconds; `gap` tells what does not come. */
  returned: { away: number; missed: number; gap: Gap | null };
  /** Another member came, dropped, came back or left. */
  presence: { member: string; state: "joined" | "dropped" | "returned" | "left" };
  /** The connection's state has changed. */
  state: State;
  /** It is over; `code` is the server's (see docs/protocol.md), or 1000 after `leave()` and `close()`. */
  closed: { code: number; reason: string };
}

export interface Options {
  /** Where to begin: by default after the last acknowledged message, for who was here before, else live. */
  resume?: "live" | "acknowledged" | "start";
  /** The most messages that wait for a connection or an answer [1000]; a send beyond them fails at once. */
  queue?: number;
  /** Milliseconds between two looks at whether the connection still lives [5000]. */
  heartbeat?: number;
}

export interface Room {
  readonly state: State;
  /** Everybody, and whether they are connected. */
  readonly members: ReadonlyMap<string, boolean>;
  /** How many sends wait for an answer. */
  readonly pending: number;
  on<K extends keyof Events>(event: K, listener: (event: Events[K]) => void): () => void;
  /**
   * Sends. Resolves when the server would keep the message though it were killed, with its number (null when the answer
   * was too long ago to know); a volatile message resolves at once, with null. Works while away: what waits is sent
   * when the connection is back, exactly once.
   */
  send(data: Data, options?: { to?: string; class?: MessageClass }): Promise<number | null>;
  /** Leaves for good: the others see `left`. */
  leave(): void;
  /** Goes without leaving: the others see `dropped`, and messages wait for a while. */
  close(): void;
}

/** A token, or how to get one: asked whenever one is needed. */
export type Token = string | (() => string | Promise<string>);

/** Joins a room: `url` is like `wss://example.org/ws/rooms/lesson-7`. Comes back by itself whenever it is dropped. */
export function joinRoom(url: string | URL, token: Token, options?: Options): Room;
