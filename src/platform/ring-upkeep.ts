// What a ring object sets right as time goes by: sessions that are where they must not be, or abroad for longer than need be, and what is
// remembered for sessions that nobody has come back to.

import { illness } from "../core/availability.ts";
import { hasAffinity } from "../core/decide.ts";
import { settlesAtMs } from "../core/motion.ts";
import type { SnapshotOrigin } from "../core/snapshot.ts";
import { comesHome } from "../core/spill.ts";
import { EVACUATE_AGAIN_MS, FOLLOW_AGAIN_MS, ORPHAN_PIN_MS, SWEEP_ORDERS_MS } from "./limits.ts";
import type { Moves } from "./ring-moves.ts";
import type { RingState } from "./ring-state.ts";
import type { LiveRow } from "./ring-table.ts";
import type { RingTables } from "./ring-tables.ts";

/** An origin that is ejected still answers: who is there leaves as by plan, at once. */
type Leave = "drain" | "lost" | "ejected";

export class Upkeep {
  readonly #state: RingState;
  readonly #moves: Moves;
  readonly #tables: RingTables;
  /** Goes on with moves in the background, and tells of what they have changed. */
  readonly #goOn: (work: Promise<void>) => Promise<void>;
  readonly #evacuateNotBeforeMs = new Map<string, number>();
  readonly #orphanedAtMs = new Map<string, number>();
  /** The epoch after which every session was sent where the ring says. */
  #followedEpoch = 0;
  #following = false;
  #followAgainAtMs = Infinity;
  #addressesAgainAtMs = Infinity;
  /** Origins whose sessions are being taken to their new address. */
  readonly #readdressing = new Set<string>();
  #sweepOrdersAtMs = 0;
  /** Shares were on their way at the last look. */
  #unsettled = false;

  constructor(state: RingState, moves: Moves, tables: RingTables, goOn: (work: Promise<void>) => Promise<void>) {
    this.#state = state;
    this.#moves = moves;
    this.#tables = tables;
    this.#goOn = goOn;
  }

