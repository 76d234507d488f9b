// What a ring object sets right as time goes by: sessions that are where they must not be, or abroad for longer than need be, and what is
// remembered for sessions that nobody has come back to.

import { unavailability } from "../core/availability.ts";
import type { SnapshotOrigin } from "../core/snapshot.ts";
import { comesHome } from "../core/spill.ts";
import { EVACUATE_AGAIN_MS, ORPHAN_PIN_MS, SWEEP_ORDERS_MS } from "./limits.ts";
import type { Moves } from "./ring-moves.ts";
import type { RingState } from "./ring-state.ts";
import type { RingTables } from "./ring-tables.ts";

export class Upkeep {
  readonly #state: RingState;
  readonly #moves: Moves;
  readonly #tables: RingTables;
  /** Goes on with moves in the background, and tells of what they have changed. */
  readonly #goOn: (work: Promise<void>) => Promise<void>;
  readonly #evacuateNotBeforeMs = new Map<string, number>();
  readonly #orphanedAtMs = new Map<string, number>();
  #servableSinceMs: number | undefined;
  #sweepOrdersAtMs = 0;

  constructor(state: RingState, moves: Moves, tables: RingTables, goOn: (work: Promise<void>) => Promise<void>) {
    this.#state = state;
    this.#moves = moves;
    this.#tables = tables;
    this.#goOn = goOn;
  }

  /** At each tick of the ring object's clock. */
  run(nowMs: number): void {
    for (const view of this.#state.views()) this.leaveLost(view.snapshot.origins);
    this.#failBack(nowMs);
    this.#sweepPins(nowMs);
    this.#sweepOrders(nowMs);
  }

  /** When there is something to do beside what the next tick brings; Infinity: nothing. */
  nextDueAtMs(nowMs: number): number {
    return this.#state.orderCount > 0 ? Math.max(nowMs, this.#sweepOrdersAtMs) : Infinity;
  }

  /** Moves all sessions off an origin; with `over`, those that stay are told to come back. */
  evacuate(origin: string, planned: boolean, over = false): void {
    if (Date.now() < (this.#evacuateNotBeforeMs.get(origin) ?? 0)) return;
    this.#evacuateNotBeforeMs.set(origin, Infinity); // one at a time
    const work = this.#moves.evacuate(origin, planned).then(() => (over ? this.#moves.expel(origin) : undefined));
    // Those that stayed are tried again, but not at once: nobody could take them.
    void this.#goOn(work).finally(() => this.#evacuateNotBeforeMs.set(origin, Date.now() + EVACUATE_AGAIN_MS)); // the host waits for it
  }

  /** Moves sessions that are where they must not be. Repeated each tick: a carrier could not be told, or nobody could take them. */
  leaveLost(origins: readonly SnapshotOrigin[]): void {
    for (const { id, health, lifecycle, closed } of origins) {
      if (this.#state.live.countOf(id) === 0 || (health !== "down" && lifecycle === "active")) continue;
      this.evacuate(id, health !== "down", closed);
    }
  }

  /**
   * `failback: "sessions"`: when our region has been able to serve for `holdDownMs`, sessions that went abroad come home. Not those whose key an
   * origin there has issued: nobody here knows them.
   */
  #failBack(nowMs: number): void {
    const { view, live, pool, name } = this.#state;
    const servable = view.snapshot.origins.some((origin) => !unavailability(origin, nowMs, new Set()));
    this.#servableSinceMs = servable ? (this.#servableSinceMs ?? nowMs) : undefined;
    if (this.#servableSinceMs === undefined || nowMs - this.#servableSinceMs < pool.holdDownMs) return;
    const abroad = live.rows((row) => row.region !== name.region && !row.learned && comesHome("sessions", view.snapshot, row.lot, nowMs));
    if (abroad.length > 0) void this.#goOn(this.#moves.move(abroad, { planned: true, excluded: new Set() })); // the host waits for it
  }

  #sweepPins(nowMs: number): void {
    if (!this.#tables.complete) return;
    for (const keyHash of this.#state.pinnedKeys()) {
      if (this.#state.live.get(keyHash)) this.#orphanedAtMs.delete(keyHash);
      else if (!this.#orphanedAtMs.has(keyHash)) this.#orphanedAtMs.set(keyHash, nowMs);
    }
    const old = [...this.#orphanedAtMs].filter(([, sinceMs]) => nowMs - sinceMs >= ORPHAN_PIN_MS).map(([keyHash]) => keyHash);
    for (const keyHash of old) this.#orphanedAtMs.delete(keyHash);
    this.#state.dropPins(old);
  }

  #sweepOrders(nowMs: number): void {
    if (nowMs < this.#sweepOrdersAtMs) return;
    this.#sweepOrdersAtMs = nowMs + SWEEP_ORDERS_MS;
    this.#state.sweepOrders(nowMs);
  }
}
