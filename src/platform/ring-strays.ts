// Sessions that are at home here by the configuration and live on at the home that they had before: the rings there are asked for them now and then, as
// long as the transition lasts. Workers find them in our hints. They are not ours: no sweep of pins touches them, and their ring alone ends them.

import type { Stray } from "../core/protocol.ts";
import type { RingSideStore } from "./ring-side-store.ts";

interface Known extends Stray {
  /** The region whose ring has it. */
  readonly home: string;
}

export class Strays {
  readonly #store: RingSideStore;
  readonly #changed: () => void;
  readonly #known: Map<string, Known>;

  /** `changed`: others may have to hear of it. */
  constructor(store: RingSideStore, changed: () => void) {
    this.#store = store;
    this.#changed = changed;
    this.#known = store.strays();
  }

  get(keyHash: string): Known | undefined {
    return this.#known.get(keyHash);
  }

  all(): Stray[] {
    return [...this.#known.values()];
  }

  /** What one region's ring has; `partial`: it may have more. */
  take(home: string, strays: readonly Stray[], partial: boolean): void {
    let changed = false;
    const told = new Set(strays.map(({ keyHash }) => keyHash));
    if (!partial) for (const [keyHash, known] of this.#known) if (known.home === home && !told.has(keyHash)) changed = this.#set(keyHash, undefined);
    for (const { keyHash, origin, region, fence } of strays) {
      const known = this.#known.get(keyHash);
      if (known && known.fence >= fence) continue; // of two homes before this one the later has it
      changed = this.#set(keyHash, { keyHash, home, origin, region, fence });
    }
    if (changed) this.#changed();
  }

  /** It is over there. */
  forget(keyHash: string): void {
    if (this.#set(keyHash, undefined)) this.#changed();
  }

  /** Of other regions nobody is asked any more. */
  keepOnly(homes: readonly string[]): void {
    const gone = [...this.#known].filter(([, { home }]) => !homes.includes(home));
    for (const [keyHash] of gone) this.#set(keyHash, undefined);
    if (gone.length > 0) this.#changed();
  }

  #set(keyHash: string, known: Known | undefined): boolean {
    if (known) this.#known.set(keyHash, known);
    else if (!this.#known.delete(keyHash)) return false;
    this.#store.setStray(keyHash, known);
    return true;
  }
}
