// How many requests of this isolate may be tried again: a fifth of a pool's, and a hundred that were saved up for the moment in which an origin
// dies under many. Where all of them fail, retries would multiply what the others have to bear.

import type { Pool } from "../core/config-types.ts";

/** A retry for this share of the requests. Envoy's retry budget is 20 %, too. */
export const RETRY_SHARE = 0.2;
export const RETRIES_SAVED_MAX = 100;

const saved = new Map<string, number>();

export function startedTraffic({ id }: Pool): void {
  const budget = saved.get(id) ?? RETRIES_SAVED_MAX;
  if (budget < RETRIES_SAVED_MAX) saved.set(id, Math.min(RETRIES_SAVED_MAX, budget + RETRY_SHARE));
}

/** Takes one retry of what is left. */
export function mayTryAgain({ id }: Pool): boolean {
  const budget = saved.get(id) ?? RETRIES_SAVED_MAX;
  if (budget < 1) return false;
  saved.set(id, budget - 1);
  return true;
}
