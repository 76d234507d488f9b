// What a carried session asks of its carrier, and tells it.

import type { PlaceAnswer, PlaceItem, SessionRef } from "../core/protocol.ts";
import type { Budget } from "./connection.ts";
import type { Handshakes } from "./handshakes.ts";

export interface SessionHost {
  readonly handshakes: Handshakes;
  /** Of what this session may hold back. */
  readonly budget: Budget;
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
