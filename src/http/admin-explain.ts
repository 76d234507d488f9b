// The way of a request that nobody makes: identified, located and decided on as one would be, by this Worker's knowledge and by the ring object's, each
// step shown. Nothing is placed, no origin is asked, and no answer is made.

import { Hono, type Context } from "hono";
import { parseExplain, type ExplainBody } from "../core/explain-body.ts";
import type { Balance } from "../core/balance.ts";
import { decide } from "../core/decide.ts";
import type { Step } from "../core/decision.ts";
import { isLoop, recordOf } from "../core/headers.ts";
import { regionOrder } from "../core/home.ts";
import { sliceOf } from "../core/names.ts";
import { faultyProblem } from "../core/problem.ts";
import type { FindItem } from "../core/protocol.ts";
import { within } from "../platform/limits.ts";
import { viewOfDecision, type Explained } from "../platform/ring-explain.ts";
import { hintOf, knownRing } from "../platform/snapshots.ts";
import { ringStub } from "../platform/stubs.ts";
import type { Told } from "./admin-app.ts";
import { jsonOf, needs, only, RING_ANSWER_MS, type Admin } from "./admin-parts.ts";
import { handshakeFault, isLive, isUpgrade } from "./handshake.ts";
import { claimOf } from "./messages.ts";
import { wouldLocate } from "./locate.ts";
import { factsOf, identify, type Identification, type Identified } from "./request.ts";
import type { Arrival } from "./route.ts";

type Explanation = Told<"explain">;

const EXPLAIN = "/v1/explain";

export const explainRoutes = new Hono<Admin>()
  .post(EXPLAIN, needs("read"), async (c) => {
    const body = await jsonOf(c);
    if (body instanceof Response) return body;
    const parsed = parseExplain(body.value);
    return parsed.ok ? c.json(await explained(arrivalOf(c, parsed.value))) : faultyProblem(parsed.faults, c.env.requestId);
  })
  .all(EXPLAIN, only("POST"));

/** The request as it would arrive here. */
function arrivalOf(c: Context<Admin>, { url, method, headers, cf }: ExplainBody): Arrival {
  const { env, settings, requestId } = c.env;
  const request = new Request(url, { method, headers, cf });
  const given = recordOf(request.headers);
  return { env, ctx: c.executionCtx, settings, request, url: new URL(url), requestId, given, startedAtMs: Date.now() };
}

async function explained(arrival: Arrival): Promise<Explanation> {
  const { settings } = arrival;
  const identified = await identify(settings, factsOf(arrival));
  if (identified.kind !== "identified") return { identify: { outcome: identified.kind, detail: DETAILS[identified.kind](identified) } };
  const { route, pool, source, key, bound } = identified;
  const keyHash = await identified.keyHash();
  const home = await wouldLocate(arrival, identified);
  const regions = regionOrder(settings.config, pool, home);
  const claim = claimOf(identified);
  const live = isLive(arrival);
  const relayed = live && route.carry === "relay";
  const fault = faultOf(arrival);
  const asksRing = key !== undefined && (relayed || route.exact || live);
  return {
    identify: {
      outcome: "identified",
      route: route.path,
      pool: pool.id,
      ...(key === undefined ? {} : { source, key, keyHash }),
      bound,
      ...(claim && { claim: { origin: claim.origin, fence: claim.fence, from: claim.from } }),
    },
    locate: { region: home, why: whyHome(identified, home), regions },
    carry: {
      how: live ? route.carry : "plain",
      ...(relayed ? { carrier: sliceOf(identified.point.lot, pool.carriers) } : {}),
      decidedBy: asksRing ? "ring" : "worker",
      ...(fault === undefined ? {} : { fault }),
    },
    worker: await byWorker(arrival, identified, home, keyHash),
    ring: await byRing(arrival, identified, home, keyHash, relayed),
  };
}

