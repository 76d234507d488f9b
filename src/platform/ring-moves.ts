// Moving sessions: away from a drained or lost origin, or home again. A session moves as a whole, in two phases: its carrier answers
// `left` (or a deadline passes) before it is told to `enter`. While it is between, whoever asks for it waits.

import type { Config } from "../core/config-types.ts";
import { sliceOf } from "../core/names.ts";
import type { LeaveItem, Placement } from "../core/protocol.ts";
import type { Claim } from "../core/situation.ts";
import type { Env } from "./env.ts";
import { BATCH_MAX, MOVE_DEADLINE_MS, QUIET_MAX_MS, within } from "./limits.ts";
import type { Placing } from "./ring-placing.ts";
import type { RingState } from "./ring-state.ts";
import { guestId, type LiveRow } from "./ring-table.ts";
import { carrierStub } from "./stubs.ts";

export interface MoveOrder {
  /** `true`: the old origin lives and is given time to answer; `false`: it is lost. */
  readonly planned: boolean;
  /** Never placed there, whatever its state says. */
  readonly excluded: ReadonlySet<string>;
  /** The origin that an order names; without one the decision finds where they belong. */
  readonly to?: string;
}

interface Move {
  readonly from: LiveRow;
  readonly to: LiveRow;
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
    await this.move(
      // A key that the origin itself has issued no other knows: such a session is left to end by itself, until the drain is over.
      this.#state.live.rows((row) => row.origin === origin && !(planned && row.learned)),
      { planned, excluded: new Set([origin]) },
    );
  }

  /** Ends the connections of sessions that stayed because nobody can take them: their origin's drain is over. */
  async expel(origin: string): Promise<void> {
    const staying = this.#state.live.rows((row) => row.origin === origin && !this.#placing.moving.has(row.keyHash));
    const bySlice = Map.groupBy(staying, (row) => sliceOf(row.lot, this.#state.pool.carriers));
    const told = [...bySlice].map(
      ([slice, rows]) =>
        carrierStub(this.#env, this.#config, this.#state.name, slice)
          .expel(rows.map((row) => row.keyHash))
          .catch(() => undefined), // the next tick tells again
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
      if (moves.length > 0) await this.#carryOut(slice, moves, order);
    } finally {
      for (const row of rows) this.#placing.moving.delete(row.keyHash);
      done.resolve();
    }
  }

  async #carryOut(slice: number, moves: readonly Move[], order: MoveOrder): Promise<void> {
    const { live, coming } = this.#state;
    const carrier = carrierStub(this.#env, this.#config, this.#state.name, slice);
    const leave = moves.map(({ from }): LeaveItem => ({ keyHash: from.keyHash, fence: from.fence, planned: order.planned }));
    const left = await within(carrier.leave(leave), this.#leaveLimitMs(order), "leave").then(
      () => true,
      () => false,
    );
    const entering: Placement[] = [];
    const released: LiveRow[] = [];
    for (const { from, to } of moves) {
      coming.delete(guestId(to));
      if (live.get(from.keyHash)?.fence === from.fence) {
        live.set(to);
        entering.push(this.#placing.placementOf(to));
        released.push(from);
      } else released.push(to); // it ended while it left
    }
    this.#state.reconcilePins(entering.flatMap(({ keyHash }) => live.get(keyHash) ?? []));
    // A carrier that answered neither is gone, and its connections with it; one that only did not hear `enter` asks by itself.
    const unheard = left ? [] : entering.map(({ keyHash }) => keyHash);
    const absent = new Set(await within(carrier.enter(entering), MOVE_DEADLINE_MS, "enter").catch(() => unheard));
    for (const { to } of moves) if (absent.has(to.keyHash) && this.#end(to)) released.push(to);
    this.#record(moves, order);
    await this.#placing.release(released);
  }

  /** Where a session goes; `undefined`: it stays, because nobody else can take it (or only in panic, which a plan never uses). */
  async #target(from: LiveRow, order: MoveOrder): Promise<Move | undefined> {
    const { keyHash, position, lot, keyed, learned } = from;
    const fence = this.#state.fence(from.fence);
    const claim: Claim | undefined = order.to === undefined ? undefined : { origin: order.to, fence, from: "connection" };
    const coming = { keyHash, fence, origin: "" };
    this.#state.coming.set(coming);
    const choice = await this.#placing.choose(
      { keyHash, position, lot, keyed, claim, excluded: order.excluded, fence, leaving: order.planned },
      true,
    );
    if (choice.kind === "refused" || choice.reason === "panic" || choice.origin === from.origin) {
      this.#state.coming.delete(guestId(coming));
      if (choice.kind === "routed" && choice.reason !== "panic") await this.#placing.release([{ keyHash, region: choice.region, fence }]);
      return undefined;
    }
    const { origin, region, epoch } = choice;
    const reason = order.to === origin ? "replay" : choice.reason;
    this.#state.coming.set({ ...coming, origin });
    return { from, to: { keyHash, position, lot, keyed, learned, origin, region, epoch, reason, fence, movedFrom: from.origin } };
  }

  /** One line for the sessions that moved together: moves are always recorded. */
  #record(moves: readonly Move[], { planned }: MoveOrder): void {
    const { pool, region } = this.#state.name;
    const to = Object.fromEntries([...Map.groupBy(moves, (move) => move.to.origin)].map(([origin, group]) => [origin, group.length]));
    const from = [...new Set(moves.map((move) => move.from.origin))];
    console.log(JSON.stringify({ limpet: "moved", pool, region, planned, sessions: moves.length, from, to, epoch: this.#state.view.snapshot.epoch }));
  }

  /** Its last visitor left while it moved. `false`: it has a younger placement already. */
  #end(row: LiveRow): boolean {
    if (this.#state.live.get(row.keyHash)?.fence !== row.fence) return false;
    this.#state.live.delete(row.keyHash);
    this.#state.dropPins([row.keyHash]);
    return true;
  }

  #leaveLimitMs({ planned }: MoveOrder): number {
    const MARGIN_MS = 1_000;
    return planned ? QUIET_MAX_MS + this.#state.pool.closeDeadlineMs + MARGIN_MS : MARGIN_MS;
  }
}

function chunks<T>(all: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, index) => all.slice(index * size, (index + 1) * size));
}
