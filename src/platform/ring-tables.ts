// Reading what others hold: a ring object that starts (or has missed a call) asks its carriers for their sessions and the other regions'
// rings for their guests. Until every carrier was read, nothing is concluded from an absence.

import type { Config } from "../core/config-types.ts";
import { sliceOf } from "../core/names.ts";
import type { EndedItem } from "../core/protocol.ts";
import type { Env } from "./env.ts";
import { PULL_TIMEOUT_MS, within } from "./limits.ts";
import type { Placing } from "./ring-placing.ts";
import type { RingState } from "./ring-state.ts";
import { carrierStub, ringStub } from "./stubs.ts";

export class RingTables {
  readonly #env: Env;
  readonly #config: Config;
  readonly #state: RingState;
  readonly #placing: Placing;
  readonly #unread: Set<number>;
  /** Sessions that ended while a table was being read, for each reading under way. */
  readonly #readings = new Set<Set<string>>();

  constructor(env: Env, config: Config, state: RingState, placing: Placing) {
    this.#env = env;
    this.#config = config;
    this.#state = state;
    this.#placing = placing;
    this.#unread = new Set(Array.from({ length: state.pool.carriers }, (_, slice) => slice));
  }

  get complete(): boolean {
    return this.#unread.size === 0;
  }

  /** Told of every end, so that a table that was written before it does not bring the session back. */
  ended(items: readonly EndedItem[]): void {
    for (const reading of this.#readings) for (const { keyHash } of items) reading.add(keyHash);
  }

  /** Reads everyone, and tells the neighbours which of our sessions are theirs to serve. Never rejects. */
  async readAll(neighbours: readonly string[]): Promise<void> {
    await Promise.allSettled([this.readMissing(), ...neighbours.map((region) => this.#readNeighbour(region))]);
    for (const region of neighbours) {
      const rows = this.#state.live.rows((row) => row.region === region).map((row) => ({ ...row, connections: 0 }));
      // Who does not hear it asks us when it starts.
      ringStub(this.#env, this.#config, this.#state.name.pool, region).guestsAre(this.#state.name.region, rows).catch(() => undefined);
    }
  }

  /** Never rejects: who does not answer is asked again at the next tick. */
  async readMissing(): Promise<void> {
    await Promise.allSettled([...this.#unread].map((slice) => this.read(slice)));
  }

  /** What a carrier holds replaces what we believed of its slice; what changed while it was read stays as it is. */
  async read(slice: number): Promise<void> {
    const { live, pool, name } = this.#state;
    const before = new Map(live.rows((row) => sliceOf(row.lot, pool.carriers) === slice).map((row) => [row.keyHash, row.fence]));
    const endedSince = new Set<string>();
    this.#readings.add(endedSince);
    try {
      const table = await within(carrierStub(this.#env, this.#config, name, slice).table(), PULL_TIMEOUT_MS, "table");
      const held = new Set([...table.rows.map((row) => row.keyHash), ...table.asking]);
      for (const [keyHash, fence] of before) {
        if (!held.has(keyHash) && live.get(keyHash)?.fence === fence && !this.#placing.moving.has(keyHash)) live.delete(keyHash);
      }
      for (const row of table.rows) {
        this.#state.fence(row.fence);
        const known = live.get(row.keyHash);
        if (!endedSince.has(row.keyHash) && (!known || known.fence < row.fence)) live.set({ ...row, epoch: this.#state.view.snapshot.epoch });
      }
      this.#unread.delete(slice);
      this.#state.reconcilePins(live.rows((row) => held.has(row.keyHash)));
    } finally {
      this.#readings.delete(endedSince);
    }
  }

  async #readNeighbour(region: string): Promise<void> {
    const { name, guests } = this.#state;
    const stub = ringStub(this.#env, this.#config, name.pool, region);
    this.#state.takeNeighbour((await within(stub.published(), PULL_TIMEOUT_MS, "neighbour")).snapshot);
    for (const row of await within(stub.guestsAt(name.region), PULL_TIMEOUT_MS, "guests")) {
      const { keyHash, position, lot, keyed, origin, fence } = row;
      guests.set({ keyHash, position, lot, keyed, origin, fence, homeRegion: region });
    }
  }
}
