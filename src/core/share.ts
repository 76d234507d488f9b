// The share of an origin: which part of the keys that the walk offers it may take. One rule serves slow start, recovery, spill, failback
// and rollout. A share is published as a plan and evaluated from the clock, so that all holders of a snapshot agree and a ramp costs no
// writes. Who is let in at 0.3 is let in at 0.4: a share that grows never shuffles.

import { fraction } from "./hash.ts";

/** A ramp of a share (0–1) between two moments. Before the start it is `from`, after the end `to`. */
export interface SharePlan {
  readonly from: number;
  readonly to: number;
  readonly startAtMs: number;
  readonly endAtMs: number;
}

export const FULL_SHARE: SharePlan = { from: 1, to: 1, startAtMs: 0, endAtMs: 0 };

/** The share at a moment, 0–1. A plan that ends before it starts is over as soon as it starts. */
export function shareAt(plan: SharePlan, nowMs: number): number {
  if (nowMs < plan.startAtMs) return clamp(plan.from);
  if (nowMs >= plan.endAtMs) return clamp(plan.to);
  const progress = (nowMs - plan.startAtMs) / (plan.endAtMs - plan.startAtMs);
  return clamp(plan.from + (plan.to - plan.from) * progress);
}

/**
 * Whether a share lets a key of this lot in. `name` makes the draws independent of any other name's: "origin/<id>", "spill/<region>",
 * "rollout/". An id alone is never a name here: a region's is what draws home regions, and an origin may be called like its region.
 */
export function admits(lot: number, name: string, share: number): boolean {
  return share >= 1 || fraction(lot, name) < share;
}

/** Somebody who takes part in what there is to be had. */
export interface Partaker {
  readonly weight: number;
  /** 0–1. */
  readonly share: number;
}

/**
 * Each one's part of the whole: weight × share, so that all parts together are 1. While all shares are 0 (a fleet that starts all at
 * once) the weights alone count: nobody is shut out. Where nobody has a weight either, all parts are 0.
 */
export function partsOf(partakers: readonly Partaker[]): number[] {
  const shared = partakers.map(({ weight, share }) => positive(weight) * clamp(share));
  const total = sum(shared);
  if (total > 0) return shared.map((each) => each / total);
  const weights = partakers.map(({ weight }) => positive(weight));
  const whole = sum(weights);
  return weights.map((weight) => (whole > 0 ? weight / whole : 0));
}

function clamp(share: number): number {
  return share > 0 ? Math.min(1, share) : 0; // not a number: nothing
}

function positive(weight: number): number {
  return weight > 0 && weight < Infinity ? weight : 0;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
