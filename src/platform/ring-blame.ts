// Whom the death of an origin is held against: those of its sessions that had come there by re-homing not long before, unless so much of the
// ring fell in the same moment that no session can be the cause.

import type { Placing } from "./ring-placing.ts";
import type { Quarantine } from "./ring-quarantine.ts";
import type { RingState } from "./ring-state.ts";
import type { LiveRow } from "./ring-table.ts";

export class Blame {
  readonly #state: RingState;
  readonly #placing: Placing;
  readonly #quarantine: Quarantine;

  constructor(state: RingState, placing: Placing, quarantine: Quarantine) {
    this.#state = state;
    this.#placing = placing;
    this.#quarantine = quarantine;
  }

  isSuspect(row: LiveRow, nowMs: number): boolean {
    return this.#quarantine.isSuspect(row, nowMs);
  }

  /** Sessions that had a leg at an origin when it died; returns those that are quarantined for it. Waits only where one of them is a suspect. */
  async of(rows: readonly LiveRow[], diedAtMs: number): Promise<LiveRow[]> {
    if (rows.some((row) => this.isSuspect(row, diedAtMs))) await this.#othersVerdicts();
    const { origins } = this.#state.view.snapshot;
    const othersFell = (seen: ReadonlySet<string>): boolean => {
      const fell = origins.filter(({ id, health }) => health === "down" && !seen.has(id)).length + 1; // with the one that is asked about
      return fell * 2 >= origins.length && origins.length > 2;
    };
    const quarantined = this.#quarantine.blame(rows, diedAtMs, othersFell);
    for (const { keyHash } of quarantined) console.error(JSON.stringify({ limpet: "quarantined", ...this.#state.name, session: keyHash }));
    return quarantined;
  }

  /** What took an origin may have taken others in the same moment, of which nobody knows yet. */
  async #othersVerdicts(): Promise<void> {
    const up = this.#state.view.snapshot.origins.filter((origin) => origin.health !== "down");
    await Promise.all(up.map((origin) => this.#placing.ownVerdict(origin.id)));
  }
}
