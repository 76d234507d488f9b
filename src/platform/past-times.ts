// How long handshakes with each origin have taken lately, smoothed: by it a queue knows how long it will take.

/** The part of the newest one; as in TCP's estimate of a round trip (RFC 6298 §2). */
const NEWEST_SHARE = 1 / 8;

export class PastTimes {
  readonly #ms = new Map<string, number>();

  add(origin: string, ms: number): void {
    const before = this.#ms.get(origin) ?? ms;
    this.#ms.set(origin, before + (ms - before) * NEWEST_SHARE);
  }

  of(origin: string): number | undefined {
    return this.#ms.get(origin);
  }
}
