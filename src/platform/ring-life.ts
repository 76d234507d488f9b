// What a ring object is made of, and what it does by itself: it wakes, reads what others hold, watches health, goes on with drains, tells everyone of each
// change, and sets its clock. What others ask of it is in ring-object.ts.

import type { AppliedConfig } from "../core/applied-config.ts";
import { parseRingObjectName } from "../core/names.ts";
import type { Envelope } from "../core/protocol.ts";
import type { Env, SettingsSource } from "./env.ts";
import { Upkeep } from "./ring-upkeep.ts";
import { RingTables } from "./ring-tables.ts";
import { HeldSettings, type ConfigStatus } from "./held-settings.ts";
import { GUESTS_EVERY_MS, PULL_CONFIG_EVERY_MS, PULL_TIMEOUT_MS, within } from "./limits.ts";
import { ConfigStore, UnknownPool } from "./config-store.ts";
import { Callers } from "./ring-callers.ts";
import { originFetch } from "./origin-fetch.ts";
import { Prober } from "./ring-health.ts";
import { MoveLog } from "./move-log.ts";
import { Drains } from "./ring-drains.ts";
import { Homes } from "./ring-homes.ts";
import { Leases } from "./ring-leases.ts";
import { Members } from "./ring-members.ts";
import { PlaceCounts } from "./ring-metrics.ts";
import { Moves } from "./ring-moves.ts";
import { Operators } from "./ring-operators.ts";
import { Orders } from "./ring-orders.ts";
import { OutcomeSums } from "./outcomes.ts";
import { Placing } from "./ring-placing.ts";
import { Publisher } from "./ring-publisher.ts";
import { Quarantine } from "./ring-quarantine.ts";
import { RingState } from "./ring-state.ts";
import { RingFirsts } from "./ring-firsts.ts";
import { Journal } from "./ring-journal.ts";
import { StandIns } from "./ring-stand-ins.ts";
import { RingStore } from "./ring-store.ts";
import { RingWatch } from "./ring-watch.ts";
import type { ConfigPlan } from "./ring-config.ts";
import { carrierStub, controlStub, ringStub } from "./stubs.ts";

export class RingLife {
  readonly #ctx: DurableObjectState;
  readonly #env: Env;
  readonly #settings: HeldSettings;
  readonly #source: SettingsSource;
  /** The newest revision that each carrier was told. */
  readonly #configTold = new Map<number, number>();
  #configAskedAtMs = -Infinity;
  readonly state: RingState;
  readonly prober: Prober;
  readonly placing: Placing;
  readonly moves: Moves;
  readonly orders: Orders;
  /** Of requests that Workers carried, since this object's start. */
  readonly outcomes = new OutcomeSums();
  readonly publisher: Publisher;
  readonly callers = new Callers();
  readonly upkeep: Upkeep;
  readonly watch: RingWatch;
  readonly tables: RingTables;
  readonly members: Members;
  readonly drains: Drains;
  readonly leases: Leases;
  readonly operators: Operators;
  readonly journal: Journal;
  readonly quarantine: Quarantine;
  readonly log: MoveLog;
  readonly firsts: RingFirsts;
  readonly homes: Homes;
  readonly places = new PlaceCounts();
  readonly startedAtMs = Date.now();
  readonly standIns: StandIns;
  #reading: Promise<void> | undefined;
  #alarmAtMs = Infinity;
  #compareAtMs = 0;
  #announced = "";

