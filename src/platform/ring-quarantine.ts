// Quarantine: a session whose origins keep dying soon after it came to them is kept from the others for a while. What counts is a death
// within 30 s of an arrival by re-homing after a loss: not a refused dial, not a planned move, and not where half of the ring is down, which no
// session has done.

import { BLAMED_MAX, BLAMED_WITHIN_MS } from "./limits.ts";
import type { Quarantined, RingStore } from "./ring-store.ts";
import type { LiveRow } from "./ring-table.ts";

export interface FaultBudget {
  readonly deaths: number;
  readonly windowMs: number;
}

export class Quarantine {
  readonly #budget: FaultBudget;
  readonly #store: RingStore;
  readonly #held: Map<string, Quarantined>;
  /** Of each session the deaths that count against it; the sessions in the order of their last one. */
  readonly #deathsAtMs = new Map<string, readonly number[]>();

  constructor(budget: FaultBudget, store: RingStore) {
    this.#budget = budget;
    this.#store = store;
    this.#held = store.quarantined();
  }

  /** The origin of these sessions has died, and each had a leg there. Those that are out of budget now are quarantined, and returned. */
  blame(rows: readonly LiveRow[], nowMs: number): LiveRow[] {
    return rows.filter((row) => {
      if (row.rehomedAtMs === undefined || nowMs - row.rehomedAtMs > BLAMED_WITHIN_MS) return false;
      const recent = (this.#deathsAtMs.get(row.keyHash) ?? []).filter((atMs) => nowMs - atMs < this.#budget.windowMs);
      const deaths = [...recent, nowMs];
      this.#deathsAtMs.delete(row.keyHash);
      if (deaths.length < this.#budget.deaths) {
        this.#remember(row.keyHash, deaths);
        return false;
      }
      const quarantined = { origin: row.origin, untilMs: nowMs + this.#budget.windowMs };
      this.#held.set(row.keyHash, quarantined);
      this.#store.setQuarantine(row.keyHash, quarantined);
      return true;
    });
  }

  of(keyHash: string, nowMs: number): Quarantined | undefined {
    const quarantined = this.#held.get(keyHash);
    if (!quarantined || nowMs < quarantined.untilMs) return quarantined;
    this.lift(keyHash);
    return undefined;
  }

  /** An operator's word, or the end of its time. `false`: it was not in quarantine. */
  lift(keyHash: string): boolean {
    if (!this.#held.delete(keyHash)) return false;
    this.#store.setQuarantine(keyHash, undefined);
    return true;
  }

  /** Key hashes of the sessions that are held now. */
  held(nowMs: number): string[] {
    return [...this.#held.keys()].filter((keyHash) => this.of(keyHash, nowMs));
  }

  #remember(keyHash: string, deaths: readonly number[]): void {
    const [oldest] = this.#deathsAtMs.keys();
    if (oldest !== undefined && this.#deathsAtMs.size >= BLAMED_MAX) this.#deathsAtMs.delete(oldest);
    this.#deathsAtMs.set(keyHash, deaths);
  }
}
