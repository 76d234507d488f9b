// What a ring is at this moment: its layers, its epoch, its pins, its view and its neighbours'. Changes are written (SQLite) and made
// whole here; telling others is the ring object's. No I/O beside the object's own storage.

import type { Config, Pool } from "../core/config-types.ts";
import { lossOf } from "../core/availability.ts";
import { decide } from "../core/decide.ts";
import { markFor, nextFence } from "../core/fence.ts";
import { regionOrder } from "../core/home.ts";
import { isLearned } from "../core/learned.ts";
import type { DrainOrder } from "../core/drain.ts";
import { GENERATION, type RingName } from "../core/names.ts";
import type { KeyPoint } from "../core/hash.ts";
import type { LivePlacement, SessionRef } from "../core/protocol.ts";
import { isAlwaysAt } from "../core/motion.ts";
import { PLACEMENT } from "../core/ring.ts";
import type { Holding } from "../core/situation.ts";
import { bootstrapView, isNewer, viewOf, type Hints, type RegionView, type Snapshot } from "../core/snapshot.ts";
import { keeps } from "../core/spill.ts";
import type { Settings } from "./env.ts";
import { differenceOf, settle } from "../core/move.ts";
import { neighbourRegions, type ConfigPlan } from "./ring-config.ts";
import { Lately } from "./lately.ts";
import { ORDERS_MAX } from "./limits.ts";
import { hintsOf } from "./ring-hints.ts";
import { RingKept, settledKept } from "./ring-kept.ts";
import { RingLayers } from "./ring-layers.ts";
import { RegionDown } from "./ring-region-down.ts";
import type { Pin, RingStore } from "./ring-store.ts";
import { Strays } from "./ring-strays.ts";
import { guestId, SessionTable, type Coming, type GuestRow, type LiveRow } from "./ring-table.ts";

type LiveConfig = Pick<Settings, "config" | "dev">;

export class RingState {
  readonly name: RingName;
  /** What its origins are made of. */
  readonly layers: RingLayers;
  /** The share of its keys that the region keeps. */
  readonly kept: RingKept;
  /** Whether an operator has taken the region out. */
  readonly regionDown: RegionDown;
  /** Sessions whose home this ring is; they may be at another region's origin. */
  readonly live = new SessionTable<LiveRow>((row) => row.keyHash);
  /** Other rings' sessions at our origins. */
  readonly guests = new SessionTable<GuestRow>(guestId);
  /** Sessions of ours that are on their way, and the origin that was chosen for each, once it is: they count there already. */
  readonly coming = new SessionTable<Coming>(guestId);
  readonly strays: Strays;
  /** It has lived before, and forgotten everybody. */
  readonly isReborn: boolean;
  readonly #lately = new Lately();
  readonly #settings: LiveConfig;
  #pool: Pool;
  readonly #store: RingStore;
  readonly #pins: Map<string, Pin>;
  /** The keys of those pins that an origin has ordered. */
  readonly #orders: Set<string>;
  readonly #neighbours = new Map<string, RegionView>();
  #view: RegionView;
  #lastFence: number;

