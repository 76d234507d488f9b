// Pace: how many connections moves may bring to one origin, as a token bucket (the generic cell rate algorithm, ITU-T I.371: a bucket is
// one instant, and nothing has to be refilled). Who takes tokens is told how long to wait before they are good.

/** When the bucket will be full again (ms since the epoch); before any use 0. */
export type FullAtMs = number;

export interface Taken {
  readonly fullAtMs: FullAtMs;
  readonly waitMs: number;
}

/** Gives back what was not used after all; whoever waits already waits as long as was said. */
export function returnTokens(fullAtMs: FullAtMs, count: number, perSecond: number): FullAtMs {
  return fullAtMs - (count * 1000) / perSecond;
}

/** The part of a second's tokens that may be used at once. */
const BURST_SHARE = 0.25;

/**
 * Takes `count` tokens. The wait is that for the first of them: whoever needs more than a bucket holds leaves a debt, which the next ones wait
 * for, and does not wait for ever itself.
 */
export function takeTokens(fullAtMs: FullAtMs, count: number, nowMs: number, perSecond: number): Taken {
  const tokenMs = 1000 / perSecond;
  const burstMs = Math.max(tokenMs, BURST_SHARE * 1000);
  const from = Math.max(fullAtMs, nowMs);
  return { fullAtMs: from + count * tokenMs, waitMs: Math.max(0, from + tokenMs - burstMs - nowMs) };
}
