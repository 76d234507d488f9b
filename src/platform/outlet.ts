// A socket's way out: frames are sent without a promise and wait in the runtime for a slow reader. There is no event that says when they are gone,
// so what waits is looked at now and then, and bounded.

import type { Close } from "../core/close-codes.ts";
import type { Frame } from "../core/profile.ts";
import { SOCKET_BUFFER_MAX_BYTES, SOCKET_LOOK_BYTES } from "./limits.ts";

export class Outlet {
  readonly socket: WebSocket;
  #unseenBytes = 0;
  /** Of the messages that may be waiting: a single large one is no slow reader. */
  #largestBytes = 0;

  constructor(socket: WebSocket) {
    this.socket = socket;
  }

  /** `false` when the reader is so slow that its buffer is full: the frame is not sent. */
  send(frame: Frame): boolean {
    const bytes = bytesAtMost(frame);
    this.#unseenBytes += bytes;
    if (this.#unseenBytes >= SOCKET_LOOK_BYTES && this.#isFull(bytes)) return false;
    try {
      this.socket.send(frame);
    } catch {
      // It is closing: its close event follows and says what becomes of the connection.
    }
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
  }

  /** `bufferedAmount` exists since workerd 1.20261117; without it nothing is known, and nothing bounded. */
  #isFull(bytes: number): boolean {
    const { bufferedAmount: waiting = 0 } = this.socket as { bufferedAmount?: number };
    if (waiting === 0) this.#largestBytes = 0;
    if (waiting - this.#largestBytes > SOCKET_BUFFER_MAX_BYTES) return true;
    this.#unseenBytes = 0; // not before: of a reader that is too slow every frame is looked at
    this.#largestBytes = Math.max(this.#largestBytes, bytes);
    return false;
  }
}

/** On the wire: a UTF-16 unit is at most three bytes of UTF-8. */
function bytesAtMost(frame: Frame): number {
  return typeof frame === "string" ? frame.length * 3 : frame.byteLength;
}
