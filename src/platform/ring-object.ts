// The ring object: the authority of one ring (pool × region). It alone places sessions, moves them, and writes the ring's snapshot.
// This file is its surface: what carriers, Workers, other ring objects and the clock may ask. The work is in the ring-* files beside it.
// What must stay true: no fence is given out twice; pins are on disk before the epoch that needs them is published; a session is at one
// origin or between two; every change is one epoch, made whole and swapped in.

import { DurableObject } from "cloudflare:workers";
import { advanceDrain } from "../core/lifecycle.ts";
import { parseRingObjectName } from "../core/names.ts";
import type { Decision } from "../core/decision.ts";
import type {
  EndedItem,
  Envelope,
  FindItem,
  GuestAnswer,
  GuestItem,
  PlaceAnswer,
  PlaceItem,
  RedirectAnswer,
  RedirectItem,
  Tally,
} from "../core/protocol.ts";
import type { Snapshot } from "../core/snapshot.ts";
import type { Env, Settings } from "./env.ts";
import { Upkeep } from "./ring-upkeep.ts";
import { RingTables, type GuestList } from "./ring-tables.ts";
import { GUESTS_EVERY_MS, publishEveryMs } from "./limits.ts";
import { Callers } from "./ring-callers.ts";
import { originFetch } from "./origin-fetch.ts";
import { Prober, type Verdict } from "./ring-health.ts";
import { MoveLog } from "./move-log.ts";
import { Members, type MemberChange } from "./ring-members.ts";
import { Moves } from "./ring-moves.ts";
import { Operators, type MemberAnswer, type MoveAnswer } from "./ring-operators.ts";
import { Orders } from "./ring-orders.ts";
import { OutcomeSums, type Outcomes } from "./outcomes.ts";
import { Placing } from "./ring-placing.ts";
import { Publisher, type Published } from "./ring-publisher.ts";
import { Quarantine } from "./ring-quarantine.ts";
import { RingState } from "./ring-state.ts";
import { neighbourRegions } from "./ring-config.ts";
import { RingStore } from "./ring-store.ts";
import { guestId } from "./ring-table.ts";
import type { OriginStatus, RingStatus, SessionStatus } from "./ring-status.ts";
import { carrierStub, ringStub } from "./stubs.ts";

export class RingObject extends DurableObject<Env> {
  readonly #settings: Settings;
  readonly #state: RingState;
  readonly #prober: Prober;
  readonly #placing: Placing;
  readonly #moves: Moves;
  readonly #orders: Orders;
  /** Of requests that Workers carried, since this object's start. */
  readonly #outcomes = new OutcomeSums();
  readonly #publisher: Publisher;
  readonly #callers = new Callers();
  readonly #upkeep: Upkeep;
  readonly #tables: RingTables;
  readonly #members: Members;
  readonly #operators: Operators;
  #reading: Promise<void> | undefined;
  #alarmAtMs = Infinity;
  #compareAtMs = 0;
  #announced = "";

