// Gaps at the visitor, and what is told of many of them.

import type { Period } from "./ledger.ts";

/**
 * The longest time from making a frame of the period to the next delivered answer, whichever frame it answers; to `nowMs` where none came.
 * Both lists ascend.
 */
export function longestGapMs(madeAtMs: readonly number[], deliveriesAtMs: readonly number[], { fromMs, toMs }: Period, nowMs: number): number {
  let longest = 0;
  let next = 0;
  for (const made of madeAtMs) {
    if (made < fromMs) continue;
    if (made >= toMs) break;
    while ((deliveriesAtMs[next] ?? Infinity) < made) next++;
    longest = Math.max(longest, (deliveriesAtMs[next] ?? nowMs) - made);
  }
  return longest;
}

/** The value that a share (0–1) of the sorted ones does not exceed. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * share) - 1))] ?? 0;
}
