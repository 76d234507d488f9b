// Parked sessions of one carrier: their visitors' sockets sleep with the object, their origins have no legs, and what the next legs need lies
// sealed beside them. Whether the object was evicted meanwhile makes no difference: who is parked lives in rows and sockets alone, and wakes
// from those. What must stay true: a row exists only while nothing of its visitor's is in flight, so that a reset never loses a frame in silence.

import { answerTo, closeOf, IDLE, overloaded, RESTART, type Close } from "../core/close-codes.ts";
import type { Pool } from "../core/config-types.ts";
import { profileOf } from "../core/profiles.ts";
import { frameBytes, type Frame, type Memory } from "../core/profile.ts";
import type { LeaveItem, LeftItem, Placement, SessionRef, TableRow } from "../core/protocol.ts";
import type { AcceptVisitor, Budget, Connection, KeptConnection, ParkedVisitor, VisitorEvents } from "./connection.ts";
import { badgeOf, end, mark, show, type Badge } from "./badges.ts";
import { rowOf } from "./carrier-table.ts";
import { Hearers } from "./hearers.ts";
import { decodeKept, encodeKept } from "./kept-connection.ts";
import { ParkingStore, type ParkedSession } from "./parking-store.ts";
import { HELD_FRAMES_MAX } from "./limits.ts";
import { openBytes, sealBytes } from "./seal.ts";

export interface Revived {
  readonly id: string;
  readonly kept: KeptConnection;
  readonly visitor: ParkedVisitor;
}

export interface ParkingHost {
  readonly secrets: readonly string[];
  /** By what keys are hashed today: who was parked under another secret is told to come back. */
  hashOf(key: string): Promise<string>;
  /** Of what may be held back of one session while it stirs. */
  budgetOfSession(): Budget;
  /** The session has its connections again; whoever hears each socket from now on, by id. */
  revive(session: ParkedSession, revived: readonly Revived[]): ReadonlyMap<string, VisitorEvents>;
  /** Its last visitor has gone. */
  ended(session: ParkedSession): void;
  /** Who is parked, or where, has changed. */
  changed(): void;
}

type Event = { readonly id: string; readonly socket: WebSocket } & ({ readonly frame: Frame } | { readonly close: Close });

/** A session that something was said to, while it is found out whether it must wake. */
interface Stirring {
  readonly events: Event[];
  readonly budget: Budget;
  wakes: boolean;
  readonly done: Promise<void>;
}

interface Parked {
  session: ParkedSession;
  /** By id; what of each was opened to look at a frame: in a session of many everyone repeats what they hear of each. */
  readonly visitors: Map<string, Memory | undefined>;
  /** When something was last heard, as far as it was looked at. */
  seenAtMs: number;
}

type Limits = Pool["session"];

export class Parking {
  readonly #ctx: DurableObjectState;
  readonly #host: ParkingHost;
  readonly #store: ParkingStore;
  readonly #parked = new Map<string, Parked>();
  readonly #stirring = new Map<string, Stirring>();
  readonly #awake = new Hearers();

