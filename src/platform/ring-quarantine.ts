// Quarantine: a session whose origins keep dying soon after it came to them is kept from the others for a while. What counts is a death
// within 30 s of an arrival by re-homing after a loss: not a refused dial, not a planned move, and not where half of the ring is down, unless it
// is this session that was there each time.

import { BLAMED_MAX, BLAMED_WITHIN_MS } from "./limits.ts";
import type { Quarantined, RingStore } from "./ring-store.ts";
import type { LiveRow } from "./ring-table.ts";

export interface FaultBudget {
  readonly deaths: number;
  readonly windowMs: number;
}

/** An origin that died while the session had a leg there. */
interface Death {
  readonly atMs: number;
  /** Of the placement: it is told again while nobody can take the session. */
  readonly fence: number;
  readonly origin: string;
  /** Whether it is held against the session. */
  readonly counts: boolean;
}

export class Quarantine {
  readonly #budget: () => FaultBudget;
  readonly #store: RingStore;
  readonly #held: Map<string, Quarantined>;
  /** Of each session the deaths that it was there for lately; the sessions in the order of their last one. */
  readonly #deaths = new Map<string, readonly Death[]>();

  constructor(budget: () => FaultBudget, store: RingStore) {
    this.#budget = budget;
    this.#store = store;
    this.#held = store.quarantined();
  }

  /** Whether a death now would count against a session. */
  isSuspect({ rehomedAtMs }: LiveRow, nowMs: number): boolean {
    return rehomedAtMs !== undefined && nowMs - rehomedAtMs <= BLAMED_WITHIN_MS;
  }

  /**
   * The origin of these sessions has died, and each had a leg there. `othersFell`: whether so much of the ring is down, beside the origins
   * that the session itself has seen die, that it cannot be the cause. Those that are out of budget now are quarantined, and returned.
   */
  blame(rows: readonly LiveRow[], nowMs: number, othersFell: (seen: ReadonlySet<string>) => boolean): LiveRow[] {
    return rows.filter((row) => {
      const recent = (this.#deaths.get(row.keyHash) ?? []).filter(({ atMs }) => nowMs - atMs < this.#budget().windowMs);
      if (recent.some(({ fence }) => fence === row.fence)) return false;
      const seen = new Set([...recent.map(({ origin }) => origin), row.origin]);
      const deaths = [...recent, { atMs: nowMs, fence: row.fence, origin: row.origin, counts: this.isSuspect(row, nowMs) && !othersFell(seen) }];
      this.#deaths.delete(row.keyHash);
      if (deaths.filter(({ counts }) => counts).length < this.#budget().deaths) {
        this.#remember(row.keyHash, deaths);
        return false;
      }
      const quarantined = { origin: row.origin, untilMs: nowMs + this.#budget().windowMs };
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

  #remember(keyHash: string, deaths: readonly Death[]): void {
    const [oldest] = this.#deaths.keys();
    if (oldest !== undefined && this.#deaths.size >= BLAMED_MAX) this.#deaths.delete(oldest);
    this.#deaths.set(keyHash, deaths);
  }
}
