// Leases: origins that say of themselves that they are there, and go on saying so. A renewal makes no epoch and is not written; one that does not come
// is a lapse, and its origin down; ten minutes later it is gone. When each lease ends is in memory alone: a ring object that starts gives everyone a
// whole one, since nobody could renew theirs while it was away.

import { quoted } from "../core/config-words.ts";
import { isOwn, registrar } from "../core/drain.ts";
import type { Lease, MemberOrder } from "../core/lifecycle.ts";
import { orderFor, standing, type WantedLease } from "../core/membership.ts";
import { LEASE_AGAIN_MS, LEASE_GONE_MS, LEASES_MAX } from "./limits.ts";
import type { Journal } from "./ring-journal.ts";
import type { MemberOutcome, Members } from "./ring-members.ts";
import type { RingState } from "./ring-state.ts";
import type { Upkeep } from "./ring-upkeep.ts";

interface Ring {
  readonly state: RingState;
  readonly members: Members;
  readonly upkeep: Upkeep;
  readonly journal: Journal;
  /** Tells everyone who holds a copy of what has changed. */
  readonly announce: () => void;
}

export class Leases {
  readonly #ring: Ring;
  readonly #state: RingState;
  readonly #expiresAtMs = new Map<string, number>();
  #againAtMs = 0;

