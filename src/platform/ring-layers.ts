// The layers that a ring's origins are made of, as they are stored: what the configuration says, what operators ordered, what was observed. Each change
// is written here and then told to the ring's state, which makes one epoch of it.

import { configSteps } from "../core/config-change.ts";
import type { Pool } from "../core/config-types.ts";
import type { DrainOrder } from "../core/drain.ts";
import { membersOf, mergeLayers, type Lease, type MemberOrder } from "../core/lifecycle.ts";
import { forgotten, goneOrder, type Membership } from "../core/membership.ts";
import type { SnapshotOrigin } from "../core/snapshot.ts";
import type { Settings } from "./env.ts";
import { dueConfig } from "./ring-config.ts";
import type { JournalNote } from "./ring-journal.ts";
import { RingObserved } from "./ring-observed.ts";
import type { RingStore } from "./ring-store.ts";

/** What goes with an order on an origin's membership. */
export interface Beside {
  readonly drain?: DrainOrder | undefined;
  /** Without one the lease that it held is over. */
  readonly lease?: Lease | undefined;
  /** The id is another origin's from now on. */
  readonly bornFence?: number | undefined;
}

export class RingLayers {
  readonly observed: RingObserved;
  readonly #store: RingStore;
  readonly #changed: () => void;
  readonly #pool: () => Pool;
  readonly #members: Map<string, MemberOrder>;
  readonly #drains: Map<string, DrainOrder>;
  readonly #leases: Map<string, Lease>;
  readonly #births: Map<string, number>;
  /** What a configuration has changed, and nobody has written to the journal yet. */
  #unnoted: JournalNote[] = [];

