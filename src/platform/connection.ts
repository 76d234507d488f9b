// What a carried session asks of a connection, whatever its kind (WebSocket, SSE). A connection is a visitor's leg that stays and an
// origin's leg that may be replaced.

import type { Close } from "../core/close-codes.ts";
import type { HeaderRecord } from "../core/headers.ts";
import type { Frame, Kept } from "../core/profile.ts";
import type { LiveRequest, Placement } from "../core/protocol.ts";
import type { Kind } from "./handshakes.ts";
import type { Backlog } from "./backlog.ts";

/** Bytes that all connections of one carrier hold back together. */
export interface Budget {
  add(bytes: number): boolean;
  remove(bytes: number): void;
}

/** What a visitor's connection goes on from after its session was parked. Holds tokens: nobody reads it but sealed. */
export interface KeptConnection {
  readonly live: LiveRequest;
  readonly target: string;
  readonly headers: Readonly<HeaderRecord>;
  readonly subprotocol: string | null;
  readonly memory: Kept;
}

/** An attempt to open an origin's leg. Whoever gets it begins with it or discards it. */
export type Opening =
  | { readonly kind: "open"; readonly begin: () => void; readonly discard: () => void }
  /** The origin answered something else than the leg: its own refusal. */
  | { readonly kind: "answered"; readonly response: Response }
  | { readonly kind: "unreachable" };

export interface Connection {
  /** What its legs are, to the queue of handshakes. */
  readonly kind: Kind;
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
  /** When anything last passed, either way; ms since 1970. */
  readonly lastFrameAtMs: number;
  /** The same for what says more than that somebody is still there. */
  readonly busyAtMs: number;
  /** After how long at rest its route parks it; `undefined`: never. */
  readonly parkAfterMs: number | undefined;
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
  closeLeg(why?: Close): Promise<boolean>;
  /** The leg is lost or must not be heard any more. */
  dropLeg(): void;
  /** What the visitors that stay must be told when this one has left without its origin hearing of it. */
  lastWords(): readonly Frame[];
  /** Something that is said to the visitor in its origin's place. */
  hear(frames: readonly Frame[]): void;
  /** What it goes on from after its session was parked; `undefined`: it cannot be parked, or not now. */
  keep(): KeptConnection | undefined;
  /** Its session is parked: it tells nobody anything any more, and leaves the visitor's socket as it is. */
  release(): void;
  /** Tells the visitor, and ends. */
  end(close: Close): void;
  /** What the visitor gets once the first leg has begun; given once. */
  response(): Response;
}

/** Whoever a visitor's socket belongs to at the moment. */
export interface VisitorEvents {
  said(frame: Frame): void;
  closed(close: Close): void;
  /** Without a close frame, or by breaking the protocol. */
  lost(close: Close): void;
}

/** A visitor's socket whose session was parked, and how far its presence was renewed meanwhile. */
export interface ParkedVisitor {
  readonly socket: WebSocket;
  readonly clock: number | undefined;
}

/** Accepts a visitor's socket; from then on its events are told. */
export type AcceptVisitor = (socket: WebSocket, visitor: VisitorEvents) => void;

/** What a WebSocket's connection needs beside its visitor's request. */
export interface Means {
  readonly closeDeadlineMs: number;
  readonly events: ConnectionEvents;
  /** Of what it may hold back. */
  readonly budget: Budget;
  /** Of what waits in its sockets. */
  readonly backlog: Backlog;
  readonly accept: AcceptVisitor;
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
