// The decision: which origin serves a session, and why. Pure and total; the Worker, the ring object, carriers, plan, explain and tests
// all call it, and nowhere else is an origin chosen. The ring proposes an order (the walk); this file only says whose turn it is.
// Order: pin, claim › a region that the home region spills to › home region › its backups › secondary regions, same rules › panic › refusal.

import { illness, lossOf, unavailability } from "./availability.ts";
import { BACKUP_RULES, choose, isByRing, passOver, rulesFor, SPILL_RULES, type Course } from "./choose.ts";
import type { Decision, Reason, Refused, Routed, Trace } from "./decision.ts";
import { ownerOf, walk } from "./ring.ts";
import { admits } from "./share.ts";
import type { Claim, Holding, Policy, Situation } from "./situation.ts";
import type { RegionView, SnapshotOrigin } from "./snapshot.ts";
import { keeps } from "./spill.ts";

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

/** The origins after the chosen one, where its state may be replicated ahead: the next of its region, and one of a secondary region. */
export function replicasOf(situation: Pick<Situation, "key" | "regions" | "nowMs">, chosen: string): string[] {
  const replicas: string[] = [];
  situation.regions.slice(0, 2).forEach((view) => {
    for (const id of walk(view.ring, situation.key.position)) {
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
  return claim && counts(course, claim) ? byHolding(course, claim, "claim") : undefined;
}

/** A connection's claim always counts. A cookie's does not where sessions follow the ring, nor abroad when it is time to come home. */
function counts(course: Course, claim: Claim): boolean {
  if (claim.from === "connection") return true;
  const { policy, regions } = course.situation;
  const home = regions[0];
  if (!policy.hold) return false;
  return !home || home.byId.has(claim.origin) || policy.failback !== "sessions" || !keepsIt(course, home) || !hasSomebody(course, home);
}

function byHolding(course: Course, holding: Holding, step: "pin" | "claim"): Decision | undefined {
  const { regions, nowMs, excluded, policy, keyed } = course.situation;
  const view = regions.find((region) => region.byId.has(holding.origin));
  const origin = view?.byId.get(holding.origin);
  const loss = lossOf(origin, nowMs, excluded);
  course.trace?.({ step, region: view?.snapshot.region ?? "", origin: holding.origin, outcome: loss ?? "taken" });
  if (view && origin && !loss) return routed(course, view, origin, step, holding.fence === 0 ? undefined : holding.fence);
  const why = loss ?? "gone";
  passOver(course, holding.origin, why);
  // A strict session whose holder is lost to a fault waits for it, wherever the ring would have it, and whether new ones are still bound.
  const ill = why === "down" || why === "ejected" || why === "excluded";
  return ill && keyed && policy.stickiness === "strict" ? refused(course, "owner-lost") : undefined;
}

/** A strict session goes to nobody but its owner. A planned absence moves it even so: the next of the walk is then its owner. */
function byStrictOwner(course: Course): Refused | undefined {
  const { regions, balance, nowMs, excluded } = course.situation;
  const home = regions[0];
  if (!home || !isStrict(course) || !isByRing(balance)) return undefined;
  for (const id of walk(home.ring, course.point.position)) {
    const origin = home.byId.get(id);
    if (!origin || origin.lifecycle !== "active") continue;
    const ill = illness(origin, nowMs, excluded);
    if (!ill) return undefined;
    course.trace?.({ step: "owner", region: home.snapshot.region, origin: id, outcome: ill });
    passOver(course, id, ill);
    return refused(course, "owner-lost");
  }
  return undefined;
}

/**
 * What the home region does not keep goes to its backups, else to the first secondary region that keeps it; if there is none, it stays.
 * Where nobody at home is left, all of it goes that way, and more: that is failover.
 */
function bySpill(course: Course): Routed | undefined {
  const home = course.situation.regions[0];
  if (!home || isStrict(course) || keepsIt(course, home) || !hasSomebody(course, home)) return undefined;
  const backup = choose(course, home, BACKUP_RULES);
  return backup ? routed(course, home, backup, "backup") : byOthers(course, "spill");
}

/** The home region, its backups, then the others: first those that keep the key and need not be pressed, then whoever is there. */
function byRegions(course: Course): Routed | undefined {
  const { regions, balance } = course.situation;
  for (const view of regions) {
    const home = view === regions[0];
    for (const rules of rulesFor(balance)) {
      const chosen = choose(course, view, rules);
      if (chosen) return routed(course, view, chosen, home ? homeReason(course, view, chosen) : "failover");
    }
    const gently = home ? byOthers(course, "failover") : undefined;
    if (gently) return gently;
  }
  return undefined;
}

/** The first secondary region that keeps the key and has somebody who admits it. */
function byOthers(course: Course, reason: "spill" | "failover"): Routed | undefined {
  for (const view of course.situation.regions.slice(1)) {
    const chosen = keepsIt(course, view) ? choose(course, view, SPILL_RULES) : undefined;
    if (chosen) return routed(course, view, chosen, reason);
  }
  return undefined;
}

function keepsIt({ situation, point }: Course, view: RegionView): boolean {
  return keeps(view.snapshot, point.lot, situation.nowMs);
}

/** Whether one of a region's own origins takes new sessions. */
function hasSomebody({ situation }: Course, { snapshot }: RegionView): boolean {
  const { nowMs, excluded } = situation;
  return snapshot.origins.some((origin) => !origin.backup && origin.weight > 0 && !unavailability(origin, nowMs, excluded));
}

function homeReason(course: Course, view: RegionView, chosen: SnapshotOrigin): Reason {
  if (chosen.backup) return "backup";
  if (!course.bound || !isByRing(course.situation.balance)) return "balance";
  return ownerOf(view.ring, course.point.position) === chosen.id ? "owner" : "next";
}

/** Nobody is available: better a doubtful origin than none, but not for a strict session. Ejection is ignored first, then down; home first. */
function byPanic(course: Course): Routed | undefined {
  if (isStrict(course)) return undefined;
  const { regions, excluded } = course.situation;
  for (const ignored of ["ejected", "down"] as const) {
    for (const view of regions) {
      for (const ring of [view.ring, view.backups]) {
        for (const id of walk(ring, course.point.position)) {
          const origin = view.byId.get(id);
          if (!origin || excluded.has(id) || origin.lifecycle !== "active") continue;
          if (ignored === "ejected" && origin.health === "down") continue;
          course.trace?.({ step: "panic", region: view.snapshot.region, origin: id, outcome: "taken" });
          return routed(course, view, origin, "panic");
        }
      }
    }
  }
  return undefined;
}

function isStrict({ situation, bound }: Course): boolean {
  return situation.policy.stickiness === "strict" && bound;
}

function routed(course: Course, view: RegionView, origin: SnapshotOrigin, reason: Reason, fence?: number): Routed {
  const { region, epoch } = view.snapshot;
  return { kind: "routed", origin, region, epoch, fence, reason, passed: course.passed };
}

function refused(course: Course, why: Refused["why"]): Refused {
  return { kind: "refused", why, epoch: course.situation.regions[0]?.snapshot.epoch ?? 0, passed: course.passed };
}

const NOBODY: ReadonlySet<string> = new Set();
