// Sessions that another region's carriers serve in our stead, because ours could not be reached: where they are is this ring's word all the same. Each is
// ordered there for a while, which its stand-in renews, so that plain requests find it and a drain that closes ends it.

import type { Decision, Routed } from "../core/decision.ts";
import type { FindItem } from "../core/protocol.ts";
import { ORDERS_MAX, STAND_IN_ORDER_MS } from "./limits.ts";
import type { Placing } from "./ring-placing.ts";
import type { RingState } from "./ring-state.ts";

export class StandIns {
  readonly #state: RingState;
  readonly #placing: Placing;

  constructor(state: RingState, placing: Placing) {
    this.#state = state;
    this.#placing = placing;
  }

  /** Where it is, or goes. Who could not be reached from there is probed before that is believed. */
  async place(item: FindItem): Promise<Decision> {
    const decision = await this.#placing.find({ ...item, excluded: await this.#lost(item.excluded) });
    if (decision.kind === "refused") return decision;
    const fence = decision.fence ?? this.#state.fence(item.claim?.fence);
    if (item.keyed) this.#order(item, { ...decision, fence });
    return { ...decision, fence };
  }

  async #lost(excluded: readonly string[]): Promise<string[]> {
    const views = this.#state.views();
    const verdicts = await Promise.all(
      excluded.map(async (origin) => {
        const view = views.find(({ byId }) => byId.has(origin));
        return view && (await this.#placing.verdict(view.snapshot.region, origin)).healthy;
      }),
    );
    return excluded.filter((_, index) => !verdicts[index]);
  }

  /** Neither in the place of a longer order, nor of the origins' own when there are as many as there may be. */
  #order(item: FindItem, { origin, region, fence = 0 }: Routed): void {
    const nowMs = Date.now();
    const order = this.#state.orderOf(item.keyHash);
    if (order?.origin === origin.id && order.untilMs > nowMs + STAND_IN_ORDER_MS / 2) return;
    if (order || this.#state.orderCount < ORDERS_MAX) this.#state.order(item, { origin: origin.id, region, fence }, nowMs + STAND_IN_ORDER_MS);
  }
}
