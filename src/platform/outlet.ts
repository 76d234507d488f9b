// A socket's way out: frames are sent without a promise and wait in the runtime for a slow reader. There is no event that says when they are gone,
// so what waits is looked at now and then, and bounded: by itself here, with all others of its carrier by their backlog.

import type { Close } from "../core/close-codes.ts";
import type { Frame } from "../core/profile.ts";
import type { Backlog } from "./backlog.ts";
import { SOCKET_BUFFER_MAX_BYTES, SOCKET_LOOK_BYTES } from "./limits.ts";

export const SLOW_VISITOR = "you read too slowly: please reconnect";
export const SLOW_ORIGIN = "the origin reads too slowly: please reconnect";

export class Outlet {
  readonly socket: WebSocket;
  readonly #backlog: Backlog;
  #onSlow: (() => void) | undefined;
  /** At most what waits: what was seen waiting, and what was sent since. */
  #bytes = 0;
  #unseenBytes = 0;
  #largestBytes = 0;
  /** A look after which no more has been sent than still waits: some of what waited then waits yet. */
  #mark: { readonly atMs: number; sentBytes: number } | undefined;
  #closed = false;

  /** `onSlow`: the carrier has too much to wait for, and this reader has kept it waiting longest. */
  constructor(socket: WebSocket, backlog: Backlog, onSlow: () => void) {
    this.socket = socket;
    this.#backlog = backlog;
    this.#onSlow = onSlow;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Of the messages that may be waiting: a single large one is no slow reader. */
  get largestBytes(): number {
    return Math.min(this.#largestBytes, this.#bytes);
  }

  get waitsSinceMs(): number {
    return this.#mark?.atMs ?? Infinity;
  }

  /** `false` when the reader is so slow that its buffer is full: the frame is not sent. */
  send(frame: Frame): boolean {
    if (this.#closed) return true; // what becomes of the connection is said by whoever closed it
    const bytes = bytesAtMost(frame);
    if (this.#unseenBytes + bytes >= SOCKET_LOOK_BYTES && this.#isFull(bytes)) return false;
    try {
      this.socket.send(frame);
    } catch {
      return true; // it is closing: its close event follows and says what becomes of the connection
    }
    this.#unseenBytes += bytes;
    this.#bytes += bytes;
    if (this.#mark) this.#mark.sentBytes += bytesAtLeast(frame);
    this.#backlog.sent(this, bytes);
    return true;
  }

  /** Closes, or answers a close; `undefined` sends no code. */
  close(close: Close | undefined): void {
    try {
      if (close) this.socket.close(close.code, close.reason);
      else this.socket.close();
    } catch {
      // It is closed already: nothing is left to say.
    }
    if (this.#closed) return;
    this.#closed = true;
    this.#onSlow = undefined; // which holds the connection
    this.#backlog.closed(this);
  }

  /** Its connection is no more, and what waited neither: of such a socket the runtime still says how much it was. */
  lost(): void {
    this.#backlog.lost(this);
    this.#bytes = 0;
    this.#closed = true;
    this.#onSlow = undefined;
  }

  /** Whether anything waits now: a look. */
  get waits(): boolean {
    this.#backlog.lookAt(this);
    return this.#bytes > 0;
  }

  giveUp(): void {
    this.#onSlow?.();
  }

  /**
   * `bufferedAmount` exists since workerd 1.20261117. Without it nothing is known of what waits, since nothing else tells whether a frame has gone: all
   * counts as gone, and nothing is bounded but by the object's memory.
   */
  look(): void {
    const { bufferedAmount: waiting = 0 } = this.socket as { bufferedAmount?: number };
    this.#bytes = waiting;
    this.#unseenBytes = 0;
    if (waiting > 0) return;
    this.#largestBytes = 0;
    this.#mark = undefined;
  }

  /** After a look: whether something has waited since an earlier such question. */
  hasWaited(nowMs: number): boolean {
    if (this.#mark && this.#bytes > this.#mark.sentBytes) return true;
    this.#mark = { atMs: nowMs, sentBytes: 0 };
    return false;
  }

  #isFull(bytes: number): boolean {
    this.#backlog.lookAt(this);
    if (this.#bytes - this.#largestBytes > SOCKET_BUFFER_MAX_BYTES) {
      this.#unseenBytes = SOCKET_LOOK_BYTES; // of a reader that is too slow every frame is looked at
      return true;
    }
    this.#largestBytes = Math.max(this.#largestBytes, bytes);
    return false;
  }
}

/** On the wire: a UTF-16 unit is at most three bytes of UTF-8. */
function bytesAtMost(frame: Frame): number {
  return typeof frame === "string" ? frame.length * 3 : frame.byteLength;
}

function bytesAtLeast(frame: Frame): number {
  return typeof frame === "string" ? frame.length : frame.byteLength;
}
