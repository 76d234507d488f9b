// The carrier object: carries the live connections of its slice of a ring's session keys. It places nothing itself while the ring
// object can be reached. One CarriedSession for a key; connections bounded; counts reported.

import { DurableObject } from "cloudflare:workers";
import { parseCarrierObjectName } from "../core/names.ts";
import { QUARANTINED } from "../core/close-codes.ts";
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
import { requestProblem } from "../core/problem.ts";
import { answer } from "./carrier-answers.ts";
import type { Snapshot } from "../core/snapshot.ts";
import { CarriedSession } from "./carried-session.ts";
import type { SessionHost } from "./session-host.ts";
import { SseConnection } from "./carry-sse.ts";
import { CarrierTally } from "./carrier-tally.ts";
import { WebSocketConnection } from "./carry-websocket.ts";
import type { Budget, Connection } from "./connection.ts";
import type { Handshake } from "./dial.ts";
import type { Env, Settings } from "./env.ts";
import { Handover } from "./hand-over.ts";
import { Handshakes } from "./handshakes.ts";
import { delay, ENTERED_WITHIN_MS, HELD_BYTES_MAX_PER_CARRIER, HELD_BYTES_MAX_PER_SESSION } from "./limits.ts";
import { originFetch, type OriginFetch } from "./origin-fetch.ts";
import { RingClient } from "./ring-client.ts";

/** While connections are open an alarm comes this often: an object whose sockets go out may be evicted after 15 minutes without one. */
const AWAKE_MS = 30_000;
const REPORT_MS = 250;
/** Between two looks for origins that are silent; routes allow a second of silence at least. */
const SILENCE_EVERY_MS = 500;

const NAME_KEY = "name";

export class CarrierObject extends DurableObject<Env> {
  readonly #sessions = new Map<string, CarriedSession>();
  readonly #ring: RingClient;
  readonly #maxConnections: number;
  readonly #closeDeadlineMs: number;
  readonly #send: OriginFetch;
  readonly #budget: Budget = budgetOf(HELD_BYTES_MAX_PER_CARRIER);
  readonly #handshakes = new Handshakes();
  readonly #tally = new CarrierTally();
  #connectionCount = 0;
  #reporting = false;
  #watching = false;

  constructor(ctx: DurableObjectState, env: Env, settings: Settings) {
    super(ctx, env);
    // An alarm may start the object without its name.
    const objectName = ctx.id.name ?? ctx.storage.kv.get<string>(NAME_KEY);
    const name = parseCarrierObjectName(objectName);
    const pool = name && settings.config.pools[name.ring.pool];
    if (ctx.id.name !== undefined && ctx.storage.kv.get(NAME_KEY) === undefined) ctx.storage.kv.put(NAME_KEY, ctx.id.name);
    this.#maxConnections = pool?.carrier.maxConnections ?? 0;
    this.#closeDeadlineMs = pool?.closeDeadlineMs ?? 0;
    this.#send = originFetch(env, settings, pool?.id ?? "");
    this.#ring = new RingClient(env, settings, name ?? { ring: { pool: "", region: "", generation: 0 }, slice: 0 });
  }

  override async fetch(request: Request): Promise<Response> {
    const live = decodeLiveRequest(request.headers.get(LIVE_HEADER));
    if (!live) return requestProblem("bad-request", "This request did not come from a Limpet router of a version that is known here.", "");
    if (this.#connectionCount >= this.#maxConnections) {
      this.#refused();
      return requestProblem("overloaded", "This carrier holds as many connections as it may. Try again shortly.", live.requestId, {
        "retry-after": "2",
      });
    }
    const session = this.#sessions.get(live.keyHash) ?? this.#begin(live);
    const connection = this.#connection(request, live, session);
    if (live.originSilenceMs !== undefined) this.#watchSilence();
    const outcome = await session.arrive(connection);
    if (outcome.kind === "full") this.#refused();
    return answer(outcome, connection, session, live);
  }

  // — asked by the ring object —

  async adopt(snapshots: readonly Snapshot[]): Promise<void> {
    this.#ring.adopt(snapshots);
  }