  constructor(ctx: DurableObjectState, env: Env, settings: Settings) {
    super(ctx, env);
    this.#settings = settings;
    const store = new RingStore(ctx.storage.sql);
    const objectName = ctx.id.name ?? store.text("name"); // an alarm may start the object without its name
    const name = parseRingObjectName(objectName);
    const pool = name && settings.config.pools[name.pool];
    if (!name || !pool || objectName === undefined) throw new Error(`no such ring in the configuration: ${objectName ?? "(unnamed)"}`);
    store.set("name", objectName);
    this.#state = new RingState(this.#settings, name, pool, store);
    this.#prober = new Prober(pool.health, originFetch(env, this.#settings, pool.id), (origin, status) => this.#onHealth(origin, status === "down"));
    const quarantine = new Quarantine(pool.faultBudget, store);
    const log = new MoveLog(name);
    this.#placing = new Placing(env, this.#settings.config, this.#state, this.#prober, quarantine, log);
    this.#tables = new RingTables(
      env,
      this.#settings.config,
      this.#state,
      this.#placing,
      neighbourRegions(this.#state.pool, this.#state.name.region),
    );
    const { config } = this.#settings;
    this.#moves = new Moves({ env, config, state: this.#state, placing: this.#placing, tables: this.#tables, quarantine, log });
    this.#orders = new Orders(this.#state, this.#placing, this.#moves);
    this.#publisher = new Publisher(env.AFFINITY, this.#state, store, publishEveryMs(pool.horizonMs));
    this.#prober.watch(this.#state.view.snapshot.origins);
    const goOn = (work: Promise<void>): Promise<void> => {
      const done = work.then(() => this.#advanceDrains(Date.now()));
      this.ctx.waitUntil(done);
      return done;
    };
    this.#upkeep = new Upkeep(this.#state, this.#moves, this.#tables, goOn);
    const host = { env, settings, announce: () => this.#announce(), goOn };
    const parts = { state: this.#state, tables: this.#tables, placing: this.#placing, upkeep: this.#upkeep, moves: this.#moves };
    this.#members = new Members({ ...host, ...parts });
    this.#operators = new Operators({ ...host, ...parts, quarantine, log, outcomes: this.#outcomes, orders: this.#orders, members: this.#members });
  }

  // — asked by carriers —

  async place(envelope: Envelope, items: readonly PlaceItem[]): Promise<PlaceAnswer[]> {
    await this.#up();
    return this.#once(envelope, async () => {
      this.#tables.asked(items);
      const before = this.#state.view.snapshot;
      const answers = await this.#placing.placeAll(items, this.#tables.complete);
      if (this.#state.view.snapshot.hintsVersion !== before.hintsVersion) this.#announce();
      return answers;
    });
  }

  /** Sessions whose last connection closed: each ends only the placement with its fence. And sessions that an origin has accepted, before they ended. */
  async ended(envelope: Envelope, items: readonly EndedItem[], accepted: readonly string[] = []): Promise<void> {
    await this.#up();
    await this.#once(envelope, async (late) => {
      if (late) return; // a session that began again since must not end: what the carrier holds is being pulled
      this.#tables.accepted(accepted);
      this.#tables.ended(items);
      const gone = items.flatMap(({ keyHash, fence }) => {
        const row = this.#state.live.get(keyHash);
        return row && row.fence <= fence ? [row] : [];
      });
      for (const { keyHash } of gone) this.#placing.moving.delete(keyHash); // whoever comes back does not wait for the turn of a move that has nobody to move
      this.#state.end(gone);
      await this.#placing.release(gone);
      this.#announce();
    });
  }

