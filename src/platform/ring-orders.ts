// Orders of origins: "this session belongs to that one" (`Limpet: replay`). Compared before it is set: an origin that speaks for a session it
// has lost meanwhile changes nothing, so that a Worker with old knowledge takes no session back.

import { unavailability } from "../core/availability.ts";
import type { RedirectAnswer, RedirectItem } from "../core/protocol.ts";
import { ORDERS_MAX } from "./limits.ts";
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
    const { keyHash, from, to, ...ref } = item;
    const present = await this.#placing.find({ keyHash, ...ref, excluded: [] });
    const presentId = present.kind === "routed" ? present.origin.id : undefined;
    if (present.kind === "routed" && presentId !== from && presentId !== to) return { kind: "placed", decision: present };
    const view = this.#state.views().find((each) => each.byId.has(to));
    const target = view?.byId.get(to);
    if (!view || !target) return { kind: "unknown" };
    if (unavailability(target, Date.now(), NOBODY) !== undefined) return { kind: "unavailable" };
    if (this.#state.orderCount >= ORDERS_MAX && !this.#state.isOrdered(keyHash)) return { kind: "full" };

    const region = view.snapshot.region;
    const again = presentId === to && this.#state.isOrdered(keyHash);
    const fence = again ? (this.#state.pinOf(keyHash)?.fence ?? 0) : this.#state.fence();
    const row = this.#state.live.get(keyHash);
    // Without a live connection nobody tells how long the session lasts: as long as one that is idle, and each further order renews it.
    this.#state.order(
      { keyHash, ...ref },
      { origin: to, region, fence: row?.origin === to ? row.fence : fence },
      Date.now() + this.#state.pool.session.idleMs,
    );
    if (row && row.origin !== to) await this.#moveTo(to, keyHash);
    const decision = await this.#placing.find({ keyHash, ...ref, excluded: [] });
    if (decision.kind === "refused") return { kind: "unavailable" };
    return { kind: "placed", decision: decision.origin.id === to ? { ...decision, reason: "replay" } : decision };
  }

  async #moveTo(to: string, keyHash: string): Promise<void> {
    const row = this.#state.live.get(keyHash);
    if (row) await this.#moves.move([row], { planned: true, excluded: NOBODY, to });
    const after = this.#state.live.get(keyHash);
    if (after) this.#state.reconcilePins([after]); // where it could not be moved, the pin says where it is
  }
}
