// What waits in all event streams of one carrier: for visitors who read slowly, one piece each, and for the ends of events that are half here. Of large
// events, or of thousands of streams, that would fill the object. Past the bound those end that have waited longest, whoever has come last. Who has only
// just begun to wait may be about to go on: they are spared until the bound is passed twice over.

import { CARRIER_BUFFER_MAX_BYTES } from "./limits.ts";

/** One end of an event stream. */
export interface Waiter {
  /** It has kept the carrier waiting longest. */
  giveUp(): void;
}

interface Waiting {
  bytes: number;
  readonly sinceMs: number;
}

const SPARED_MS = 1_000;

export class StreamBacklog {
  /** In the order in which they began to wait. */
  readonly #waiting = new Map<Waiter, Waiting>();
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** So much waits there now. It, too, may be given up for it. */
  waits(waiter: Waiter, bytes: number, nowMs: number): void {
    if (bytes === 0) return this.over(waiter);
    const waiting = this.#waiting.get(waiter);
    this.#bytes += bytes - (waiting?.bytes ?? 0);
    if (waiting) waiting.bytes = bytes;
    else this.#waiting.set(waiter, { bytes, sinceMs: nowMs });
    if (this.#bytes > CARRIER_BUFFER_MAX_BYTES) this.#relieve(nowMs);
  }

  /** Nothing waits there any longer. */
  over(waiter: Waiter): void {
    this.#bytes -= this.#waiting.get(waiter)?.bytes ?? 0;
    this.#waiting.delete(waiter);
  }

  #relieve(nowMs: number): void {
    for (const [waiter, { sinceMs }] of this.#waiting) {
      if (this.#bytes <= CARRIER_BUFFER_MAX_BYTES) return;
      if (nowMs - sinceMs < SPARED_MS && this.#bytes <= 2 * CARRIER_BUFFER_MAX_BYTES) return;
      this.over(waiter);
      waiter.giveUp();
    }
  }
}
