// How whoever was cut off came back: when, and to whom.

import type { Period } from "./ledger.ts";

export interface Return {
  /** From the beginning of the period until an origin had them again; to its end for whoever did not come back. */
  readonly backMs: number;
  /** Whether it is the one that they had before. */
  readonly sameOwner: boolean;
}

/** `undefined` for those who were not cut in the period. Legs and closes are in the order of time. */
export function returnOf(
  legs: readonly { readonly origin: string; readonly atMs: number }[],
  closesAtMs: readonly number[],
  { fromMs, toMs }: Period,
): Return | undefined {
  const cutAtMs = closesAtMs.findLast((atMs) => atMs >= fromMs && atMs < toMs);
  if (cutAtMs === undefined) return undefined;
  const before = legs.findLast(({ atMs }) => atMs < fromMs);
  const after = legs.find(({ atMs }) => atMs >= cutAtMs && atMs < toMs);
  return { backMs: (after?.atMs ?? toMs) - fromMs, sameOwner: after !== undefined && after.origin === before?.origin };
}
