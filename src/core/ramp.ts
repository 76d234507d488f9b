// Slow start and recovery: what becomes of an origin's share when it may take more, or less, than before. A fall is at once; a rise is a plan that
// begins when every holder of a snapshot can know of it, so that a ramp is one epoch and nobody disagrees on the way.

import { unavailability } from "./availability.ts";
import { FULL_SHARE, shareAt, type SharePlan } from "./share.ts";
import type { SnapshotOrigin } from "./snapshot.ts";

/** Of an origin that takes nothing yet: what every return begins with. */
export const NO_SHARE: SharePlan = { from: 0, to: 0, startAtMs: 0, endAtMs: 0 };

export interface RampPolicy {
  /** Nothing rises before every holder of a snapshot can know of it. */
  readonly horizonMs: number;
  /** How long a rise takes then; 0: all at once. */
  readonly windowMs: number;
  /** How long an origin that fell must have been away, counted from its fall. */
  readonly holdDownMs: number;
}

/**
 * The plan after an origin's share is to be `target`. A fall is at once. A rise goes on as planned where it leads there already, to less where less is
 * wanted now, and else begins anew: a horizon ahead, and not before the hold-down after `fellAtMs`. While nothing changes the plan is the same object.
 */
export function nextShare(previous: SharePlan, target: number, fellAtMs: number | undefined, policy: RampPolicy, nowMs: number): SharePlan {
  const current = shareAt(previous, nowMs);
  if (target <= current) return previous.to === target && isOver(previous, nowMs) ? previous : flat(target);
  if (previous.to === target) return previous;
  const begun = nowMs > previous.startAtMs;
  if (previous.to > target) return { ...previous, to: target, ...(begun ? { from: current, startAtMs: nowMs } : {}) };
  const startAtMs = Math.max(nowMs + policy.horizonMs, fellAtMs === undefined ? 0 : fellAtMs + policy.holdDownMs, begun ? 0 : previous.startAtMs);
  return { from: current, to: target, startAtMs, endAtMs: startAtMs + policy.windowMs };
}

/** Whether a plan leads to nothing else any more. */
export function isOver({ from, to, startAtMs, endAtMs }: SharePlan, nowMs: number): boolean {
  return from === to || nowMs >= Math.max(startAtMs, endAtMs);
}

/**
 * Whether an origin that comes back is needed at once: what the others take now is less than this part (0–1) of the region's weight. Who has just joined
 * is no part of that weight before it has its share, so that a fleet which grows in a moment still starts slowly.
 */
export function isNeeded(origins: readonly SnapshotOrigin[], id: string, panicShare: number, nowMs: number): boolean {
  const backup = origins.find((origin) => origin.id === id)?.backup ?? false;
  const group = origins.filter((origin) => origin.backup === backup && origin.weight > 0 && origin.lifecycle !== "joining");
  let [whole, taken] = [0, 0];
  for (const origin of group) {
    const isOpen = !unavailability(origin, nowMs, NOBODY);
    const share = shareAt(origin.share, nowMs);
    if (origin.id !== id && isOpen) taken += origin.weight * share;
    whole += origin.weight * (isOpen && !isOver(origin.share, nowMs) ? share : 1);
  }
  return taken === 0 || taken < panicShare * whole;
}

function flat(share: number): SharePlan {
  return share === 1 ? FULL_SHARE : { from: share, to: share, startAtMs: 0, endAtMs: 0 };
}

const NOBODY: ReadonlySet<string> = new Set();
