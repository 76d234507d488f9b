// Drains of a ring's origins: ordered, taken back, and taken from step to step, each with its row in the journal. Operators order them, and by their own
// names the origin itself (`origin`, `register:<token>`), its region's order (`region`) and the configuration (`config`).

import { advanceDrain, isOperator, orderDrain, undrainFault, type DrainOrder, type DrainWish } from "../core/drain.ts";
import type { MemberOrder } from "../core/lifecycle.ts";
import { stayingOrder } from "../core/membership.ts";
import type { Journal } from "./ring-journal.ts";
import type { Publisher } from "./ring-publisher.ts";
import type { RingState } from "./ring-state.ts";
import type { RingTables } from "./ring-tables.ts";
import type { Upkeep } from "./ring-upkeep.ts";

interface Ring {
  readonly state: RingState;
  readonly tables: RingTables;
  readonly publisher: Publisher;
  readonly upkeep: Upkeep;
  readonly journal: Journal;
  /** Tells everyone who holds a copy of what has changed. */
  readonly announce: () => void;
}

export class Drains {
  readonly #ring: Ring;
  readonly #state: RingState;

  constructor(ring: Ring) {
    this.#ring = ring;
    this.#state = ring.state;
  }

  /** No new sessions; the others leave as the drain's mode says. An order that changes nothing is none. */
  order(origin: string, by: string, wish: DrainWish = {}): void {
    if (!this.#state.view.byId.has(origin)) return;
    const known = this.#state.layers.drainOf(origin);
    const drain = orderDrain(known, wish, by, this.#state.pool, Date.now());
    if (drain === known) return;
    this.#state.layers.setDrain(origin, drain);
    this.#ring.journal.note({ what: "drain", ...whoOf(by), origin, why: termsOf(drain) });
    this.#ring.upkeep.leaveLost(); // before the ring's change is followed: who leaves leaves for the drain
    this.#ring.announce();
  }

  /** Takes sessions again, where whoever asks may say so; else why not. An operator's word ends a removal too that is not through. */
  undo(origin: string, by: string): string | undefined {
    const { layers } = this.#state;
    const [drain, order] = [layers.drainOf(origin), layers.memberOrder(origin)];
    if (order?.goneAtMs !== undefined) return this.#forgive(origin, order, by);
    if (!drain || !this.#state.view.byId.has(origin)) return undefined;
    const fault = undrainFault(drain, by, order?.leavingAtMs !== undefined);
    if (fault !== undefined) return fault;
    layers.setMember(origin, stayingOrder(order), { lease: layers.leaseOf(origin) });
    this.#ring.journal.note({ what: "undrain", ...whoOf(by), origin });
    this.#ring.announce();
    return undefined;
  }

  /** One that an operator has removed, and that no configuration names, may come back by its own word. */
  #forgive(origin: string, order: MemberOrder, by: string): undefined {
    const { layers } = this.#state;
    const isNamed = layers.membership.configured.some(({ id }) => id === origin);
    if (!isOperator(by) || isNamed || order.leftBy === "origin") return;
    layers.setMember(origin, { ...order, leftBy: "origin" }, {});
    this.#ring.journal.note({ what: "undrain", who: by, origin, why: "it may take a lease again" });
    this.#ring.announce();
  }

  /** Each drain's next step, if its time has come. */
  advance(nowMs: number): void {
    for (const [origin, drain] of this.#state.layers.drains()) {
      const empty = this.#state.isLeft(origin, drain) && this.#ring.tables.completeWithGuests;
      const facts = { empty, epoch: this.#state.view.snapshot.epoch, publishedEpoch: this.#ring.publisher.publishedEpoch(), nowMs };
      const next = advanceDrain(drain, facts, this.#state.pool);
      if (!next) continue;
      this.#state.layers.setDrain(origin, next);
      this.#noteStep(origin, drain, next, empty);
    }
    this.#ring.announce();
  }

  #noteStep(origin: string, before: DrainOrder, after: DrainOrder, empty: boolean): void {
    const note = (what: string, why: string): void => this.#ring.journal.note({ what, who: "limpet", origin, why });
    if (before.closedAtMs === undefined)
      note("closed", empty ? "no session is left" : `its deadline has passed, with ${this.#state.loadOf(origin)} sessions`);
    if (after.drainedAtMs === undefined) return;
    const isGone = !this.#state.view.byId.has(origin);
    note(isGone ? "gone" : "drained", "nobody sends anything there any more, and no session is left");
  }
}

/** As the journal tells it. */
function whoOf(by: string): { readonly who: string } {
  return { who: by.startsWith("register:") ? "origin" : by };
}

function termsOf({ mode, deadlineMs, by }: DrainOrder): string {
  return `${mode} within ${deadlineMs} ms${by.startsWith("register:") ? `, ${by}` : ""}`;
}
