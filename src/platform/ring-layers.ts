// The layers that a ring's origins are made of, as they are stored: what the configuration says, what operators ordered, what was observed. Each change
// is written here and then told to the ring's state, which makes one epoch of it.

import { isWhole, membersOf, mergeLayers, type DrainOrder, type MemberOrder } from "../core/lifecycle.ts";
import { forgotten, type Membership } from "../core/membership.ts";
import type { SnapshotOrigin } from "../core/snapshot.ts";
import type { Pool } from "../core/config-types.ts";
import type { Settings } from "./env.ts";
import { dueConfig } from "./ring-config.ts";
import { RingObserved } from "./ring-observed.ts";
import type { RingStore } from "./ring-store.ts";

export class RingLayers {
  readonly observed: RingObserved;
  readonly #store: RingStore;
  readonly #changed: () => void;
  readonly #pool: () => Pool;
  readonly #members: Map<string, MemberOrder>;
  readonly #drains: Map<string, DrainOrder>;

  /** `changed`: something that the ring's snapshot shows is different. */
  constructor(pool: () => Pool, store: RingStore, changed: () => void) {
    this.#store = store;
    this.#changed = changed;
    this.#pool = pool;
    this.observed = new RingObserved(store, pool);
    this.#members = store.members();
    this.#drains = store.drains();
  }

  drainOf(origin: string): DrainOrder | undefined {
    return this.#drains.get(origin);
  }

  drains(): ReadonlyMap<string, DrainOrder> {
    return this.#drains;
  }

  /** An origin that is leaving is gone once it is drained. */
  setDrain(origin: string, drain: DrainOrder | undefined): void {
    const order = this.#members.get(origin);
    if (drain?.drainedAtMs !== undefined && order?.leavingAtMs !== undefined) {
      this.setMember(origin, { ...order, goneAtMs: drain.drainedAtMs }, undefined);
      return;
    }
    this.#writeDrain(origin, drain);
    this.#changed();
  }

  /** Several at once, in one epoch; `undefined` ends one. */
  setDrains(drains: ReadonlyMap<string, DrainOrder | undefined>): void {
    for (const [origin, drain] of drains) this.#writeDrain(origin, drain);
    this.#changed();
  }

  /** What membership is made of: of the configuration that this ring has taken, and by operators' orders. */
  get membership(): Membership {
    const config = this.#store.config();
    return { configured: config?.origins ?? [], members: this.#members, virtualNodes: config?.virtualNodes ?? this.#pool().virtualNodes };
  }

  memberOrder(origin: string): MemberOrder | undefined {
    return this.#members.get(origin);
  }

  /** What is ordered of an origin's membership, with the drain that goes with it: one epoch. Of one that is gone nothing else is remembered. */
  setMember(origin: string, order: MemberOrder | undefined, drain: DrainOrder | undefined): void {
    const before = this.#ids();
    this.#writeMember(origin, order);
    this.#writeDrain(origin, drain);
    this.observed.join([...this.#ids()].filter((id) => !before.has(id)));
    if (order?.goneAtMs !== undefined) this.observed.forget(origin);
    for (const id of forgotten(this.membership)) this.#writeMember(id, undefined);
    this.#changed();
  }

  /** What was observed, all that goes together: one epoch. */
  observe(write: (observed: RingObserved) => void): void {
    write(this.observed);
    this.#changed();
  }

  /** The origins as the next snapshot shows them. */
  merged(): SnapshotOrigin[] {
    const { configured, members } = this.membership;
    return mergeLayers({ configured, members, drains: this.#drains, ...this.observed.layer });
  }

  /** The origins as they would be by another configuration. */
  planned(settings: Pick<Settings, "config" | "dev">, pool: Pool, region: string): SnapshotOrigin[] {
    const { configured, members } = this.membership;
    const due = dueConfig({ region, pool, settings }, this.#store.config(), this.membership);
    const written = due?.origins ?? configured;
    return mergeLayers({ configured: written, members, drains: this.#drains, ...this.observed.layer });
  }

  get configRevision(): number {
    return this.#store.config()?.revision ?? 0;
  }

  /** Takes the configuration if it is due; says whether the ring changes by it. */
  takeConfig(settings: Pick<Settings, "config" | "dev">, region: string): boolean {
    const known = this.#store.config();
    const due = dueConfig({ region, pool: this.#pool(), settings }, known, this.membership);
    if (!due) return false;
    const before = this.#ids();
    this.#store.setConfig(due);
    // What was ordered of an origin that is configured no more, and was not ordered to be there, speaks of nobody.
    const written = new Set(due.origins.map(({ id }) => id));
    for (const [id, order] of this.#members) if (!written.has(id) && !isWhole(order)) this.#writeMember(id, undefined);
    const kept = this.#ids();
    if (known) this.observed.join([...kept].filter((id) => !before.has(id))); // the first fleet of a ring is there to be served by
    this.observed.keepOnly(kept);
    for (const id of this.#drains.keys()) if (!kept.has(id)) this.#writeDrain(id, undefined);
    return true;
  }

  #ids(): Set<string> {
    return new Set(membersOf(this.membership).map(({ id }) => id));
  }

  #writeDrain(id: string, drain: DrainOrder | undefined): void {
    if (drain) this.#drains.set(id, drain);
    else this.#drains.delete(id);
    this.#store.setDrain(id, drain);
  }

  #writeMember(id: string, order: MemberOrder | undefined): void {
    if (order) this.#members.set(id, order);
    else this.#members.delete(id);
    this.#store.setMember(id, order);
  }
}
