// A carried session: all live connections of one key, which are at one origin, or between two. It moves as a whole: taking a new
// placement drops every leg of the old one before the first reaches the new. Placements are obeyed by fence: the largest wins.

import { PARKING, RESTART, type Close } from "../core/close-codes.ts";
import type { LeaveItem, LeftItem, PlaceItem, Placement, SessionRef, Weight } from "../core/protocol.ts";
import { backoff, discard, farewell, hasBegun, isGivenUp, Resets, sendBack, unlessLate, type Connected, type Refusal } from "./connecting.ts";
import type { Budget, Connection, ConnectionEvents } from "./connection.ts";
import { Dials } from "./dials.ts";
import { closeLegs, Connections } from "./connections.ts";
import type { Handover } from "./hand-over.ts";
import type { Lane } from "./handshakes.ts";
import { LeaveOrders } from "./leave-orders.ts";
import { ARRIVAL_DEADLINE_MS, ASK_AGAIN_MS, delay, MOVE_DEADLINE_MS, RECONNECT_DEADLINE_MS, RESETS_MAX } from "./limits.ts";
import type { ParkedSession } from "./parking-store.ts";
import { Regrouping } from "./regrouping.ts";
import type { Keeper, SessionHost } from "./session-host.ts";

export class CarriedSession implements ConnectionEvents {
  readonly ref: SessionRef;
  beganAtMs = Date.now();
  readonly budget: Budget;
  readonly #claim: PlaceItem["claim"];
  readonly #host: SessionHost;
  /** Only where state moves by hand-over. */
  readonly #handover: Handover | undefined;
  readonly #connections = new Connections();
  /** Those that have had no leg yet. */
  readonly #arriving = new Set<Connection>();
  readonly #connecting = new Map<Connection, Promise<Connected>>();
  readonly #dials: Dials;
  readonly #resets = new Resets<Connection>();
  /** Origins that could not be reached since a leg last opened. */
  readonly #tried = new Set<string>();
  readonly #regrouping = new Regrouping(() => [...this.#connections].filter((connection) => !this.#arriving.has(connection)));
  #placement: Placement | undefined;
  /** Whether a leg has opened at the present placement. */
  #reached = false;
  readonly #orders = new LeaveOrders();
  #failures = 0;
  #asking: Promise<Refusal | undefined> | undefined;
  #pause: PromiseWithResolvers<void> | undefined;
  #entered = Promise.withResolvers<void>();
  #over = false;

  constructor(ref: SessionRef, claim: PlaceItem["claim"], host: SessionHost, handover?: Handover) {
    this.ref = ref;
    this.#claim = claim;
    this.#host = host;
    this.budget = host.budget;
    this.#handover = handover;
    const slow = (placement: Placement): void => void this.#doubt(placement); // never rejects
    const { handshakes } = host;
    this.#dials = new Dials({ handshakes, handover, slow, told: (at, outcome, detail) => host.dialled(at, outcome, { ...detail, lot: ref.lot }) });
  }

