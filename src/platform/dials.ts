// A session's tries to reach its origin: one at a time for each connection, when it is that connection's turn for a handshake. A new
// placement ends them all at once.

import type { Placement } from "../core/protocol.ts";
import { unlessLate } from "./connecting.ts";
import type { Connection, Opening } from "./connection.ts";
import type { Handover } from "./hand-over.ts";
import type { Handshakes, Lane } from "./handshakes.ts";
import { SLOW_HANDSHAKE_MS, TIMED_OUT_MS } from "./limits.ts";
import { outcomeOfStatus, type Detail, type Outcome } from "./outcomes.ts";

interface Means {
  readonly handshakes: Handshakes;
  readonly handover: Handover | undefined;
  /** It takes long: the ring object may look meanwhile. */
  readonly slow: (placement: Placement) => void;
  /** What became of it, where that says something of the origin. */
  readonly told: (placement: Placement, outcome: Outcome, detail: Omit<Detail, "lot">) => void;
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
    const { handshakes, handover, slow: tell, told } = this.#means;
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
        const tookMs = Date.now() - dialledAtMs;
        const timedOut = tookMs >= TIMED_OUT_MS;
        const outcome = outcomeOf(opening, timedOut, dial.signal.aborted);
        // The headers of a stream may take as long as its origin likes.
        if (outcome) told(placement, outcome, opening.kind === "answered" ? { isError: true } : connection.kind === "socket" ? { tookMs } : {});
        return { opening, timedOut };
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

/** `undefined`: it was given up by us. */
function outcomeOf(opening: Opening, timedOut: boolean, aborted: boolean): Outcome | undefined {
  if (opening.kind === "open") return "ok";
  if (opening.kind === "answered") return outcomeOfStatus(opening.response.status);
  if (timedOut) return "timeout";
  return aborted ? undefined : "origin-fault";
}
