// What a ring is at this moment: its layers, its epoch, its pins, its view and its neighbours'. Changes are written (SQLite) and made
// whole here; telling others is the ring object's. No I/O beside the object's own storage.

import type { Pool } from "../core/config-types.ts";
import { decide } from "../core/decide.ts";
import { markFor, nextFence } from "../core/fence.ts";
import { regionOrder } from "../core/home.ts";
import { judgeConfig, mergeLayers, type ConfiguredOrigin, type DrainOrder } from "../core/lifecycle.ts";
import { GENERATION, type RingName } from "../core/names.ts";
import { hashText } from "../core/hash.ts";
import { PLACEMENT } from "../core/ring.ts";
import { withSalts } from "../core/salts.ts";
import { FULL_SHARE } from "../core/share.ts";
import type { Holding } from "../core/situation.ts";
import { bootstrapView, isNewer, viewOf, type Hints, type RegionView, type Snapshot } from "../core/snapshot.ts";
import type { Settings } from "./env.ts";
import type { Pin, RingStore, StoredConfig } from "./ring-store.ts";
import { guestId, SessionTable, type Coming, type GuestRow, type LiveRow } from "./ring-table.ts";

export class RingState {
  readonly name: RingName;
  readonly pool: Pool;
  /** Sessions whose home this ring is; they may be at another region's origin. */
  readonly live = new SessionTable<LiveRow>((row) => row.keyHash);
  /** Other rings' sessions at our origins. */
  readonly guests = new SessionTable<GuestRow>(guestId);
  /** Sessions of ours that are on their way, and the origin that was chosen for each, once it is: they count there already. */
  readonly coming = new SessionTable<Coming>(guestId);
  readonly #settings: Settings;
  readonly #store: RingStore;
  readonly #drains: Map<string, DrainOrder>;
  readonly #down: Set<string>;
  readonly #pins: Map<string, Pin>;
  readonly #neighbours = new Map<string, RegionView>();
  #view: RegionView;
  #lastFence: number;

