// Sessions that were live a moment ago: whoever comes back to one begins nothing new. Kept in two generations, so that nothing but the key hash is
// kept of each: a session is known for LATELY_MS, and for twice as long at most.

import { LATELY_MAX, LATELY_MS } from "./limits.ts";

export class Lately {
  #young = new Set<string>();
  #old: ReadonlySet<string> = this.#young;
  #turnAtMs = 0;

  add(keyHash: string, nowMs: number): void {
    this.#age(nowMs);
    if (this.#young.size >= LATELY_MAX / 2) this.#turn(nowMs);
    this.#young.add(keyHash);
  }

  has(keyHash: string, nowMs: number): boolean {
    this.#age(nowMs);
    return this.#young.has(keyHash) || this.#old.has(keyHash);
  }

  #age(nowMs: number): void {
    const agoMs = nowMs - this.#turnAtMs;
    if (agoMs >= LATELY_MS) this.#turn(nowMs);
    if (agoMs >= 2 * LATELY_MS) this.#turn(nowMs);
  }

  #turn(nowMs: number): void {
    this.#old = this.#young;
    this.#young = new Set();
    this.#turnAtMs = nowMs;
  }
}
