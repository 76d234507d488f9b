// The carrier object: carries the live connections of its slice of a ring's session keys. It places nothing itself while the ring
// object can be reached. One CarriedSession for a key; connections bounded; counts reported.

import { DurableObject } from "cloudflare:workers";
import type { AppliedConfig } from "../core/applied-config.ts";
import { parseCarrierObjectName } from "../core/names.ts";
import { brokenProtocol, IDLE, LOST, QUARANTINED, RESTART, SESSION_OVER, type Close } from "../core/close-codes.ts";
import type { Frame } from "../core/profile.ts";
import {
  decodeLiveRequest,
  LIVE_HEADER,
  type EnteredAnswer,
  type LeaveItem,
  type LeftItem,
  type LiveRequest,
  type Placement,
  type Table,
  type Weight,
} from "../core/protocol.ts";
import { LIMPET_FIELD, wordOf } from "../core/limpet-field.ts";
import { requestProblem } from "../core/problem.ts";
import { answer, overloaded } from "./carrier-answers.ts";
import type { Snapshot } from "../core/snapshot.ts";
import { Backlog } from "./backlog.ts";
import { CarriedSession } from "./carried-session.ts";
import type { Keeper, SessionHost } from "./session-host.ts";
import { SseConnection } from "./carry-sse.ts";
import { connectionsIn, tableOf } from "./carrier-table.ts";
import { CarrierTally } from "./carrier-tally.ts";
import { CarrierSettings } from "./carrier-settings.ts";
import { weigh } from "./carrier-weights.ts";
import { ComeBack } from "./come-back.ts";
import { WebSocketConnection } from "./carry-websocket.ts";
import { budgetOf } from "./budget.ts";
import type { Budget, Connection, Means, VisitorEvents } from "./connection.ts";
import type { Handshake } from "./dial.ts";
import type { Env, SettingsSource } from "./env.ts";
import { keyedHash } from "./keyed-hash.ts";
import { Handover } from "./hand-over.ts";
import { Handshakes, kindOf } from "./handshakes.ts";
import { AWAKE_MS, delay, ENTERED_WITHIN_MS, HELD_BYTES_MAX_PER_CARRIER, HELD_BYTES_MAX_PER_SESSION, LOOK_EVERY_MS, REPORT_MS } from "./limits.ts";
import { originFetch, type OriginFetch } from "./origin-fetch.ts";
import { tally } from "./outcomes.ts";
import { lifeMs, Parking, type Revived } from "./parking.ts";
import type { ParkedSession } from "./parking-store.ts";
import { RingClient, type RingLine } from "./ring-client.ts";
import { StandIn } from "./stand-in.ts";
import { StreamBacklog } from "./stream-backlog.ts";
import { acceptAwake } from "./visitor-leg.ts";

const NAME_KEY = "name";
const STARTED_KEY = "startedAtMs";

export class CarrierObject extends DurableObject<Env> {
  readonly #sessions = new Map<string, CarriedSession>();
  readonly #ring: RingLine;
  readonly #settings: CarrierSettings;
  readonly #send: OriginFetch;
  readonly #dialled: SessionHost["dialled"];
  readonly #budget: Budget = budgetOf(HELD_BYTES_MAX_PER_CARRIER);
  readonly #backlog = new Backlog();
  readonly #streams = new StreamBacklog();
  readonly #handshakes = new Handshakes();
  readonly #comeBack = new ComeBack();
  readonly #tally = new CarrierTally();
  /** Sessions that no origin has accepted yet. */
  readonly #opening = new Set<CarriedSession>();
  readonly #parking: Parking;
  /** Sessions that are on their way to being parked. */
  readonly #resting = new Map<string, Promise<void>>();
  #alarmAtMs = Infinity;
  #connectionCount = 0;
  #reporting = false;
  /** The ring object has not heard of the last changes. */
  #unheard = false;
  #watching = false;

