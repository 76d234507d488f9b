// Publishing: the ring's snapshot and hints to KV, coalesced, hints first, so that no reader sees a snapshot whose hints are not there.
// What is on KV is remembered on disk: an object that is evicted between the change and the write catches up.

import { hintsKvKey, snapshotKvKey } from "../core/names.ts";
import type { Hints, Snapshot } from "../core/snapshot.ts";
import { KV_SEEN_MS, publishEveryMs } from "./limits.ts";
import type { RingState } from "./ring-state.ts";
import type { RingStore } from "./ring-store.ts";

const RETRY_MS = 1_000;

/** What Workers and other rings know a ring by. */
export interface Published {
  readonly snapshot: Snapshot;
  readonly hints: Hints;
}

export class Publisher {
  readonly #kv: KVNamespace;
  readonly #state: RingState;
  readonly #store: RingStore;
  #notBeforeMs = 0;
  #running = false;
  #writtenAtMs = -Infinity;
  /** Whether KV may have lost what was written. */
  #doubted = false;

  constructor(kv: KVNamespace, state: RingState, store: RingStore) {
    this.#kv = kv;
    this.#state = state;
    this.#store = store;
  }

  /** When `run` has something to do; Infinity while KV has the newest. */
  nextDueAtMs(): number {
    const upToDate = this.#store.text("published") === this.#version() && !this.#doubted;
    return this.#running || upToDate ? Infinity : this.#notBeforeMs;
  }

  /** Somebody whom KV could not serve has asked. What was written long enough ago is written once more. */
  doubt(nowMs: number): void {
    if (nowMs - this.#writtenAtMs >= KV_SEEN_MS) this.#doubted = true;
  }

  /** The newest epoch that KV has. */
  publishedEpoch(): number {
    return Number(this.#store.text("published")?.split(".")[0] ?? 0);
  }

  /** Writes what KV lacks, if its time has come. Never throws: what failed is due again. */
  async run(nowMs: number): Promise<void> {
    if (nowMs < this.nextDueAtMs()) return;
    this.#running = true;
    this.#notBeforeMs = nowMs + publishEveryMs(this.#state.pool.horizonMs);
    const [version, { snapshot }, hints] = [this.#version(), this.#state.view, this.#state.hints()];
    try {
      await this.#kv.put(hintsKvKey(snapshot.pool, snapshot.region), JSON.stringify(hints));
      await this.#kv.put(snapshotKvKey(snapshot.pool, snapshot.region), JSON.stringify(snapshot));
      this.#store.set("published", version);
      this.#writtenAtMs = nowMs;
      this.#doubted = false;
    } catch (error) {
      this.#notBeforeMs = nowMs + RETRY_MS;
      console.error(JSON.stringify({ limpet: "kv-write-failed", pool: snapshot.pool, region: snapshot.region, error: String(error) }));
    } finally {
      this.#running = false;
    }
  }

  #version(): string {
    const { epoch, hintsVersion } = this.#state.view.snapshot;
    return `${epoch}.${hintsVersion}`;
  }
}
