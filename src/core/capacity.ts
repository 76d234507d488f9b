// Bounded load (Mirrokni, Thorup, Zadimoghaddam, arXiv 1608.01350): no origin holds more than c times its fair part of the sessions.
// All capacities together are at least the sessions there are and one more, so that there is always somebody below.

/**
 * The number of sessions that an origin must stay below (exclusive: at capacity it is full), counting the one about to be placed.
 * `factor` is c > 1; `total` the sessions of the region; `part` the origin's (0–1) of the weight that may take sessions (`partsOf`).
 */
export function capacityOf(factor: number, total: number, part: number): number {
  return Math.ceil(factor * (total + 1) * part * (1 - ROUNDING));
}

/** 1.1 × 100 × ⅒ is a little over 11 in doubles: what is that near to a whole number is that number. */
const ROUNDING = 1e-12;