  /** At each tick of the ring object's clock. */
  run(nowMs: number): void {
    if (nowMs >= this.#state.kept.dueAtMs) this.#state.keptIsDue();
    this.#settle(nowMs);
    this.leaveLost();
    this.#failBack(nowMs);
    if (nowMs >= this.#followAgainAtMs) {
      this.#followedEpoch = 0;
      this.#followAgainAtMs = nowMs + FOLLOW_AGAIN_MS; // where nothing can be done now either
    }
    this.followRing();
    this.followAddresses();
    this.#sweepPins(nowMs);
    this.#sweepOrders(nowMs);
  }

  /** When there is something to do beside what the next tick brings; Infinity: nothing. */
  nextDueAtMs(nowMs: number): number {
    const orders = this.#state.orderCount > 0 ? Math.max(nowMs, this.#sweepOrdersAtMs) : Infinity;
    const endsAtMs = this.#settlesAtMs(nowMs) ?? (this.#unsettled ? nowMs : Infinity);
    const settling = this.#state.pool.hold || !this.#unsettled ? endsAtMs : Math.min(endsAtMs, nowMs + FOLLOW_AGAIN_MS);
    const kept = Math.max(nowMs, this.#state.kept.dueAtMs);
    return Math.min(orders, kept, settling, Math.max(nowMs, Math.min(this.#followAgainAtMs, this.#addressesAgainAtMs)));
  }

  #settlesAtMs(nowMs: number): number | undefined {
    return settlesAtMs(this.#state.view.snapshot.origins, nowMs);
  }

  /** The ring moves by the clock while shares are on their way: looked at once more when the last is there. */
  #settle(nowMs: number): void {
    const isMoving = this.#settlesAtMs(nowMs) !== undefined;
    if (this.#unsettled && !isMoving) {
      this.#state.reconcilePins(this.#state.live.rows());
      this.#followedEpoch = 0;
    }
    this.#unsettled = isMoving;
  }

  /** Moves sessions that are where they must not be. Repeated each tick: a carrier could not be told, or nobody could take them. */
  leaveLost(): void {
    for (const id of this.#state.live.origins()) {
      const why = this.#whyLeave(id);
      if (why) this.#evacuate(id, why);
    }
  }

  /** `hold: false`: sessions of ours that the ring has elsewhere in our region go there: once after each change, and while shares are on their way. */
  followRing(): void {
    const { pool, live, name } = this.#state;
    const { epoch } = this.#state.view.snapshot;
    const isMoving = this.#settlesAtMs(Date.now()) !== undefined; // then the ring changes without an epoch
    this.#unsettled ||= isMoving;
    if (pool.hold || this.#following || (this.#followedEpoch === epoch && !isMoving) || !this.#tables.complete) return;
    this.#followedEpoch = epoch;
    this.#followAgainAtMs = Infinity;
    const still = (row: LiveRow): boolean => {
      const origin = this.#state.view.byId.get(row.origin);
      if (origin && isFinishing(origin, Date.now())) return false;
      const place = this.#state.ringPlaceOf(row);
      return place !== undefined && place !== row.origin && this.#state.view.byId.has(place);
    };
    const rows = live.rows(
      (row) =>
        row.keyed && !row.learned && row.region === name.region && hasAffinity(pool, row.lot) && !this.#state.isOrdered(row.keyHash) && still(row),
    );
    if (rows.length === 0) return;
    this.#following = true;
    const work = this.#moves.move(rows, { why: "follow", excluded: new Set(), still }).then((waitingCount) => {
      if (waitingCount > 0) this.#followAgainAtMs = Date.now() + FOLLOW_AGAIN_MS;
    });
    void this.#goOn(work).finally(() => (this.#following = false)); // the host waits for it
  }

  /** Takes live sessions to the new address of their origin, ours or another region's: plain requests go there too. Until all are there. */
  followAddresses(): void {
    const stale = (row: LiveRow): boolean => {
      const view = this.#state.viewOfRegion(row.region);
      const url = view?.byId.get(row.origin)?.url;
      // A view of epoch 0 is as configured: its ring may have been told otherwise.
      return row.url !== undefined && url !== undefined && url !== row.url && (view?.snapshot.epoch ?? 0) > 0;
    };
    const byOrigin = Map.groupBy(this.#state.live.rows(stale), (row) => row.origin);
    this.#addressesAgainAtMs = byOrigin.size > 0 ? Date.now() + FOLLOW_AGAIN_MS : Infinity;
    for (const [to, rows] of byOrigin) {
      if (this.#readdressing.has(to)) continue;
      this.#readdressing.add(to);
      const work = this.#moves.move(rows, { why: "ordered", excluded: new Set(), to, anew: true, still: stale }).then(() => undefined);
      void this.#goOn(work).finally(() => this.#readdressing.delete(to)); // the host waits for it
    }
  }

  /** Moves all sessions off an origin; those that stay at the end of its drain are told to come back. */
  #evacuate(origin: string, why: Leave): void {
    const isOver = (): boolean => this.#originOf(origin)?.closed ?? false;
    const over = isOver();
    const turn = `${why}/${over ? "over/" : ""}${origin}`; // neither a loss nor a deadline waits for the end of what is under way
    if (Date.now() < (this.#evacuateNotBeforeMs.get(turn) ?? 0)) return;
    this.#evacuateNotBeforeMs.set(turn, Infinity); // one at a time
    // Its deadline does not wait for anybody's turn: those that wait then are taken at once.
    const work = this.#moves
      .evacuate(origin, { why, unpaced: over, still: () => this.#whyLeave(origin) !== undefined && isOver() === over })
      .then(() => (over && isOver() && this.#whyLeave(origin) ? this.#moves.expel(origin) : undefined));
    // Those that stayed are tried again, but not at once: nobody could take them.
    void this.#goOn(work).finally(() => this.#evacuateNotBeforeMs.set(turn, Date.now() + EVACUATE_AGAIN_MS)); // the host waits for it
  }

  #whyLeave(id: string): Leave | undefined {
    const origin = this.#originOf(id);
    const ill = origin ? illness(origin, Date.now(), new Set()) : "gone";
    if (ill) return ill === "ejected" ? "ejected" : "lost";
    const leaves = origin?.lifecycle === "draining" || origin?.lifecycle === "drained";
    return leaves && !isFinishing(origin, Date.now()) ? "drain" : undefined;
  }

  #originOf(id: string): SnapshotOrigin | undefined {
    for (const view of this.#state.views()) {
      const origin = view.byId.get(id);
      if (origin) return origin;
    }
    return undefined;
  }

  /**
   * `failback: "sessions"`: sessions that went abroad come home as soon as the region keeps their keys again, which it does after the hold-down, a few
   * more at a time. Not those whose key an origin there has issued, nobody here knows them; nor those that somebody has ordered there.
   */
  #failBack(nowMs: number): void {
    const { view, live, pool, name } = this.#state;
    const ramps = this.#settlesAtMs(nowMs) !== undefined;
    // Whose owner has not its share yet waits for it where they are served: coming home to the next on the walk, they would be moved twice.
    const isSettled = (row: LiveRow): boolean => !ramps || this.#state.ringPlaceOf(row, nowMs) === this.#state.ringPlaceOf(row, Infinity);
    const abroad = live.rows(
      (row) =>
        row.region !== name.region &&
        !row.learned &&
        !this.#state.isOrdered(row.keyHash) &&
        comesHome(pool.failback, view.snapshot, row.lot, nowMs) &&
        isSettled(row),
    );
    if (abroad.length > 0) void this.#goOn(this.#moves.move(abroad, { why: "failback", excluded: new Set() }).then(() => undefined)); // the host waits for it
  }

  /** Whether sessions of ours are at an origin that takes none any more. */
  get isSomebodyMisplaced(): boolean {
    return this.#state
      .views()
      .some(({ snapshot }) =>
        snapshot.origins.some(
          ({ id, health, lifecycle }) =>
            (health !== "healthy" || lifecycle === "draining" || lifecycle === "drained") && this.#state.live.countOf(id) > 0,
        ),
      );
  }

  #sweepPins(nowMs: number): void {
    if (!this.#tables.complete) return;
    for (const keyHash of this.#state.pinnedKeys()) {
      const row = this.#state.live.get(keyHash);
      if (row && !row.opening)
        this.#orphanedAtMs.delete(keyHash); // who is not accepted does not keep a pin that is another's
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

/** Whether its drain leaves its sessions where they are. */
function isFinishing({ closed, finishUntilMs }: SnapshotOrigin, nowMs: number): boolean {
  return !closed && finishUntilMs !== undefined && nowMs < finishUntilMs;
}