  /** `changed`: something that the ring's snapshot shows is different. */
  constructor(pool: () => Pool, store: RingStore, changed: () => void) {
    this.#store = store;
    this.#changed = changed;
    this.#pool = pool;
    this.observed = new RingObserved(store, pool);
    this.#members = store.members();
    this.#drains = store.drains();
    this.#leases = store.side.leases();
    this.#births = store.side.births();
    for (const id of this.#leases.keys()) {
      const order = this.#members.get(id);
      if (!order || order.goneAtMs !== undefined) this.#writeLease(id, undefined); // an older version has had it leave
    }
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
      this.setGone(origin, order, drain.drainedAtMs);
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

  leaseOf(origin: string): Lease | undefined {
    return this.#leases.get(origin);
  }

  leases(): ReadonlyMap<string, Lease> {
    return this.#leases;
  }

  /** What is ordered of an origin's membership, with what goes with it: one epoch. Of one that is gone nothing else is remembered. */
  setMember(origin: string, order: MemberOrder | undefined, { drain, lease, bornFence }: Beside): void {
    const before = this.#ids();
    this.#writeMember(origin, order);
    this.#writeDrain(origin, drain);
    this.#writeLease(origin, lease);
    if (bornFence !== undefined) this.#writeBirth(origin, bornFence);
    if (order?.goneAtMs !== undefined || bornFence !== undefined) this.observed.forget(origin);
    this.#join(before);
    this.#forget();
    this.#changed();
  }

  setGone(origin: string, order: MemberOrder, goneAtMs: number): void {
    this.setMember(origin, goneOrder(origin, order, goneAtMs, this.membership), {});
  }

  /** What is known of a lease beside its origin; the ring's snapshot shows of it whether it has lapsed. */
  setLease(origin: string, lease: Lease): void {
    const wasAway = this.#leases.get(origin)?.lapsedAtMs !== undefined;
    const isAway = lease.lapsedAtMs !== undefined;
    this.#writeLease(origin, lease);
    if (wasAway === isAway) return;
    if (isAway) this.observed.fell(origin, Date.now());
    else this.observed.restart(origin, this.merged(), Date.now());
    this.#changed();
  }

  /** What was observed, all that goes together: one epoch. */
  observe(write: (observed: RingObserved) => void): void {
    write(this.observed);
    this.#changed();
  }

  /** The origins as the next snapshot shows them. */
  merged(): SnapshotOrigin[] {
    return this.#mergedWith(this.membership.configured);
  }

  /** The origins as they would be by another configuration. */
  planned(settings: Pick<Settings, "config" | "dev">, pool: Pool, region: string): SnapshotOrigin[] {
    const due = dueConfig({ region, pool, settings }, this.#store.config(), this.membership);
    return this.#mergedWith(due?.origins ?? this.membership.configured);
  }

  #mergedWith(configured: Membership["configured"]): SnapshotOrigin[] {
    const { down, observed } = this.observed.layer;
    const lapsed = [...this.#leases].flatMap(([id, { lapsedAtMs }]) => (lapsedAtMs === undefined ? [] : [id]));
    const away = new Set([...down, ...lapsed]);
    return mergeLayers({ configured, members: this.#members, drains: this.#drains, down: away, observed, born: this.#births });
  }

  get configRevision(): number {
    return this.#store.config()?.revision ?? 0;
  }

  /**
   * Takes the configuration if it is due; says whether the ring changes by it. Whoever it drops leaves as if removed; `bear`: gives the fence of an id
   * that comes back as another origin's.
   */
  takeConfig(settings: Pick<Settings, "config" | "dev">, region: string, bear: (origin: string) => number): boolean {
    const pool = this.#pool();
    const former = this.#store.config();
    const due = dueConfig({ region, pool, settings }, former, this.membership);
    if (!due) return false;
    const before = this.#ids();
    const isRetired = due.origins.length === 0;
    const known = { ...this.membership, drains: this.#drains, leases: this.#leases, isRetired };
    const steps = configSteps(known, due.origins, pool.drain, Date.now());
    this.#store.setConfig(due);
    this.#unnoted.push({ what: "config", who: "config", why: `revision ${due.revision}` });
    for (const { id, order, drain, what, isAnother } of steps) {
      this.#writeMember(id, order);
      this.#writeDrain(id, drain);
      this.#writeLease(id, undefined);
      if (isAnother) this.#writeBirth(id, bear(id));
      if (isAnother) this.observed.forget(id);
      if (what) this.#unnoted.push({ what, who: "config", origin: id, why: `revision ${due.revision}` });
    }
    this.#forget();
    if (former) this.#join(before); // the first fleet of a ring is there to be served by
    const kept = this.#ids();
    this.observed.keepOnly(kept);
    for (const id of this.#drains.keys()) if (!kept.has(id)) this.#writeDrain(id, undefined);
    return true;
  }

  #ids(): Set<string> {
    return new Set(membersOf(this.membership).map(({ id }) => id));
  }

  /** Who was not among them takes nothing before it has answered a check. */
  #join(before: ReadonlySet<string>): void {
    for (const id of this.#ids()) if (!before.has(id)) this.observed.change(id, { joining: true });
  }

  /** For the journal, once the epoch is made: what configurations have changed since this was asked last. */
  takeNotes(): readonly JournalNote[] {
    const notes = this.#unnoted;
    this.#unnoted = [];
    return notes;
  }

  /** Who left long ago, and what was remembered of ids that nobody has any more. */
  #forget(): void {
    for (const id of forgotten(this.membership)) this.#writeMember(id, undefined);
    const known = new Set([...this.membership.configured.map(({ id }) => id), ...this.#members.keys()]);
    for (const id of this.#births.keys()) if (!known.has(id)) this.#writeBirth(id, undefined);
  }

  /** Who comes back after a closing epoch takes more and more; before that nobody was sent elsewhere for good. */
  #writeDrain(id: string, drain: DrainOrder | undefined): void {
    const closed = this.#drains.get(id)?.closedAtMs !== undefined;
    if (!drain && closed && this.#ids().has(id)) this.observed.restart(id, this.merged(), Date.now());
    if (drain) this.#drains.set(id, drain);
    else this.#drains.delete(id);
    this.#store.setDrain(id, drain);
  }

  #writeMember(id: string, order: MemberOrder | undefined): void {
    if (order) this.#members.set(id, order);
    else this.#members.delete(id);
    this.#store.setMember(id, order);
  }

  #writeLease(id: string, lease: Lease | undefined): void {
    if (lease) this.#leases.set(id, lease);
    else if (!this.#leases.delete(id)) return;
    this.#store.side.setLease(id, lease);
  }

  #writeBirth(id: string, fence: number | undefined): void {
    if (fence === undefined) this.#births.delete(id);
    else this.#births.set(id, fence);
    this.#store.side.setBirth(id, fence);
  }
}
