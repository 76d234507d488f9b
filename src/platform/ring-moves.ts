// Moving sessions: away from a drained or lost origin, home again, or after the ring. A session moves as a whole, in two phases: its carrier
// answers `left` (or a deadline passes) before it is told to `enter`. While it is between, whoever asks for it is told to wait.
// By plan, they go a few at a time, the idlest first, each only when its destination's pace has tokens for it: until then it stays where it
// is served. Those that have lost their origin leave at once, all together, and enter at the pace.

import { unavailability } from "../core/availability.ts";
import { sliceOf } from "../core/names.ts";
import type { LeaveItem, LeftItem, Placement, Weight } from "../core/protocol.ts";
import type { Claim } from "../core/situation.ts";
import { chunks, partition } from "./arrays.ts";
import type { Env } from "./env.ts";
import {
  BATCH_MAX,
  delay,
  ENTERED_WITHIN_MS,
  GROUP_MAX,
  HALT_MS,
  LATER_MAX,
  LATER_MS,
  MOVING_CONNECTIONS_MAX,
  NO_PROGRESS_MS,
  QUIET_MAX_MS,
  WEIGH_MS,
  within,
} from "./limits.ts";
import { Blame } from "./ring-blame.ts";
import type { MoveLog, MoveReason } from "./move-log.ts";
import type { Placing } from "./ring-placing.ts";
import type { Quarantine } from "./ring-quarantine.ts";
import type { RingState } from "./ring-state.ts";
import { guestId, type LiveRow } from "./ring-table.ts";
import type { RingTables } from "./ring-tables.ts";
import { carrierStub } from "./stubs.ts";

export interface MoveOrder {
  readonly why: MoveReason;
  /** Never placed there, whatever its state says. */
  readonly excluded: ReadonlySet<string>;
  /** The origin that an order names; without one the decision finds where they belong. */
  readonly to?: string;
  /** Nobody waits for tokens: a drain's deadline has passed. */
  readonly unpaced?: boolean;
  /** Whether a session that has waited for its turn must still go. */
  readonly still?: (row: LiveRow) => boolean;
  /** Legs are opened anew although the origin stays: its address has changed. */
  readonly anew?: boolean;
}

interface Move {
  readonly from: LiveRow;
  readonly to: LiveRow;
  readonly connections: number;
  /** What was taken of the destination's pace. */
  readonly tokens: number;
  /** Until its tokens are good. */
  readonly waitMs: number;
}

interface Means {
  readonly env: Env;
  readonly state: RingState;
  readonly placing: Placing;
  readonly tables: RingTables;
  readonly log: MoveLog;
  readonly quarantine: Quarantine;
}

export class Moves {
  readonly #means: Means;
  readonly #state: RingState;
  readonly #placing: Placing;
  readonly #blame: Blame;
  /** Sessions that wait for their turn, and are served where they are meanwhile. */
  readonly #waiting = new Set<string>();

  constructor(means: Means) {
    this.#means = means;
    this.#state = means.state;
    this.#placing = means.placing;
    this.#blame = new Blame(means.state, means.placing, means.quarantine);
  }

