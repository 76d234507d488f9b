// Sessions that were live a moment ago: whoever comes back to one begins nothing new.

import { LATELY_MAX, LATELY_MS } from "./limits.ts";

export class Lately {
  /** The newest stands last. */
  readonly #endedAtMs = new Map<string, number>();

  add(keyHash: string, nowMs: number): void {
    this.#endedAtMs.delete(keyHash);
    this.#endedAtMs.set(keyHash, nowMs);
    for (const [oldest, endedAtMs] of this.#endedAtMs) {
      if (this.#endedAtMs.size <= LATELY_MAX && nowMs - endedAtMs < LATELY_MS) break;
      this.#endedAtMs.delete(oldest);
    }
  }

  has(keyHash: string, nowMs: number): boolean {
    return nowMs - (this.#endedAtMs.get(keyHash) ?? -Infinity) < LATELY_MS;
  }
}