  constructor(settings: Settings, name: RingName, pool: Pool, store: RingStore) {
    this.#settings = settings;
    this.name = name;
    this.pool = pool;
    this.#store = store;
    this.#lastFence = store.number("fenceMark");
    this.#drains = store.drains();
    this.#down = store.down();
    this.#pins = store.pins();
    for (const region of regionOrder(settings.config, pool, name.region).slice(1)) {
      this.#neighbours.set(region, bootstrapView(pool, region, settings.config.configRevision));
    }
    const changed = this.#takeConfig();
    this.#view = this.#build();
    if (changed || this.#view.snapshot.epoch === 0) this.commit();
  }

  /** Sessions that an origin serves, or is about to. */
  loadOf(origin: string): number {
    return this.live.countOf(origin) + this.guests.countOf(origin) + this.coming.countOf(origin);
  }

  get view(): RegionView {
    return this.#view;
  }

  /** What a placement of this ring is decided on: own region first, then its secondaries. */
  views(): RegionView[] {
    return [this.#view, ...this.#neighbours.values()];
  }

  viewOfRegion(region: string): RegionView | undefined {
    return region === this.name.region ? this.#view : this.#neighbours.get(region);
  }

  /** A neighbour's newer snapshot; `false` when it is none of ours or not newer. */
  takeNeighbour(snapshot: Snapshot): boolean {
    const known = this.#neighbours.get(snapshot.region);
    if (!known || snapshot.pool !== this.pool.id || !isNewer(snapshot, known.snapshot)) return false;
    this.#neighbours.set(snapshot.region, viewOf(snapshot, known));
    return true;
  }

  /** The next fence; its high-water mark is on disk before it is given out. */
  fence(seen = 0): number {
    this.#lastFence = nextFence(Math.max(this.#lastFence, seen), Date.now());
    const mark = markFor(this.#lastFence, this.#store.number("fenceMark"));
    if (mark !== undefined) this.#store.set("fenceMark", mark);
    return this.#lastFence;
  }

  drainOf(origin: string): DrainOrder | undefined {
    return this.#drains.get(origin);
  }

  drains(): ReadonlyMap<string, DrainOrder> {
    return this.#drains;
  }

  setDrain(origin: string, drain: DrainOrder | undefined): void {
    if (drain) this.#drains.set(origin, drain);
    else this.#drains.delete(origin);
    this.#store.setDrain(origin, drain);
    this.commit();
  }

  setDown(origin: string, down: boolean): void {
    if (down) this.#down.add(origin);
    else this.#down.delete(origin);
    this.#store.setDown(origin, down);
    this.commit();
  }

  /** One more epoch: everything that changed since the last one, with the pins it needs, in one new view. */
  commit(): void {
    this.#store.set("epoch", this.#store.number("epoch") + 1);
    this.#view = this.#build();
    this.reconcilePins(this.live.rows());
  }

  pinOf(keyHash: string): Holding | undefined {
    return this.#pins.get(keyHash);
  }

  pinnedKeys(): string[] {
    return [...this.#pins.keys()];
  }

  /** Writes pins for the sessions that are not where the ring says, takes those away that are. A change is a new hints version. */
  reconcilePins(rows: readonly LiveRow[]): void {
    let changed = false;
    for (const row of rows) changed = this.#reconcilePin(row) || changed;
    if (changed) this.#bumpHints();
  }

  dropPins(keyHashes: readonly string[]): void {
    const known = keyHashes.filter((keyHash) => this.#pins.delete(keyHash));
    for (const keyHash of known) this.#store.deletePin(keyHash);
    if (known.length > 0) this.#bumpHints();
  }

  hints(): Hints {
    const entries = [...this.#pins.values()]
      .map(({ keyHash, origin, region, fence }) => ({ keyHash, origin, region, fence }))
      .toSorted((a, b) => (a.keyHash < b.keyHash ? -1 : 1));
    return { format: 1, pool: this.name.pool, region: this.name.region, version: this.#view.snapshot.hintsVersion, entries };
  }

  #reconcilePin(row: LiveRow): boolean {
    if (!row.keyed) return false;
    const pin = this.#pins.get(row.keyHash);
    if (!this.#isByWalk(row)) return this.#pin(row, pin);
    if (!pin) return false;
    this.#pins.delete(row.keyHash);
    this.#store.deletePin(row.keyHash);
    return true;
  }

  /** Whether everybody finds this session by the ring alone. What load, turn or chance has placed nobody could. */
  #isByWalk(row: LiveRow): boolean {
    const { balance } = this.pool;
    if ((balance !== "ring" && balance !== "bounded-ring") || this.#mayBeElsewhere(row)) return false;
    const decision = decide({
      key: row,
      keyed: true,
      regions: this.views(),
      excluded: new Set(),
      policy: { ...this.pool, stickiness: "prefer" },
      balance: { kind: "ring" },
      nowMs: Date.now(),
    });
    return decision.kind === "routed" && decision.origin.id === row.origin;
  }

  #pin(row: LiveRow, pin: Pin | undefined): boolean {
    if (pin?.origin === row.origin && pin.fence === row.fence) return false;
    const { keyHash, position, lot, origin, region, fence } = row;
    const next: Pin = { keyHash, position, lot, keyed: true, origin, region, fence };
    this.#pins.set(keyHash, next);
    this.#store.setPin(next);
    return true;
  }

  /**
   * Whether somebody may place this session elsewhere although the ring agrees: by a cookie's claim to a place that it has left, or because
   * another region's ring, which changes without an epoch of ours, has the word. Which places it has left nobody remembers, so that a
   * session that was moved once stays pinned while it lives.
   */
  #mayBeElsewhere(row: LiveRow): boolean {
    return row.region !== this.name.region || row.movedFrom !== undefined;
  }

  #bumpHints(): void {
    const hintsVersion = this.#store.number("hintsVersion") + 1;
    this.#store.set("hintsVersion", hintsVersion);
    this.#view = { ...this.#view, snapshot: { ...this.#view.snapshot, hintsVersion, writtenAtMs: Date.now() } };
  }

  #build(): RegionView {
    const config = this.#store.config();
    const previous = this.#view as RegionView | undefined; // not yet there when the constructor builds the first one
    const snapshot: Snapshot = {
      format: 1,
      placement: PLACEMENT,
      pool: this.name.pool,
      region: this.name.region,
      generation: GENERATION,
      epoch: this.#store.number("epoch"),
      configRevision: config?.revision ?? 0,
      writtenAtMs: Date.now(),
      virtualNodes: config?.virtualNodes ?? this.pool.virtualNodes,
      hintsVersion: this.#store.number("hintsVersion"),
      kept: FULL_SHARE,
      origins: mergeLayers({ configured: config?.origins ?? [], drains: this.#drains, down: this.#down }),
    };
    return viewOf(snapshot, previous);
  }

  /** Takes the code's configuration if it is due; says whether the ring changes by it. */
  #takeConfig(): boolean {
    const origins = this.pool.origins
      .filter((origin) => origin.region === this.name.region)
      .map(({ id, url, weight, salt, backup }) => ({ id, url, weight, salt, backup }));
    const { virtualNodes } = this.pool;
    const known = this.#store.config();
    const given = { revision: this.#settings.config.configRevision, content: this.#contentOf(origins, known) };
    const verdict = judgeConfig(known, given, this.#settings.dev);
    if (verdict === "conflict") {
      console.error(
        JSON.stringify({
          limpet: "config-conflict",
          ...this.name,
          configRevision: given.revision,
          what: "equal configRevision, other content: raise configRevision",
        }),
      );
    }
    if (verdict !== "take") return false;
    // A salt once found stays with its origin: only those that are new get one now.
    const before = new Map(known?.origins.map((origin) => [origin.id, origin]));
    const remembered = origins.map((origin) => {
      const old = before.get(origin.id);
      return { ...origin, salt: origin.salt ?? (old?.backup === origin.backup ? old.salt : undefined) }; // backups are another ring
    });
    this.#store.setConfig({ ...given, virtualNodes, origins: withSalts(remembered, virtualNodes) });
    const kept = new Set(origins.map((origin) => origin.id));
    for (const id of this.#down) if (!kept.has(id)) this.#forgetDown(id);
    for (const id of this.#drains.keys()) if (!kept.has(id)) this.#forgetDrain(id);
    return true;
  }

  /** What was written, to be compared. The secret of where keys stand is in it by a hash alone. */
  #contentOf(origins: readonly (Omit<ConfiguredOrigin, "salt"> & { readonly salt: number | undefined })[], known: StoredConfig | undefined): string {
    const { virtualNodes, pointSecret } = this.pool;
    // Rings that were stored when every salt was written, as 0 by default, have this shorter form.
    const formerly = JSON.stringify([virtualNodes, origins.map((origin) => ({ ...origin, salt: origin.salt ?? 0 }))]);
    if (known?.content === formerly && !pointSecret) return formerly;
    return JSON.stringify([virtualNodes, origins, { points: pointSecret ? hashText(pointSecret.join(), 0) : "public" }]);
  }

  #forgetDown(id: string): void {
    this.#down.delete(id);
    this.#store.setDown(id, false);
  }

  #forgetDrain(id: string): void {
    this.#drains.delete(id);
    this.#store.setDrain(id, undefined);
  }
}
