// Moving sessions: away from a drained or lost origin, or home again. A session moves as a whole, in two phases: its carrier answers
// `left` (or a deadline passes) before it is told to `enter`. While it is between, whoever asks for it waits.

import type { Config } from "../core/config-types.ts";
import { sliceOf } from "../core/names.ts";
import type { LeaveItem, Placement } from "../core/protocol.ts";
import type { Env } from "./env.ts";
import { BATCH_MAX, MOVE_DEADLINE_MS, QUIET_MAX_MS, within } from "./limits.ts";
import type { Placing } from "./ring-placing.ts";
import type { RingState } from "./ring-state.ts";
import type { LiveRow } from "./ring-table.ts";
import { carrierStub } from "./stubs.ts";

export interface MoveOrder {
  /** `true`: the old origin lives and is given time to answer; `false`: it is lost. */
  readonly planned: boolean;
  /** Never placed there, whatever its state says. */
  readonly excluded: ReadonlySet<string>;
}

export class Moves {
  readonly #env: Env;
  readonly #config: Config;
  readonly #state: RingState;
  readonly #placing: Placing;

  constructor(env: Env, config: Config, state: RingState, placing: Placing) {
    this.#env = env;
    this.#config = config;
    this.#state = state;
    this.#placing = placing;
  }

  /**
   * Moves our sessions off an origin, ours or another region's. Guests are moved by their home rings, which hear of it by our snapshot.
   * Done when each has moved or stayed.
   */
  async evacuate(origin: string, planned: boolean): Promise<void> {
    await this.move(this.#state.live.rows((row) => row.origin === origin), { planned, excluded: new Set([origin]) });
  }

  /** Ends the connections of sessions that nobody can take: their origin's drain is over. */
  async expel(origin: string): Promise<void> {
    const bySlice = Map.groupBy(this.#state.live.rows((row) => row.origin === origin), (row) => sliceOf(row.lot, this.#state.pool.carriers));
    const told = [...bySlice].map(([slice, rows]) =>
      carrierStub(this.#env, this.#config, this.#state.name, slice).expel(rows.map((row) => row.keyHash)).catch(() => undefined), // the next tick tells again
    );
    await Promise.all(told);
  }

  /** Moves sessions of ours to wherever they belong now. Those that are being moved already are left alone. */
  async move(rows: readonly LiveRow[], order: MoveOrder): Promise<void> {
    const free = rows.filter((row) => !this.#placing.moving.has(row.keyHash) && this.#state.live.get(row.keyHash)?.fence === row.fence);
    const bySlice = Map.groupBy(free, (row) => sliceOf(row.lot, this.#state.pool.carriers));
    const batches = [...bySlice].flatMap(([slice, all]) => chunks(all, BATCH_MAX).map((batch) => ({ slice, batch })));
    await Promise.all(batches.map(({ slice, batch }) => this.#moveBatch(slice, batch, order)));
  }

  async #moveBatch(slice: number, rows: readonly LiveRow[], order: MoveOrder): Promise<void> {
    const done = Promise.withResolvers<void>();
    for (const row of rows) this.#placing.moving.set(row.keyHash, done.promise);
    try {
      const moves = (await Promise.all(rows.map((row) => this.#target(row, order)))).filter((move) => move !== undefined);
      if (moves.length === 0) return;
      const carrier = carrierStub(this.#env, this.#config, this.#state.name, slice);
      const leave = moves.map(({ from }): LeaveItem => ({ keyHash: from.keyHash, fence: from.fence, planned: order.planned }));
      const left = await within(carrier.leave(leave), this.#leaveLimitMs(order), "leave").then(() => true, () => false);
      const entering = moves.flatMap(({ from, to }): Placement[] => {
        if (this.#state.live.get(from.keyHash)?.fence !== from.fence) return []; // it ended while it left
        this.#state.live.set(to);
        return [this.#placing.placementOf(to)];
      });
      this.#state.reconcilePins(moves.flatMap(({ to }) => this.#state.live.get(to.keyHash) ?? []));
      const all = moves.map(({ to }) => to.keyHash);
      // A carrier that answered neither is gone, and its connections with it; one that only did not hear `enter` asks by itself.
      const absent = await within(carrier.enter(entering), MOVE_DEADLINE_MS, "enter").catch(() => (left ? [] : all));
      for (const { to } of moves) if (absent.includes(to.keyHash)) this.#end(to);
      this.#record(moves, order);
      await this.#placing.release(moves.filter(({ from, to }) => from.region !== to.region).map(({ from }) => from));
    } finally {
      for (const row of rows) this.#placing.moving.delete(row.keyHash);
      done.resolve();
    }
  }

  /** Where a session goes; `undefined`: it stays, because nobody else can take it (or only in panic, which a plan never uses). */
  async #target(from: LiveRow, order: MoveOrder): Promise<{ from: LiveRow; to: LiveRow } | undefined> {
    const { keyHash, position, lot, keyed } = from;
    this.#state.dropPins([keyHash]); // it names the place that is being left
    const fence = this.#state.fence(from.fence);
    const choice = await this.#placing.choose({ keyHash, position, lot, keyed, excluded: order.excluded, fence }, true);
    const stays = choice.kind === "refused" || choice.reason === "panic" || choice.origin === from.origin;
    if (stays) {
      this.#state.reconcilePins([from]);
      return undefined;
    }
    const { origin, region, epoch, reason } = choice;
    return { from, to: { keyHash, position, lot, keyed, origin, region, epoch, reason, fence, movedFrom: from.origin } };
  }

  /** One line for the sessions that moved together: moves are always recorded. */
  #record(moves: readonly { from: LiveRow; to: LiveRow }[], { planned }: MoveOrder): void {
    const { pool, region } = this.#state.name;
    const to = Object.fromEntries([...Map.groupBy(moves, (move) => move.to.origin)].map(([origin, group]) => [origin, group.length]));
    const from = [...new Set(moves.map((move) => move.from.origin))];
    console.log(JSON.stringify({ limpet: "moved", pool, region, planned, sessions: moves.length, from, to, epoch: this.#state.view.snapshot.epoch }));
  }

  /** Its last visitor left while it moved. */
  #end(row: LiveRow): void {
    if (this.#state.live.get(row.keyHash)?.fence !== row.fence) return;
    this.#state.live.delete(row.keyHash);
    this.#state.dropPins([row.keyHash]);
  }

  #leaveLimitMs({ planned }: MoveOrder): number {
    const MARGIN_MS = 1_000;
    return planned ? QUIET_MAX_MS + this.#state.pool.closeDeadlineMs + MARGIN_MS : MARGIN_MS;
  }
}

function chunks<T>(all: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, index) => all.slice(index * size, (index + 1) * size));
}