  get #leaveLimitMs(): number {
    const MARGIN_MS = 1_000;
    const { config, pool } = this.#state;
    const ours = config.routes.filter((route) => route.pool === pool.id);
    const hooks = ours.flatMap(({ resume }) => (resume.mode === "handover" ? [resume.handover.timeoutMs] : []));
    return QUIET_MAX_MS + pool.closeDeadlineMs + Math.max(0, ...hooks) + MARGIN_MS;
  }

  get waitingCount(): number {
    return this.#waiting.size;
  }

  /**
   * Moves our sessions off an origin, ours or another region's. Guests are moved by their home rings, which hear of it by our snapshot.
   * Done when each has moved or stayed.
   */
  async evacuate(origin: string, order: Pick<MoveOrder, "still" | "unpaced"> & { readonly why: "drain" | "lost" | "ejected" }): Promise<void> {
    // A key that the origin itself has issued no other knows: such a session is left to end by itself, until the drain is over.
    const rows = this.#state.live.rows((row) => row.origin === origin && !(order.why === "drain" && row.learned));
    await this.move(rows, { ...order, excluded: new Set([origin]) });
  }

  /** Ends the connections of sessions that stayed because nobody can take them: their origin's drain is over. */
  async expel(origin: string): Promise<void> {
    await this.#expel(this.#state.live.rows((row) => row.origin === origin && !this.#placing.moving.has(row.keyHash)));
  }

  /** Moves sessions of ours to wherever they belong now; returns how many did not go, because they gave up waiting or are being moved already. */
  async move(rows: readonly LiveRow[], order: MoveOrder): Promise<number> {
    const planned = order.why !== "lost";
    const free = rows.filter((row) => this.#isFree(row) && !(planned && !this.#goesFirst(order) && this.#waiting.has(row.keyHash)));
    const busyCount = rows.length - free.length;
    if (free.length === 0) return busyCount;
    if (!planned) {
      await this.#moveLost(free, order);
      return busyCount;
    }
    for (const row of free) this.#waiting.add(row.keyHash);
    try {
      const counts = await Promise.all(this.#bySlice(free).map(([slice, some]) => this.#movePlanned(slice, some, order)));
      return counts.reduce((sum, count) => sum + count, busyCount);
    } finally {
      for (const row of free) this.#waiting.delete(row.keyHash);
    }
  }

  /** Whether it takes sessions along that wait for another move. */
  #goesFirst({ why, unpaced }: MoveOrder): boolean {
    return why === "ordered" || why === "ejected" || unpaced === true;
  }

  // — by plan —

  /** One carrier's sessions, a few at a time; returns how many found no turn. */
  async #movePlanned(slice: number, rows: readonly LiveRow[], order: MoveOrder): Promise<number> {
    const weights = await this.#weigh(slice, rows);
    const framesOf = (row: LiveRow): number => weights.get(row.keyHash)?.frames ?? 0;
    const queue = rows.toSorted((a, b) => framesOf(a) - framesOf(b)); // idle ones first
    const later: LiveRow[] = []; // those that found no turn: before the others when the queue is gone through again
    const running = new Set<Promise<void>>();
    let connections = 0;
    let progressAtMs = Date.now();
    while (queue.length + later.length > 0) {
      if (connections >= MOVING_CONNECTIONS_MAX) {
        await Promise.race(running);
        continue;
      }
      if (queue.length === 0 || later.length >= LATER_MAX) {
        if (Date.now() - progressAtMs > NO_PROGRESS_MS) break;
        await delay(LATER_MS);
        queue.unshift(...later.splice(0));
      }
      const [group, settled] = partition(queue.splice(0, GROUP_MAX), (row) => this.#mustGo(row, order));
      const chosen = await Promise.all(group.map((row) => this.#target(row, order, weights.get(row.keyHash)?.connections ?? 1)));
      const moves = chosen.filter((each) => typeof each === "object");
      later.push(...group.filter((_, index) => chosen[index] === "later"));
      this.#waitNoMore([...settled, ...group.filter((_, index) => chosen[index] === "stays")]);
      if (moves.length > 0) progressAtMs = Date.now();
      for (const together of Map.groupBy(moves, (move) => move.to.origin).values()) {
        const count = together.reduce((sum, move) => sum + move.connections, 0);
        connections += count;
        const work = this.#carryOutPlanned(slice, together, order).finally(() => {
          connections -= count;
          running.delete(work);
        });
        running.add(work);
      }
    }
    await Promise.all(running);
    return queue.length + later.length;
  }

  /** Sessions of one carrier that go to one origin together: one waits for the slowest of them. Never rejects. */
  async #carryOutPlanned(slice: number, moves: readonly Move[], order: MoveOrder): Promise<void> {
    await delay(Math.max(...moves.map((move) => move.waitMs)));
    const [going, staying] = partition(moves, (move) => this.#mustGo(move.from, order) && this.#isOpen(move.to));
    await this.#abandon(staying);
    this.#waitNoMore(moves.map((move) => move.from));
    if (going.length === 0) return;
    const arrived = this.#beginMoving(going.map((move) => move.from));
    await this.#leave(
      slice,
      going.map((move) => move.from),
      true,
    );
    await this.#enter(slice, going, order, arrived);
  }

  /** They may be sent on as soon as they are where they go. */
  #waitNoMore(rows: readonly LiveRow[]): void {
    for (const row of rows) this.#waiting.delete(row.keyHash);
  }

  /** Of each session how much there is to move; nothing of those whose carrier does not say. */
  async #weigh(slice: number, rows: readonly LiveRow[]): Promise<ReadonlyMap<string, Weight>> {
    const LIMIT_MS = 500;
    const forMs = rows.length > 1 ? WEIGH_MS : 0; // nobody is to go before another
    const keys = rows.map((row) => row.keyHash);
    const weights = await within(this.#carrier(slice).weigh(keys, forMs), forMs + LIMIT_MS, "weigh").catch(() => []);
    return new Map(weights.map((weight) => [weight.keyHash, weight]));
  }

  // — after a loss —

  async #moveLost(rows: readonly LiveRow[], order: MoveOrder): Promise<void> {
    const arrived = this.#beginMoving(rows);
    try {
      await Promise.all(
        this.#bySlice(rows).flatMap(([slice, all]) => chunks(all, BATCH_MAX).map((some) => this.#moveLostOf(slice, some, order, arrived))),
      );
    } finally {
      arrived();
    }
  }

  async #moveLostOf(slice: number, all: readonly LiveRow[], order: MoveOrder, arrived: Arrived): Promise<void> {
    const [held, rows] = partition(all, (row) => this.#means.quarantine.of(row.keyHash, Date.now()) !== undefined);
    await this.#expel(held, true); // told before, and not heard
    const left = await this.#leave(slice, rows, false);
    const diedAtMs = Date.now();
    const wereThere = (row: LiveRow): boolean => left.get(row.keyHash)?.reached === true;
    const [suspects, others] = partition(rows, (row) => wereThere(row) && this.#blame.isSuspect(row, diedAtMs));
    const go = (some: readonly LiveRow[]): Promise<void> => this.#goAfterLoss(slice, some, order, left, arrived);
    await this.#blame.of(others.filter(wereThere), diedAtMs);
    await Promise.all([
      go(others),
      this.#blame.of(suspects, diedAtMs).then((quarantined) => {
        const free = suspects.filter((row) => !quarantined.includes(row));
        return Promise.all([this.#expel(quarantined, true), go(free)]);
      }),
    ]);
  }

  /** Those that have left a lost origin go on, a few together, at the pace of wherever they go. */
  async #goAfterLoss(
    slice: number,
    rows: readonly LiveRow[],
    order: MoveOrder,
    left: ReadonlyMap<string, LeftItem>,
    arrived: Arrived,
  ): Promise<void> {
    await Promise.all(
      chunks(rows, GROUP_MAX).map(async (some) => {
        const chosen = await Promise.all(some.map((row) => this.#target(row, order, left.get(row.keyHash)?.connections ?? 1)));
        const moves = chosen.filter((each) => typeof each === "object");
        await Promise.all(
          [...Map.groupBy(moves, (move) => move.to.origin).values()].map(async (together) => {
            await delay(Math.max(...together.map((move) => move.waitMs)));
            const [going, doomed] = partition(together, (move) => this.#isOpen(move.to));
            await this.#abandon(doomed); // their new origin was lost while they waited: the next turn chooses anew
            if (going.length > 0) await this.#enter(slice, going, order, arrived);
          }),
        );
      }),
    );
  }

  // — either —

  async #leave(slice: number, rows: readonly LiveRow[], planned: boolean): Promise<ReadonlyMap<string, LeftItem>> {
    const LOST_LIMIT_MS = 1_000;
    const items = rows.map(({ keyHash, fence }): LeaveItem => ({ keyHash, fence, planned }));
    const left = await within(this.#carrier(slice).leave(items), planned ? this.#leaveLimitMs : LOST_LIMIT_MS, "leave").catch(() => []);
    return new Map(left.map((item) => [item.keyHash, item]));
  }

  /** From here on they are there. A carrier that does not answer may have heard it or not: what it holds is read before anything is concluded. */
  async #enter(slice: number, moves: readonly Move[], order: MoveOrder, arrived: Arrived): Promise<void> {
    const { live, coming } = this.#state;
    const entering: Placement[] = [];
    const released: LiveRow[] = [];
    for (const { from, to } of moves) {
      coming.delete(guestId(to));
      const known = live.get(from.keyHash);
      if (known?.fence === from.fence) {
        live.set({ ...to, opening: known.opening });
        entering.push(this.#placing.placementOf(to));
        released.push(from);
      } else released.push(to); // it ended while it left
    }
    this.#state.reconcilePins(entering.flatMap(({ keyHash }) => live.get(keyHash) ?? []));
    arrived(moves.map((move) => move.from.keyHash));
    this.#means.log.moved(
      order.why,
      moves.map(({ from, to }) => ({ from: from.origin, to: to.origin })),
      this.#state.view.snapshot.epoch,
    );
    const MARGIN_MS = 1_000;
    try {
      const answer = await within(this.#carrier(slice).enter(entering), ENTERED_WITHIN_MS + MARGIN_MS, "enter");
      const absent = new Set(answer.absent);
      for (const { to } of moves) if (absent.has(to.keyHash) && this.#end(to)) released.push(to);
      const failed = new Set(answer.failed);
      for (const { to } of moves) if (failed.has(to.keyHash)) this.#placing.pace.halt(to.origin, Date.now() + HALT_MS);
    } catch {
      this.#means.tables.unread(slice);
    }
    await this.#placing.release(released);
  }

  /** Where a session goes. It stays where nobody else can take it (or only in panic, which a plan never uses). */
  async #target(from: LiveRow, order: MoveOrder, connections: number): Promise<Move | "stays" | "later"> {
    const { keyHash, position, lot, keyed, learned, drawn } = from;
    const fence = this.#state.fence(from.fence);
    const claim: Claim | undefined = order.to === undefined ? undefined : { origin: order.to, fence, from: "connection" };
    const coming = { keyHash, fence, origin: "" };
    this.#state.coming.set(coming);
    const planned = order.why !== "lost";
    const tokens = order.unpaced ? undefined : { count: connections, urgent: !planned || order.why === "ejected" };
    const choice = await this.#placing.choose(
      { keyHash, position, lot, keyed, claim, excluded: order.excluded, fence, leaving: planned, from: order.anew ? undefined : from.origin, tokens },
      true,
    );
    const follows = order.why !== "follow" || (choice.kind === "routed" && choice.origin === this.#state.ringPlaceOf(from));
    const stays = choice.kind !== "routed" || choice.reason === "panic" || !follows || (choice.origin === from.origin && !order.anew);
    if (stays) {
      if (choice.kind === "routed" && tokens && choice.origin !== from.origin) this.#placing.pace.giveBack(choice.origin, connections);
      this.#state.coming.delete(guestId(coming));
      if (choice.kind === "routed" && choice.reason !== "panic") await this.#placing.release([{ keyHash, region: choice.region, fence }]);
      return choice.kind === "later" ? "later" : "stays";
    }
    const { origin, region, epoch } = choice;
    const reason = order.to === origin ? "replay" : choice.reason;
    this.#state.coming.set({ ...coming, origin });
    const url = this.#placing.urlOf(region, origin);
    const movedFrom = origin === from.origin ? from.movedFrom : from.origin; // it may only have another address
    const to: LiveRow = { keyHash, position, lot, keyed, learned, drawn, origin, region, url, epoch, reason, fence, movedFrom };
    return { from, to: planned ? to : { ...to, rehomedAtMs: Date.now() }, connections, tokens: tokens?.count ?? 0, waitMs: choice.waitMs };
  }

  /** They do not go after all. */
  async #abandon(moves: readonly Move[]): Promise<void> {
    for (const { to, tokens } of moves) {
      this.#state.coming.delete(guestId(to));
      this.#placing.pace.giveBack(to.origin, tokens);
    }
    await this.#placing.release(moves.map((move) => move.to));
  }

  /** Whoever asks for these is told to wait, until the returned function is called with them, or with nothing for all. */
  #beginMoving(rows: readonly LiveRow[]): Arrived {
    const under = new Map(rows.map((row) => [row.keyHash, Promise.withResolvers<void>()]));
    for (const [keyHash, { promise }] of under) this.#placing.moving.set(keyHash, promise);
    return (keyHashes = [...under.keys()]) => {
      for (const keyHash of keyHashes) {
        const move = under.get(keyHash);
        under.delete(keyHash);
        move?.resolve();
        if (move && this.#placing.moving.get(keyHash) === move.promise) this.#placing.moving.delete(keyHash); // it may have ended, and begun anew
      }
    };
  }

  #isFree(row: LiveRow): boolean {
    return !this.#placing.moving.has(row.keyHash) && this.#state.live.get(row.keyHash)?.fence === row.fence;
  }

  #mustGo(row: LiveRow, { still }: MoveOrder): boolean {
    return this.#isFree(row) && (still?.(row) ?? true);
  }

  /** Whether a chosen origin may still take sessions. */
  #isOpen({ region, origin }: LiveRow): boolean {
    const target = this.#state.viewOfRegion(region)?.byId.get(origin);
    const nowMs = Date.now();
    return target !== undefined && unavailability(target, nowMs, new Set()) === undefined;
  }

  async #expel(rows: readonly LiveRow[], quarantined = false): Promise<void> {
    const told = this.#bySlice(rows).map(
      ([slice, some]) =>
        this.#carrier(slice)
          .expel(
            some.map((row) => row.keyHash),
            quarantined,
          )
          .catch(() => undefined), // the next tick tells again
    );
    await Promise.all(told);
  }

  #bySlice(rows: readonly LiveRow[]): [slice: number, rows: LiveRow[]][] {
    return [...Map.groupBy(rows, (row) => sliceOf(row.lot, this.#state.pool.carriers))];
  }

  #carrier(slice: number): ReturnType<typeof carrierStub> {
    return carrierStub(this.#means.env, this.#state.config, this.#state.name, slice);
  }

  /** Its last visitor left while it moved. `false`: it has a younger placement already. */
  #end(row: LiveRow): boolean {
    if (this.#state.live.get(row.keyHash)?.fence !== row.fence) return false;
    this.#state.end([row]);
    return true;
  }
}

type Arrived = (keyHashes?: readonly string[]) => void;