  constructor(ring: Ring) {
    this.#ring = ring;
    this.#state = ring.state;
    for (const [id, { ttlMs }] of this.#state.layers.leases()) this.#expiresAtMs.set(id, Date.now() + ttlMs);
  }

  /** An origin takes a lease, or renews it. `by`: the token's name. */
  take(id: string, wanted: WantedLease, by: string): MemberOutcome {
    const { layers, pool } = this.#state;
    const why = this.#refusalOf(id, wanted);
    if (why !== undefined) return { kind: "conflict", why };
    const { url, weight, ttlMs = pool.lease.ttlMs, instance } = wanted;
    const lease: Lease = { url, weight, ttlMs, instance, by, lapsedAtMs: undefined };
    const known = layers.leaseOf(id);
    const outcome = known ? this.#renew(id, lease, known) : this.#join(id, lease);
    if (outcome.kind === "done") this.#expiresAtMs.set(id, Date.now() + ttlMs);
    return outcome;
  }

  /** When its lease ends; `undefined`: it has none. */
  expiresAtMs(id: string): number | undefined {
    return this.#state.layers.leaseOf(id) && this.#expiresAtMs.get(id);
  }

  /** Leases that have run out, and origins that stayed away for good. */
  run(nowMs: number): void {
    for (const [id, lease] of this.#due()) {
      if (lease.lapsedAtMs === undefined) {
        if (nowMs >= this.#endOf(id) && this.#counts(id, nowMs)) this.#lapse(id, { ...lease, lapsedAtMs: nowMs });
      } else if (nowMs >= lease.lapsedAtMs + LEASE_GONE_MS) this.#goes(id, lease.lapsedAtMs, nowMs);
    }
    for (const id of this.#expiresAtMs.keys()) if (!this.#state.layers.leaseOf(id)) this.#expiresAtMs.delete(id);
    this.#againAtMs = nowMs + LEASE_AGAIN_MS;
    this.#ring.announce();
  }

  /** Infinity: there is no lease. One that is over and does not count is looked at again. */
  nextDueAtMs(nowMs: number): number {
    const due = this.#due().map(([id, { lapsedAtMs }]) => {
      if (lapsedAtMs !== undefined) return lapsedAtMs + LEASE_GONE_MS;
      const endAtMs = this.#endOf(id);
      return endAtMs > nowMs ? endAtMs : Math.max(endAtMs, this.#againAtMs);
    });
    return Math.max(nowMs, Math.min(...due, Infinity));
  }

  /** Why nobody may have a lease on this id, in a sentence. */
  #refusalOf(id: string, { url, instance }: WantedLease): string | undefined {
    const { layers } = this.#state;
    const order = layers.memberOrder(id);
    if (layers.membership.configured.length === 0) return "The configuration has no origin in this ring any more: nobody joins it.";
    if (layers.membership.configured.some((origin) => origin.id === id))
      return `${quoted(id)} is an origin of the configuration, and needs no lease.`;
    if (order?.leavingAtMs !== undefined || order?.goneAtMs !== undefined) return absenceOf(id, order);
    const known = layers.leaseOf(id);
    if (!known) {
      if (order) return `${quoted(id)} was put by an operator, and needs no lease.`;
      return layers.leases().size < LEASES_MAX ? undefined : `This ring has ${LEASES_MAX} leases, and takes no more.`;
    }
    const isOver = known.lapsedAtMs !== undefined || layers.drainOf(id)?.drainedAtMs !== undefined;
    if (isOver || known.url === url || known.instance === instance) return undefined;
    const leftMs = Math.max(0, this.#endOf(id) - Date.now());
    return `${quoted(id)} is held by another instance at ${known.url}, for ${Math.ceil(leftMs / 1_000)} s more unless it renews: use another id, or wait.`;
  }

  #join(id: string, lease: Lease): MemberOutcome {
    const { layers } = this.#state;
    const origin = standing(id, { url: lease.url, weight: lease.weight, backup: false }, layers.membership);
    return this.#ring.members.stand(origin, orderFor(origin, []), { lease }, { back: true, who: "origin", why: `a lease by ${lease.by}` });
  }

  #renew(id: string, lease: Lease, known: Lease): MemberOutcome {
    const { layers, view } = this.#state;
    const [drain, present] = [layers.drainOf(id), view.byId.get(id)];
    const isNewLife = lease.instance !== undefined && lease.instance !== known.instance;
    const rejoins = isNewLife && drain !== undefined && isOwn(drain, registrar(lease.by));
    const isChanged = lease.url !== known.url || lease.weight !== known.weight;
    if (present && (rejoins || isChanged)) {
      const url = lease.url === known.url ? present.url : lease.url;
      const weight = lease.weight === known.weight ? present.weight : lease.weight; // what an operator has changed stays, until the origin says something new
      const origin = standing(id, { url, weight, salt: present.salt, backup: present.backup }, layers.membership);
      const beside = { lease, drain: rejoins ? undefined : drain };
      return this.#ring.members.stand(origin, orderFor(origin, []), beside, {
        back: true,
        who: "origin",
        why: rejoins ? "a new instance after its own drain" : `a lease by ${lease.by}`,
      });
    }
    if (!isSame(lease, known)) layers.setLease(id, lease);
    if (known.lapsedAtMs !== undefined) {
      this.#ring.journal.note({ what: "renewed", who: "origin", origin: id, why: `a lease by ${lease.by}` });
      this.#ring.announce();
    }
    return { kind: "done", joined: false };
  }

  /**
   * Whether a lease that is over is a lapse. Who drains by plan may have stopped to renew; and where most are late at once it is not they who have
   * failed. An origin whose own check fails is believed to be away even so.
   */
  #counts(id: string, nowMs: number): boolean {
    const { view, layers, pool } = this.#state;
    if (layers.observed.isDown(id)) return true;
    if (view.byId.get(id)?.lifecycle === "draining") return false;
    const leased = [...layers.leases()].flatMap(([other, { lapsedAtMs }]) => {
      const origin = view.byId.get(other);
      const isExpected = origin !== undefined && origin.lifecycle !== "draining" && origin.lifecycle !== "drained";
      return isExpected ? [{ weight: origin.weight, renewed: lapsedAtMs === undefined && nowMs < this.#endOf(other) }] : [];
    });
    const sum = (some: typeof leased): number => some.reduce((total, { weight }) => total + weight, 0);
    const isExpected = view.byId.get(id)?.lifecycle !== "drained";
    return !isExpected || sum(leased.filter(({ renewed }) => renewed)) >= pool.panicShare * sum(leased);
  }

  #lapse(id: string, lease: Lease): void {
    this.#state.layers.setLease(id, lease);
    this.#ring.journal.note({ what: "lapse", who: "limpet", origin: id, why: `its lease of ${lease.ttlMs} ms was not renewed` });
    this.#ring.upkeep.leaveLost();
  }

  /** No drain: its sessions went when it was down. */
  #goes(id: string, leavingAtMs: number, nowMs: number): void {
    const order = this.#state.layers.memberOrder(id);
    if (!order) return;
    this.#state.layers.setGone(id, { ...order, leavingAtMs, leftBy: "origin" }, nowMs);
    this.#ring.journal.note({ what: "gone", who: "limpet", origin: id, why: "its lease was not renewed" });
    this.#ring.upkeep.leaveLost();
  }

  /** Not of those who leave by somebody's order: they are drained, and gone then. */
  #due(): [id: string, lease: Lease][] {
    const { layers } = this.#state;
    return [...layers.leases()].filter(([id]) => layers.memberOrder(id)?.leavingAtMs === undefined);
  }

  #endOf(id: string): number {
    return this.#expiresAtMs.get(id) ?? 0;
  }
}

function isSame(a: Lease, b: Lease): boolean {
  return a.ttlMs === b.ttlMs && a.instance === b.instance && a.by === b.by && a.lapsedAtMs === b.lapsedAtMs;
}

/** Why one that leaves or has left may not come back by itself; `undefined`: it may. */
function absenceOf(id: string, { leftBy, goneAtMs }: MemberOrder): string | undefined {
  if (leftBy === "origin") return undefined;
  if (leftBy === "config")
    return goneAtMs === undefined ? `${quoted(id)} is leaving, since the configuration does not name it any more: wait until it is gone.` : undefined;
  return `${quoted(id)} was removed by ${leftBy ?? "an operator"}, and comes back when an operator undrains or puts it.`;
}
