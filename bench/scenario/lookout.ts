// Looks at the router's rings all day, twice a second: what it saw last, and a sample of each ring for the picture of the balance. How many
// sessions an origin has is what the origins say, not the router.

import type { Limpet } from "../harness/sessions/limpet.ts";
import type { Ledger } from "../harness/sessions/ledger.ts";
import { VISITORS_PER_SESSION } from "../harness/sessions/names.ts";
import type { Member } from "../harness/sessions/places.ts";
import type { Sample } from "./report.ts";

/** An origin as the router shows it. */
export interface Seen extends Member {
  readonly share: number;
}

const LOOK_EVERY_MS = 500;

export class Lookout {
  readonly #limpet: Limpet;
  readonly #ledger: Ledger;
  readonly #sessions: number;
  readonly #progress: (text: string) => void;
  readonly samples: Sample[] = [];
  /** Whose samples are not of a ring at rest. */
  ramping: readonly string[] = [];
  #seen: readonly Seen[] = [];
  #next = Promise.withResolvers<readonly Seen[]>();
  #looking: NodeJS.Timeout | undefined;
  #over = false;

  constructor(limpet: Limpet, ledger: Ledger, sessions: number, progress: (text: string) => void) {
    this.#limpet = limpet;
    this.#ledger = ledger;
    this.#sessions = sessions;
    this.#progress = progress;
  }

  /** As it was last seen. */
  get seen(): readonly Seen[] {
    return this.#seen;
  }

  /** The next look. */
  next(): Promise<readonly Seen[]> {
    return this.#next.promise;
  }

  start(): void {
    void this.#look();
  }

  stop(): void {
    this.#over = true;
    clearTimeout(this.#looking);
  }

  async #look(): Promise<void> {
    const dueAtMs = Date.now() + LOOK_EVERY_MS;
    try {
      const { rings } = (await this.#limpet.admin("GET", "rings")) as { rings: { region: string; origins: Seen[] }[] }; // the admin API's own shape
      this.#seen = rings.flatMap(({ region, origins }) => origins.map((origin) => ({ ...origin, region })));
      for (const { region } of rings) this.#sample(region);
    } catch (error) {
      if (this.#over) return; // the router has gone home
      this.#progress(`  the router did not show its rings: ${error instanceof Error ? error.message : String(error)}`);
    }
    const { resolve } = this.#next;
    this.#next = Promise.withResolvers();
    resolve(this.#seen);
    if (!this.#over) this.#looking = setTimeout(() => void this.#look(), Math.max(0, dueAtMs - Date.now()));
  }

  #sample(region: string): void {
    const counts = new Map<string, number>();
    for (let session = 0; session < this.#sessions; session++) {
      const origin = this.#ledger.legsOf(session * VISITORS_PER_SESSION).at(-1)?.origin ?? "";
      counts.set(origin, (counts.get(origin) ?? 0) + 1);
    }
    const origins = this.#seen
      .filter((origin) => origin.region === region)
      .map(({ id, weight, share, state, health }) => {
        return { id, sessions: counts.get(id) ?? 0, weight, share: state === "active" && health === "healthy" ? share : 0 };
      });
    this.samples.push({ atMs: Date.now(), region, ramping: this.ramping.includes(region), origins });
  }
}
