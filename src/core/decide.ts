// The decision: which origin serves a session, and why. Pure and total; the Worker, the ring object, carriers, plan, explain and tests
// all call it, and nowhere else is an origin chosen. The ring proposes an order (the walk); this file only says whose turn it is.
// Order: pin, claim › a region that the home region spills to › home region › its backups › secondary regions, same rules › panic › refusal.

import { hasSomebody, illness, lossOf, unavailability } from "./availability.ts";
import { absence, BACKUP_RULES, choose, isByRing, passOver, rulesFor, SPILL_RULES, type Course } from "./choose.ts";
import type { Decision, Reason, Refused, Routed, Trace, Why } from "./decision.ts";
import { fraction } from "./hash.ts";
import { ownerOf, walk } from "./ring.ts";
import { admits, shareAt } from "./share.ts";
import type { Claim, Holding, Policy, Situation } from "./situation.ts";
import type { RegionView, SnapshotOrigin } from "./snapshot.ts";
import { keeps, keptName } from "./spill.ts";

/** Chooses an origin. Never throws and never loops: every step tries each origin at most once. */
export function decide(situation: Situation, trace?: Trace): Decision {
  const { key, keyed, draw, policy } = situation;
  const bound = keyed && hasAffinity(policy, key.lot);
  const course: Course = { situation, point: bound || !keyed ? key : (draw ?? key), bound, passed: [], trace };
  return byHoldings(course) ?? byStrictOwner(course) ?? bySpill(course) ?? byRegions(course) ?? byPanic(course) ?? refused(course, "no-origin");
}

/** Whether a key of this lot is bound to an origin at all. Sessions that are stay so until they end, by their pins and claims. */
export function hasAffinity({ affinity, rollout }: Pick<Policy, "affinity" | "rollout">, lot: number): boolean {
  return affinity === "on" && admits(lot, "rollout/", rollout);
}

/** How far along the walk a replica is looked for: to the end of a ring that is down would take as long as many decisions. */
const REPLICAS_LOOKED_AT = 16;

/** The origins after the chosen one, where its state may be replicated ahead: the next of its region, and one of a secondary region. */
export function replicasOf(situation: Pick<Situation, "key" | "regions" | "nowMs">, chosen: string): string[] {
  const replicas: string[] = [];
  situation.regions.slice(0, 2).forEach((view) => {
    let looked = 0;
    for (const id of walk(view.ring, situation.key.position)) {
      if (++looked > REPLICAS_LOOKED_AT) break;
      const origin = view.byId.get(id);
      if (id === chosen || !origin || unavailability(origin, situation.nowMs, NOBODY)) continue;
      replicas.push(id);
      break;
    }
  });
  return replicas;
}

function byHoldings(course: Course): Decision | undefined {
  const { pin, claim } = course.situation;
  const pinned = pin && byHolding(course, pin, "pin");
  if (pinned) return pinned;
  if (!claim) return undefined;
  if (counts(course, claim)) return byHolding(course, claim, "claim");
  const view = course.situation.regions.find((region) => region.byId.has(claim.origin));
  course.trace?.({ step: "claim", region: view?.snapshot.region ?? "", origin: claim.origin, outcome: "does-not-count" });
  return undefined;
}

/** A connection's claim always counts, and a tag's: the state is there and nowhere else. A cookie's does not where sessions follow the ring, nor abroad when it is time to come home. */
function counts(course: Course, claim: Claim): boolean {
  if (claim.from !== "cookie") return true;
  const { policy, regions } = course.situation;
  const home = regions[0];
  if (!policy.hold) return false;
  return !home || home.byId.has(claim.origin) || policy.failback !== "sessions" || !keepsIt(course, home) || !hasOne(course, home);
}

function byHolding(course: Course, holding: Holding, step: "pin" | "claim"): Decision | undefined {
  const { regions, nowMs, excluded, policy, keyed } = course.situation;
  const view = regions.find((region) => region.byId.has(holding.origin));
  const origin = view?.byId.get(holding.origin);
  const loss = lossOf(origin, nowMs, excluded, holding.fence);
  course.trace?.({ step, region: view?.snapshot.region ?? "", origin: holding.origin, outcome: loss ?? "taken" });
  if (view && origin && !loss) return routed(course, view, origin, step, fenceOf(holding, origin));
  const why = loss ?? "gone";
  passOver(course, holding.origin, why);
  // A strict session whose holder is lost to a fault waits for it, wherever the ring would have it, and whether new ones are still bound.
  const ill = why === "down" || why === "ejected" || why === "excluded";
  return ill && keyed && policy.stickiness === "strict" ? refused(course, "owner-lost") : undefined;
}

/**
 * A strict session goes to nobody but its owner, and to nobody while only the bare configuration is known (epoch 0), whose ring may be
 * another. A planned absence moves it even so: the next of the walk, a backup or another region's is then its owner.
 */
function byStrictOwner(course: Course): Refused | undefined {
  const { regions, balance, nowMs, excluded } = course.situation;
  if (!isStrict(course)) return undefined;
  if (regions[0]?.snapshot.epoch === 0) return refused(course, "owner-lost");
  const owner = isByRing(balance) ? byRegions({ ...course, allWell: true, passed: [], told: undefined, trace: undefined }) : undefined;
  const ill = owner && illness(owner.origin, nowMs, excluded);
  if (!ill) return undefined;
  course.trace?.({ step: "owner", region: owner.region, origin: owner.origin.id, outcome: ill });
  passOver(course, owner.origin.id, ill);
  return refused(course, "owner-lost");
}

