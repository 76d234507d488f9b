// Carrying plain HTTP: decided in the Worker on a snapshot, fetched, streamed. A Worker's own bad luck never re-places a keyed session:
// it tries the same origin once more, then the ring object has the word. A stateless request walks on.

import type { Balance } from "../core/balance.ts";
import { decide, replicasOf } from "../core/decide.ts";
import { keeps } from "../core/spill.ts";
import type { Decision, Routed } from "../core/decision.ts";
import { regionOrder } from "../core/home.ts";
import type { KeyPoint } from "../core/hash.ts";
import type { Pool } from "../core/config-types.ts";
import type { Claim } from "../core/situation.ts";
import { fieldForOrigin, LIMPET_FIELD } from "../core/limpet-field.ts";
import type { Background, Env, Settings } from "./env.ts";
import { originFetch, type OriginFetch } from "./origin-fetch.ts";
import { knownRing, learn, type KnownRing } from "./snapshots.ts";
import { ringStub } from "./stubs.ts";

export interface PlainRequest {
  readonly request: Request;
  /** What the origin gets beside the Limpet field. */
  readonly headers: Headers;
  readonly target: string;
  readonly pool: Pool;
  readonly home: string;
  readonly key: string | undefined;
  readonly point: KeyPoint;
  /** Where a session without affinity goes when the place that it has is lost. */
  readonly draw: KeyPoint | undefined;
  readonly keyHash: () => Promise<string>;
  readonly claim: Claim | undefined;
  /** Whether the visitor's cookie will remember the placement. */
  readonly remembered: boolean;
}

export type Carried =
  | {
      readonly kind: "answered";
      readonly response: Response;
      readonly decision: Routed;
      readonly attempts: number;
      /** How long the origin that answered took to do so. */
      readonly originMs: number;
      /** Chosen for this request only. */ readonly passing: boolean;
    }
  | { readonly kind: "refused"; readonly why: "no-origin" | "owner-lost"; readonly attempts: number }
  /** The origin did not answer, and either the request must not be sent twice or the origin is said to be well. */
  | { readonly kind: "unreachable"; readonly origin: string; readonly attempts: number };

/** Tries of one request at all: the owner twice, then whoever the ring object's word brings. */
const ATTEMPTS_MAX = 5;

/** What this isolate has heard of origins it could not reach: while one ask is out nobody else asks. */
const heard = new Map<string, { readonly what: "asking" | "well"; readonly untilMs: number }>();
/** An ask that has not come back by then (its visitor left, and the request was ended) counts for nothing. */
const ASKING_MS = 10_000;
/** How long "it is well" keeps this isolate from asking again. */
const wellMs = (pool: Pool): number => Math.min(1_000, pool.horizonMs / 8);

export async function carryPlain(env: Env, ctx: Background, settings: Settings, plain: PlainRequest): Promise<Carried> {
  const send = originFetch(env, settings, plain.pool.id);
  const excluded = new Set<string>();
  let failures = 0;
  let wells = 0;
  let passing = false;
  for (let attempts = 1; ; attempts++) {
    const { decision, views } = await decideOn(env, ctx, settings, plain, excluded);
    if (decision.kind === "refused") return { kind: "refused", why: decision.why, attempts: attempts - 1 };
    const askedAtMs = Date.now();
    const response = await tryOrigin(send, plain, decision, views);
    if (response) return { kind: "answered", response, decision, attempts, originMs: Date.now() - askedAtMs, passing };
    failures++;
    const unreachable: Carried = { kind: "unreachable", origin: decision.origin.id, attempts };
    if (plain.request.signal.aborted || attempts >= ATTEMPTS_MAX) return unreachable;
    if (plain.key === undefined) {
      if (!mayRepeat(plain.request)) return unreachable;
      excluded.add(decision.origin.id);
      continue;
    }
    if (failures === 1 && mayRepeat(plain.request)) continue; // the same origin once more
    const word = await askRing(env, settings, plain.pool, decision);
    if (!mayRepeat(plain.request)) return unreachable;
    if (word === "down") failures = 0;
    else if (word === "well" && wells++ === 0)
      continue; // it has just answered the ring object
    else if (word !== "well" && plain.pool.stickiness === "prefer") {
      excluded.add(decision.origin.id);
      passing = true;
    } else return unreachable;
  }
}

