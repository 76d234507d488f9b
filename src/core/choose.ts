// Who takes a session in one region, by the pool's policy: the walk with its rules, or a pick by load, turn or chance.

import { unavailability, type Unavailable } from "./availability.ts";
import { pick, type Balance, type Candidate } from "./balance.ts";
import { capacityOf } from "./capacity.ts";
import type { Passed, Step, Trace, Why } from "./decision.ts";
import { fraction, type KeyPoint } from "./hash.ts";
import { ownerOf, walk } from "./ring.ts";
import { admits, partsOf, shareAt } from "./share.ts";
import type { Situation } from "./situation.ts";
import type { RegionView, SnapshotOrigin } from "./snapshot.ts";

/** A decision under way. */
export interface Course {
  readonly situation: Situation;
  /** Where it stands on the ring, and its lot: the key's, or the draw's for a key without affinity. */
  readonly point: KeyPoint;
  /** Whether its key has affinity. */
  readonly bound: boolean;
  readonly passed: Passed[];
  /** Who is among the passed already: of several reasons the first is told. */
  told?: Set<string> | undefined;
  readonly trace: Trace | undefined;
  /** Asked only for a strict session's owner: nobody is ill, and only a planned absence counts. */
  readonly allWell?: boolean;
}

/** Why an origin takes no new session in this decision; `undefined` when it does. */
export function absence({ situation, allWell }: Course, origin: SnapshotOrigin): Unavailable | undefined {
  if (allWell) return origin.lifecycle !== "active" ? origin.lifecycle : origin.maintenance ? "maintenance" : undefined;
  return unavailability(origin, situation.nowMs, situation.excluded);
}

export function passOver(course: Course, origin: string, why: Why): void {
  course.told ??= new Set();
  if (course.told.has(origin)) return;
  course.told.add(origin);
  course.passed.push({ origin, why });
}

/** Which rules of the walk hold beside availability. */
export interface Rules {
  readonly step: Step["step"];
  readonly share: boolean;
  readonly capacity: boolean;
  /** For those who were there and declined: worth nothing where nobody is. */
  readonly pressed: boolean;
}

/** Nobody is pressed: a share that is still growing is respected, and there may be other regions that have more to give. */
export const SPILL_RULES: Rules = { step: "abroad", share: true, capacity: false, pressed: false };

export const BACKUP_RULES: Rules = { step: "backup", share: false, capacity: false, pressed: false };

/** Rules that are given up one by one until somebody takes the session. */
const WALK_RULES: readonly Rules[] = [
  { step: "walk", share: true, capacity: true, pressed: false },
  { step: "walk-without-shares", share: false, capacity: true, pressed: true },
  { step: "walk-without-bound", share: false, capacity: false, pressed: true },
  BACKUP_RULES,
];

/** What load, turn and chance choose among has no rules to give up: a share is part of the weight there. */
const PICK_RULES: readonly Rules[] = [{ step: "balance", share: false, capacity: false, pressed: false }, BACKUP_RULES];

export function isByRing({ kind }: Balance): boolean {
  return kind === "ring" || kind === "bounded-ring";
}

export function rulesFor(balance: Balance): readonly Rules[] {
  return isByRing(balance) ? WALK_RULES : PICK_RULES;
}

/** The origin of a region, or of its backups, that may take the session and that the policy names. */
export function choose(course: Course, view: RegionView, rules: Rules): SnapshotOrigin | undefined {
  const { balance } = course.situation;
  switch (balance.kind) {
    case "ring":
      return byWalk(course, view, rules, undefined);
    case "bounded-ring":
      // The asker knows the loads of its own region, the first, and no other's.
      return byWalk(course, view, rules, rules.capacity && view === course.situation.regions[0] ? balance : undefined);
    case "least-connections":
    case "round-robin":
    case "random":
      return byPick(course, view, rules, balance);
    default:
      return balance satisfies never;
  }
}