  constructor(ctx: DurableObjectState, env: Env, source: SettingsSource) {
    this.#ctx = ctx;
    this.#env = env;
    const store = new RingStore(ctx.storage.sql);
    const objectName = ctx.id.name ?? store.text("name"); // an alarm may start the object without its name
    const name = parseRingObjectName(objectName);
    if (!name || objectName === undefined) throw new Error(`no such ring in the configuration: ${objectName ?? "(unnamed)"}`);
    this.#settings = new HeldSettings(source, env, name, new ConfigStore(ctx.storage.sql));
    this.#source = source;
    if (!this.#settings.config.pools[name.pool]) throw new UnknownPool(objectName);
    store.set("name", objectName);
    this.state = new RingState(this.#settings, name, store);
    this.prober = new Prober(
      () => this.state.pool.health,
      originFetch(env, this.#settings, name.pool),
      (origin, probed) => this.watch.probed(origin, probed),
    );
    this.journal = new Journal(ctx.storage.sql, () => this.state.view.snapshot.epoch);
    const homes = (this.homes = new Homes(env, this.state, store));
    this.firsts = new RingFirsts(ctx, env, this.state, (lot) => homes.formerArbiters(lot));
    const quarantine = (this.quarantine = new Quarantine(() => this.state.pool.faultBudget, store));
    const log = (this.log = new MoveLog(name));
    this.placing = new Placing({ env, state: this.state, prober: this.prober, quarantine, homes, log });
    this.standIns = new StandIns(this.state, this.placing);
    this.tables = new RingTables(env, this.state, this.placing, () => homes.formerRegions);
    this.moves = new Moves({ env, state: this.state, placing: this.placing, tables: this.tables, quarantine, log });
    this.orders = new Orders(this.state, this.placing, this.moves);
    this.publisher = new Publisher(env.AFFINITY, this.state, store);
    this.prober.watch(this.state.view.snapshot.origins);
    const goOn = (work: Promise<void>): Promise<void> => {
      const done = work.then(() => this.drains.advance(Date.now()));
      this.#ctx.waitUntil(done);
      return done;
    };
    this.upkeep = new Upkeep(this.state, this.moves, this.tables, goOn);
    this.watch = new RingWatch({
      state: this.state,
      prober: this.prober,
      journal: this.journal,
      drain: (origin, drains) => (drains ? this.drains.order(origin, "origin") : this.drains.undo(origin, "origin")),
      leaveLost: () => this.upkeep.leaveLost(),
      announce: () => this.announce(),
      goOn: (work) => this.#ctx.waitUntil(work.then(() => this.#schedule())),
    });
    const host = { env, settings: this.#settings, journal: this.journal, announce: () => this.announce(), goOn };
    const parts = { state: this.state, tables: this.tables, placing: this.placing, upkeep: this.upkeep, moves: this.moves };
    this.members = new Members({ ...host, ...parts });
    this.drains = new Drains({ ...host, ...parts, publisher: this.publisher });
    this.leases = new Leases({ ...host, ...parts, members: this.members });
    const { members, drains, leases, orders, outcomes } = this;
    this.operators = new Operators({ ...host, ...parts, quarantine, log, outcomes, orders, members, drains, leases });
    this.#noteConfig();
  }

  #noteConfig(): void {
    for (const note of this.state.layers.takeNotes()) this.journal.note(note);
  }

  get isEmpty(): boolean {
    const { live, guests, view } = this.state;
    return this.tables.completeWithGuests && live.size === 0 && guests.size === 0 && view.snapshot.origins.length === 0;
  }

  get config(): ConfigStatus {
    return this.#settings.status;
  }

  /** Takes a configuration that was applied: the pool, its regions and origins are as it says, in one step and one epoch. */
  applyConfig(applied: AppliedConfig): ConfigStatus {
    const regions = this.state.neighbourRegions();
    if (this.#settings.apply(applied)) {
      this.state.reconfigured();
      this.homes.reconfigured();
      this.tables.reconfigured(regions);
      this.#noteConfig();
      this.announce();
    }
    return this.config;
  }

  /** Who missed the telling asks: at each start, and when a neighbour has taken a newer one. Never rejects. */
  pullConfig(revision = Infinity): Promise<void> {
    const control = controlStub(this.#env);
    const nowMs = Date.now();
    if (!control || revision <= this.config.revision || nowMs - this.#configAskedAtMs < PULL_CONFIG_EVERY_MS) return Promise.resolve();
    this.#configAskedAtMs = nowMs;
    const pulled = within(control.current(), PULL_TIMEOUT_MS, "control object").then((applied) => {
      if (applied) this.applyConfig(applied);
    });
    return pulled.catch((error: unknown) => console.error(JSON.stringify({ limpet: "control-unreachable", error: String(error) })));
  }

  /** What an applied configuration would change in this ring. */
  planConfig(text: string): ConfigPlan {
    return this.state.planned(this.#source.read(text, this.#env));
  }

  /** The alarm has come. */
  async tick(): Promise<void> {
    this.#alarmAtMs = Infinity;
    await this.#read();
    const nowMs = Date.now();
    this.#ctx.waitUntil(this.prober.probeDue().then(() => this.#schedule()));
    this.#ctx.waitUntil(this.tables.readMissing());
    this.#compareGuests(nowMs);
    this.#ctx.waitUntil(this.homes.run(nowMs).then(() => this.announce()));
    this.leases.run(nowMs);
    this.upkeep.run(nowMs);
    this.drains.advance(nowMs);
    await this.publisher.run(nowMs);
    this.#schedule();
  }

  /** While we serve other rings' sessions: are they still theirs, and do they know what became of our origins? */
  #compareGuests(nowMs: number): void {
    if ((this.state.guests.size === 0 && !this.tables.hasDoubts) || nowMs < this.#compareAtMs) return;
    this.#compareAtMs = nowMs + Math.min(GUESTS_EVERY_MS, this.state.pool.horizonMs);
    this.#ctx.waitUntil(this.tables.compareGuests().then(() => this.#tellNeighbours()));
  }

  /** Tells everyone who holds a copy, and KV when its turn comes. */
  announce(): void {
    for (const origin of this.state.regionDown.follow(Date.now())) this.journal.note({ what: "drain", who: "region", origin });
    const snapshots = this.state.views().map((each) => each.snapshot);
    const version = JSON.stringify(snapshots.map(({ region, epoch, hintsVersion }) => [region, epoch, hintsVersion]));
    if (version === this.#announced) return;
    this.#announced = version;
    this.placing.pace.keep((origin) => this.state.view.byId.has(origin));
    this.watch.keep((origin) => this.state.view.byId.has(origin));
    this.upkeep.followRing();
    this.prober.watch(this.state.view.snapshot.origins);
    this.upkeep.followAddresses();
    this.#ctx.waitUntil(Promise.all([this.#tell(this.callers.listening()), this.#tellNeighbours()]));
    this.#ctx.waitUntil(this.publisher.run(Date.now()).then(() => this.#schedule()));
  }

  /** What holds now. Who misses a telling is told the next time; nothing rests on one. */
  async #tell(slices: readonly number[]): Promise<void> {
    const snapshots = this.state.views().map((each) => each.snapshot);
    const { applied } = this.#settings;
    await Promise.allSettled(
      slices.map(async (slice) => {
        const isNews = applied !== undefined && this.#configTold.get(slice) !== applied.revision;
        await carrierStub(this.#env, this.#settings.config, this.state.name, slice).adopt(snapshots, isNews ? applied : undefined);
        if (applied) this.#configTold.set(slice, applied.revision);
      }),
    );
  }

  /** The other rings of the pool: some of their sessions may be here. One that has our newest snapshot takes no notice. */
  async #tellNeighbours(): Promise<void> {
    const { name, view } = this.state;
    await Promise.allSettled(
      [...new Set([...this.state.neighbourRegions(), ...this.homes.formerRegions])].map((region) =>
        ringStub(this.#env, this.#settings.config, name.pool, region).neighbour(view.snapshot),
      ),
    );
  }

  /** The first event of this life: tables are asked for, the clock is started. Waits until they are here, or too late. */
  async up(): Promise<void> {
    this.#schedule();
    await this.#read();
  }

  /** The ring of a session of ours that lives on at the home that it had before: that one has the word. */
  ringOfStray(keyHash: string): ReturnType<typeof ringStub> | undefined {
    const stray = this.state.live.get(keyHash) ? undefined : this.state.strays.get(keyHash);
    return stray && ringStub(this.#env, this.#settings.config, this.state.name.pool, stray.home);
  }

  wake(): void {
    this.#ctx.waitUntil(this.up());
  }

  /** Never rejects: what could not be read is read later. */
  #read(): Promise<void> {
    return (this.#reading ??= this.#learn().then(() => this.announce()));
  }

  /** Before a newborn ring places anybody it has the newest configuration, and knows of the time before. */
  async #learn(): Promise<void> {
    const pulled = this.pullConfig();
    const heard = this.homes.hasToHear ? pulled.then(() => this.homes.hear()) : Promise.resolve();
    this.#ctx.waitUntil(pulled);
    await Promise.all([this.tables.readMissing(), heard]);
  }

  once<T>(envelope: Envelope, work: (late: boolean) => Promise<T>): Promise<T> {
    return this.callers.once(
      envelope,
      (what) => {
        if (what === "first" || what === "reborn" || what === "awake") {
          this.#configTold.delete(envelope.slice);
          this.#ctx.waitUntil(this.#tell([envelope.slice])); // it knows only what was, or the configuration
        }
        if (what === "awake") return;
        if (what !== "first") this.tables.unread(envelope.slice);
        // A table that comes too late is asked for again at the next tick.
        const read = this.tables.read(envelope.slice).catch(() => this.tables.unread(envelope.slice));
        this.#ctx.waitUntil(read.then(() => this.#schedule()));
      },
      work,
    );
  }

  #schedule(): void {
    const nowMs = Date.now();
    const TICK_MS = Math.min(1_000, Math.max(50, this.state.pool.horizonMs / 4)); // drains, retries, failback: nothing of theirs is due sooner
    const drains = [...this.state.layers.drains().values()].some((drain) => drain.drainedAtMs === undefined);
    const busy =
      drains ||
      this.upkeep.isSomebodyMisplaced ||
      !this.tables.completeWithGuests ||
      this.state.guests.size > 0 ||
      this.state.pinnedKeys().length > 0;
    // An alarm that is set, while its handler runs, for the very millisecond it was due is lost when the handler ends (workerd 1.20261117).
    const SPACING_MS = 5;
    const dueAtMs = Math.min(
      this.prober.nextDueAtMs(),
      this.publisher.nextDueAtMs(),
      this.upkeep.nextDueAtMs(nowMs),
      this.leases.nextDueAtMs(nowMs),
      Math.max(nowMs, this.homes.nextDueAtMs),
      this.tables.hasDoubts ? Math.max(nowMs, this.#compareAtMs) : Infinity,
      busy ? nowMs + TICK_MS : Infinity,
    );
    if (dueAtMs === Infinity || dueAtMs >= this.#alarmAtMs) return;
    this.#alarmAtMs = Math.max(Math.ceil(dueAtMs), nowMs + SPACING_MS);
    this.#ctx.waitUntil(this.#ctx.storage.setAlarm(this.#alarmAtMs));
  }
}