  constructor(ctx: DurableObjectState, host: ParkingHost) {
    this.#ctx = ctx;
    this.#host = host;
    this.#store = new ParkingStore(ctx.storage.sql);
    try {
      this.#reconcile();
    } catch (error) {
      // An object that cannot start serves nobody: better without its sleepers, who come back, than not at all.
      console.error(JSON.stringify({ limpet: "parked-unreadable", error: String(error) }));
      this.#parked.clear();
      this.#store.clear();
      for (const socket of ctx.getWebSockets()) end(socket, RESTART);
    }
    if (this.#parked.size > 0) ctx.waitUntil(this.#tellStrangers());
  }

  get connectionCount(): number {
    return [...this.#parked.values()].reduce((sum, { visitors }) => sum + visitors.size, 0);
  }

  has(keyHash: string): boolean {
    return this.#parked.has(keyHash);
  }

  connectionsOf(keyHash: string): number {
    return this.#parked.get(keyHash)?.visitors.size ?? 0;
  }

  rows(): TableRow[] {
    return [...this.#parked.values()].map(({ session: { ref, placement }, visitors }) => rowOf(ref, placement, visitors.size));
  }

  /** How a visitor's socket of a session that may be parked is accepted. */
  accepting(keyHash: string): AcceptVisitor {
    return (socket, visitor) => {
      const id = crypto.randomUUID();
      this.#ctx.acceptWebSocket(socket, [keyHash]);
      socket.serializeAttachment({ id, keyHash, busy: true } satisfies Badge);
      this.#awake.hear(socket, id, visitor);
    };
  }

  async seal(kept: readonly KeptConnection[]): Promise<Uint8Array[]> {
    const sealed: Uint8Array[] = [];
    for (const each of kept) sealed.push(await sealBytes(this.#host.secrets, "parked", encodeKept(each))); // not all in memory twice
    return sealed;
  }

  /** The session lives here from now on. */
  keep(session: ParkedSession, connections: readonly Connection[], sealed: readonly Uint8Array[]): void {
    const { keyHash } = session.ref;
    const rows = new Map(connections.map((connection, index) => [this.#awake.idOf(connection) ?? "", sealed[index] ?? new Uint8Array()]));
    this.#ctx.storage.transactionSync(() => this.#store.put(session, rows));
    const visitors = new Map([...rows.keys()].map((id) => [id, undefined]));
    this.#parked.set(keyHash, { session, visitors, seenAtMs: session.busyAtMs });
    for (const id of rows.keys()) this.#awake.unhear(id)?.socket.serializeAttachment({ id, keyHash } satisfies Badge);
    this.#host.changed();
  }

  /** Wakes a session; resolves when it has its connections again. `false`: it is not parked. */
  async wake(keyHash: string): Promise<boolean> {
    if (!this.#parked.has(keyHash)) return false;
    const stirring = this.#stir(keyHash);
    stirring.wakes = true;
    await stirring.done;
    return true;
  }

  /** It has no leg anywhere; where it comes is nobody's trouble. */
  left({ keyHash }: Pick<LeaveItem, "keyHash">): LeftItem | undefined {
    return this.#parked.has(keyHash) ? { keyHash, connections: 0, reached: false } : undefined;
  }

  /** The session is somewhere else from now on. Nobody has to open anything for it. */
  enter(placement: Placement): boolean {
    const parked = this.#parked.get(placement.keyHash);
    if (!parked) return false;
    if (placement.fence <= parked.session.placement.fence) return true;
    parked.session = { ...parked.session, placement };
    this.#store.place(parked.session);
    this.#host.changed();
    return true;
  }

  /** Its visitors are told, and it is over. */
  expel(keyHash: string, close: Close): void {
    if (!this.#parked.has(keyHash)) return;
    for (const socket of this.#sockets(keyHash).values()) end(socket, close);
    this.#forget(keyHash);
  }

  /** Ends what has said nothing for too long, or lives for too long. */
  endDue(nowMs: number, limits: Limits): void {
    for (const [keyHash, parked] of this.#parked) {
      if (endsAtMs(parked, limits) > nowMs) continue;
      parked.seenAtMs = this.#seenAtMs(keyHash, parked.session);
      if (endsAtMs(parked, limits) <= nowMs) this.expel(keyHash, nowMs - parked.seenAtMs >= limits.idleMs ? IDLE : RESTART);
    }
  }

  /** When `endDue` has something to look at; `Infinity`: never. */
  nextDueAtMs(limits: Limits): number {
    return [...this.#parked.values()].reduce((nextMs, parked) => Math.min(nextMs, endsAtMs(parked, limits)), Infinity);
  }

  // — what the runtime tells of sockets —

  said(socket: WebSocket, frame: Frame): void {
    const known = this.#awake.of(socket);
    if (known) return known.said(frame);
    const { id, keyHash } = badgeOf(socket);
    if (!this.#parked.get(keyHash)?.visitors.has(id)) return end(socket, RESTART);
    if (socket.readyState !== WebSocket.OPEN) return; // it was told to come back
    const { events, budget } = this.#stir(keyHash);
    if (events.length < HELD_FRAMES_MAX && budget.add(frameBytes(frame))) return this.#take(keyHash, { id, socket, frame });
    end(socket, overloaded("too much was sent at once: please reconnect"));
    this.#take(keyHash, { id, socket, close: RESTART });
  }

  closed(socket: WebSocket, close: Close): void {
    const { id, keyHash } = badgeOf(socket);
    this.#closed(socket, id, keyHash, closeOf(close));
  }

  lost(socket: WebSocket, close: Close): void {
    const { id, keyHash } = badgeOf(socket);
    const { visitor } = this.#awake.unhear(id) ?? {};
    if (visitor) visitor.lost(close);
    else this.#closed(socket, id, keyHash, close);
  }

  // — what follows —

  #closed(socket: WebSocket, id: string, keyHash: string, close: Close): void {
    const { visitor } = this.#awake.unhear(id) ?? {};
    if (visitor) visitor.closed(close);
    else if (this.#parked.get(keyHash)?.visitors.has(id)) this.#take(keyHash, { id, socket, close });
    else end(socket, answerTo(close));
  }

  #take(keyHash: string, event: Event): void {
    mark(event.socket, { busy: true });
    this.#stir(keyHash).events.push(event);
  }

  #stir(keyHash: string): Stirring {
    const known = this.#stirring.get(keyHash);
    if (known) return known;
    const { promise, resolve } = Promise.withResolvers<void>();
    const stirring: Stirring = { events: [], budget: this.#host.budgetOfSession(), wakes: false, done: promise };
    this.#stirring.set(keyHash, stirring);
    const done = this.#settle(keyHash, stirring).finally(resolve);
    this.#ctx.waitUntil(done);
    return stirring;
  }

  /** Goes through what was said, in order, until something must wake the session, or nothing is left. */
  async #settle(keyHash: string, stirring: Stirring): Promise<void> {
    try {
      await Promise.resolve(); // whoever stirs it says first what for
      while (this.#parked.has(keyHash) && !stirring.wakes && stirring.events.length > 0) await this.#settleFirst(keyHash, stirring);
      if (stirring.wakes && this.#parked.has(keyHash)) await this.#revive(keyHash, stirring);
    } catch (error) {
      console.error(JSON.stringify({ limpet: "not-woken", keyHash, error: String(error) }));
      this.expel(keyHash, RESTART); // better told than asleep for ever
      for (const socket of this.#sockets(keyHash).values()) if (!this.#awake.of(socket)) end(socket, RESTART);
    } finally {
      this.#stirring.delete(keyHash);
      for (const event of stirring.events.splice(0)) letGo(event, stirring.budget);
    }
  }

  async #settleFirst(keyHash: string, stirring: Stirring): Promise<void> {
    const [event] = stirring.events;
    if (!event) return;
    const { id, socket } = event;
    const memory = await this.#memoryOf(keyHash, event);
    if ("frame" in event && memory) {
      const clock = memory.renewal?.(event.frame);
      if (clock === undefined) {
        stirring.wakes = true;
        return;
      }
      // As an origin does: everyone of the session sees that this one is still there. What only repeats others is news to nobody.
      if (clock > (memory.clock ?? -1)) this.#show(keyHash, event.frame);
      memory.renewed?.(clock);
      mark(socket, { busy: stirring.events.some((other) => other !== event && other.id === id), clock, renewedAtMs: Date.now() });
    } else {
      end(socket, "close" in event ? answerTo(event.close) : RESTART);
      for (const word of memory?.lastWords() ?? []) this.#show(keyHash, word, id);
      this.#leave(keyHash, id);
    }
    stirring.events.shift();
    letGo(event, stirring.budget);
  }

  async #memoryOf(keyHash: string, { id, socket }: Event): Promise<Memory | undefined> {
    const known = this.#parked.get(keyHash)?.visitors.get(id);
    if (known) return known;
    const kept = await this.#open(id);
    const visitors = this.#parked.get(keyHash)?.visitors;
    const memory = kept && visitors?.has(id) ? profileOf(kept.live.resume)?.begin(kept.memory) : undefined;
    const { clock } = badgeOf(socket);
    if (clock !== undefined) memory?.renewed?.(clock);
    if (memory) visitors?.set(id, memory);
    return memory;
  }

  /** To those who may read slowly: presence comes again, so one that is behind comes back for it. */
  #show(keyHash: string, frame: Frame, except?: string): void {
    const visitors = this.#parked.get(keyHash)?.visitors;
    for (const [id, socket] of this.#sockets(keyHash))
      if (id !== except && visitors?.has(id) && !show(socket, frame)) this.#take(keyHash, { id, socket, close: RESTART });
  }

  async #revive(keyHash: string, stirring: Stirring): Promise<void> {
    const ids = [...(this.#parked.get(keyHash)?.visitors.keys() ?? [])];
    for (const [id, socket] of this.#sockets(keyHash)) if (ids.includes(id)) mark(socket, { busy: true });
    const opened = await Promise.all(ids.map(async (id) => [id, await this.#open(id)] as const));
    // From here on nothing is waited for: rows become connections at once.
    const parked = this.#parked.get(keyHash);
    if (!parked) return;
    const sockets = this.#sockets(keyHash);
    const revived = opened.flatMap(([id, kept]): Revived[] => {
      const socket = sockets.get(id);
      if (!socket || !parked.visitors.has(id)) return [];
      if (kept) return [{ id, kept, visitor: { socket, clock: badgeOf(socket).clock } }];
      end(socket, RESTART); // sealed by a secret or a version that is not known here
      return [];
    });
    this.#store.deleteSession(keyHash);
    this.#parked.delete(keyHash);
    if (revived.length === 0) return this.#host.ended(parked.session);
    for (const { visitor, id } of revived) visitor.socket.serializeAttachment({ id, keyHash, busy: true } satisfies Badge);
    for (const [id, visitor] of this.#host.revive(parked.session, revived)) {
      const socket = sockets.get(id);
      if (socket) this.#awake.hear(socket, id, visitor);
    }
    for (const event of stirring.events.splice(0)) {
      letGo(event, stirring.budget);
      if ("frame" in event) this.#awake.at(event.id)?.said(event.frame);
      else this.#awake.unhear(event.id)?.visitor.closed(event.close);
    }
  }

  async #open(id: string): Promise<KeptConnection | undefined> {
    const sealed = this.#store.sealed(id);
    const opened = sealed && (await openBytes(this.#host.secrets, "parked", sealed));
    const kept = opened && decodeKept(opened);
    const { key, keyHash } = kept?.live ?? {};
    return key === undefined || (await this.#host.hashOf(key)) === keyHash ? kept : undefined;
  }

  #leave(keyHash: string, id: string): void {
    const parked = this.#parked.get(keyHash);
    if (!parked?.visitors.delete(id)) return;
    this.#store.deleteConnection(id);
    if (parked.visitors.size === 0) this.#forget(keyHash);
    else this.#host.changed();
  }

  #forget(keyHash: string): void {
    const parked = this.#parked.get(keyHash);
    this.#parked.delete(keyHash);
    this.#store.deleteSession(keyHash);
    if (parked) this.#host.ended(parked.session);
  }

  /** After this object's memory was lost: who is parked lives on, rows without a socket are deleted, and sockets without a row are told to come back. */
  #reconcile(): void {
    const sockets = new Map<string, WebSocket>();
    for (const socket of this.#ctx.getWebSockets()) if (socket.readyState === WebSocket.OPEN) sockets.set(badgeOf(socket).id, socket);
    for (const session of this.#store.sessions()) this.#parked.set(session.ref.keyHash, { session, visitors: new Map(), seenAtMs: session.busyAtMs });
    for (const { id, keyHash } of this.#store.connections()) {
      const socket = sockets.get(id);
      if (!socket || badgeOf(socket).busy) {
        this.#store.deleteConnection(id);
        this.#host.changed();
      } else {
        this.#parked.get(keyHash)?.visitors.set(id, undefined);
        sockets.delete(id);
      }
    }
    for (const socket of sockets.values()) end(socket, RESTART);
    for (const [keyHash, { visitors }] of this.#parked) if (visitors.size === 0) this.#forget(keyHash);
  }

  /**
   * After the secret that keys the hashes was taken away these sessions have another name elsewhere: who comes meanwhile is not heard here. So it is
   * looked whether a row still opens, which all then do; whose does not is told now, not when they speak next.
   */
  async #tellStrangers(): Promise<void> {
    for (const [keyHash, { visitors }] of this.#parked) {
      for (const id of visitors.keys()) {
        if (await this.#open(id).catch(() => undefined)) return;
        const socket = this.#parked.get(keyHash)?.visitors.has(id) && this.#sockets(keyHash).get(id);
        if (socket) end(socket, RESTART);
        this.#leave(keyHash, id);
      }
    }
  }

  /** When its visitors last said anything, if only that they are still there. */
  #seenAtMs(keyHash: string, { busyAtMs }: ParkedSession): number {
    return [...this.#sockets(keyHash).values()].reduce(
      (latest, socket) => Math.max(latest, badgeOf(socket).renewedAtMs ?? 0, this.#ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0),
      busyAtMs,
    );
  }

  #sockets(keyHash: string): Map<string, WebSocket> {
    return new Map(this.#ctx.getWebSockets(keyHash).map((socket) => [badgeOf(socket).id, socket]));
  }
}

function letGo(event: Event, budget: Budget): void {
  if ("frame" in event) budget.remove(frameBytes(event.frame));
}

/** Sessions that began in one moment, after a deploy, do not all end in one: the last tenth of a life is a matter of its lot. */
export function lifeMs(maxLifeMs: number, { lot }: Pick<SessionRef, "lot">): number {
  return maxLifeMs * (1 - (lot / 2 ** 32) * 0.1);
}

function endsAtMs({ session, seenAtMs }: Parked, { idleMs, maxLifeMs }: Limits): number {
  return Math.min(seenAtMs + idleMs, session.beganAtMs + lifeMs(maxLifeMs, session.ref));
}