/** Decides on the home ring alone while that serves and keeps the key; the others are read only when it does not, or hold the claim. */
async function decideOn(
  env: Env,
  ctx: Background,
  settings: Settings,
  plain: PlainRequest,
  excluded: ReadonlySet<string>,
): Promise<{ decision: Decision; views: KnownRing["view"][] }> {
  const { pool, point, claim } = plain;
  const order = regionOrder(settings.config, pool, plain.home);
  const ring = (region: string): Promise<KnownRing> => knownRing(env, ctx, settings, pool, region);
  const home = await ring(plain.home);
  const hint = plain.key !== undefined && home.hints.size > 0 ? home.hints.get(await plain.keyHash()) : undefined;
  const decideFor = (views: KnownRing["view"][]): Decision =>
    decide({
      key: point,
      draw: plain.draw,
      keyed: plain.key !== undefined,
      regions: views,
      pin: hint,
      claim,
      excluded,
      policy: pool,
      balance: balanceFor(plain),
      nowMs: Date.now(),
    });

  const abroad = [hint, claim].some((holding) => holding !== undefined && !home.view.byId.has(holding.origin));
  const spilled = !keeps(home.view.snapshot, point.lot, Date.now());
  if ((!abroad && !spilled) || order.length === 1) {
    const decision = decideFor([home.view]);
    if (
      order.length === 1 ||
      (decision.kind === "routed" && decision.reason !== "panic") ||
      (decision.kind === "refused" && decision.why === "owner-lost")
    ) {
      return { decision, views: [home.view] };
    }
  }
  const views = (await Promise.all(order.map(ring))).map((each) => each.view);
  return { decision: decideFor(views), views };
}

/** Requests of this isolate that an origin has not answered yet, and decisions made by turn, both by pool. */
const waiting = new Map<string, number>();
const turns = new Map<string, number>();

/**
 * What this isolate knows for a pool that needs no ring. A key that many share goes by the ring even there, as long as nobody holds it: what
 * load, turn or chance says here, others could not know.
 */
function balanceFor({ pool, key, remembered }: PlainRequest): Balance {
  if (key !== undefined && !remembered) return { kind: "ring" };
  switch (pool.balance) {
    case "ring":
    case "bounded-ring":
      return { kind: "ring" };
    case "least-connections":
      return { kind: pool.balance, loadOf: (id) => waiting.get(`${pool.id}/${id}`) ?? 0, draw: Math.random() };
    case "round-robin": {
      const turn = turns.get(pool.id) ?? Math.floor(Math.random() * 1_000_000); // else every isolate would begin with the first origin
      turns.set(pool.id, turn + 1);
      return { kind: pool.balance, turn };
    }
    case "random":
      return { kind: pool.balance, draw: Math.random() };
    default:
      return pool.balance satisfies never;
  }
}

function countWaiting(name: string, change: 1 | -1): void {
  const count = (waiting.get(name) ?? 0) + change;
  if (count > 0) waiting.set(name, count);
  else waiting.delete(name);
}

/** The origin's answer, or `undefined` when it could not be reached. */
async function tryOrigin(send: OriginFetch, plain: PlainRequest, decision: Routed, views: KnownRing["view"][]): Promise<Response | undefined> {
  const { request, target, key, point } = plain;
  const headers = new Headers(plain.headers);
  if (!mayHaveBody(request)) headers.delete("content-length");
  const { origin, region, epoch, fence, reason } = decision;
  const replicas = replicasOf({ key: point, regions: views, nowMs: Date.now() }, origin.id);
  headers.set(LIMPET_FIELD, fieldForOrigin({ session: key, origin: origin.id, region, epoch, fence, reason, replicas }));
  const body = mayHaveBody(request) ? request.body : null;
  const outgoing = new Request(origin.url + target, {
    method: request.method,
    headers,
    body,
    redirect: "manual",
    cache: "no-store",
    signal: request.signal,
  });
  const name = `${plain.pool.id}/${origin.id}`;
  countWaiting(name, 1);
  try {
    return await send(origin.id, outgoing);
  } catch {
    return undefined; // refused, reset, or the visitor left: the caller looks
  } finally {
    countWaiting(name, -1);
  }
}

/** What the ring object says of an origin: it probes. Its newer snapshot is taken over. */
async function askRing(
  env: Env,
  settings: Settings,
  pool: Pool,
  { origin, region }: Routed,
): Promise<"well" | "down" | "someone-asks" | "nobody-answers"> {
  const name = `${pool.id}/${origin.id}`;
  const word = heard.get(name);
  if (word && Date.now() < word.untilMs) return word.what === "asking" ? "someone-asks" : "well";
  heard.set(name, { what: "asking", untilMs: Date.now() + ASKING_MS });
  try {
    const answer = await ringStub(env, settings.config, pool.id, region).verdict(origin.id);
    learn(answer);
    if (!answer.verdict.healthy) {
      heard.delete(name);
      return "down";
    }
  } catch (error) {
    console.error(JSON.stringify({ limpet: "ring-unreachable", pool: pool.id, region, error: String(error) }));
    heard.delete(name);
    return "nobody-answers";
  }
  heard.set(name, { what: "well", untilMs: Date.now() + wellMs(pool) });
  return "well";
}

/** The body of a GET or HEAD has no meaning (RFC 9110 §9.3.1), and the platform sends none. */
function mayHaveBody(request: Request): boolean {
  return request.method !== "GET" && request.method !== "HEAD";
}

/** Idempotent (RFC 9110 §9.2.2), and with no body that was given away already. */
function mayRepeat(request: Request): boolean {
  return (request.body === null || !mayHaveBody(request)) && ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"].includes(request.method);
}