  get placement(): Placement | undefined {
    return this.#placement;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** How much there is to move, and how many frames have passed since the session began. */
  weigh(): Weight {
    return { keyHash: this.ref.keyHash, connections: this.#connections.size, frames: this.#connections.frameCount };
  }

  /** A new visitor's connection: placed, dialled and answered for. */
  async arrive(connection: Connection): Promise<Connected> {
    this.#connections.add(connection);
    this.#host.counted(1);
    this.#arriving.add(connection);
    const outcome = await this.#connect(connection, "arrivals");
    this.#arriving.delete(connection);
    if (outcome.kind !== "connected") this.#forget(connection);
    this.#host.changed();
    return outcome;
  }

  /** Visitors whose session was parked, at the origin where it was: the ring object is asked whether it still is, before anything is dialled. */
  revive({ placement, beganAtMs }: Pick<ParkedSession, "placement" | "beganAtMs">, connections: readonly Connection[]): void {
    this.#placement = placement;
    this.beganAtMs = beganAtMs;
    for (const connection of connections) {
      this.#connections.add(connection);
      this.#host.counted(1);
    }
    this.#beginPause(0);
  }

  /**
   * Gives up the origin's legs of a session at rest, and its visitors' to whoever keeps them. Anything that comes between wakes it again: nothing may happen
   * between the last look at what the old legs have left, and the keeping.
   */
  async park(keeper: Keeper): Promise<void> {
    const [placement, connections, orderCount] = [this.#placement, [...this.#connections], this.#orders.count];
    const isAtRest = (): boolean =>
      !this.#over && !this.#asking && this.#connecting.size === 0 && this.#placement === placement && this.#connections.size === connections.length;
    const flows = !this.#pause && connections.every((connection) => connection.flowing);
    if (!placement || this.#handover || !flows || !this.#connections.areAtRest(Date.now()) || !isAtRest() || !this.#connections.keep()) return;
    const pause = this.#beginPause(MOVE_DEADLINE_MS);
    for (const connection of connections) connection.hold();
    try {
      await closeLegs(connections, PARKING);
      const kept = this.#connections.keep();
      const sealed = kept && isAtRest() ? await keeper.seal(kept) : undefined;
      if (!sealed || this.#pause !== pause || !isAtRest() || !this.#connections.keep()) return;
      keeper.keep(placement, connections, sealed);
      this.#over = true;
      for (const connection of connections) connection.release();
      for (const _ of connections) this.#host.counted(-1);
    } finally {
      // Not where it was ordered away meanwhile: who has ordered that says where it goes on.
      if (this.#pause === pause && !this.#orders.isLeft(placement, orderCount)) this.#resume();
    }
  }

  get connections(): Readonly<Connections> {
    return this.#connections;
  }

  /** First phase of a move: holds the visitors' frames and takes every leg off the old origin. Resolves when all have left. */
  async leave({ fence, planned }: LeaveItem): Promise<LeftItem> {
    const left: LeftItem = { keyHash: this.ref.keyHash, connections: this.#connections.size, reached: this.#reached };
    this.#orders.came(fence);
    if (!this.#placement || fence < this.#placement.fence) return left; // we are past that placement already, or have not heard of it yet
    const placement = this.#placement;
    const pause = this.#beginPause(planned ? MOVE_DEADLINE_MS : ASK_AGAIN_MS);
    this.#dials.abortAll(); // what is on its way to the old origin must not begin there any more
    const open = [...this.#connections].filter((connection) => connection.legOpen);
    const staying = open.filter((connection) => connection.rehomeable && (planned || !this.#handover));
    const returning = open.filter((connection) => !staying.includes(connection)).map(sendBack);
    for (const connection of staying) connection.hold();
    if (!planned) {
      for (const connection of staying) connection.dropLeg();
      await Promise.all(returning);
      return left;
    }
    await Promise.all([...returning, ...staying.map((connection) => connection.quiet())]);
    if (this.#pause !== pause) return left; // `enter` came first, and has dropped the old legs: the new ones are not ours to close
    const heard = await closeLegs(staying);
    // The state of an origin that has not heard everything is not the session's: without it the visitors come back.
    if (this.#pause === pause && staying.length > 0 && heard) await this.#handover?.give(placement);
    return left;
  }

  /** Second phase, or the ring object's word at any time: from now on the session is there. */
  enter(placement: Placement): void {
    if (this.#placement && placement.fence <= this.#placement.fence) return;
    const stateless = this.#placement !== undefined && this.#handover?.given === false;
    this.#dials.abortAll();
    this.#regrouping.restart();
    this.#placement = placement;
    this.#reached = false;
    this.#failures = 0;
    for (const connection of this.#connections) {
      if ((connection.legOpen && !connection.rehomeable) || (stateless && !this.#arriving.has(connection))) connection.end(RESTART);
      else if (connection.legOpen) {
        connection.hold();
        connection.dropLeg();
      }
    }
    this.#entered.resolve();
    this.#entered = Promise.withResolvers();
    this.#resume();
    this.#host.changed();
  }

  /** Whether the session has a leg, or nobody who needs one, once every connection that looks for one has found it or given up. */
  async connected(): Promise<boolean> {
    await Promise.all(this.#connecting.values());
    return this.#connections.hasLeg || this.#connections.size === 0;
  }

  /** Somebody has something for it: it is not parked for a while. Resolves once its legs are open, or cannot be. */
  async stayAwake(): Promise<void> {
    this.#connections.wokenAtMs = Date.now();
    await this.#pause?.promise;
    await this.connected();
  }

  /** Ends every connection. The visitors come back, or not, as they are told. */
  expel(close: Close = RESTART): void {
    for (const connection of this.#connections) connection.end(close);
  }

  /** Leaves the legs on which the origin has said nothing for too long. */
  checkSilence(nowMs: number): void {
    for (const connection of this.#connections) {
      if (this.#pause || !connection.isSilent(nowMs)) continue;
      connection.dropLeg();
      if (!this.#bears(connection)) {
        connection.end(RESTART);
        continue;
      }
      connection.hold();
      this.#regrouping.without(connection);
      if (this.#placement) void this.#doubt(this.#placement); // beside the new dial, which may hang as the old leg does; never rejects
      void this.#reconnect(connection); // never rejects
    }
  }

  lost(connection: Connection): void {
    if (!this.#bears(connection) || this.#resets.another(connection, Date.now()) > RESETS_MAX) return connection.end(RESTART);
    connection.hold();
    this.#regrouping.without(connection);
    if (!this.#pause) void this.#reconnect(connection); // never rejects: its outcome is told to the visitor
  }

  ended(connection: Connection): void {
    // In a move the old origin's last words are muted, and without a leg no origin has any: the others are told by us who left.
    const unheard = this.#pause !== undefined || !connection.legOpen;
    if (unheard) for (const other of this.#connections) if (other !== connection) other.hear(connection.lastWords());
    this.#forget(connection);
    this.#host.changed();
  }

  ready(connection: Connection): void {
    this.#regrouping.ready(connection);
  }

  refused(): void {
    this.#host.refused();
  }

  resumed(heldMs: number, heldFrames: number): void {
    this.#host.resumed(heldMs, heldFrames);
  }

  /** A leg that is lost takes with it what was under way: where state is handed over nothing brings that back. */
  #bears(connection: Connection): boolean {
    return connection.rehomeable && !this.#handover;
  }

  #forget(connection: Connection): void {
    if (this.#connections.delete(connection)) this.#host.counted(-1);
    this.#resets.forget(connection);
    this.#dials.abort(connection);
    this.#regrouping.without(connection);
    if (this.#connections.size > 0 || this.#over) return;
    this.#over = true;
    this.#handover?.forget();
    this.#pause?.resolve();
    this.#pause = undefined;
    this.#host.emptied(this.ref, this.#placement?.fence);
  }

  #beginPause(patienceMs: number): PromiseWithResolvers<void> {
    this.#regrouping.restart();
    if (!this.#pause) {
      this.#pause = Promise.withResolvers();
      void this.#endPause(this.#pause, patienceMs); // never rejects
    }
    return this.#pause;
  }

  /**
   * Without `enter` the session asks where it is now: the ring object was lost in mid-move, or nobody could take a session whose origin was lost,
   * and that origin may be back before anybody else.
   */
  async #endPause(pause: PromiseWithResolvers<void>, patienceMs: number): Promise<void> {
    const untilMs = Date.now() + RECONNECT_DEADLINE_MS;
    await Promise.race([pause.promise, delay(patienceMs)]);
    while (this.#pause === pause && !this.#over) {
      if (Date.now() >= untilMs) return this.expel(); // it has left its old place, and nobody says where it belongs
      void this.#ask([]); // never rejects
      await Promise.race([pause.promise, delay(ASK_AGAIN_MS)]);
    }
  }

  #resume(): void {
    this.#handover?.goOn();
    this.#pause?.resolve();
    this.#pause = undefined;
    for (const connection of this.#connections) if (!connection.legOpen) void this.#reconnect(connection); // never rejects
  }

  async #reconnect(connection: Connection): Promise<void> {
    if (this.#connecting.has(connection) || connection.over) return;
    const outcome = await this.#connect(connection, "moves");
    if (outcome.kind !== "connected") connection.end(farewell(outcome));
  }

  async #connect(connection: Connection, lane: Lane): Promise<Connected> {
    const connecting = this.#connectUntil(connection, lane, Date.now() + (lane === "arrivals" ? ARRIVAL_DEADLINE_MS : RECONNECT_DEADLINE_MS));
    this.#connecting.set(connection, connecting);
    try {
      return await connecting;
    } finally {
      this.#connecting.delete(connection);
    }
  }

  async #connectUntil(connection: Connection, lane: Lane, deadlineMs: number): Promise<Connected> {
    const first = lane === "arrivals";
    if (this.#resets.of(connection) > 1 && this.#placement) await this.#doubt(this.#placement); // a second reset: the ring object probes
    for (let turn = 0; !connection.over; turn++) {
      const refusal = await this.#settled(deadlineMs);
      if (connection.over) break;
      const placement = this.#placement;
      if (refusal && (first || Date.now() >= deadlineMs)) return refusal;
      if (this.#pause) {
        if (Date.now() >= deadlineMs) return { kind: "unreachable" }; // it has left its place, and is nowhere yet
        continue;
      }
      if (!placement || refusal) {
        if (Date.now() >= deadlineMs) return { kind: "unreachable" };
        await delay(backoff(turn, deadlineMs));
        continue;
      }
      const { opening, timedOut } = await this.#dials.dial(connection, lane, placement, deadlineMs);
      if (timedOut && this.#placement?.fence === placement.fence) this.#failures++; // counts twice
      if (opening === "full") return { kind: "full" };
      if (connection.over) {
        discard(opening);
        break;
      }
      if (this.#pause || this.#placement?.fence !== placement.fence) {
        discard(opening);
        if (Date.now() >= deadlineMs) return { kind: "unreachable" };
        continue;
      }
      if (opening.kind === "open" && hasBegun(opening)) {
        this.#reached = true;
        this.#failures = 0;
        this.#tried.clear();
        return { kind: "connected" };
      }
      if (opening.kind === "answered" && (first || opening.response.status < 500)) return opening;
      discard(opening);
      if (Date.now() >= deadlineMs) return { kind: "unreachable" };
      const doubted = await this.#failed(placement, deadlineMs);
      if (doubted && first) return doubted;
      if (this.#placement.fence === placement.fence) await delay(backoff(this.#failures - 1, deadlineMs));
    }
    return { kind: "unreachable" };
  }

  /** Waits for a move to end, and asks for a place where there is none. */
  async #settled(deadlineMs: number): Promise<Refusal | undefined> {
    while (this.#pause && Date.now() < deadlineMs) await Promise.race([this.#pause.promise, delay(deadlineMs - Date.now())]);
    if (this.#placement || this.#pause) return undefined;
    return unlessLate(this.#ask([]), deadlineMs);
  }

  /** A dial failed: the ring object is told, and may have another place. */
  async #failed(placement: Placement, deadlineMs: number): Promise<Refusal | undefined> {
    this.#failures++;
    this.#tried.add(placement.origin);
    return unlessLate(this.#doubt(placement), deadlineMs);
  }

  /** Tells the ring object that the owner could not be reached; its word may be another place. */
  async #doubt(placement: Placement): Promise<Refusal | undefined> {
    return this.#placement?.fence === placement.fence ? this.#ask([placement.origin]) : undefined;
  }

  /** One ask at a time for the whole session; everyone waits for its answer. */
  #ask(excluded: readonly string[]): Promise<Refusal | undefined> {
    return (this.#asking ??= this.#askRing(excluded).finally(() => (this.#asking = undefined)));
  }

  async #askRing(excluded: readonly string[]): Promise<Refusal | undefined> {
    // The cookie's claim speaks of the time before: once the session is placed it counts no more.
    const claim = this.#placement ? undefined : this.#claim;
    const unreached = excluded.length > 0 && !this.#connections.hasLeg && isGivenUp(this.#failures, this.#reached);
    const [pause, entered, orderCount] = [this.#pause, this.#entered.promise, this.#orders.count];
    const item: PlaceItem = {
      ...this.ref,
      claim,
      live: this.#placement,
      excluded: unreached ? [...new Set([...excluded, ...this.#tried])] : excluded,
    };
    const answer = await this.#host.place(unreached ? { ...item, unreached } : item);
    if (this.#over) {
      // Everyone left while it was asked: the ring object has just placed a session that is none, or heard of it again by the question.
      const fence = answer.kind === "placed" ? answer.placement.fence : item.live?.fence;
      if (answer.kind !== "moving" && fence !== undefined) this.#host.emptied(this.ref, fence);
      return undefined;
    }
    if (answer.kind === "refused" || answer.kind === "elsewhere") return answer;
    if (answer.kind === "moving") {
      await Promise.race([entered, delay(ASK_AGAIN_MS)]);
      return undefined;
    }
    const { placement } = answer;
    if (this.#orders.isLeft(placement, orderCount)) {
      if (placement.fence <= (this.#placement?.fence ?? 0)) return undefined;
      this.#placement = placement; // it crossed an order to leave that place: as if it had come before
      this.#beginPause(ASK_AGAIN_MS);
    } else if (pause && this.#pause === pause && placement.fence === this.#placement?.fence) {
      // Nobody moves it any more. Whose state was not kept cannot be sure what their origin has heard.
      if (this.#handover?.given === false) for (const connection of this.#connections) if (!this.#arriving.has(connection)) connection.end(RESTART);
      this.#placement = placement; // its origin may have another address since
      this.#resume();
    } else this.enter(placement);
    return undefined;
  }
}