function byWalk(course: Course, view: RegionView, rules: Rules, bounded: Bounded | undefined): SnapshotOrigin | undefined {
  const ring = rules.step === "backup" ? view.backups : view.ring;
  const { position } = course.point;
  if (!bounded && !course.trace) {
    // Nearly always the owner takes it: asked first, because to begin a walk costs more than all the rest.
    const id = ownerOf(ring, position);
    const owner = id === undefined ? undefined : view.byId.get(id);
    if (owner && !declines(course, owner, rules)) return owner;
  }
  const capacities = bounded && capacitiesOf(course, view, bounded);
  for (const id of walk(ring, position)) {
    const origin = view.byId.get(id);
    if (!origin) continue;
    const load = bounded && { load: bounded.loadOf(id), capacity: capacities?.get(id) ?? 0 };
    const why = declines(course, origin, rules) ?? (load && load.load >= load.capacity ? "full" : undefined);
    course.trace?.({ ...stepOf(course, view, origin, rules), ...load, outcome: why ?? "taken" });
    if (!why) return origin;
    passOver(course, id, why);
  }
  return undefined;
}

/** An origin whose share is not full yet takes that much less: the walk's rule of shares is part of the weight here. */
function byPick(course: Course, view: RegionView, rules: Rules, balance: Exclude<Balance, { kind: "ring" } | Bounded>): SnapshotOrigin | undefined {
  const ring = rules.step === "backup" ? view.backups : view.ring;
  const open: Candidate[] = [];
  for (const id of ring.ids) {
    const origin = view.byId.get(id);
    if (!origin) continue;
    const share = shareAt(origin.share, course.situation.nowMs);
    const why = absence(course, origin) ?? (rules.share && share === 0 ? "share" : undefined);
    if (!why) open.push({ id, weight: origin.weight, share });
    else passOver(course, id, why);
    if (why) course.trace?.({ step: rules.step, region: view.snapshot.region, origin: id, outcome: why });
  }
  const chosen = pick(open, balance);
  for (const { id } of course.trace ? open : []) {
    const load = balance.kind === "least-connections" ? { load: balance.loadOf(id) } : {};
    course.trace?.({ step: rules.step, region: view.snapshot.region, origin: id, ...load, outcome: id === chosen ? "taken" : "not-chosen" });
  }
  return chosen === undefined ? undefined : view.byId.get(chosen);
}

function declines(course: Course, origin: SnapshotOrigin, rules: Rules): Why | undefined {
  const why = absence(course, origin);
  if (why) return why;
  return !rules.share || admitsIt(course, origin) ? undefined : "share";
}

/** Whether the origin's present share lets the key in. */
function admitsIt({ point, situation }: Course, origin: SnapshotOrigin): boolean {
  return admits(point.lot, shareName(origin.id), shareAt(origin.share, situation.nowMs));
}

/** The capacity of each of a region's origins that may take sessions now, shares counted. */
function capacitiesOf(course: Course, view: RegionView, { factor, total }: Bounded): ReadonlyMap<string, number> {
  const open = view.snapshot.origins.filter((each) => !each.backup && !absence(course, each));
  const parts = partsOf(open.map(({ weight, share }) => ({ weight, share: shareAt(share, course.situation.nowMs) })));
  return new Map(open.map(({ id }, index) => [id, capacityOf(factor, total, parts[index] ?? 0)]));
}

function stepOf(course: Course, view: RegionView, { id, share }: SnapshotOrigin, { step }: Rules): Omit<Step, "outcome"> {
  const now = shareAt(share, course.situation.nowMs);
  return { step, region: view.snapshot.region, origin: id, ...(now < 1 ? { share: now, fraction: fraction(course.point.lot, shareName(id)) } : {}) };
}

function shareName(id: string): string {
  return `origin/${id}`;
}

type Bounded = Extract<Balance, { kind: "bounded-ring" }>;
