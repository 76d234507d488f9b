// What waits in all event streams of one carrier for visitors who read slowly. Each has one piece that waits; of large events, or of thousands of
// streams, they would fill the object together. Past the bound those end that have waited longest. Who has only just been written to may be taking
// it: they are spared until the bound is passed twice over.

import { CARRIER_BUFFER_MAX_BYTES } from "./limits.ts";

/** A visitor of an event stream. */
export interface Reader {
  /** They have kept the carrier waiting longest. */
  giveUp(): void;
}

interface Waiting {
  bytes: number;
  readonly sinceMs: number;
}

const SPARED_MS = 1_000;

export class StreamBacklog {
  /** In the order in which they began to wait. */
  readonly #waiting = new Map<Reader, Waiting>();
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  wrote(reader: Reader, bytes: number, nowMs: number): void {
    const waiting = this.#waiting.get(reader);
    if (waiting) waiting.bytes += bytes;
    else this.#waiting.set(reader, { bytes, sinceMs: nowMs });
    this.#bytes += bytes;
    if (this.#bytes > CARRIER_BUFFER_MAX_BYTES) this.#relieve(nowMs);
  }

  /** All of it was taken, or nobody waits for it any longer. */
  over(reader: Reader): void {
    this.#bytes -= this.#waiting.get(reader)?.bytes ?? 0;
    this.#waiting.delete(reader);
  }

  #relieve(nowMs: number): void {
    for (const [reader, { sinceMs }] of this.#waiting) {
      if (this.#bytes <= CARRIER_BUFFER_MAX_BYTES) return;
      if (nowMs - sinceMs < SPARED_MS && this.#bytes <= 2 * CARRIER_BUFFER_MAX_BYTES) return;
      this.over(reader);
      reader.giveUp();
    }
  }
}
