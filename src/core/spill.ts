// Gradual spill and failback between regions, as data: the share of its keys that a region keeps is a plan in its snapshot, evaluated
// from the clock. It falls at once when origins are lost, and rises again slowly: after a hold-down, on a ramp.

import { hasSomebody, unavailability } from "./availability.ts";
import { admits, shareAt, type SharePlan } from "./share.ts";
import type { Snapshot } from "./snapshot.ts";

export interface SpillPolicy {
  /** How much more than its part each origin can bear: a region with `available` 0.5 and 1.4 here keeps 0.7 of its keys. ≥ 1. */
  readonly overprovisioning: number;
  /** How long a region must be well before keys come home. */
  readonly holdDownMs: number;
  /** Nothing rises before every holder of a snapshot can know of it. */
  readonly horizonMs: number;
  /** How long keys take to come home then. */
  readonly rampMs: number;
}

/** Whether a region keeps a key of this lot, which names it as its home or spills into it. */
export function keeps({ region, kept }: Snapshot, lot: number, nowMs: number): boolean {
  return admits(lot, keptName(region), shareAt(kept, nowMs));
}

/** Another draw than any origin's, and than the one that names home regions. */
export function keptName(region: string): string {
  return `spill/${region}`;
}

/** Whether a live session that is abroad is to come home: never where only new ones do. */
export function comesHome(failback: "sessions" | "new", home: Snapshot, lot: number, nowMs: number): boolean {
  return failback === "sessions" && hasSomebody(home, (origin) => !unavailability(origin, nowMs, NOBODY)) && keeps(home, lot, nowMs);
}

/**
 * The part (0–1) of a region's weight that takes sessions. Those about to join are not missed yet; those that are drained are, until they
 * are taken out of the fleet. Backup origins do not count: they take what the region does not keep before any other region does.
 */
export function availableShare({ origins }: Pick<Snapshot, "origins">, nowMs: number): number {
  const primaries = origins.filter((origin) => !origin.backup && origin.lifecycle !== "joining" && origin.weight > 0);
  const whole = primaries.reduce((sum, origin) => sum + origin.weight, 0);
  const open = primaries.reduce((sum, origin) => sum + (unavailability(origin, nowMs, NOBODY) ? 0 : origin.weight), 0);
  return whole > 0 ? open / whole : 1;
}

/**
 * The plan of the share that a region keeps, after its availability (0–1) may have changed. Lost weight counts at once. What comes back
 * counts after the hold-down, on a ramp from where the share is then. Something that is lost again on the way lowers what the ramp leads
 * to, without delaying those that stayed; something more that comes back waits until the ramp is over, and is held down itself.
 */
export function nextKept(previous: SharePlan, available: number, policy: SpillPolicy, nowMs: number): SharePlan {
  const target = Math.min(1, Math.max(0, policy.overprovisioning * available));
  const current = shareAt(previous, nowMs);
  if (target <= current) return previous.to === target && previous.from === target ? previous : flat(target);
  if (previous.to <= current) {
    const startAtMs = nowMs + Math.max(policy.holdDownMs, policy.horizonMs);
    return { from: current, to: target, startAtMs, endAtMs: startAtMs + policy.rampMs };
  }
  if (target >= previous.to) return previous;
  const begun = nowMs > previous.startAtMs;
  return { ...previous, to: target, ...(begun ? { from: current, startAtMs: nowMs } : {}) };
}

function flat(share: number): SharePlan {
  return { from: share, to: share, startAtMs: 0, endAtMs: 0 };
}

const NOBODY: ReadonlySet<string> = new Set();