const DETAILS: { readonly [K in Exclude<Identification["kind"], "identified">]: (of: Identification) => string } = {
  "no-route": () => "No route of the configuration matches its host, path and headers.",
  foreign: (of) => `The page's origin is ${of.kind === "foreign" ? of.origin : ""}; the route allows others.`,
  missing: () => "The route is `required`, and the request names no session that is valid.",
  unverifiable: () => "The keys that its token is verified with cannot be fetched now.",
  unusable: (of) => `The path names a session, but ${of.kind === "unusable" ? of.fault : ""}.`,
};

/** Why it would be refused although it is known whose it is. */
function faultOf(arrival: Arrival): string | undefined {
  if (isLoop(arrival.given["via"])) return "It has come through here before: an origin's URL leads back to the router.";
  return isUpgrade(arrival.given) ? handshakeFault(arrival) : undefined;
}

function whyHome({ route, key, tag, claims }: Identified, home: string): string {
  const { kind } = route.home;
  if (kind === "region") return "the route names it";
  if (kind === "session" && key !== undefined) return "drawn by the key, over the pool's regions";
  if (kind === "first") return "the region of the session's first visitor";
  const remembered = kind === "visitor" ? (tag?.home ?? claims?.home) : undefined;
  return remembered === home ? "remembered by the visitor's cookie or key" : "nearest to the visitor";
}

/** What this isolate would decide by what it, KV and the ring objects have published. */
async function byWorker(arrival: Arrival, identified: Identified, home: string, keyHash: string): Promise<NonNullable<Explanation["worker"]>> {
  const { settings } = arrival;
  const { pool, key, point, draw } = identified;
  const known = await Promise.all(regionOrder(settings.config, pool, home).map((region) => knownRing(arrival, pool, region)));
  const [own] = known;
  const hint = key !== undefined && own ? hintOf(pool, home, own, keyHash) : undefined;
  const claim = claimOf(identified);
  const steps: Step[] = [];
  const balance = balanceOf(identified);
  const decision = decide(
    {
      key: point,
      draw,
      keyed: key !== undefined,
      regions: known.map(({ view }) => view),
      pin: hint && hint.fence < (claim?.fence ?? 0) ? undefined : hint, // what the visitor brings may be younger
      claim,
      excluded: new Set(),
      policy: pool,
      balance,
      nowMs: Date.now(),
    },
    (step) => steps.push(step),
  );
  return {
    layer: own?.layer ?? "config",
    epoch: own?.view.snapshot.epoch ?? 0,
    ...(hint && { hint: { origin: hint.origin, fence: hint.fence } }),
    steps,
    decision: viewOfDecision(decision),
    ...(balance.kind === "random" || key === undefined ? { byChance: true } : {}),
  };
}

/** Nobody's turn is taken: what goes by load or turn is shown by a chance. */
function balanceOf({ pool, key, remembers, route }: Identified): Balance {
  const shared = key !== undefined && !(remembers && route.home.kind === "visitor");
  if (shared || pool.balance === "ring" || pool.balance === "bounded-ring") return { kind: "ring" };
  return { kind: "random", draw: Math.random() };
}

async function byRing(
  arrival: Arrival,
  identified: Identified,
  home: string,
  keyHash: string,
  live: boolean,
): Promise<NonNullable<Explanation["ring"]>> {
  const { env, settings } = arrival;
  const { pool, point, key, learned } = identified;
  const claim = claimOf(identified);
  const item: FindItem = {
    ...point,
    keyHash,
    keyed: key !== undefined,
    ...(learned ? { learned } : {}),
    ...(claim ? { claim: { origin: claim.origin, fence: claim.fence } } : {}),
    excluded: [],
  };
  const asked = async (): Promise<Explained> => ringStub(env, settings.config, pool.id, home).explain(item, live);
  try {
    return await within(asked(), RING_ANSWER_MS, `ring ${pool.id}@${home}`);
  } catch (error) {
    console.error(JSON.stringify({ limpet: "ring-unreachable", pool: pool.id, region: home, error: String(error) }));
    return { unreachable: true };
  }
}
