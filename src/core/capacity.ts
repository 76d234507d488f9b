// Bounded load (Mirrokni, Thorup, Zadimoghaddam, arXiv 1608.01350): no origin holds more than c times its fair part of the sessions.

/**
 * The number of sessions that an origin must stay below (exclusive), counting the one about to be placed.
 * `factor` is c > 1, `weightShare` the origin's part (0–1) of the weight that may take sessions.
 */
export function capacityOf(factor: number, total: number, weightShare: number): number {
  return Math.ceil(factor * (total + 1) * weightShare);
}
