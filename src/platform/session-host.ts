// What a carried session asks of its carrier, and tells it.

import type { PlaceAnswer, PlaceItem, Placement, SessionRef } from "../core/protocol.ts";
import type { Budget, Connection, KeptConnection } from "./connection.ts";
import type { Handshakes } from "./handshakes.ts";
import type { Detail, Outcome } from "./outcomes.ts";

/** Keeps the visitors of a session that has no origin's legs for a while. */
export interface Keeper {
  seal(kept: readonly KeptConnection[]): Promise<readonly Uint8Array[]>;
  /** At once: what was sealed is theirs, in the same order. */
  keep(placement: Placement, connections: readonly Connection[], sealed: readonly Uint8Array[]): void;
}

export interface SessionHost {
  readonly handshakes: Handshakes;
  /** Of what this session may hold back. */
  readonly budget: Budget;
  /** What became of a handshake, where that says something of its origin. */
  dialled(placement: Placement, outcome: Outcome, detail: Detail): void;
  place(item: PlaceItem): Promise<PlaceAnswer>;
  /** The last connection is over; `fence` is that of its placement, if it had one. */
  emptied(ref: SessionRef, fence: number | undefined): void;
  /** The number of connections or their origin changed. */
  changed(): void;
  /** A connection more (1) or fewer (−1). */
  counted(change: 1 | -1): void;
  /** A connection ends because a bound was passed. */
  refused(): void;
  /** A connection had no origin for so long, and so many of its visitor's frames were held back. */
  resumed(heldMs: number, heldFrames: number): void;
}
