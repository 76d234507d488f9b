// One visitor: a WebSocket that reconnects, as clients do today (a queue while there is no socket, back-off with jitter, no resending, a new
// socket when nothing was heard for long), and the notes of all that went out and came. One that goes between events notes no close.

import { WebSocket } from "ws";
import { numbersIn, pathOf } from "./names.ts";

/** What visitors write down, a row of numbers each; times in ms since 1970. */
export interface Notes {
  /** visitor, n, when it was made */
  readonly made: number[];
  /** visitor, n, when it went out */
  readonly sent: number[];
  /** visitor, whose frame, n, when the answer came */
  readonly answered: number[];
  /** visitor, leg, n, when it came */
  readonly pushed: number[];
  /** visitor, when */
  readonly closed: number[];
  /** session, the last event before the listener's first */
  readonly joined: number[];
  /** session, the event's id, whose it is and which by its data, when it came */
  readonly heard: number[];
  /** session, when its listener's stream ended */
  readonly ended: number[];
}

const BACKOFF_FIRST_MS = 100;
const BACKOFF_MAX_MS = 2_000;
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** Short: libraries give a silent socket up after 30 to 45 s. */
const SILENCE_MAX_MS = 10_000;

export class Visitor {
  readonly #visitor: number;
  readonly #url: string;
  readonly #notes: Notes;
  #socket: WebSocket | undefined;
  #next = 0;
  #queue: number[] = [];
  #retry: NodeJS.Timeout | undefined;
  #failures = 0;
  /** Called when the next socket is open. */
  #whenOpen: (() => void) | undefined;
  /** Not answered yet: when it went out. */
  readonly #outstanding = new Map<number, number>();
  /** When the latest frame that was answered went out. */
  freshAtMs = 0;
  #heardAtMs = 0;

  constructor(visitor: number, url: string, notes: Notes) {
    this.#visitor = visitor;
    this.#url = url + pathOf(visitor);
    this.#notes = notes;
  }

  /** Resolves when the socket is open, at whichever attempt. */
  open(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#whenOpen = resolve;
    this.#connect();
    return promise;
  }

  /** Says its next frame, or keeps it for the next socket. */
  say(nowMs: number): void {
    const n = this.#next++;
    this.#notes.made.push(this.#visitor, n, nowMs);
    const open = this.#socket?.readyState === WebSocket.OPEN;
    if (open && nowMs - this.#heardAtMs > SILENCE_MAX_MS) this.#socket?.terminate();
    if (this.#socket?.readyState === WebSocket.OPEN) this.#send(this.#socket, n, nowMs);
    else this.#queue.push(n);
  }

  /** Whether something that went out before a moment still waits for its answer. */
  waitsSince(beforeMs: number): boolean {
    return [...this.#outstanding.values()].some((sentAtMs) => sentAtMs < beforeMs);
  }

  /** Goes by itself; resolves when the socket is closed. What was not answered by now is forgotten. */
  async leave(): Promise<void> {
    clearTimeout(this.#retry);
    this.#queue = [];
    this.#outstanding.clear();
    const socket = this.#socket;
    this.#socket = undefined;
    if (!socket || socket.readyState === WebSocket.CLOSED) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const impatient = setTimeout(() => socket.terminate(), 2_000);
    socket.once("close", () => resolve());
    socket.close(1000);
    await promise;
    clearTimeout(impatient);
  }

  #connect(): void {
    const socket = new WebSocket(this.#url, { perMessageDeflate: false, handshakeTimeout: HANDSHAKE_TIMEOUT_MS });
    this.#socket = socket;
    let opened = false;
    socket.on("open", () => {
      opened = true;
      this.#failures = 0;
      this.#heardAtMs = Date.now();
      socket.send(`h${this.#visitor}`);
      const nowMs = Date.now();
      for (const n of this.#queue.splice(0)) this.#send(socket, n, nowMs);
      this.#whenOpen?.();
    });
    socket.on("message", (data: Buffer) => this.#heard(data.toString()));
    socket.on("error", () => {}); // a close follows
    socket.on("close", () => {
      if (this.#socket !== socket) return; // it went by itself
      if (opened) this.#notes.closed.push(this.#visitor, Date.now());
      this.#outstanding.clear(); // no other socket will bring their answers
      const waitMs = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** this.#failures++);
      this.#retry = setTimeout(() => this.#connect(), waitMs * (0.5 + Math.random() / 2));
    });
  }

  #send(socket: WebSocket, n: number, nowMs: number): void {
    this.#notes.sent.push(this.#visitor, n, nowMs);
    this.#outstanding.set(n, nowMs);
    socket.send(`v${this.#visitor}.${n}`);
  }

  #heard(frame: string): void {
    const nowMs = Date.now();
    this.#heardAtMs = nowMs;
    const [whose, n] = numbersIn(frame);
    if (frame.startsWith("p")) return void this.#notes.pushed.push(this.#visitor, whose, n, nowMs);
    this.#notes.answered.push(this.#visitor, whose, n, nowMs);
    this.freshAtMs = Math.max(this.freshAtMs, this.#outstanding.get(n) ?? 0);
    this.#outstanding.delete(n);
  }
}