  constructor(ctx: DurableObjectState, env: Env, source: SettingsSource) {
    super(ctx, env);
    // An alarm may start the object without its name.
    const objectName = ctx.id.name ?? ctx.storage.kv.get<string>(NAME_KEY);
    const its = parseCarrierObjectName(objectName) ?? { ring: { pool: "", region: "", generation: 0 }, slice: 0 };
    if (ctx.id.name !== undefined && ctx.storage.kv.get(NAME_KEY) === undefined) ctx.storage.kv.put(NAME_KEY, ctx.id.name);
    // Lives are told apart by their order: the next one may be on a machine whose clock is behind.
    const startedAtMs = Math.max(Date.now(), (ctx.storage.kv.get<number>(STARTED_KEY) ?? 0) + 1);
    ctx.storage.kv.put(STARTED_KEY, startedAtMs);
    this.#settings = new CarrierSettings(source, env, its.ring, ctx.storage.sql);
    this.#send = originFetch(env, this.#settings, this.#settings.pool);
    const { pool } = this.#settings;
    this.#dialled = ({ region, origin }, ...what) => tally({ env, ctx, settings: this.#settings }, { id: pool }, region, origin, ...what);
    const client = (): RingLine => new RingClient(env, this.#settings, its, startedAtMs);
    this.#ring =
      its.standIn === undefined ? client() : new StandIn({ env, ctx, settings: this.#settings }, its, (keyHash) => this.#close([keyHash], RESTART));
    this.#parking = new Parking(ctx, {
      secrets: this.#settings.secrets,
      hashOf: (key) => keyedHash(this.#settings.secrets.at(-1) ?? "", this.#settings.pool, key),
      budgetOfSession: () => budgetOf(HELD_BYTES_MAX_PER_SESSION, this.#budget),
      revive: (session, revived) => this.#revive(session, revived),
      ended: ({ ref, placement }) => {
        this.#ring.ended({ keyHash: ref.keyHash, fence: placement.fence });
        this.#reportSoon();
      },
      changed: () => this.#reportSoon(),
    });
    ctx.setWebSocketAutoResponse(this.#settings.autoResponse()); // what an earlier version has set stays set until it is unset
    this.#settings.whenPoolIsKnown(ctx, env, (applied) => this.#apply(applied));
  }

  override async fetch(request: Request): Promise<Response> {
    const live = decodeLiveRequest(request.headers.get(LIVE_HEADER));
    if (!live) return requestProblem("bad-request", "This request did not come from a Limpet router of a version that is known here.", "");
    const comeBack = (): string => this.#comeBack.seconds(this.#handshakes.arrivalsNeed, Date.now());
    if (this.#hasRoom() && this.#parking.has(live.keyHash)) await this.#parking.wake(live.keyHash); // who is there must hear who comes
    if (!this.#hasRoom()) {
      this.#refused();
      return overloaded("This carrier holds as many connections as it may. Try again shortly.", live.requestId, comeBack);
    }
    const known = this.#sessions.get(live.keyHash);
    if (!known && this.#handshakes.isFull(undefined, kindOf(request))) {
      this.#refused(); // the ring object is not asked for a place that nobody would reach in time
      return overloaded("More connections are being opened here than this carrier can bear. Try again shortly.", live.requestId, comeBack);
    }
    const session = known ?? this.#begin(live);
    const connection = this.#connection(request, live, session);
    if (live.originSilenceMs !== undefined || live.parkAfterMs !== undefined) this.#watch();
    const outcome = await session.arrive(connection);
    if (outcome.kind === "connected" && this.#opening.delete(session)) this.#ring.accepted(live.keyHash);
    if (outcome.kind === "full" || (outcome.kind === "refused" && outcome.why === "too-many-sessions")) this.#refused();
    const { placement } = session;
    if (outcome.kind === "answered" && placement && wordOf(outcome.response.headers.get(LIMPET_FIELD))?.end)
      this.ctx.waitUntil(this.#ring.over({ keyHash: live.keyHash, fence: placement.fence }, placement.origin));
    return answer(outcome, { live, session, connection, comeBack });
  }

  /** Asked by Workers and stand-ins: is it there? */
  async ping(): Promise<void> {}

  // — asked by the ring object —

  /** What holds: the rings as they are now, and the configuration that was applied, where that is news. */
  async adopt(snapshots: readonly Snapshot[], applied?: AppliedConfig): Promise<void> {
    if (applied) this.#apply(applied);
    this.#ring.adopt(snapshots);
  }

  #apply(applied: AppliedConfig): void {
    if (!this.#settings.apply(applied)) return;
    this.#ring.reconfigured();
    this.ctx.setWebSocketAutoResponse(this.#settings.autoResponse());
    this.#schedule(); // limits may be shorter now
  }

  /** How busy sessions are. */
  async weigh(keyHashes: readonly string[], forMs: number): Promise<Weight[]> {
    return weigh({ sessions: this.#sessions, isParked: (keyHash) => this.#parking.has(keyHash) }, keyHashes, forMs);
  }

  /** First phase of a move; resolves with those that have left, and were here. */
  async leave(items: readonly LeaveItem[]): Promise<LeftItem[]> {
    const left = await Promise.all(items.map(async (item) => this.#sessions.get(item.keyHash)?.leave(item) ?? this.#parking.left(item)));
    return left.filter((item) => item !== undefined);
  }

  /** Second phase of a move; resolves when their new legs are open, or after a while. */
  async enter(placements: readonly Placement[]): Promise<EnteredAnswer> {
    const entering = placements.map((placement) => {
      this.#ring.saw(placement.fence);
      const isParked = this.#parking.enter(placement);
      const session = this.#sessions.get(placement.keyHash);
      session?.enter(placement);
      return { keyHash: placement.keyHash, fence: placement.fence, session, isParked };
    });
    const late = delay(ENTERED_WITHIN_MS);
    await Promise.all(entering.flatMap(({ session }) => (session ? [Promise.race([session.connected(), late])] : [])));
    return {
      absent: entering.flatMap(({ keyHash, session, isParked }) => (session || isParked ? [] : [keyHash])),
      failed: entering.flatMap(({ keyHash, fence, session }) =>
        session && session.connectionCount > 0 && !(session.connections.hasLeg && session.placement?.fence === fence) ? [keyHash] : [],
      ),
    };
  }

  /** Sessions that no origin can take: their visitors are told to come back. Those whose origins keep dying: not soon. */
  async expel(keyHashes: readonly string[], quarantined = false): Promise<void> {
    this.#close(keyHashes, quarantined ? QUARANTINED : RESTART);
  }

  /** Sessions that an origin or an operator has ended. */
  async over(keyHashes: readonly string[]): Promise<void> {
    this.#close(keyHashes, SESSION_OVER);
  }

  #close(keyHashes: readonly string[], close: Close): void {
    for (const keyHash of keyHashes) {
      this.#sessions.get(keyHash)?.expel(close);
      this.#parking.expel(keyHash, close);
    }
  }

  /** An origin has something for a parked session. Resolves when its legs are open, or after a while; whether they are. */
  async wake(keyHash: string): Promise<boolean> {
    await this.#resting.get(keyHash);
    await this.#parking.wake(keyHash);
    const session = this.#sessions.get(keyHash);
    await Promise.race([session?.stayAwake(), delay(ENTERED_WITHIN_MS)]);
    return session?.connections.hasLeg === true;
  }

  /** Every session carried here with its placement, and those whose place is still being asked for. */
  async table(): Promise<Table> {
    return tableOf(this.#sessions.values(), this.#opening, this.#parking.rows());
  }

  async connectionsOf(keyHash: string): Promise<number> {
    return this.#sessions.get(keyHash)?.connectionCount ?? this.#parking.connectionsOf(keyHash);
  }

  async isParked(keyHash: string): Promise<boolean> {
    return this.#parking.has(keyHash);
  }

  // — the clock, and the sockets of visitors who may be parked —

  override async alarm(): Promise<void> {
    this.#alarmAtMs = Infinity;
    this.#endDue(Date.now());
    this.#schedule();
    if (this.#settings.maxConnections > 0) this.ctx.waitUntil(this.#report()); // a ring object that hangs keeps no session alive
  }

  override webSocketMessage(socket: WebSocket, frame: Frame): void {
    this.#parking.said(socket, frame);
  }

  override webSocketClose(socket: WebSocket, code: number, reason: string): void {
    this.#parking.closed(socket, { code, reason });
  }

  override webSocketError(socket: WebSocket, error: unknown): void {
    this.#parking.lost(socket, brokenProtocol(String(error)) ?? LOST);
  }

  #begin(live: LiveRequest): CarriedSession {
    const { keyHash, position, lot, keyed, learned, drawn, claim, visitor, sentOn } = live;
    const host: SessionHost = {
      handshakes: this.#handshakes,
      budget: budgetOf(HELD_BYTES_MAX_PER_SESSION, this.#budget),
      dialled: this.#dialled,
      place: (item) => this.#ring.place(this.#opening.has(session) ? { ...item, opening: true, visitor, ...(sentOn && { sentOn }) } : item),
      emptied: (ref, fence) => this.#emptied(session, ref.keyHash, fence),
      changed: () => this.#reportSoon(),
      refused: () => this.#refused(),
      counted: (change) => (this.#connectionCount += change),
      resumed: (heldMs, heldFrames) => {
        this.#tally.resumed(heldMs, heldFrames);
        this.#reportSoon();
      },
    };
    const means = { key: live.key, send: this.#send, handshakes: this.#handshakes, budget: this.#budget };
    const handover = live.resume.mode === "handover" ? new Handover({ rule: live.resume.handover, ...means }) : undefined;
    const session: CarriedSession = new CarriedSession({ keyHash, position, lot, keyed, learned, ...(drawn && { drawn }) }, claim, host, handover);
    this.#sessions.set(keyHash, session);
    this.#opening.add(session);
    this.#schedule();
    return session;
  }

  /** A parked session has its connections again. */
  #revive(parked: ParkedSession, revived: readonly Revived[]): Map<string, VisitorEvents> {
    const [first] = revived;
    if (!first) return new Map();
    const session = this.#begin(first.kept.live);
    this.#opening.delete(session); // an origin has accepted it long ago
    try {
      const connections = revived.map(({ id, kept, visitor }) => {
        const { live, target, headers } = kept;
        const handshake: Handshake = { target, headers, key: live.key, send: this.#send };
        return [id, WebSocketConnection.revived(kept, handshake, this.#meansOf(live, session), visitor)] as const;
      });
      session.revive(parked, [...new Map(connections).values()]);
      this.#watch();
      return new Map(connections);
    } catch (error) {
      this.#emptied(session, parked.ref.keyHash, parked.placement.fence); // what was kept is of another shape: nobody is carried by it
      throw error;
    }
  }

  /** Gives up the legs of a session at rest; its visitors' sockets go on without it. */
  async #park(session: CarriedSession): Promise<void> {
    const { ref, beganAtMs, connections } = session;
    const { busyAtMs } = connections;
    const keeper: Keeper = {
      seal: (kept) => this.#parking.seal(kept),
      keep: (placement, kept, sealed) => {
        this.#parking.keep({ ref, placement, beganAtMs, busyAtMs }, kept, sealed); // where that fails it stays a session
        this.#sessions.delete(ref.keyHash);
        this.#schedule();
      },
    };
    // What goes wrong is recorded; the session goes on, and is parked another time.
    await session
      .park(keeper)
      .catch((error: unknown) => console.error(JSON.stringify({ limpet: "not-parked", keyHash: ref.keyHash, error: String(error) })));
  }

  #hasRoom(): boolean {
    return this.#connectionCount + this.#parking.connectionCount < this.#settings.maxConnections && !this.#backlog.isFull;
  }

  #meansOf(live: LiveRequest, session: CarriedSession): Means {
    const accept = live.parkAfterMs === undefined ? acceptAwake : this.#parking.accepting(live.keyHash);
    return { closeDeadlineMs: this.#settings.closeDeadlineMs, events: session, budget: session.budget, backlog: this.#backlog, accept };
  }

  #emptied(session: CarriedSession, keyHash: string, fence: number | undefined): void {
    const successor = this.#sessions.get(keyHash);
    if (successor === session) this.#sessions.delete(keyHash);
    this.#opening.delete(session);
    // A session of the same key that began since, and may be parked by now, lives by the same placement: it is not over for the ring object.
    const isSucceeded = this.#parking.has(keyHash) || (successor !== undefined && successor !== session);
    if (fence !== undefined && !isSucceeded) this.#ring.ended({ keyHash, fence });
  }

  #connection(request: Request, live: LiveRequest, session: CarriedSession): Connection {
    const url = new URL(request.url);
    const { [LIVE_HEADER]: _live, upgrade: _upgrade, ...headers } = Object.fromEntries(request.headers);
    const handshake: Handshake = { target: url.pathname + url.search, headers, key: live.key, send: this.#send };
    if (kindOf(request) === "stream") {
      return new SseConnection(live, handshake, { events: session, backlog: this.#streams }, request.signal);
    }
    return new WebSocketConnection(live, handshake, this.#meansOf(live, session));
  }

  /** As long as there is anybody who is awake: an object with a timer never sleeps. */
  #watch(): void {
    if (this.#watching) return;
    this.#watching = true;
    const timer = setInterval(() => {
      const nowMs = Date.now();
      for (const [keyHash, session] of this.#sessions) {
        session.checkSilence(nowMs);
        if (!session.connections.areAtRest(nowMs) || this.#resting.has(keyHash)) continue;
        const parked = this.#park(session).finally(() => this.#resting.delete(keyHash));
        this.#resting.set(keyHash, parked);
        this.ctx.waitUntil(parked);
      }
      this.#watching = this.#sessions.size > 0;
      if (!this.#watching) clearInterval(timer);
    }, LOOK_EVERY_MS);
  }

  /** Ends what has said nothing for too long, or lives for too long. */
  #endDue(nowMs: number): void {
    const { idleMs, maxLifeMs } = this.#settings.limits;
    for (const session of this.#sessions.values()) {
      if (nowMs - session.beganAtMs >= lifeMs(maxLifeMs, session.ref)) session.expel();
      else if (nowMs - session.connections.lastFrameAtMs >= idleMs) session.expel(IDLE);
    }
    this.#parking.endDue(nowMs, this.#settings.limits);
  }

  /** One alarm for all: soon while anybody is awake (their limits are looked at then) or was not reported, else when the first parked session is over. */
  #schedule(): void {
    const { idleMs, maxLifeMs } = this.#settings.limits;
    const awakeMs = Date.now() + Math.min(AWAKE_MS, idleMs, maxLifeMs);
    const isSoon = this.#sessions.size > 0 || this.#unheard;
    if (isSoon && this.#alarmAtMs <= awakeMs) return;
    const dueAtMs = isSoon ? awakeMs : this.#parking.nextDueAtMs(this.#settings.limits);
    if (dueAtMs === Infinity || dueAtMs === this.#alarmAtMs) return;
    this.#alarmAtMs = dueAtMs;
    this.ctx.waitUntil(this.ctx.storage.setAlarm(dueAtMs));
  }

  #refused(): void {
    this.#tally.refused();
    this.#reportSoon();
  }

  #reportSoon(): void {
    if (this.#reporting) return;
    this.#reporting = true;
    setTimeout(() => {
      this.#reporting = false;
      this.ctx.waitUntil(this.#report());
    }, REPORT_MS);
  }

  async #report(): Promise<void> {
    const isHeard = await this.#ring.report(Object.fromEntries(connectionsIn(await this.table())), this.#tally.read(), this.#sessions.size === 0);
    this.#unheard = !isHeard && this.#settings.maxConnections > 0;
    if (this.#unheard) this.#schedule(); // nobody who sleeps says anything else soon
  }
}
