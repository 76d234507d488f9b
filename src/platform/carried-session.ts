// A carried session: all live connections of one key, which are at one origin, or between two. It moves as a whole: taking a new
// placement drops every leg of the old one before the first reaches the new. Placements are obeyed by fence: the largest wins.

import { RESTART, STALE_HANDSHAKE, type Close } from "../core/close-codes.ts";
import type { LeaveItem, PlaceAnswer, PlaceItem, Placement, SessionRef } from "../core/protocol.ts";
import type { Connection, ConnectionEvents, Opening } from "./connection.ts";
import { ARRIVAL_DEADLINE_MS, delay, MOVE_DEADLINE_MS, RECONNECT_BACKOFF_MS, RECONNECT_DEADLINE_MS, RESETS_MAX, RESETS_WINDOW_MS } from "./limits.ts";

type Refusal = Extract<PlaceAnswer, { kind: "refused" }>;

/** How an arrival or a reconnection came out. */
export type Connected =
  | { readonly kind: "connected" }
  | { readonly kind: "answered"; readonly response: Response }
  | { readonly kind: "refused"; readonly why: Refusal["why"] }
  | { readonly kind: "unreachable" };

export interface SessionHost {
  place(item: PlaceItem): Promise<PlaceAnswer>;
  /** The last connection is over; `fence` is that of its placement, if it had one. */
  emptied(ref: SessionRef, fence: number | undefined): void;
  /** The number of connections or their origin changed. */
  changed(): void;
}

export class CarriedSession implements ConnectionEvents {
  readonly ref: SessionRef;
  readonly #claim: PlaceItem["claim"];
  readonly #host: SessionHost;
  readonly #connections = new Set<Connection>();
  readonly #connecting = new Set<Connection>();
  readonly #resets = new Map<Connection, { count: number; readonly sinceMs: number }>();
  #placement: Placement | undefined;
  #asking: Promise<Refusal | undefined> | undefined;
  #pause: PromiseWithResolvers<void> | undefined;
  #over = false;

  constructor(ref: SessionRef, claim: PlaceItem["claim"], host: SessionHost) {
    this.ref = ref;
    this.#claim = claim;
    this.#host = host;
  }

