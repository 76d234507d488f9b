// The carrier object: carries the live connections of its slice of a ring's session keys. It places nothing itself while the ring
// object can be reached. One CarriedSession for a key; connections bounded; counts reported.

import { DurableObject } from "cloudflare:workers";
import { parseCarrierObjectName } from "../core/names.ts";
import { decodeLiveRequest, LIVE_HEADER, type LeaveItem, type LiveRequest, type Placement, type Table } from "../core/protocol.ts";
import { requestProblem } from "../core/problem.ts";
import type { Snapshot } from "../core/snapshot.ts";
import { CarriedSession, type Connected } from "./carried-session.ts";
import { SseConnection } from "./carry-sse.ts";
import { WebSocketConnection, type HeldBudget } from "./carry-websocket.ts";
import type { Connection } from "./connection.ts";
import type { Handshake } from "./dial.ts";
import type { Env, Settings } from "./env.ts";
import { HELD_BYTES_MAX_PER_CARRIER } from "./limits.ts";
import { originFetch, type OriginFetch } from "./origin-fetch.ts";
import { RingClient } from "./ring-client.ts";

/** Tells the Worker where a connection was placed (JSON of `Placed`); taken out before the visitor sees the answer. */
export const PLACED_HEADER = "limpet-placed";
export type Placed = Pick<Placement, "origin" | "region" | "epoch" | "reason" | "fence">;

/** While connections are open an alarm comes this often: an object whose sockets go out may be evicted after 15 minutes without one. */
const AWAKE_MS = 30_000;
const REPORT_MS = 250;

export class CarrierObject extends DurableObject<Env> {
  readonly #sessions = new Map<string, CarriedSession>();
  readonly #ring: RingClient;
  readonly #maxConnections: number;
  readonly #closeDeadlineMs: number;
  readonly #send: OriginFetch;
  readonly #budget: HeldBudget = heldBudget(HELD_BYTES_MAX_PER_CARRIER);
  #reporting = false;

  constructor(ctx: DurableObjectState, env: Env, settings: Settings) {
    super(ctx, env);
    const name = parseCarrierObjectName(ctx.id.name);
    const pool = name && settings.config.pools[name.ring.pool];
    // Started by an alarm of an earlier life, without a name: it has no connections and nothing to do.
    this.#maxConnections = pool?.carrier.maxConnections ?? 0;
    this.#closeDeadlineMs = pool?.closeDeadlineMs ?? 0;
    this.#send = originFetch(env, settings, pool?.id ?? "");
    this.#ring = new RingClient(env, settings, name ?? { ring: { pool: "", region: "", generation: 0 }, slice: 0 });
  }

  override async fetch(request: Request): Promise<Response> {
    const live = decodeLiveRequest(request.headers.get(LIVE_HEADER));
    if (!live) return requestProblem("bad-request", "This request did not come from a Limpet router of a version that is known here.", "");
    if (this.#connectionCount() >= this.#maxConnections) {
      return requestProblem("overloaded", "This carrier holds as many connections as it may. Try again shortly.", live.requestId, {
        "retry-after": "2",
      });
    }
    const session = this.#sessions.get(live.keyHash) ?? this.#begin(live);
    const connection = this.#connection(request, live, session);
    const outcome = await session.arrive(connection);
    return answer(outcome, connection, session, live);
  }

  // — asked by the ring object —

  async adopt(snapshots: readonly Snapshot[]): Promise<void> {
    this.#ring.adopt(snapshots);
  }

