// Fences: one integer for each placement of a session, growing whenever the placement changes, so that an origin's store can refuse
// a late writer. A hybrid logical clock: 256 steps a millisecond, 15 digits until 2093 as RFC 9651 §3.3.1 allows.

const STEPS_PER_MS = 256;

/** How far ahead the high-water mark is persisted: one write each ten seconds of placing, and a jump of at most this at a restart. */
const RESERVE = 10_000 * STEPS_PER_MS;

/** The next fence after `last`; never smaller than the clock's own, never equal to one given out, whatever the clock does. */
export function nextFence(last: number, nowMs: number): number {
  return Math.max(last + 1, Math.floor(nowMs) * STEPS_PER_MS);
}

/** The mark to persist before `fence` is given out, or `undefined` while the persisted one still covers it. */
export function markFor(fence: number, persistedMark: number): number | undefined {
  return fence <= persistedMark ? undefined : fence + RESERVE;
}
