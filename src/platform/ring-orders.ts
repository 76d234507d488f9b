// Orders of origins: "this session belongs to that one" (`Limpet: replay`). Compared before it is set: an origin that speaks for a session it
// has lost meanwhile changes nothing, so that a Worker with old knowledge takes no session back. And orders of operators, which always count.

import { unavailability } from "../core/availability.ts";
import type { Routed } from "../core/decision.ts";
import type { LivePlacement, RedirectAnswer, RedirectItem, SessionRef } from "../core/protocol.ts";
import type { Moves } from "./ring-moves.ts";
import type { Placing } from "./ring-placing.ts";
import type { RingState } from "./ring-state.ts";

const NOBODY: ReadonlySet<string> = new Set();

export class Orders {
  readonly #state: RingState;
  readonly #placing: Placing;
  readonly #moves: Moves;

  constructor(state: RingState, placing: Placing, moves: Moves) {
    this.#state = state;
    this.#placing = placing;
    this.#moves = moves;
  }

  /** Takes one order. The pin is on disk before the answer goes out, and a live session is there as a whole. */
  async redirect(item: RedirectItem): Promise<RedirectAnswer> {
    const { from, to, claim, ...ref } = item;
    const present = await this.#placing.find({ ...ref, claim, excluded: [] });
    if (present.kind === "routed" && present.origin.id === to) return this.#stays(ref, present);
    if (present.kind === "routed" && present.origin.id !== from) return { kind: "placed", decision: present };
    const view = this.#state.views().find((each) => each.byId.has(to));
    const target = view?.byId.get(to);
    if (!view || !target) return { kind: "unknown" };
    if (unavailability(target, Date.now(), NOBODY) !== undefined) return { kind: "unavailable" };

    this.#order(ref, { origin: to, region: view.snapshot.region, fence: this.#state.fence() });
    await this.#moveTo(to, ref.keyHash);
    const decision = await this.#placing.find({ ...ref, excluded: [] });
    if (decision.kind === "refused") return { kind: "unavailable" };
    return { kind: "placed", decision: decision.origin.id === to ? { ...decision, reason: "replay" } : decision };
  }

  /** An operator's word on a live session: it goes to an origin and is kept there, or it goes where the ring says. */
  async send(keyHash: string, to: string | undefined): Promise<void> {
    const row = this.#state.live.get(keyHash);
    if (!row) return;
    const view = this.#state.views().find((each) => to !== undefined && each.byId.has(to));
    if (!view || to === undefined) {
      this.#state.endOrder(keyHash, Infinity);
      await this.#moves.move([row], { why: "ordered", excluded: NOBODY });
      return;
    }
    const fence = row.origin === to ? row.fence : this.#state.fence(row.fence);
    if (row.keyed) this.#order(row, { origin: to, region: view.snapshot.region, fence });
    if (row.origin === to) return;
    await this.#moveTo(to, keyHash);
    const after = this.#state.live.get(keyHash);
    if (after && after.origin !== to && !this.#placing.moving.has(keyHash)) this.#state.endOrder(keyHash, Infinity);
  }

  /** It is there already, whatever that origin's state: an order that put it there is renewed. */
  #stays(ref: SessionRef, present: Routed): RedirectAnswer {
    const { origin, region, fence = 0 } = present;
    if (this.#state.isOrdered(ref.keyHash)) this.#order(ref, { origin: origin.id, region, fence });
    return { kind: "placed", decision: { ...present, reason: "replay" } };
  }

  /** Without a live connection nobody tells how long a session lasts: as long as one that is idle, and each further order renews it. */
  #order(ref: SessionRef, place: LivePlacement): void {
    this.#state.order(ref, place, Date.now() + this.#state.pool.session.idleMs);
  }

  async #moveTo(to: string, keyHash: string): Promise<void> {
    const row = this.#state.live.get(keyHash);
    if (row) await this.#moves.move([row], { why: "ordered", excluded: NOBODY, to });
    const after = this.#state.live.get(keyHash);
    if (after) this.#state.reconcilePins([after]); // where it could not be moved, the pin says where it is
  }
}
