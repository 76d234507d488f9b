// The decision: which origin serves a session, and why. Pure and total; the Worker, the ring object, carriers and tests all call it,
// and nowhere else is an origin chosen. The ring proposes an endless order (the walk); this file only says who is taken.
// Order: pin, claim › home region › its backups › secondary regions, same rules › panic › refusal.

import { capacityOf } from "./capacity.ts";
import type { KeyPoint } from "./hash.ts";
import { walk, type Ring } from "./ring.ts";
import { admits, shareAt } from "./share.ts";
import type { RegionView, SnapshotOrigin } from "./snapshot.ts";

export interface Situation {
  readonly key: KeyPoint;
  /** `false`: nothing names a session; `key` is then a draw, which spreads by weight because the ring does. */
  readonly keyed: boolean;
  /** Home region first, then its secondary regions in order. */
  readonly regions: readonly RegionView[];
  readonly pin?: Holding | undefined;
  readonly claim?: Holding | undefined;
  /** Origins that the asker has just failed to reach. */
  readonly excluded: ReadonlySet<string>;
  readonly stickiness: "prefer" | "strict";
  /** Given by the ring object alone, where the policy bounds load. */
  readonly bound?: Bound | undefined;
  readonly nowMs: number;
}

/** An origin that already holds the session, and since which fence (0: not known). */
export interface Holding {
  readonly origin: string;
  readonly fence: number;
}

export interface Bound {
  /** c of the bounded load, > 1. */
  readonly factor: number;
  /** Live sessions of the region, and of one origin. */
  readonly total: number;
  readonly loadOf: (originId: string) => number;
}

export const REASONS = ["pin", "claim", "owner", "next", "backup", "spill", "failover", "panic", "replay", "balance"] as const;
export type Reason = (typeof REASONS)[number];

export type Decision = Routed | Refused;

export interface Routed {
  readonly kind: "routed";
  readonly origin: SnapshotOrigin;
  readonly region: string;
  readonly epoch: number;
  /** Of the pin or claim that named the origin; `undefined` where the ring did. */
  readonly fence: number | undefined;
  readonly reason: Reason;
  /** Who was passed over before this one was taken, in order, and why. */
  readonly passed: readonly Passed[];
}

export interface Refused {
  readonly kind: "refused";
  /** `no-origin`: none is left to try. `owner-lost`: a strict pool waits for the owner. */
  readonly why: "no-origin" | "owner-lost";
  readonly epoch: number;
  readonly passed: readonly Passed[];
}

export interface Passed {
  readonly origin: string;
  readonly why: Unavailable | "share" | "full";
}

type Unavailable = "gone" | "joining" | "draining" | "drained" | "ejected" | "down" | "excluded";

