// A session's tries to reach its origin: one at a time for each connection, when it is that connection's turn for a handshake. A new
// placement ends them all at once.

import type { Placement } from "../core/protocol.ts";
import { unlessLate } from "./connecting.ts";
import type { Connection, Opening } from "./connection.ts";
import type { Handover } from "./hand-over.ts";
import type { Handshakes, Lane } from "./handshakes.ts";
import { SLOW_HANDSHAKE_MS, TIMED_OUT_MS } from "./limits.ts";

interface Means {
  readonly handshakes: Handshakes;
  readonly handover: Handover | undefined;
  /** It takes long: the ring object may look meanwhile. */
  readonly slow: (placement: Placement) => void;
}

/** `full`: too many others wait. `timedOut`: the origin had all of its time, and nobody waits for as long once more. */
export type Dialled = { readonly opening: Opening | "full"; readonly timedOut: boolean };

const NOT_DIALLED: Dialled = { opening: { kind: "unreachable" }, timedOut: false };

export class Dials {
  readonly #means: Means;
  readonly #underWay = new Map<Connection, AbortController>();

  constructor(means: Means) {
    this.#means = means;
  }

  abort(connection: Connection): void {
    this.#underWay.get(connection)?.abort();
  }

  abortAll(): void {
    for (const dial of this.#underWay.values()) dial.abort();
  }

  async dial(connection: Connection, lane: Lane, placement: Placement, deadlineMs: number): Promise<Dialled> {
    const { handshakes, handover, slow: tell } = this.#means;
    const dial = new AbortController();
    this.#underWay.set(connection, dial);
    const late = setTimeout(() => dial.abort(), Math.max(0, deadlineMs - Date.now()));
    let slow: ReturnType<typeof setTimeout> | undefined;
    try {
      if (handover && !(await unlessLate(handover.take(placement), deadlineMs))) return NOT_DIALLED;
      const release = await handshakes.take(lane, placement.origin, dial.signal, connection.kind);
      if (release === "full") return { opening: "full", timedOut: false };
      if (release === "aborted") return NOT_DIALLED;
      slow = setTimeout(() => tell(placement), SLOW_HANDSHAKE_MS);
      const dialledAtMs = Date.now();
      try {
        const opening = await connection.open(placement, dial);
        return { opening, timedOut: Date.now() - dialledAtMs >= TIMED_OUT_MS };
      } finally {
        release();
      }
    } finally {
      clearTimeout(late);
      if (slow !== undefined) clearTimeout(slow);
      if (this.#underWay.get(connection) === dial) this.#underWay.delete(connection);
    }
  }
}
