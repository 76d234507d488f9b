// When those come back who cannot be served now: each is given a turn behind all who wait and who were told before, so that their return is no
// second storm. Browsers' WebSocket shows nobody its `Retry-After`; who does not heed it is told again.

import { ARRIVAL_SLOT_WITHIN_MS, COME_BACK_MAX_MS, COME_BACK_MIN_MS } from "./limits.ts";

export class ComeBack {
  /** By then all who were told can have been served. */
  #bookedUntilMs = 0;

  /** Seconds for `Retry-After`, between half of the way to one's turn and all of it. `need`: of those who wait. */
  seconds(need: { readonly ms: number; readonly count: number }, nowMs: number): string {
    const eachMs = need.count > 0 ? need.ms / need.count : 0;
    // A queue is never longer than those in it may wait.
    this.#bookedUntilMs = Math.max(this.#bookedUntilMs, nowMs + Math.min(need.ms, ARRIVAL_SLOT_WITHIN_MS)) + eachMs;
    const turnMs = Math.min(COME_BACK_MAX_MS, Math.max(COME_BACK_MIN_MS, this.#bookedUntilMs - nowMs));
    return String(Math.ceil((turnMs * (1 + Math.random())) / 2 / 1000));
  }
}
