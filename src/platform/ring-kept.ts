// The share of its keys that a region keeps, as its ring object remembers it (core/spill.ts says what it becomes). It is on disk: a hold-down outlives
// the object. Only where the pool has other regions: alone a region keeps everybody.

import type { Pool } from "../core/config-types.ts";
import { FULL_SHARE, type SharePlan } from "../core/share.ts";
import type { SnapshotOrigin } from "../core/snapshot.ts";
import { availableShare, nextKept } from "../core/spill.ts";
import { neighbourRegions } from "./ring-config.ts";
import type { RingStore } from "./ring-store.ts";

export class RingKept {
  readonly #store: RingStore;
  #plan: SharePlan;

  constructor(store: RingStore) {
    this.#store = store;
    const text = store.text("kept");
    this.#plan = text === undefined ? FULL_SHARE : (JSON.parse(text) as SharePlan); // written here alone
  }

  get plan(): SharePlan {
    return this.#plan;
  }

  /** When a share that grows has grown: what came back meanwhile has its turn then. Infinity: it does not grow. */
  get dueAtMs(): number {
    return this.#plan.from === this.#plan.to ? Infinity : this.#plan.endAtMs;
  }

  /** After the ring's origins, or the time, may have changed it; says whether it did. */
  follow(pool: Pool, origins: readonly SnapshotOrigin[], alone: boolean, nowMs: number): boolean {
    const { overprovisioning, holdDownMs, horizonMs, slowStart } = pool;
    const policy = { overprovisioning, holdDownMs, horizonMs, rampMs: slowStart.windowMs };
    const next = alone ? FULL_SHARE : nextKept(this.#plan, availableShare({ origins }, nowMs), policy, nowMs);
    if (isSame(next, this.#plan)) return false;
    this.#plan = next;
    this.#store.set("kept", JSON.stringify(next));
    return true;
  }
}

/** The share that a region with these origins keeps in the end: a plan does not wait for hold-downs and ramps. */
export function settledKept(pool: Pool, region: string, origins: readonly SnapshotOrigin[], nowMs: number): SharePlan {
  if (neighbourRegions(pool, region).length === 0) return FULL_SHARE;
  const share = Math.min(1, pool.overprovisioning * availableShare({ origins }, nowMs));
  return { from: share, to: share, startAtMs: 0, endAtMs: 0 };
}

function isSame(a: SharePlan, b: SharePlan): boolean {
  return a.from === b.from && a.to === b.to && a.startAtMs === b.startAtMs && a.endAtMs === b.endAtMs;
}
