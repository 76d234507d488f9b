// A region that an operator has taken out: each of its origins is drained, by an order of its own like any other, at the pace and until the deadline.
// What is remembered beside is which drains they are: only those end when the region is brought back.

import { newDrain, type DrainOrder } from "../core/drain.ts";
import { membersOf } from "../core/lifecycle.ts";
import type { RingLayers } from "./ring-layers.ts";
import type { RingStore } from "./ring-store.ts";

/** At the pool's deadline. An operator's own order takes it over, and then it stays when the region is back. */
const TERMS = { mode: "move", deadlineMs: undefined, by: "region" } as const;

export class RegionDown {
  readonly #layers: RingLayers;
  readonly #store: RingStore;
  /** When the drain of each origin was ordered; `undefined`: the region serves. */
  #orderedAtMs: ReadonlyMap<string, number> | undefined;

  constructor(layers: RingLayers, store: RingStore) {
    this.#layers = layers;
    this.#store = store;
    const text = store.text("regionDown");
    this.#orderedAtMs = text === undefined || text === "" ? undefined : new Map(JSON.parse(text) as [string, number][]); // written here alone
  }

  get isDown(): boolean {
    return this.#orderedAtMs !== undefined;
  }

  /** `false`: it was down already. */
  down(nowMs: number): boolean {
    if (this.isDown) return false;
    this.#orderedAtMs = new Map();
    this.#drainOthers(nowMs);
    return true;
  }

  /** Whoever has joined while the region is down is drained too, under an id that was there before as well. Says who that is. */
  follow(nowMs: number): readonly string[] {
    const known = this.#orderedAtMs;
    if (!known) return [];
    const ids = membersOf(this.#layers.membership).map(({ id }) => id);
    const left = [...known.keys()].filter((id) => !ids.includes(id));
    const joined = ids.filter((id) => !known.has(id) && !this.#layers.drainOf(id));
    if (left.length === 0 && joined.length === 0) return [];
    this.#orderedAtMs = new Map([...known].filter(([id]) => !left.includes(id)));
    this.#drainOthers(nowMs);
    return joined;
  }

  /** Those stay that somebody has ordered to be drained or to leave, before or since. `false`: it was not down. */
  up(): boolean {
    if (!this.#orderedAtMs) return false;
    const ended = [...this.#orderedAtMs].filter(([id, orderedAtMs]) => {
      const drain = this.#layers.drainOf(id);
      const isOurs = drain?.orderedAtMs === orderedAtMs && (drain.by === TERMS.by || drain.by === ""); // an older version's says nothing
      return isOurs && this.#layers.memberOrder(id)?.leavingAtMs === undefined;
    });
    this.#orderedAtMs = undefined;
    this.#store.set("regionDown", "");
    this.#layers.setDrains(new Map(ended.map(([id]) => [id, undefined])));
    return true;
  }

  #drainOthers(nowMs: number): void {
    const ids = membersOf(this.#layers.membership).flatMap(({ id }) => (this.#layers.drainOf(id) || this.#orderedAtMs?.has(id) ? [] : [id]));
    this.#orderedAtMs = new Map([...(this.#orderedAtMs ?? []), ...ids.map((id) => [id, nowMs] as const)]);
    this.#store.set("regionDown", JSON.stringify([...this.#orderedAtMs]));
    if (ids.length > 0) this.#layers.setDrains(new Map(ids.map((id): [string, DrainOrder] => [id, newDrain(nowMs, TERMS)])));
  }
}