/** Chooses an origin. Never throws and never loops: every step tries each origin at most once. */
export function decide(situation: Situation): Decision {
  const passed: Passed[] = [];
  const epoch = situation.regions[0]?.snapshot.epoch ?? 0;
  return (
    byHolding(situation, situation.pin, "pin", passed) ??
    byStrictHolder(situation, epoch, passed) ??
    byHolding(situation, situation.claim, "claim", passed) ??
    byStrictHolder(situation, epoch, passed) ??
    byStrictOwner(situation, epoch, passed) ??
    byRegions(situation, passed) ??
    byPanic(situation, passed) ?? { kind: "refused", why: "no-origin", epoch, passed }
  );
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

/** Why an origin takes no new session now; `undefined` when it does. */
export function unavailability(origin: SnapshotOrigin, nowMs: number, excluded: ReadonlySet<string>): Unavailable | undefined {
  if (origin.lifecycle !== "active") return origin.lifecycle;
  return illness(origin, nowMs, excluded);
}

/** Why an origin may not keep a session that it holds: a drain alone is no reason before its closing epoch. */
export function lossOf(origin: SnapshotOrigin | undefined, nowMs: number, excluded: ReadonlySet<string>): Unavailable | undefined {
  if (!origin) return "gone";
  if (origin.closed || origin.lifecycle === "drained") return "drained";
  return illness(origin, nowMs, excluded);
}

function illness(origin: SnapshotOrigin, nowMs: number, excluded: ReadonlySet<string>): Unavailable | undefined {
  if (excluded.has(origin.id)) return "excluded";
  if (origin.health === "down") return "down";
  return origin.health === "ejected" && nowMs < origin.ejectedUntilMs ? "ejected" : undefined;
}

const NOBODY: ReadonlySet<string> = new Set();

function byHolding(situation: Situation, holding: Holding | undefined, reason: "pin" | "claim", passed: Passed[]): Routed | undefined {
  if (!holding) return undefined;
  const view = situation.regions.find((region) => region.byId.has(holding.origin));
  const origin = view?.byId.get(holding.origin);
  const loss = lossOf(origin, situation.nowMs, situation.excluded);
  if (!view || !origin || loss) {
    passed.push({ origin: holding.origin, why: loss ?? "gone" });
    return undefined;
  }
  return routed(view, origin, reason, passed, holding.fence === 0 ? undefined : holding.fence);
}

/** A strict session whose pin or claim is lost to a fault waits for that origin, wherever the ring would have it. */
function byStrictHolder(situation: Situation, epoch: number, passed: readonly Passed[]): Refused | undefined {
  const ill = passed.some(({ why }) => why === "down" || why === "ejected" || why === "excluded");
  return situation.stickiness === "strict" && situation.keyed && ill ? { kind: "refused", why: "owner-lost", epoch, passed } : undefined;
}

function byStrictOwner(situation: Situation, epoch: number, passed: Passed[]): Refused | undefined {
  const home = situation.regions[0];
  if (situation.stickiness !== "strict" || !situation.keyed || !home) return undefined;
  for (const id of walk(home.ring, situation.key.position)) {
    const origin = home.byId.get(id);
    // A planned absence moves the session even in a strict pool: the next of the walk is then its owner.
    if (!origin || origin.lifecycle !== "active") continue;
    const ill = illness(origin, situation.nowMs, situation.excluded);
    return ill ? { kind: "refused", why: "owner-lost", epoch, passed: [...passed, { origin: id, why: ill }] } : undefined;
  }
  return undefined;
}

function byRegions(situation: Situation, passed: Passed[]): Routed | undefined {
  for (const [index, view] of situation.regions.entries()) {
    const chosen =
      byWalk(situation, view, view.ring, { share: true, bound: true }, passed) ??
      byWalk(situation, view, view.ring, { share: false, bound: true }, []) ??
      byWalk(situation, view, view.ring, { share: false, bound: false }, []);
    if (chosen) return routed(view, chosen, reasonOf(situation, view, index, chosen), passed);
    const backup = byWalk(situation, view, view.backups, { share: false, bound: false }, passed);
    if (backup) return routed(view, backup, index === 0 ? "backup" : "failover", passed);
  }
  return undefined;
}

function reasonOf(situation: Situation, view: RegionView, index: number, chosen: SnapshotOrigin): Reason {
  if (!situation.keyed) return "balance";
  if (index > 0) return "failover";
  const [owner] = walk(view.ring, situation.key.position);
  return owner === chosen.id ? "owner" : "next";
}

function byWalk(
  situation: Situation,
  view: RegionView,
  ring: Ring,
  rules: { readonly share: boolean; readonly bound: boolean },
  passed: Passed[],
): SnapshotOrigin | undefined {
  for (const id of walk(ring, situation.key.position)) {
    const origin = view.byId.get(id);
    if (!origin) continue;
    const why = unavailability(origin, situation.nowMs, situation.excluded) ?? declines(situation, view, origin, rules);
    if (!why) return origin;
    passed.push({ origin: id, why });
  }
  return undefined;
}

function declines(
  situation: Situation,
  view: RegionView,
  origin: SnapshotOrigin,
  rules: { readonly share: boolean; readonly bound: boolean },
): "share" | "full" | undefined {
  if (rules.share && !admits(situation.key.lot, origin.id, shareAt(origin.share, situation.nowMs))) return "share";
  const { bound } = situation;
  if (!rules.bound || !bound) return undefined;
  return bound.loadOf(origin.id) < capacityOf(bound.factor, bound.total, weightShare(situation, view, origin)) ? undefined : "full";
}

/** The origin's part of the weight that may take sessions now, shares counted; of the bare weights where all shares are 0. */
function weightShare(situation: Situation, view: RegionView, origin: SnapshotOrigin): number {
  const open = view.snapshot.origins.filter((each) => !each.backup && !unavailability(each, situation.nowMs, situation.excluded));
  const shared = (each: SnapshotOrigin): number => each.weight * shareAt(each.share, situation.nowMs);
  const total = open.reduce((sum, each) => sum + shared(each), 0);
  if (total > 0) return shared(origin) / total;
  const bare = open.reduce((sum, each) => sum + each.weight, 0);
  return bare > 0 ? origin.weight / bare : 0;
}

/** Nobody is available: better a doubtful origin than none. Ejection is ignored first, then down; home region first. */
function byPanic(situation: Situation, passed: Passed[]): Routed | undefined {
  for (const ignored of ["ejected", "down"] as const) {
    for (const view of situation.regions) {
      for (const id of [...walk(view.ring, situation.key.position), ...walk(view.backups, situation.key.position)]) {
        const origin = view.byId.get(id);
        if (!origin || situation.excluded.has(id) || origin.lifecycle !== "active") continue;
        if (ignored === "down" || origin.health !== "down") return routed(view, origin, "panic", passed);
      }
    }
  }
  return undefined;
}

function routed(view: RegionView, origin: SnapshotOrigin, reason: Reason, passed: readonly Passed[], fence?: number): Routed {
  return { kind: "routed", origin, region: view.snapshot.region, epoch: view.snapshot.epoch, fence, reason, passed };
}
