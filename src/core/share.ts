// The share of an origin: which part of the keys that the walk offers it may take. One rule serves slow start and every other ramp.
// A share is published as a plan and evaluated from the clock, so that all holders of a snapshot agree and a ramp costs no writes.

import { fraction } from "./hash.ts";

/** A ramp of a share (0–1) between two moments. Before the start it is `from`, after the end `to`. */
export interface SharePlan {
  readonly from: number;
  readonly to: number;
  readonly startAtMs: number;
  readonly endAtMs: number;
}

export const FULL_SHARE: SharePlan = { from: 1, to: 1, startAtMs: 0, endAtMs: 0 };

/** The share at a moment, 0–1. */
export function shareAt(plan: SharePlan, nowMs: number): number {
  if (nowMs < plan.startAtMs) return clamp(plan.from);
  if (nowMs >= plan.endAtMs) return clamp(plan.to);
  const progress = (nowMs - plan.startAtMs) / (plan.endAtMs - plan.startAtMs);
  return clamp(plan.from + (plan.to - plan.from) * progress);
}

/** Whether an origin of this share takes a key of this lot. Who is let in at 0.3 is let in at 0.4. */
export function admits(lot: number, originId: string, share: number): boolean {
  return share >= 1 || fraction(lot, originId) < share;
}

function clamp(share: number): number {
  return Math.min(1, Math.max(0, share));
}
