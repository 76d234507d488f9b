// The decision on a plain request, on what this isolate knows: the home ring alone while that serves and keeps the key; the others are read
// only when it does not, or hold the claim. The ring object is asked where a route is exact or splices, or the table of hints is not all.

import type { Balance } from "../core/balance.ts";
import type { Pool, Route } from "../core/config-types.ts";
import { decide } from "../core/decide.ts";
import type { Decision, Routed } from "../core/decision.ts";
import type { KeyPoint } from "../core/hash.ts";
import type { HeaderRecord } from "../core/headers.ts";
import { regionOrder } from "../core/home.ts";
import type { Claim, Holding } from "../core/situation.ts";
import type { RegionView } from "../core/snapshot.ts";
import { keeps } from "../core/spill.ts";
import type { Platform } from "./env.ts";
import { findAtRing } from "./ring-words.ts";
import { heldRing, hintOf, knownRing, mayBeElsewhere, type Layer } from "./snapshots.ts";
import { turnOf, waitingAt } from "./traffic.ts";

export interface PlainRequest {
  readonly request: Request;
  readonly requestId: string;
  /** A live connection that is handed through: everyone of its session must agree, so the ring object is asked. */
  readonly spliced: boolean;
  /** What an attempt's origin gets beside the Limpet field, made anew for each. */
  readonly headers: () => HeaderRecord;
  readonly target: string;
  readonly route: Route;
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

export interface Decided {
  readonly decision: Decision;
  /** What it was decided on: home first. */
  readonly views: readonly RegionView[];
  readonly layer: Layer;
}

/** `ordered`: the origin that another has named for this request. */
export async function decideOn(
  platform: Platform,
  plain: PlainRequest,
  excluded: ReadonlySet<string>,
  ordered: Routed | undefined,
): Promise<Decided> {
  const { pool } = plain;
  const home = heldRing(platform, pool, plain.home) ?? (await knownRing(platform, pool, plain.home));
  const { view, layer } = home;
  if (ordered) return { decision: ordered, views: [view], layer };
  const hint = plain.key !== undefined && mayBeElsewhere(pool, plain.home, home) ? hintOf(pool, plain.home, home, await plain.keyHash()) : undefined;
  if (plain.key !== undefined && (plain.route.exact || plain.spliced || (!home.complete && !hint))) {
    const asked = await findAtRing(platform, plain, excluded);
    if (asked) return { decision: asked, views: [view], layer: "ring" };
    if (pool.stickiness === "strict")
      return { decision: { kind: "refused", why: "owner-lost", epoch: view.snapshot.epoch, passed: [] }, views: [view], layer };
  }
  // What the visitor brings may be younger than what KV says.
  const born = plain.claim && view.byId.get(plain.claim.origin)?.bornFence;
  const claimFence = plain.claim?.fence === born ? 0 : (plain.claim?.fence ?? 0); // no placement of its own
  const pin = hint && hint.fence < claimFence ? undefined : hint;
  const order = regionOrder(platform.settings.config, pool, plain.home);
  const atHome = decideAtHome(plain, view, pin, excluded, order.length === 1);
  if (atHome) return { decision: atHome, views: [view], layer };
  const views = (await Promise.all(order.map((region) => knownRing(platform, pool, region)))).map((each) => each.view);
  return { decision: decideFor(plain, views, pin, excluded), views, layer };
}

/** The decision of the home ring alone; `undefined` where the others must be looked at too. */
function decideAtHome(
  plain: PlainRequest,
  home: RegionView,
  pin: Holding | undefined,
  excluded: ReadonlySet<string>,
  alone: boolean,
): Decision | undefined {
  const abroad = [pin, plain.claim].some((holding) => holding !== undefined && !home.byId.has(holding.origin));
  if (!alone && (abroad || !keeps(home.snapshot, plain.point.lot, Date.now()))) return undefined;
  const decision = decideFor(plain, [home], pin, excluded);
  const settled = decision.kind === "routed" ? decision.reason !== "panic" : decision.why === "owner-lost";
  return alone || settled ? decision : undefined;
}

function decideFor(plain: PlainRequest, regions: readonly RegionView[], pin: Holding | undefined, excluded: ReadonlySet<string>): Decision {
  const { pool, point, claim } = plain;
  return decide({
    key: point,
    draw: plain.draw,
    keyed: plain.key !== undefined,
    regions,
    pin,
    claim,
    excluded,
    policy: pool,
    balance: balanceFor(plain),
    nowMs: Date.now(),
  });
}

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
      return { kind: pool.balance, loadOf: (id) => waitingAt(pool, id), draw: Math.random() };
    case "round-robin":
      return { kind: pool.balance, turn: turnOf(pool) };
    case "random":
      return { kind: pool.balance, draw: Math.random() };
    default:
      return pool.balance satisfies never;
  }
}