  /** First phase of a move; resolves with those that have left. */
  async leave(items: readonly LeaveItem[]): Promise<string[]> {
    await Promise.all(items.map(async (item) => this.#sessions.get(item.keyHash)?.leave(item)));
    return items.map((item) => item.keyHash);
  }

  /** Second phase of a move; resolves with those that are not here any more. */
  async enter(placements: readonly Placement[]): Promise<string[]> {
    const absent: string[] = [];
    for (const placement of placements) {
      this.#ring.saw(placement.fence);
      const session = this.#sessions.get(placement.keyHash);
      if (session) session.enter(placement);
      else absent.push(placement.keyHash);
    }
    return absent;
  }

  /** Sessions that no origin can take: their visitors are told to come back. */
  async expel(keyHashes: readonly string[]): Promise<void> {
    for (const keyHash of keyHashes) this.#sessions.get(keyHash)?.expel();
  }

  /** Every session carried here with its placement, and those whose place is still being asked for. */
  async table(): Promise<Table> {
    const sessions = [...this.#sessions.values()];
    const rows = sessions.flatMap(({ ref, placement, connectionCount }) => {
      if (!placement) return [];
      const { origin, region, fence, reason, movedFrom } = placement;
      return [{ ...ref, origin, region, fence, reason, movedFrom, connections: connectionCount }];
    });
    return { rows, asking: sessions.filter(({ placement }) => !placement).map(({ ref }) => ref.keyHash) };
  }

  async connectionsOf(keyHash: string): Promise<number> {
    return this.#sessions.get(keyHash)?.connectionCount ?? 0;
  }

  override async alarm(): Promise<void> {
    if (this.#sessions.size > 0) await this.ctx.storage.setAlarm(Date.now() + AWAKE_MS);
  }

  #begin(live: LiveRequest): CarriedSession {
    const { keyHash, position, lot, keyed, learned, claim } = live;
    const session: CarriedSession = new CarriedSession({ keyHash, position, lot, keyed, learned }, claim, {
      place: (item) => this.#ring.place(item),
      emptied: (ref, fence) => this.#emptied(session, ref.keyHash, fence),
      changed: () => this.#reportSoon(),
    });
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
    const headers = new Headers(request.headers);
    headers.delete(LIVE_HEADER);
    const handshake: Handshake = { target: url.pathname + url.search, headers, key: live.key, send: this.#send };
    if (request.headers.get("upgrade") !== "websocket") return new SseConnection(handshake, session, request.signal);
    headers.delete("upgrade");
    return new WebSocketConnection(live, handshake, this.#closeDeadlineMs, session, this.#budget);
  }

  #connectionCount(): number {
    return [...this.#sessions.values()].reduce((sum, session) => sum + session.connectionCount, 0);
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
      this.ctx.waitUntil(this.#ring.report(Object.fromEntries(counts)));
    }, REPORT_MS);
  }
}

function answer(outcome: Connected, connection: Connection, session: CarriedSession, live: LiveRequest): Response {
  switch (outcome.kind) {
    case "connected":
      return placed(connection.response(), session.placement);
    case "answered": {
      const { status, statusText, headers, body } = outcome.response;
      if (status < 200 || status > 599)
        return requestProblem("origin-protocol", `The origin answered with status ${status}, which is none for this request.`, live.requestId);
      return placed(new Response(body, { status, statusText, headers }), session.placement);
    }
    case "refused":
      return outcome.why === "owner-lost"
        ? requestProblem("owner-lost", "The origin that holds this session is away, and this pool waits for it. Try again shortly.", live.requestId, {
            "retry-after": "2",
          })
        : requestProblem("no-origin", "No origin of this pool can take the session now. Try again shortly.", live.requestId, { "retry-after": "2" });
    case "unreachable":
      return requestProblem("origin-unreachable", "The origin of this session did not answer the handshake. Try again shortly.", live.requestId, {
        "retry-after": "1",
      });
    default:
      return outcome satisfies never;
  }
}

function placed(response: Response, placement: Placement | undefined): Response {
  if (placement) {
    const { origin, region, epoch, reason, fence } = placement;
    response.headers.set(PLACED_HEADER, JSON.stringify({ origin, region, epoch, reason, fence } satisfies Placed));
  }
  return response;
}

function heldBudget(maxBytes: number): HeldBudget {
  let held = 0;
  return {
    add(bytes) {
      if (held + bytes > maxBytes) return false;
      held += bytes;
      return true;
    },
    remove(bytes) {
      held -= bytes;
    },
  };
}
