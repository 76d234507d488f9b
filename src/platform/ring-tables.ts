// Reading what others hold: a ring object that starts (or has missed a call) asks its carriers for their sessions and the other regions'
// rings for their guests, and compares the guests now and then. Until everyone was read, nothing is concluded from an absence.

import { sliceOf } from "../core/names.ts";
import { GAP_BOUNDS_MS, type EndedItem, type PlaceItem, type TableRow, type Tally } from "../core/protocol.ts";
import { connectionsIn } from "./carrier-table.ts";
import type { Env } from "./env.ts";
import { PULL_TIMEOUT_MS, within } from "./limits.ts";
import type { Placing } from "./ring-placing.ts";
import type { RingState } from "./ring-state.ts";
import { guestId, type GuestRow } from "./ring-table.ts";
import { carrierStub, ringStub } from "./stubs.ts";

/** A home ring's sessions at one region's origins: those that are there, and those that are on their way anywhere. */
export interface GuestList {
  readonly rows: readonly Omit<GuestRow, "homeRegion">[];
  readonly coming: readonly string[];
  /** It has not read all of its own carriers yet: what is missing here need not be over. */
  readonly partial?: boolean | undefined;
}

interface Reading {
  readonly slice: number;
  /** The carrier has reported: its counts are newer than the table's. */
  counted: boolean;
  readonly asked: Set<string>;
  readonly ended: Set<string>;
  readonly accepted: Set<string>;
}

export class RingTables {
  readonly #env: Env;
  readonly #state: RingState;
  readonly #placing: Placing;
  readonly #former: () => readonly string[];
  readonly #unreadSlices: Set<number>;
  readonly #unreadRegions: Set<string>;
  /** Regions some of whose sessions may be here without anybody's having asked us: their own ring object, or a carrier, had to decide alone. */
  readonly #doubtedRegions = new Set<string>();
  /** Connections to each origin, as each carrier counts them. */
  readonly #connections = new Map<number, ReadonlyMap<string, number>>();
  /** What each life of each carrier has counted: lives that are over keep their last word. */
  readonly #tallies = new Map<string, Tally>();
  /** What was told of sessions while a table was being read, for each reading under way. */
  readonly #readings = new Set<Reading>();

  /** `former`: regions that the pool had until lately: some of their sessions may be here, and nobody waits for them. */
  constructor(env: Env, state: RingState, placing: Placing, former: () => readonly string[]) {
    this.#env = env;
    this.#state = state;
    this.#placing = placing;
    this.#former = former;
    this.#unreadSlices = new Set(Array.from({ length: state.pool.carriers }, (_, slice) => slice));
    this.#unreadRegions = new Set(state.neighbourRegions());
    this.#doubtFormer();
  }

