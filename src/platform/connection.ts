// What a carried session asks of a connection, whatever its kind (WebSocket, SSE). A connection is a visitor's leg that stays and an
// origin's leg that may be replaced.

import type { Close } from "../core/close-codes.ts";
import type { Frame } from "../core/profile.ts";
import type { Placement } from "../core/protocol.ts";

/** Bytes that all connections of one carrier hold back together. */
export interface Budget {
  add(bytes: number): boolean;
  remove(bytes: number): void;
}

/** An attempt to open an origin's leg. Whoever gets it begins with it or discards it. */
export type Opening =
  | { readonly kind: "open"; readonly begin: () => void; readonly discard: () => void }
  /** The origin answered something else than the leg: its own refusal. */
  | { readonly kind: "answered"; readonly response: Response }
  | { readonly kind: "unreachable" };

export interface Connection {
  /** `false`: the protocol cannot bear a replaced leg; the visitor is told to come back instead. */
  readonly rehomeable: boolean;
  /** The visitor is gone and nothing of theirs is left to deliver. */
  readonly over: boolean;
  /** Whether an origin's leg is there now; once over, whether one was there to the end. */
  readonly legOpen: boolean;
  /** Whether what passes between visitor and origin passes now; nobody of the session has to wait for this one. */
  readonly flowing: boolean;
  /** Frames that have passed, both ways. */
  readonly frameCount: number;
  /** Whether its origin has said nothing for longer than the route allows. Asked now and then. */
  isSilent(nowMs: number): boolean;
  /** Dials; nothing flows before `begin`. Never throws. `abort` ends it any time, and the leg that came of it with it. */
  open(placement: Placement, abort: AbortController): Promise<Opening>;
  /** From now on the visitor's frames are held back. */
  hold(): void;
  /** Resolves once the origin has been quiet for a while (bounded): answers under way have arrived. */
  quiet(): Promise<void>;
  /** What the old leg still says is not delivered, where the protocol wants that. */
  mute(): void;
  /** What was held back goes to the new origin, which is ready for it. */
  flow(): void;
  /** Planned end of the leg: told to close, listened to until it has (bounded). `false`: it did not, and may not have heard everything. */
  closeLeg(): Promise<boolean>;
  /** The leg is lost or must not be heard any more. */
  dropLeg(): void;
  /** What the visitors that stay must be told when this one has left without its origin hearing of it. */
  lastWords(): readonly Frame[];
  /** Something that is said to the visitor in its origin's place. */
  hear(frames: readonly Frame[]): void;
  /** Tells the visitor, and ends. */
  end(close: Close): void;
  /** What the visitor gets once the first leg has begun; given once. */
  response(): Response;
}

/** What a connection tells its session. */
export interface ConnectionEvents {
  /** The origin's leg is gone without the application's word. */
  lost(connection: Connection): void;
  /** A new leg has begun, after so long without one; so many of the visitor's frames were held back. */
  resumed(heldMs: number, heldFrames: number): void;
  /** A new leg's origin is ready for what was held back: the session says when it may flow. */
  ready(connection: Connection): void;
  /** A bound was passed: a connection ends for it. */
  refused(): void;
  /** The connection is over. */
  ended(connection: Connection): void;
}
