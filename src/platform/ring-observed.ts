// What a ring object has observed of its origins and must not forget when it is evicted: who is down. One of the three layers (core/lifecycle.ts).

import type { RingStore } from "./ring-store.ts";

export class RingObserved {
  readonly #store: RingStore;
  readonly #down: Set<string>;

  constructor(store: RingStore) {
    this.#store = store;
    this.#down = store.down();
  }

  get down(): ReadonlySet<string> {
    return this.#down;
  }

  setDown(origin: string, down: boolean): void {
    if (down) this.#down.add(origin);
    else this.#down.delete(origin);
    this.#store.setDown(origin, down);
  }

  /** Of an origin that left: another one may come under its name. */
  forget(origin: string): void {
    this.setDown(origin, false);
  }

  /** Those who are not among `kept` have left. */
  keepOnly(kept: ReadonlySet<string>): void {
    for (const id of this.#down) if (!kept.has(id)) this.forget(id);
  }
}