  /** The pool has other regions than before: those that are new are read, of those that it has no more nothing is waited for. */
  reconfigured(before: readonly string[]): void {
    const regions = this.#state.neighbourRegions();
    for (const region of before) if (!regions.includes(region)) for (const set of [this.#unreadRegions, this.#doubtedRegions]) set.delete(region);
    for (const region of regions) if (!before.includes(region)) this.#unreadRegions.add(region);
    this.#doubtFormer();
  }

  #doubtFormer(): void {
    for (const region of this.#former()) if (!this.#unreadRegions.has(region)) this.#doubtedRegions.add(region);
  }

  /** Every carrier was read: the loads are whole. */
  get complete(): boolean {
    return this.#unreadSlices.size === 0;
  }

  /** And every other ring: an origin that looks empty is. */
  get completeWithGuests(): boolean {
    return this.complete && this.#unreadRegions.size === 0;
  }

  /** Told of sessions whose place a carrier asks for: a table that was written before does not have them. */
  asked(items: readonly PlaceItem[]): void {
    for (const reading of this.#readings) for (const { keyHash } of items) reading.asked.add(keyHash);
  }

  /** Told of every end, so that a table that was written before it does not bring the session back. */
  ended(items: readonly EndedItem[]): void {
    for (const reading of this.#readings) for (const { keyHash } of items) reading.ended.add(keyHash);
  }

  /** Told of sessions that an origin has accepted: a table that was written before says that they are being opened. */
  accepted(keyHashes: readonly string[]): void {
    for (const reading of this.#readings) for (const keyHash of keyHashes) reading.accepted.add(keyHash);
    this.#state.accept(keyHashes);
  }

  counted(slice: number, connections: ReadonlyMap<string, number>): void {
    for (const reading of this.#readings) if (reading.slice === slice) reading.counted = true;
    this.#connections.set(slice, connections);
  }

  tallied(slice: number, incarnation: string, tally: Tally): void {
    this.#tallies.set(`${slice}/${incarnation}`, tally);
    if (this.#tallies.size <= LIVES_MAX) return;
    const [[oldest, its], [next, sum]] = [...this.#tallies] as [[string, Tally], [string, Tally]]; // more than one
    this.#tallies.delete(oldest);
    this.#tallies.set(next, sumOf([its, sum]));
  }

  /** What all carriers have counted, since this object's start or theirs, whichever is later. */
  tally(): Tally {
    return sumOf([...this.#tallies.values()]);
  }

  /** It could not be told of a change: what it holds must be read before anything is concluded. */
  unread(slice: number): void {
    this.#unreadSlices.add(slice);
  }

  connectionsByOrigin(): Map<string, number> {
    const sums = new Map<string, number>();
    for (const counts of this.#connections.values()) for (const [origin, count] of counts) sums.set(origin, (sums.get(origin) ?? 0) + count);
    return sums;
  }

  /** Reads everyone who has not been read. Never rejects: who does not answer is asked again at the next tick. */
  async readMissing(): Promise<void> {
    const slices = [...this.#unreadSlices].map((slice) => this.read(slice));
    const regions = [...this.#unreadRegions].map((region) => this.readGuests(region));
    await Promise.allSettled([...slices, ...regions]);
  }

  #isKnown(region: string): boolean {
    return this.#state.neighbourRegions().includes(region) || this.#former().includes(region);
  }

  /** A region's hints have changed: with each session that goes abroad they do. */
  doubtGuests(region: string): void {
    this.#doubtedRegions.add(region);
  }

  get hasDoubts(): boolean {
    return this.#doubtedRegions.size > 0;
  }

  /** Compares with the home rings whose sessions we serve, or may: a call that was lost leaves no guest behind for ever, and none unknown. Never rejects. */
  async compareGuests(): Promise<void> {
    const regions = new Set([...this.#doubtedRegions, ...this.#state.guests.rows().map((row) => row.homeRegion)]);
    this.#doubtedRegions.clear();
    await Promise.all([...regions].map((region) => this.readGuests(region).catch(() => this.#isKnown(region) && this.doubtGuests(region))));
  }

  /** What a carrier holds replaces what we believed of its slice; what changed while it was read stays as it is. */
  async read(slice: number): Promise<void> {
    const { live, pool, name } = this.#state;
    const before = live.rows((row) => sliceOf(row.lot, pool.carriers) === slice);
    const since: Reading = { slice, counted: false, asked: new Set(), ended: new Set(), accepted: new Set() };
    this.#readings.add(since);
    try {
      const table = await within(carrierStub(this.#env, this.#state.config, name, slice).table(), PULL_TIMEOUT_MS, "table");
      const held = new Set([...table.rows.map((row) => row.keyHash), ...table.asking, ...since.asked]);
      const gone = before.filter(
        ({ keyHash, fence }) => !held.has(keyHash) && live.get(keyHash)?.fence === fence && !this.#placing.moving.has(keyHash),
      );
      for (const row of gone) this.#state.remove(row);
      const rows = table.rows.filter(({ keyHash }) => !since.ended.has(keyHash));
      for (const row of rows) this.#take(row);
      this.#state.accept([...since.accepted, ...rows.filter((row) => !row.opening).map((row) => row.keyHash)]);
      if (!since.counted) this.counted(slice, connectionsIn(table));
      this.#unreadSlices.delete(slice);
      this.#state.reconcilePins(live.rows((row) => held.has(row.keyHash)));
      await this.#placing.release(gone);
    } finally {
      this.#readings.delete(since);
    }
  }

  #take(row: TableRow): void {
    this.#state.fence(row.fence);
    const known = this.#state.live.get(row.keyHash);
    if (known && known.fence >= row.fence) return;
    this.#state.live.set({ ...row, epoch: this.#state.view.snapshot.epoch });
  }

  /** A home ring's snapshot, and its sessions at our origins. */
  async readGuests(region: string): Promise<void> {
    const { name, guests } = this.#state;
    const stub = ringStub(this.#env, this.#state.config, name.pool, region);
    const before = guests.rows((row) => row.homeRegion === region);
    const { rows, coming, partial } = await within(stub.guestsAt(name.region), PULL_TIMEOUT_MS, "guests");
    const there = new Set([...rows.map(guestId), ...coming]);
    if (!partial) for (const row of before) if (!there.has(guestId(row))) guests.delete(guestId(row));
    for (const row of rows) guests.set({ ...row, homeRegion: region });
    if (partial && !this.#state.neighbourRegions().includes(region)) this.doubtGuests(region);
    else if (partial) this.#unreadRegions.add(region);
    else this.#unreadRegions.delete(region);
    this.#state.takeNeighbour((await within(stub.published(), PULL_TIMEOUT_MS, "neighbour")).snapshot);
  }
}

/** Lives of carriers that are told apart. */
const LIVES_MAX = 256;

function sumOf(tallies: readonly Tally[]): Tally {
  const sum = (of: (tally: Tally) => number): number => tallies.reduce((total, tally) => total + of(tally), 0);
  const gaps = Array.from({ length: GAP_BOUNDS_MS.length + 1 }, (_, bucket) => sum((tally) => tally.gaps[bucket] ?? 0));
  return { gaps, heldFrames: sum((tally) => tally.heldFrames), refused: sum((tally) => tally.refused) };
}