  /** How busy sessions are: connections, and frames that pass while they are watched. Those that are not here are left out. */
  async weigh(keyHashes: readonly string[], forMs: number): Promise<Weight[]> {
    const sessions = keyHashes.flatMap((keyHash) => this.#sessions.get(keyHash) ?? []);
    const before = sessions.map((session) => session.weigh().frames);
    await delay(forMs);
    return sessions.map((session, index) => {
      const weight = session.weigh();
      return { ...weight, frames: weight.frames - (before[index] ?? 0) };
    });
  }

  /** First phase of a move; resolves with those that have left, and were here. */
  async leave(items: readonly LeaveItem[]): Promise<LeftItem[]> {
    const left = await Promise.all(items.map(async (item) => this.#sessions.get(item.keyHash)?.leave(item)));
    return left.filter((item) => item !== undefined);
  }

  /** Second phase of a move; resolves when their new legs are open, or after a while. */
  async enter(placements: readonly Placement[]): Promise<EnteredAnswer> {
    const entering = placements.map((placement) => {
      this.#ring.saw(placement.fence);
      const session = this.#sessions.get(placement.keyHash);
      session?.enter(placement);
      return { keyHash: placement.keyHash, fence: placement.fence, session };
    });
    const late = delay(ENTERED_WITHIN_MS);
    await Promise.all(entering.flatMap(({ session }) => (session ? [Promise.race([session.connected(), late])] : [])));
    return {
      absent: entering.flatMap(({ keyHash, session }) => (session ? [] : [keyHash])),
      failed: entering.flatMap(({ keyHash, fence, session }) =>
        session && session.connectionCount > 0 && !(session.hasLeg && session.placement?.fence === fence) ? [keyHash] : [],
      ),
    };
  }

  /** Sessions that no origin can take: their visitors are told to come back. Those whose origins keep dying: not soon. */
  async expel(keyHashes: readonly string[], quarantined = false): Promise<void> {
    for (const keyHash of keyHashes) this.#sessions.get(keyHash)?.expel(quarantined ? QUARANTINED : undefined);
  }

  /** Every session carried here with its placement, and those whose place is still being asked for. */
  async table(): Promise<Table> {
    const sessions = [...this.#sessions.values()];
    const rows = sessions.flatMap(({ ref, placement, connectionCount }) => {
      if (!placement) return [];
      const { origin, region, url, fence, reason, movedFrom } = placement;
      return [{ ...ref, origin, region, url, fence, reason, movedFrom, connections: connectionCount }];
    });
    return { rows, asking: sessions.filter(({ placement }) => !placement).map(({ ref }) => ref.keyHash) };
  }

  async connectionsOf(keyHash: string): Promise<number> {
    return this.#sessions.get(keyHash)?.connectionCount ?? 0;
  }

  override async alarm(): Promise<void> {
    if (this.#sessions.size > 0) await this.ctx.storage.setAlarm(Date.now() + AWAKE_MS);
    // The last thing a carrier does, or the first of one whose earlier life was cut off: the ring object learns that nobody is here.
    else if (this.#maxConnections > 0) await this.#ring.report({}, this.#tally.read());
  }

  #begin(live: LiveRequest): CarriedSession {
    const { keyHash, position, lot, keyed, learned, claim } = live;
    const host: SessionHost = {
      handshakes: this.#handshakes,
      budget: budgetOf(HELD_BYTES_MAX_PER_SESSION, this.#budget),
      place: (item) => this.#ring.place(item),
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
    const session: CarriedSession = new CarriedSession({ keyHash, position, lot, keyed, learned }, claim, host, handover);
    if (this.#sessions.size === 0) this.ctx.waitUntil(this.ctx.storage.setAlarm(Date.now() + AWAKE_MS));
    this.#sessions.set(keyHash, session);
    return session;
  }

  #emptied(session: CarriedSession, keyHash: string, fence: number | undefined): void {
    const successor = this.#sessions.get(keyHash);
    if (successor === session) this.#sessions.delete(keyHash);
    // A session of the same key that began since lives by the same placement: it is not over for the ring object.
    if (fence !== undefined && (successor === undefined || successor === session)) this.#ring.ended({ keyHash, fence });
  }

  #connection(request: Request, live: LiveRequest, session: CarriedSession): Connection {
    const url = new URL(request.url);
    const { [LIVE_HEADER]: _live, upgrade: _upgrade, ...headers } = Object.fromEntries(request.headers);
    const handshake: Handshake = { target: url.pathname + url.search, headers, key: live.key, send: this.#send };
    if (request.headers.get("upgrade") !== "websocket") return new SseConnection(handshake, session, request.signal);
    return new WebSocketConnection(live, handshake, this.#closeDeadlineMs, session, session.budget);
  }

  /** As long as there is anybody; the runtime keeps no object awake for it that carries nothing. */
  #watchSilence(): void {
    if (this.#watching) return;
    this.#watching = true;
    const timer = setInterval(() => {
      const nowMs = Date.now();
      for (const session of this.#sessions.values()) session.checkSilence(nowMs);
      this.#watching = this.#sessions.size > 0;
      if (!this.#watching) clearInterval(timer);
    }, SILENCE_EVERY_MS);
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
      const counts = new Map<string, number>(); // not a record: an origin may be called "constructor"
      for (const { placement, connectionCount } of this.#sessions.values()) {
        if (placement) counts.set(placement.origin, (counts.get(placement.origin) ?? 0) + connectionCount);
      }
      this.ctx.waitUntil(this.#ring.report(Object.fromEntries(counts), this.#tally.read()));
    }, REPORT_MS);
  }
}

/** `within`: what is taken is taken of that too. */
function budgetOf(maxBytes: number, within?: Budget): Budget {
  let held = 0;
  return {
    add(bytes) {
      if (held + bytes > maxBytes || within?.add(bytes) === false) return false;
      held += bytes;
      return true;
    },
    remove(bytes) {
      held -= bytes;
      within?.remove(bytes);
    },
  };
}