  get placement(): Placement | undefined {
    return this.#placement;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** A new visitor's connection: placed, dialled and answered for. */
  async arrive(connection: Connection): Promise<Connected> {
    this.#connections.add(connection);
    const outcome = await this.#connect(connection, { first: true });
    if (outcome.kind !== "connected") this.#forget(connection);
    this.#host.changed();
    return outcome;
  }

  /** First phase of a move: holds the visitors' frames and takes every leg off the old origin. Resolves when all have left. */
  async leave({ fence, planned }: LeaveItem): Promise<void> {
    if (!this.#placement || fence < this.#placement.fence) return; // we are past that placement already
    this.#holdAll();
    const pause = this.#pause;
    const staying = this.#endUnbearing();
    if (planned) {
      await Promise.all(staying.map((connection) => connection.quiet()));
      if (this.#pause !== pause) return; // `enter` came first, and has dropped the old legs: the new ones are not ours to close
      for (const connection of staying) connection.mute();
      await Promise.all(staying.map((connection) => connection.closeLeg()));
    } else {
      for (const connection of staying) connection.dropLeg();
    }
    // Dials to the old origin that are under way never begin: each is discarded when it is through.
  }

  /** Second phase, or the ring object's word at any time: from now on the session is there. */
  enter(placement: Placement): void {
    if (this.#placement && placement.fence <= this.#placement.fence) return;
    this.#placement = placement;
    for (const connection of this.#endUnbearing()) {
      connection.hold();
      connection.dropLeg();
    }
    this.#resume();
    this.#host.changed();
  }

  /** Ends every connection: nobody can take the session. The visitors come back, and are told. */
  expel(): void {
    for (const connection of this.#connections) connection.end(RESTART);
  }

  lost(connection: Connection): void {
    if (!connection.rehomeable || this.#resetsOf(connection) > RESETS_MAX) return connection.end(RESTART);
    connection.hold();
    void this.#reconnect(connection); // never rejects: its outcome is told to the visitor
  }

  ended(connection: Connection): void {
    // In a move the old origin's last words are muted, and without a leg no origin has any: the others are told by us who left.
    const unheard = this.#pause !== undefined || !connection.legOpen;
    if (unheard) for (const other of this.#connections) if (other !== connection) other.hear(connection.lastWords());
    this.#forget(connection);
    this.#host.changed();
  }

  #resetsOf(connection: Connection): number {
    const nowMs = Date.now();
    const known = this.#resets.get(connection);
    const resets = known && nowMs - known.sinceMs < RESETS_WINDOW_MS ? known : { count: 0, sinceMs: nowMs };
    resets.count++;
    this.#resets.set(connection, resets);
    return resets.count;
  }

  #forget(connection: Connection): void {
    this.#connections.delete(connection);
    this.#resets.delete(connection);
    if (this.#connections.size > 0 || this.#over) return;
    this.#over = true;
    this.#pause?.resolve();
    this.#pause = undefined;
    this.#host.emptied(this.ref, this.#placement?.fence);
  }

  #holdAll(): void {
    if (!this.#pause) {
      this.#pause = Promise.withResolvers();
      const { promise } = this.#pause;
      void this.#endPause(promise); // never rejects
    }
    for (const connection of this.#connections) if (connection.legOpen) connection.hold();
  }

  /** Without `enter` the ring object was lost in mid-move: the session asks it where it is now. */
  async #endPause(pause: Promise<void>): Promise<void> {
    await Promise.race([pause, delay(MOVE_DEADLINE_MS)]);
    if (this.#over || this.#pause?.promise !== pause) return;
    await this.#ask([]);
    if (this.#pause?.promise === pause) this.#resume();
  }

  #resume(): void {
    this.#pause?.resolve();
    this.#pause = undefined;
    for (const connection of this.#connections) if (!connection.legOpen) void this.#reconnect(connection);
  }

  /** Tells those visitors to come back whose protocol cannot bear a new leg; the others are returned. */
  #endUnbearing(): Connection[] {
    const open = [...this.#connections].filter((connection) => connection.legOpen);
    for (const connection of open) if (!connection.rehomeable) connection.end(RESTART);
    return open.filter((connection) => connection.rehomeable);
  }

  async #reconnect(connection: Connection): Promise<void> {
    if (this.#connecting.has(connection)) return;
    const outcome = await this.#connect(connection, { first: false });
    if (outcome.kind !== "connected") connection.end(farewell(outcome));
  }

  async #connect(connection: Connection, { first }: { first: boolean }): Promise<Connected> {
    this.#connecting.add(connection);
    try {
      return await this.#connectUntil(connection, first, Date.now() + (first ? ARRIVAL_DEADLINE_MS : RECONNECT_DEADLINE_MS));
    } finally {
      this.#connecting.delete(connection);
    }
  }

  async #connectUntil(connection: Connection, first: boolean, deadlineMs: number): Promise<Connected> {
    let failures = 0;
    let failedFence = 0;
    if ((this.#resets.get(connection)?.count ?? 0) > 1 && this.#placement) await this.#doubt(this.#placement); // a second reset: the ring object probes
    while (!connection.over) {
      const refusal = await this.#settled();
      const placement = this.#placement;
      if (refusal && (first || Date.now() >= deadlineMs)) return { kind: "refused", why: refusal.why };
      if (!placement || refusal) {
        await delay(backoff(failures++));
        continue;
      }
      const opening = await connection.open(placement);
      if (connection.over) {
        discard(opening);
        break;
      }
      if (this.#pause || this.#placement?.fence !== placement.fence) {
        discard(opening);
        continue;
      }
      if (opening.kind === "open" && hasBegun(opening)) return { kind: "connected" };
      if (opening.kind === "answered" && (first || opening.response.status < 500)) return opening;
      discard(opening);
      if (Date.now() >= deadlineMs) return { kind: "unreachable" };
      failures = failedFence === placement.fence ? failures + 1 : 1;
      failedFence = placement.fence;
      if (failures === 1) continue; // the same owner is dialled once more
      const doubted = await this.#doubt(placement);
      if (doubted && first) return { kind: "refused", why: doubted.why };
      if (this.#placement.fence === placement.fence) await delay(backoff(failures - 2));
    }
    return { kind: "unreachable" };
  }

  /** Waits for a move to end, and asks for a place where there is none. */
  async #settled(): Promise<Refusal | undefined> {
    while (this.#pause) await this.#pause.promise;
    return this.#placement ? undefined : this.#ask([]);
  }

  /** Tells the ring object that the owner could not be reached; its word may be another place. */
  async #doubt(placement: Placement): Promise<Refusal | undefined> {
    return this.#placement?.fence === placement.fence ? this.#ask([placement.origin]) : undefined;
  }

  /** One ask at a time for the whole session; everyone waits for its answer. */
  #ask(excluded: readonly string[]): Promise<Refusal | undefined> {
    this.#asking ??= this.#askRing(excluded).finally(() => (this.#asking = undefined));
    return this.#asking;
  }

  async #askRing(excluded: readonly string[]): Promise<Refusal | undefined> {
    // The cookie's claim speaks of the time before: once the session is placed it counts no more.
    const claim = this.#placement ? undefined : this.#claim;
    const answer = await this.#host.place({ ...this.ref, claim, live: this.#placement, excluded });
    if (answer.kind === "refused") return answer;
    // Everyone left while it was asked: the ring object has just placed a session that is none.
    if (this.#over) this.#host.emptied(this.ref, answer.placement.fence);
    else this.enter(answer.placement);
    return undefined;
  }
}

/** A leg that is closed again before it could begin is one that could not be opened. */
function hasBegun(opening: Extract<Opening, { kind: "open" }>): boolean {
  try {
    opening.begin();
    return true;
  } catch (error) {
    console.error(JSON.stringify({ limpet: "leg-not-begun", error: String(error) }));
    return false;
  }
}

function discard(opening: Opening): void {
  if (opening.kind === "open") opening.discard();
  if (opening.kind === "answered") void opening.response.body?.cancel().catch(() => undefined); // nobody reads it any more
}

function farewell(outcome: Exclude<Connected, { kind: "connected" }>): Close {
  return outcome.kind === "answered" ? STALE_HANDSHAKE : RESTART;
}

function backoff(failures: number): number {
  return RECONNECT_BACKOFF_MS[Math.min(failures, RECONNECT_BACKOFF_MS.length - 1)] ?? 0;
}