/**
 * What the home region does not keep goes to its backups, else to the first secondary region that keeps it; if there is none, it stays.
 * Where nobody at home is left, all of it goes that way, and more: that is failover.
 */
function bySpill(course: Course): Routed | undefined {
  const home = course.situation.regions[0];
  if (!home || isStrict(course) || keepsIt(course, home) || !hasOne(course, home)) return undefined;
  const backup = choose(course, home, BACKUP_RULES);
  return backup ? routed(course, home, backup, "backup") : byOthers(course, "spill");
}

/** The home region, its backups, then the others: first those that keep the key and need not be pressed, then whoever is there. */
function byRegions(course: Course): Routed | undefined {
  const { regions, balance } = course.situation;
  for (const view of regions) {
    const home = view === regions[0];
    for (const rules of rulesFor(balance)) {
      if (rules.pressed && !hasOne(course, view)) continue;
      const chosen = choose(course, view, rules);
      if (chosen) return routed(course, view, chosen, home ? homeReason(course, view, chosen) : "failover");
    }
    const gently = home ? byOthers(course, "failover") : undefined;
    if (gently) return gently;
  }
  return undefined;
}

/** The first secondary region that keeps the key and has somebody who admits it. A strict session does not choose by who is well. */
function byOthers(course: Course, reason: "spill" | "failover"): Routed | undefined {
  if (isStrict(course)) return undefined;
  for (const view of course.situation.regions.slice(1)) {
    const chosen = keepsIt(course, view) ? choose(course, view, SPILL_RULES) : undefined;
    if (chosen) return routed(course, view, chosen, reason);
  }
  return undefined;
}

function keepsIt({ situation, point, trace }: Course, { snapshot }: RegionView): boolean {
  const kept = keeps(snapshot, point.lot, situation.nowMs);
  const share = shareAt(snapshot.kept, situation.nowMs);
  const drawn = { share, fraction: fraction(point.lot, keptName(snapshot.region)) };
  if (trace && share < 1) trace({ step: "region", region: snapshot.region, outcome: kept ? "kept" : "not-kept", ...drawn });
  return kept;
}

function hasOne(course: Course, { snapshot }: RegionView): boolean {
  return hasSomebody(snapshot, (origin) => !absence(course, origin));
}

function homeReason(course: Course, view: RegionView, chosen: SnapshotOrigin): Reason {
  if (chosen.backup) return "backup";
  if (!course.bound || !isByRing(course.situation.balance)) return "balance";
  return ownerOf(view.ring, course.point.position) === chosen.id ? "owner" : "next";
}

/** A region's walk, and behind it the walk of its backups. */
function* walks({ point }: Course, view: RegionView): Generator<string, void, undefined> {
  yield* walk(view.ring, point.position);
  yield* walk(view.backups, point.position);
}

/**
 * Nobody is available: better a doubtful origin than none, but not for a strict session. Ejection is ignored first, then down, and last that one has
 * never answered; home first. Never that an origin wants nobody (maintenance, a drain).
 */
function byPanic(course: Course): Routed | undefined {
  if (isStrict(course)) return undefined;
  const { regions, excluded } = course.situation;
  for (const ignored of ["ejected", "down", "joining"] as const) {
    for (const view of regions) {
      for (const id of walks(course, view)) {
        const origin = view.byId.get(id);
        if (!origin) continue;
        const still = stillAway(origin, ignored) ?? (excluded.has(id) ? "excluded" : undefined);
        course.trace?.({ step: "panic", region: view.snapshot.region, origin: id, outcome: still ?? "taken" });
        if (!still) return routed(course, view, origin, "panic");
      }
    }
  }
  return undefined;
}

/** Why an origin takes nobody in a panic either. */
function stillAway({ lifecycle, maintenance, health }: SnapshotOrigin, ignored: "ejected" | "down" | "joining"): Why | undefined {
  if (lifecycle !== "active" && !(lifecycle === "joining" && ignored === "joining")) return lifecycle;
  if (maintenance) return "maintenance";
  return ignored === "ejected" && health === "down" ? "down" : undefined;
}

function isStrict({ situation, bound }: Course): boolean {
  return situation.policy.stickiness === "strict" && bound;
}

function routed(course: Course, view: RegionView, origin: SnapshotOrigin, reason: Reason, fence?: number): Routed {
  const { region, epoch } = view.snapshot;
  return { kind: "routed", origin, region, epoch, fence, reason, passed: course.passed };
}

/** The fence of the session's own placement: not that since which its origin has its id. */
function fenceOf({ fence }: Holding, { bornFence = 0 }: SnapshotOrigin): number | undefined {
  return fence === bornFence || fence === 0 || fence === Infinity ? undefined : fence;
}

function refused(course: Course, why: Refused["why"]): Refused {
  return { kind: "refused", why, epoch: course.situation.regions[0]?.snapshot.epoch ?? 0, passed: course.passed };
}

const NOBODY: ReadonlySet<string> = new Set();