  /** `settings`: alive; what they say is taken when `reconfigured` is told of it. The pool is in them. */
  constructor(settings: LiveConfig, name: RingName, store: RingStore) {
    this.name = name;
    this.#settings = settings;
    this.#pool = this.#poolOf(settings);
    this.#store = store;
    this.#lastFence = store.number("fenceMark");
    this.isReborn = store.number("epoch") > 0;
    this.kept = new RingKept(store);
    this.#pins = store.pins();
    this.strays = new Strays(store.side, () => this.#bumpHints());
    this.#orders = new Set([...this.#pins.values()].filter((pin) => pin.orderedUntilMs > 0).map((pin) => pin.keyHash));
    this.#nameNeighbours();
    this.layers = new RingLayers(
      () => this.#pool,
      store,
      () => this.commit(),
    );
    this.regionDown = new RegionDown(this.layers, store);
    const changed = this.layers.takeConfig(settings, name.region, (origin) => this.bear(origin));
    this.#view = this.#build();
    if (this.#followKept() || changed || this.#view.snapshot.epoch === 0) this.commit();
  }

  get config(): Config {
    return this.#settings.config;
  }

  get pool(): Pool {
    return this.#pool;
  }

  /** Other regions in which the pool has configured origins: each has a ring of its own. */
  neighbourRegions(): string[] {
    return neighbourRegions(this.#pool, this.name.region);
  }

  get isRetired(): boolean {
    return !this.#pool.origins.some(({ region }) => region === this.name.region);
  }

  /** The settings say something else: the pool, the neighbours and the origins are as they say now, in one step and one epoch. */
  reconfigured(): void {
    this.#pool = this.#poolOf(this.#settings);
    this.#nameNeighbours();
    this.layers.takeConfig(this.#settings, this.name.region, (origin) => this.bear(origin));
    this.commit();
  }

  /** What of this ring would move if the settings said something else: of its own keys, all available origins taken as they are now. */
  planned(next: Pick<Settings, "config" | "dev">): ConfigPlan {
    const { pool, region } = this.name;
    const written = next.config.pools[pool] ?? { ...this.#pool, origins: [] };
    const nowMs = Date.now();
    const origins = this.layers.planned(next, written, region);
    const kept = settledKept(written, region, origins, nowMs);
    const after = viewOf({ ...this.#view.snapshot, virtualNodes: written.virtualNodes, origins, kept });
    const { movedShare, optimumShare } = differenceOf(settle(this.#view, nowMs), settle(after, nowMs));
    return { pool, region, movedShare, optimumShare };
  }

  #poolOf({ config }: LiveConfig): Pool {
    const pool = config.pools[this.name.pool];
    if (!pool) throw new Error(`no such ring in the configuration: ${this.name.pool}`);
    return pool;
  }

  /** Those that are known stay as they are known. */
  #nameNeighbours(): void {
    const { config } = this.#settings;
    const known = new Map(this.#neighbours);
    this.#neighbours.clear();
    for (const region of regionOrder(config, this.#pool, this.name.region).slice(1)) {
      this.#neighbours.set(region, known.get(region) ?? bootstrapView(this.#pool, region, config.configRevision));
    }
  }

  /** Whether origins issue keys on a route of this pool. */
  get #learns(): boolean {
    return this.config.routes.some((route) => route.pool === this.#pool.id && route.session.some(isLearned));
  }

  /** Sessions that an origin serves, or is about to. */
  loadOf(origin: string): number {
    return this.live.countOf(origin) + this.guests.countOf(origin) + this.coming.countOf(origin);
  }

  /**
   * Whether a draining origin has nothing any more that must be waited for. Where origins issue keys, such sessions are in their memory, and most
   * are unseen between two requests: only the drain's deadline says that they are over.
   */
  isLeft(origin: string, drain: DrainOrder): boolean {
    return this.loadOf(origin) === 0 && (drain.closedAtMs !== undefined || !this.#learns);
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

  /** One more epoch: everything that changed since the last one, with the pins it needs, in one new view. */
  commit(): void {
    this.#store.set("epoch", this.#store.number("epoch") + 1);
    this.#followKept();
    this.#view = this.#build();
    this.reconcilePins(this.live.rows());
  }

  /** The time has come at which the region may keep more of its keys: an epoch, where it does; and whoever is found by the ring alone now is pinned no more. */
  keptIsDue(): void {
    if (this.#followKept()) this.commit();
  }

  #followKept(): boolean {
    const { pool, name } = this;
    return this.kept.follow(pool, this.layers.merged(), neighbourRegions(pool, name.region).length === 0, Date.now());
  }

  pinOf(keyHash: string): Holding | undefined {
    return this.#pins.get(keyHash);
  }

  /** Sessions whose pins last as long as they live. */
  pinnedKeys(): string[] {
    return [...this.#pins.values()].filter((pin) => pin.orderedUntilMs === 0).map((pin) => pin.keyHash);
  }

  isOrdered(keyHash: string): boolean {
    return this.#orders.has(keyHash);
  }

  get pinCount(): number {
    return this.#pins.size;
  }
  orderOf(keyHash: string): { readonly origin: string; readonly untilMs: number } | undefined {
    const pin = this.#pins.get(keyHash);
    return pin && pin.orderedUntilMs > 0 ? { origin: pin.origin, untilMs: pin.orderedUntilMs } : undefined;
  }

  get orderCount(): number {
    return this.#orders.size;
  }

  /** Keeps a session at an origin, by that origin's or another's order, until it ends, is moved, or the time is over. */
  order(ref: SessionRef, { origin, region, fence }: LivePlacement, untilMs: number): void {
    const { keyHash, position, lot } = ref;
    const before = this.#pins.get(keyHash);
    this.#orders.delete(keyHash); // the newest stands last
    const [oldest] = this.#orders;
    if (oldest !== undefined && this.#orders.size >= ORDERS_MAX) {
      console.error(JSON.stringify({ limpet: "orders-full", ...this.name, forgotten: oldest }));
      this.endOrder(oldest, Infinity);
    }
    this.#setPin({ keyHash, position, lot, keyed: true, origin, region, fence, orderedUntilMs: untilMs });
    if (before?.origin !== origin || before.fence !== fence) this.#bumpHints();
  }

  /** Ends an order that is not younger than `fence`; where the session is live it stays pinned as long as that lasts. */
  endOrder(keyHash: string, fence: number): void {
    const pin = this.#pins.get(keyHash);
    if (!pin || pin.orderedUntilMs === 0 || pin.fence > fence) return;
    this.#setPin({ ...pin, orderedUntilMs: 0 });
    const row = this.live.get(keyHash);
    if (row) this.reconcilePins([row]);
    else this.dropPins([keyHash]);
  }

  /** Ends the orders whose time is over, or whose origin is past its drain or gone. */
  sweepOrders(nowMs: number): void {
    for (const keyHash of this.#orders) {
      const pin = this.#pins.get(keyHash);
      if (!pin) continue;
      const loss = lossOf(this.viewOfRegion(pin.region)?.byId.get(pin.origin), nowMs, new Set(), pin.fence);
      if (pin.orderedUntilMs <= nowMs || loss === "gone" || loss === "drained") this.endOrder(keyHash, Infinity);
    }
  }

  /** The fence from which on an id of ours is another origin's; nothing is pinned to it any more. To be followed by an epoch. */
  bear(origin: string): number {
    const pins = [...this.#pins.values()].filter((pin) => pin.origin === origin && pin.region === this.name.region);
    for (const { keyHash } of pins) this.#deletePin(keyHash);
    if (pins.length > 0) this.#store.set("hintsVersion", this.#store.number("hintsVersion") + 1);
    return this.fence();
  }

  /** Writes pins for the sessions that are not where the ring says, takes those away that are. A change is a new hints version. */
  reconcilePins(rows: readonly LiveRow[]): void {
    let changed = false;
    for (const row of rows) changed = this.#reconcilePin(row) || changed;
    if (changed) this.#bumpHints();
  }

  /** Whether nothing is known of a session: it is not live, was not until now, and nothing is kept for it. */
  isNew(keyHash: string): boolean {
    return !this.live.get(keyHash) && !this.#pins.has(keyHash) && !this.#lately.has(keyHash, Date.now());
  }

  /** An origin has taken them. */
  accept(keyHashes: readonly string[]): void {
    const rows = keyHashes.flatMap((keyHash) => this.live.get(keyHash) ?? []).filter((row) => row.opening);
    for (const { opening: _, ...row } of rows) this.live.set(row);
    this.reconcilePins(rows.flatMap(({ keyHash }) => this.live.get(keyHash) ?? []));
  }

  /** A session is not carried any more; somebody may come back to it. One that no origin has accepted was none. */
  remove(row: LiveRow): void {
    this.live.delete(row.keyHash);
    if (!row.opening) this.#lately.add(row.keyHash, Date.now());
  }

  /** Sessions are over, and their pins with them. Those of one that no origin has accepted are not its own. */
  end(rows: readonly LiveRow[]): void {
    for (const row of rows) this.remove(row);
    this.dropPins(rows.filter((row) => !row.opening).map((row) => row.keyHash));
  }

  /** Of sessions that are not live any more. What an origin has ordered lasts longer. */
  dropPins(keyHashes: readonly string[]): void {
    const known = keyHashes.filter((keyHash) => this.#pins.get(keyHash)?.orderedUntilMs === 0);
    for (const keyHash of known) this.#deletePin(keyHash);
    if (known.length > 0) this.#bumpHints();
  }

  /** What is published of sessions that are not where the ring says. */
  hints(): Hints {
    const isOwn = (keyHash: string): boolean => this.#pins.has(keyHash) || this.live.get(keyHash) !== undefined;
    return hintsOf(this.#view.snapshot, { pins: this.#pins.values(), strays: this.strays.all(), isOwn });
  }

  #reconcilePin(row: LiveRow): boolean {
    if (!row.keyed || row.opening) return false;
    const pin = this.#pins.get(row.keyHash);
    const ordered = pin !== undefined && pin.orderedUntilMs > 0;
    if (ordered || !this.#isFound(row)) return this.#pin(row, pin);
    if (!pin) return false;
    this.#deletePin(row.keyHash);
    return true;
  }

  /** Whether everybody finds this session by the ring alone, or by its tag. What load, turn or chance has placed nobody could. */
  #isFound(row: LiveRow): boolean {
    const { balance } = this.pool;
    if (row.learned && row.movedFrom === undefined && row.reason === "claim") return true;
    if ((balance !== "ring" && balance !== "bounded-ring") || this.#mayBeElsewhere(row)) return false;
    return isAlwaysAt(this.#view, row, (atMs) => this.ringPlaceOf(row, atMs), Date.now());
  }

  /** Where the ring alone says that a key belongs, now or at another time, without regard to load; `undefined`: nowhere. */
  ringPlaceOf(key: KeyPoint, nowMs = Date.now()): string | undefined {
    const policy = { ...this.pool, stickiness: "prefer" as const };
    const decision = decide({ key, keyed: true, regions: this.views(), excluded: new Set(), policy, balance: { kind: "ring" }, nowMs });
    return decision.kind === "routed" ? decision.origin.id : undefined;
  }

  #pin(row: LiveRow, pin: Pin | undefined): boolean {
    if (pin?.origin === row.origin && pin.fence === row.fence) return false;
    const { keyHash, position, lot, origin, region, fence } = row;
    this.#setPin({ keyHash, position, lot, keyed: true, origin, region, fence, orderedUntilMs: pin?.orderedUntilMs ?? 0 });
    return true;
  }

  #setPin(pin: Pin): void {
    this.#pins.set(pin.keyHash, pin);
    if (pin.orderedUntilMs > 0) this.#orders.add(pin.keyHash);
    else this.#orders.delete(pin.keyHash);
    this.#store.setPin(pin);
  }

  #deletePin(keyHash: string): void {
    this.#pins.delete(keyHash);
    this.#orders.delete(keyHash);
    this.#store.deletePin(keyHash);
  }

  /**
   * Whether somebody may place this session elsewhere although the ring agrees: by a cookie's claim to a place that it has left, or because
   * another region's ring, which changes without an epoch of ours, has the word. Which places it has left nobody remembers, so that a
   * session that was moved once stays pinned while it lives; where sessions follow the ring no claim counts. So does one whose key the region does not
   * keep: it is here as long as nobody abroad takes it, which they may from one moment to the next.
   */
  #mayBeElsewhere(row: LiveRow): boolean {
    if (row.region !== this.name.region || !keeps(this.#view.snapshot, row.lot, Date.now())) return true;
    return this.pool.hold && row.movedFrom !== undefined;
  }

  #bumpHints(): void {
    const hintsVersion = this.#store.number("hintsVersion") + 1;
    this.#store.set("hintsVersion", hintsVersion);
    this.#view = { ...this.#view, snapshot: { ...this.#view.snapshot, hintsVersion, writtenAtMs: Date.now() } };
  }

  #build(): RegionView {
    const previous = this.#view as RegionView | undefined; // not yet there when the constructor builds the first one
    const snapshot: Snapshot = {
      format: 1,
      placement: PLACEMENT,
      pool: this.name.pool,
      region: this.name.region,
      generation: GENERATION,
      epoch: this.#store.number("epoch"),
      configRevision: this.layers.configRevision,
      writtenAtMs: Date.now(),
      virtualNodes: this.layers.membership.virtualNodes,
      hintsVersion: this.#store.number("hintsVersion"),
      kept: this.kept.plan,
      origins: this.layers.merged(),
    };
    return viewOf(snapshot, previous);
  }
}