  /** Connections of each origin, as a carrier counts them, and what else it has counted in its life. */
  async report(envelope: Envelope, connections: Readonly<Record<string, number>>, tally?: Tally, asleep = false): Promise<void> {
    await this.#once(envelope, async (late) => {
      if (late) return;
      if (asleep) this.#callers.asleep(envelope.slice);
      this.#tables.counted(envelope.slice, new Map(Object.entries(connections)));
      if (tally) this.#tables.tallied(envelope.slice, envelope.incarnation, tally);
    });
  }

  // — asked by Workers —

  /** The newest snapshot and hints; `missing`: KV could not serve the asker. */
  async published(missing = false): Promise<Published> {
    if (missing) this.#publisher.doubt(Date.now());
    this.#wake();
    return { snapshot: this.#state.view.snapshot, hints: this.#state.hints() };
  }

  /** Probes an origin that somebody could not reach. */
  async verdict(origin: string): Promise<Published & { readonly verdict: Verdict }> {
    await this.#up();
    const verdict = await this.#placing.ownVerdict(origin);
    return { ...(await this.published()), verdict };
  }

  /** Where a session is, for a route that is exact, or when the published table of hints is not all. */
  async find(item: FindItem): Promise<Decision> {
    await this.#up();
    return this.#placing.find(item);
  }

  /** An origin has answered that a session belongs to another. */
  async redirect(item: RedirectItem): Promise<RedirectAnswer> {
    await this.#up();
    const answer = await this.#orders.redirect(item);
    this.#announce();
    return answer;
  }

  /** The origin `from` has said that a session is over: what was ordered for it is forgotten, and while the session is there its connections are closed. */
  async endOrder(item: EndedItem, from?: string): Promise<void> {
    await this.#up();
    await this.#operators.end(item.keyHash, item.fence, from ?? "").catch(() => undefined); // its origin says it again
    this.#announce();
  }

  /** What became of requests to our origins, as one isolate has counted it. */
  async outcomes(byOrigin: Readonly<Record<string, Outcomes>>): Promise<void> {
    this.#wake();
    this.#outcomes.add(byOrigin, this.#state.view.byId);
  }

  // — asked by other ring objects of the pool —

  /** A neighbour's newest snapshot. */
  async neighbour(snapshot: Snapshot): Promise<void> {
    this.#wake();
    if (!this.#state.takeNeighbour(snapshot)) return;
    this.#tables.doubtGuests(snapshot.region);
    this.#announce();
    this.#upkeep.leaveLost();
  }

  async guest(items: readonly GuestItem[]): Promise<GuestAnswer[]> {
    await this.#up();
    return items.map((item) => this.#placing.guest(item));
  }

  /** Placements that are over at our origins. The same session may have another here, older or younger: it may have been placed twice at a time. */
  async guestsEnded(items: readonly EndedItem[]): Promise<void> {
    for (const item of items) this.#state.guests.delete(guestId(item));
    this.#advanceDrains(Date.now());
  }

  /** Our sessions at a neighbour's origins. Does not wait for our own tables: two that start together would wait for each other. */
  async guestsAt(region: string): Promise<GuestList> {
    this.#wake();
    const { live, coming } = this.#state;
    const rows = live
      .rows((row) => row.region === region)
      .map(({ keyHash, position, lot, keyed, origin, fence }) => ({ keyHash, position, lot, keyed, origin, fence }));
    return { rows, coming: coming.rows().map(guestId), ...(!this.#tables.complete && { partial: true }) };
  }

  // — asked by operators —

  async status(): Promise<RingStatus> {
    await this.#up();
    return this.#operators.status();
  }

  async drain(origin: string): Promise<OriginStatus | undefined> {
    await this.#up();
    return this.#operators.drain(origin);
  }

  async undrain(origin: string): Promise<OriginStatus | undefined> {
    await this.#up();
    return this.#operators.undrain(origin);
  }

  async origin(origin: string): Promise<OriginStatus | undefined> {
    await this.#up();
    return this.#operators.origin(origin);
  }

  /** An origin joins, changes or leaves. */
  async member(origin: string, change: MemberChange): Promise<MemberAnswer> {
    await this.#up();
    return this.#operators.member(origin, change);
  }

  async session(keyHash: string): Promise<SessionStatus | undefined> {
    await this.#up();
    return this.#operators.session(keyHash);
  }

  async wakeSession(keyHash: string): Promise<boolean | undefined> {
    await this.#up();
    return this.#operators.wake(keyHash);
  }

  async endSession(keyHash: string): Promise<boolean> {
    await this.#up();
    const ended = await this.#operators.end(keyHash, Infinity);
    this.#announce();
    return ended;
  }

  /** Takes a live session to an origin, or to where the ring says. */
  async moveSession(keyHash: string, to: string | undefined): Promise<MoveAnswer> {
    await this.#up();
    return this.#operators.move(keyHash, to);
  }

  // — the clock —

  override async alarm(): Promise<void> {
    this.#alarmAtMs = Infinity;
    await this.#read();
    const nowMs = Date.now();
    this.ctx.waitUntil(this.#prober.probeDue(nowMs).then(() => this.#schedule()));
    this.ctx.waitUntil(this.#tables.readMissing());
    this.#compareGuests(nowMs);
    this.#upkeep.run(nowMs);
    this.#advanceDrains(nowMs);
    await this.#publisher.run(nowMs);
    this.#schedule();
  }

  // — what follows —

  #onHealth(origin: string, down: boolean): void {
    this.#state.setDown(origin, down);
    const { pool, region, epoch } = this.#state.view.snapshot;
    console.log(JSON.stringify({ limpet: "health", pool, region, origin, health: down ? "down" : "healthy", epoch }));
    this.#announce();
    if (!down) return;
    this.#upkeep.leaveLost();
    // What took this origin may have taken the others: sessions must not be walked from one dead origin to the next.
    const others = this.#state.view.snapshot.origins.filter((each) => each.id !== origin && each.health !== "down");
    this.ctx.waitUntil(Promise.all(others.map((each) => this.#prober.ask(each.id))).then(() => this.#schedule()));
  }

  #advanceDrains(nowMs: number): void {
    for (const [origin, drain] of this.#state.drains()) {
      const empty = this.#state.isLeft(origin, drain) && this.#tables.completeWithGuests;
      const facts = { empty, epoch: this.#state.view.snapshot.epoch, publishedEpoch: this.#publisher.publishedEpoch(), nowMs };
      const next = advanceDrain(drain, facts, this.#state.pool);
      if (next) this.#state.setDrain(origin, next);
    }
    this.#announce();
  }

  /** While we serve other rings' sessions: are they still theirs, and do they know what became of our origins? */
  #compareGuests(nowMs: number): void {
    if ((this.#state.guests.size === 0 && !this.#tables.hasDoubts) || nowMs < this.#compareAtMs) return;
    this.#compareAtMs = nowMs + Math.min(GUESTS_EVERY_MS, this.#state.pool.horizonMs);
    this.ctx.waitUntil(this.#tables.compareGuests().then(() => this.#tellNeighbours()));
  }

  /** Tells everyone who holds a copy, and KV when its turn comes. */
  #announce(): void {
    const snapshots = this.#state.views().map((each) => each.snapshot);
    const version = JSON.stringify(snapshots.map(({ region, epoch, hintsVersion }) => [region, epoch, hintsVersion]));
    if (version === this.#announced) return;
    this.#announced = version;
    this.#placing.pace.keep((origin) => this.#state.view.byId.has(origin));
    this.#upkeep.followRing();
    this.#prober.watch(this.#state.view.snapshot.origins);
    this.#upkeep.followAddresses();
    this.ctx.waitUntil(Promise.all([this.#tell(this.#callers.listening()), this.#tellNeighbours()]));
    this.ctx.waitUntil(this.#publisher.run(Date.now()).then(() => this.#schedule()));
  }

  /** What holds now. Who misses a telling is told the next time; nothing rests on one. */
  async #tell(slices: readonly number[]): Promise<void> {
    const snapshots = this.#state.views().map((each) => each.snapshot);
    await Promise.allSettled(slices.map((slice) => carrierStub(this.env, this.#settings.config, this.#state.name, slice).adopt(snapshots)));
  }

  /** The other rings of the pool: some of their sessions may be here. One that has our newest snapshot takes no notice. */
  async #tellNeighbours(): Promise<void> {
    const { name, view } = this.#state;
    await Promise.allSettled(
      neighbourRegions(this.#state.pool, this.#state.name.region).map((region) =>
        ringStub(this.env, this.#settings.config, name.pool, region).neighbour(view.snapshot),
      ),
    );
  }

  /** The first event of this life: tables are asked for, the clock is started. Waits until they are here, or too late. */
  async #up(): Promise<void> {
    this.#schedule();
    await this.#read();
  }

  #wake(): void {
    this.ctx.waitUntil(this.#up());
  }

  /** Never rejects: what could not be read is read later. */
  #read(): Promise<void> {
    return (this.#reading ??= this.#tables.readMissing().then(() => this.#announce()));
  }

  #once<T>(envelope: Envelope, work: (late: boolean) => Promise<T>): Promise<T> {
    return this.#callers.once(
      envelope,
      (what) => {
        if (what === "first" || what === "reborn" || what === "awake") this.ctx.waitUntil(this.#tell([envelope.slice])); // it knows only what was, or the configuration
        if (what === "awake") return;
        if (what !== "first") this.#tables.unread(envelope.slice);
        // A table that comes too late is asked for again at the next tick.
        const read = this.#tables.read(envelope.slice).catch(() => this.#tables.unread(envelope.slice));
        this.ctx.waitUntil(read.then(() => this.#schedule()));
      },
      work,
    );
  }

  #schedule(): void {
    const nowMs = Date.now();
    const TICK_MS = Math.min(1_000, Math.max(50, this.#state.pool.horizonMs / 4)); // drains, retries, failback: nothing of theirs is due sooner
    const drains = [...this.#state.drains().values()].some((drain) => drain.drainedAtMs === undefined);
    const busy =
      drains ||
      this.#upkeep.isSomebodyMisplaced ||
      !this.#tables.completeWithGuests ||
      this.#state.guests.size > 0 ||
      this.#state.pinnedKeys().length > 0;
    // An alarm that is set, while its handler runs, for the very millisecond it was due is lost when the handler ends (workerd 1.20261117).
    const SPACING_MS = 5;
    const dueAtMs = Math.min(
      this.#prober.nextDueAtMs(),
      this.#publisher.nextDueAtMs(),
      this.#upkeep.nextDueAtMs(nowMs),
      this.#tables.hasDoubts ? Math.max(nowMs, this.#compareAtMs) : Infinity,
      busy ? nowMs + TICK_MS : Infinity,
    );
    if (dueAtMs === Infinity || dueAtMs >= this.#alarmAtMs) return;
    this.#alarmAtMs = Math.max(Math.ceil(dueAtMs), nowMs + SPACING_MS);
    this.ctx.waitUntil(this.ctx.storage.setAlarm(this.#alarmAtMs));
  }
}
