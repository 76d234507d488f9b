// The pace of moves to the origins of one ring: a bucket of tokens each, shared by all that would bring connections there, other regions'
// rings among them. A planned move never books far ahead, so that the sessions of an origin that dies do not queue behind a drain.

import { returnTokens, takeTokens, type FullAtMs } from "../core/pace.ts";
import { BOOKED_AHEAD_MS, URGENT_WAIT_MAX_MS } from "./limits.ts";

export class Pace {
  readonly #perSecond: () => number;
  readonly #buckets = new Map<string, FullAtMs>();
  readonly #haltedUntilMs = new Map<string, number>();
  readonly #doubtedUntilMs = new Map<string, number>();

  constructor(perSecond: () => number) {
    this.#perSecond = perSecond;
  }

  /**
   * Tokens for as many connections: how long to wait until they are good; `undefined`: too many are waiting already, ask again later. Whoever has
   * lost their origin waits no longer than their visitors can: past that the handshakes' own queue is the pace.
   */
  take(origin: string, count: number, urgent: boolean, nowMs: number): number | undefined {
    const { fullAtMs, waitMs } = takeTokens(this.#buckets.get(origin) ?? 0, count, nowMs, this.#perSecond());
    if (!urgent && (waitMs > BOOKED_AHEAD_MS || this.isHalted(origin, nowMs))) return undefined;
    this.#buckets.set(origin, fullAtMs);
    return Math.min(waitMs, URGENT_WAIT_MAX_MS);
  }

  giveBack(origin: string, count: number): void {
    const fullAtMs = this.#buckets.get(origin);
    if (fullAtMs !== undefined) this.#buckets.set(origin, returnTokens(fullAtMs, count, this.#perSecond()));
  }

  /** No planned move goes there until then. */
  halt(origin: string, untilMs: number): void {
    this.#haltedUntilMs.set(origin, Math.max(untilMs, this.#haltedUntilMs.get(origin) ?? 0));
  }

  /** Somebody could not reach it, and it is being probed: no planned move goes there until then, or until it is found well. */
  doubt(origin: string, untilMs: number): void {
    this.#doubtedUntilMs.set(origin, untilMs);
  }

  /** It answers probes. What was halted for another reason stays so. */
  trust(origin: string): void {
    this.#doubtedUntilMs.delete(origin);
  }

  isHalted(origin: string, nowMs: number): boolean {
    return nowMs < Math.max(this.#haltedUntilMs.get(origin) ?? 0, this.#doubtedUntilMs.get(origin) ?? 0);
  }

  /** Forgets origins that the ring has no more. */
  keep(isKnown: (origin: string) => boolean): void {
    for (const table of [this.#buckets, this.#haltedUntilMs, this.#doubtedUntilMs]) for (const id of table.keys()) if (!isKnown(id)) table.delete(id);
  }
}
