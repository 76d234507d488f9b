// The ring object: the authority of one ring (pool × region). It alone places sessions, moves them, and writes the ring's snapshot.
// This file is its surface: what carriers, Workers, other ring objects and the clock may ask. The work is in the ring-* files beside it.
// What must stay true: no fence is given out twice; pins are on disk before the epoch that needs them is published; a session is at one
// origin or between two; every change is one epoch, made whole and swapped in.

import { DurableObject } from "cloudflare:workers";
import type { AppliedConfig } from "../core/applied-config.ts";
import type { Decision } from "../core/decision.ts";
import type { DrainWish } from "../core/drain.ts";
import type { WantedLease } from "../core/membership.ts";
import type {
  EndedItem,
  Envelope,
  FindItem,
  FirstAnswer,
  FirstItem,
  GivenAnswer,
  GuestAnswer,
  GuestItem,
  PlaceAnswer,
  PlaceItem,
  RedirectAnswer,
  RedirectItem,
  StrayList,
  Tally,
} from "../core/protocol.ts";
import type { Told } from "../core/ejection.ts";
import type { PlannedChange } from "../core/plan-body.ts";
import type { Snapshot } from "../core/snapshot.ts";
import type { RegionSet, Transition } from "../core/transition.ts";
import type { Env, SettingsSource } from "./env.ts";
import type { GuestList } from "./ring-tables.ts";
import type { Verdict } from "./ring-health.ts";
import type { MemberChange } from "./ring-members.ts";
import type { Asker, MoveAnswer, OrderAnswer } from "./ring-operators.ts";
import type { Outcomes } from "./outcomes.ts";
import type { Published } from "./ring-publisher.ts";
import { explain, type Explained } from "./ring-explain.ts";
import type { JournalEntry } from "./ring-journal.ts";
import { whenPoolIsKnown } from "./config-store.ts";
import type { ConfigStatus } from "./held-settings.ts";
import type { ConfigPlan } from "./ring-config.ts";
import { RingLife } from "./ring-life.ts";
import { metricsOf, type RingMetrics } from "./ring-metrics.ts";
import { planOf, type PlanAnswer } from "./ring-plan.ts";
import { guestId } from "./ring-table.ts";
import type { OriginStatus, RingStatus, SessionStatus } from "./ring-status.ts";

export class RingObject extends DurableObject<Env> {
  #started: RingLife | undefined;

  constructor(ctx: DurableObjectState, env: Env, source: SettingsSource) {
    super(ctx, env);
    whenPoolIsKnown(ctx, env, () => (this.#started = new RingLife(ctx, env, source)));
  }

  get #life(): RingLife {
    if (!this.#started) throw new Error("the ring object has not started");
    return this.#started;
  }

  // — asked by carriers —

  async place(envelope: Envelope, items: readonly PlaceItem[]): Promise<PlaceAnswer[]> {
    await this.#life.up();
    return this.#life.once(envelope, async () => {
      this.#life.tables.asked(items);
      const before = this.#life.state.view.snapshot;
      const answers = await this.#life.placing.placeAll(items, this.#life.tables.complete);
      this.#life.places.add(answers);
      if (this.#life.state.view.snapshot.hintsVersion !== before.hintsVersion) this.#life.announce();
      return answers;
    });
  }

  /** Sessions whose last connection closed: each ends only the placement with its fence. And sessions that an origin has accepted, before they ended. */
  async ended(envelope: Envelope, items: readonly EndedItem[], accepted: readonly string[] = []): Promise<void> {
    await this.#life.up();
    await this.#life.once(envelope, async (late) => {
      if (late) return; // a session that began again since must not end: what the carrier holds is being pulled
      this.#life.tables.accepted(accepted);
      this.#life.tables.ended(items);
      const gone = items.flatMap(({ keyHash, fence }) => {
        const row = this.#life.state.live.get(keyHash);
        return row && row.fence <= fence ? [row] : [];
      });
      for (const { keyHash } of gone) this.#life.placing.moving.delete(keyHash); // whoever comes back does not wait for the turn of a move that has nobody to move
      this.#life.state.end(gone);
      await this.#life.placing.release(gone);
      this.#life.announce();
    });
  }

  /** Connections of each origin, as a carrier counts them, and what else it has counted in its life. */
  async report(envelope: Envelope, connections: Readonly<Record<string, number>>, tally?: Tally, asleep = false): Promise<void> {
    await this.#life.once(envelope, async (late) => {
      if (late) return;
      if (asleep) this.#life.callers.asleep(envelope.slice);
      this.#life.tables.counted(envelope.slice, new Map(Object.entries(connections)));
      if (tally) this.#life.tables.tallied(envelope.slice, envelope.incarnation, tally);
    });
  }

  /** Asked by carriers of other regions that stand in for ours: where these sessions are, or go. They are kept there for a while. */
  async standIn(items: readonly FindItem[]): Promise<Decision[]> {
    await this.#life.up();
    const decisions = await Promise.all(items.map((item) => this.#life.standIns.place(item)));
    this.#life.announce();
    return decisions;
  }

  // — asked by Workers —

  /** The newest snapshot and hints; `missing`: KV could not serve the asker. */
  async published(missing = false): Promise<Published> {
    if (missing) this.#life.publisher.doubt(Date.now());
    this.#life.wake();
    return { snapshot: this.#life.state.view.snapshot, hints: this.#life.state.hints() };
  }

  /** Probes an origin that somebody could not reach. */
  async verdict(origin: string): Promise<Published & { readonly verdict: Verdict }> {
    await this.#life.up();
    const verdict = await this.#life.placing.ownVerdict(origin);
    return { ...(await this.published()), verdict };
  }

  /** Where a session is, for a route that is exact, or when the published table of hints is not all. */
  async find(item: FindItem): Promise<Decision> {
    await this.#life.up();
    return this.#life.placing.find(item);
  }

  /** The same without a first visitor: what is remembered, if anything. */
  async firstRegion(keyHash: string): Promise<string | undefined> {
    return this.#life.firsts.regionOf(keyHash);
  }

  /** Which region is the home of a session whose first visitor decides that. */
  async first(item: FirstItem): Promise<FirstAnswer> {
    await this.#life.up();
    const { state, firsts } = this.#life;
    return firsts.homeOf(item, state.live.get(item.keyHash) !== undefined || state.pinOf(item.keyHash) !== undefined);
  }

  /** An origin has answered that a session belongs to another. */
  async redirect(item: RedirectItem, handedOn = false): Promise<RedirectAnswer> {
    await this.#life.up();
    const home = handedOn ? undefined : this.#life.ringOfStray(item.keyHash);
    if (home) return home.redirect(item, true);
    const answer = await this.#life.orders.redirect(item);
    this.#life.announce();
    return answer;
  }

  /** The origin `from` has said that a session is over: what was ordered for it is forgotten, and while the session is there its connections are closed. */
  async endOrder(item: EndedItem, from?: string, handedOn = false): Promise<void> {
    await this.#life.up();
    const home = handedOn ? undefined : this.#life.ringOfStray(item.keyHash);
    if (home) return home.endOrder(item, from, true);
    await this.#life.operators.end(item.keyHash, item.fence, from ?? "").catch(() => undefined); // its origin says it again
    this.#life.announce();
  }

  /** What became of requests to our origins, as one isolate has counted it; and, where something speaks against them, what it has seen since that began. */
  async outcomes(byOrigin: Readonly<Record<string, Outcomes>>, window: Readonly<Record<string, Told>> = {}): Promise<void> {
    this.#life.wake();
    this.#life.outcomes.add(byOrigin, this.#life.state.view.byId);
    this.#life.watch.told(window);
  }

  // — asked by other ring objects of the pool —

  /** A neighbour's newest snapshot. */
  async neighbour(snapshot: Snapshot): Promise<void> {
    this.#life.wake();
    this.ctx.waitUntil(this.#life.pullConfig(snapshot.configRevision));
    if (!this.#life.state.takeNeighbour(snapshot)) return;
    this.#life.tables.doubtGuests(snapshot.region);
    this.#life.announce();
    this.#life.upkeep.leaveLost();
  }

  async guest(items: readonly GuestItem[]): Promise<GuestAnswer[]> {
    await this.#life.up();
    return items.map((item) => this.#life.placing.guest(item));
  }

  /** Placements that are over at our origins. The same session may have another here, older or younger: it may have been placed twice at a time. */
  async guestsEnded(items: readonly EndedItem[]): Promise<void> {
    for (const item of items) this.#life.state.guests.delete(guestId(item));
    this.#life.drains.advance(Date.now());
  }

  /** Our sessions at a neighbour's origins. Does not wait for our own tables: two that start together would wait for each other. */
  async guestsAt(region: string): Promise<GuestList> {
    this.#life.wake();
    const { live, coming } = this.#life.state;
    const rows = live
      .rows((row) => row.region === region)
      .map(({ keyHash, position, lot, keyed, origin, fence }) => ({ keyHash, position, lot, keyed, origin, fence }));
    return { rows, coming: coming.rows().map(guestId), ...(!this.#life.tables.complete && { partial: true }) };
  }

  /** May the asker place these sessions for the first time, or are they ours? Those that are not are given to it. */
  async given(keyHashes: readonly string[], asker: string): Promise<GivenAnswer[]> {
    await this.#life.up();
    return this.#life.homes.give(keyHashes, asker, this.#life.tables.complete);
  }

  /** Our live sessions whose home another region is by those regions. */
  async strays(region: string, regions: RegionSet): Promise<StrayList> {
    await this.#life.up();
    return this.#life.homes.straysOf(region, regions, this.#life.tables.complete);
  }

  /** The pool's regions, as they are and were. Does not wait for anybody: two that are born together ask each other. */
  async regions(): Promise<Pick<Transition, "now" | "before">> {
    this.#life.wake();
    return this.#life.homes.told;
  }

  // — asked by the control object, and by Workers about it —

  async applyConfig(applied: AppliedConfig): Promise<ConfigStatus> {
    this.#life.wake();
    return this.#life.applyConfig(applied);
  }

  /** What this ring goes by. */
  async config(): Promise<ConfigStatus> {
    this.#life.wake();
    return this.#life.config;
  }

  /** Nobody is here, or can come: of a ring that the configuration names no more. */
  async isEmpty(): Promise<boolean> {
    await this.#life.up();
    return this.#life.isEmpty;
  }

  async planConfig(text: string): Promise<ConfigPlan> {
    await this.#life.up();
    return this.#life.planConfig(text);
  }

  // — asked by operators —

  async status(): Promise<RingStatus> {
    await this.#life.up();
    return this.#life.operators.status();
  }

  async drain(origin: string, by: string, wish: DrainWish = {}, asker: Asker = {}): Promise<OrderAnswer> {
    await this.#life.up();
    return this.#life.operators.drain(origin, by, wish, asker);
  }

  async undrain(origin: string, by: string, asker: Asker = {}): Promise<OrderAnswer> {
    await this.#life.up();
    return this.#life.operators.undrain(origin, by, asker);
  }

  async regionDown(by: string): Promise<RingStatus> {
    await this.#life.up();
    return this.#life.operators.regionDown(by);
  }

  async regionUp(by: string): Promise<RingStatus> {
    await this.#life.up();
    return this.#life.operators.regionUp(by);
  }

  async origin(origin: string): Promise<OriginStatus | undefined> {
    await this.#life.up();
    return this.#life.operators.origin(origin);
  }

  /** An origin joins, changes or leaves. */
  async member(origin: string, change: MemberChange, by: string, asker: Asker = {}): Promise<OrderAnswer> {
    await this.#life.up();
    return this.#life.operators.member(origin, change, by, asker);
  }

  /** An origin says that it is there, and for how long that holds. */
  async lease(origin: string, wanted: WantedLease, by: string, asker: Asker = {}): Promise<OrderAnswer> {
    await this.#life.up();
    return this.#life.operators.lease(origin, wanted, by, asker);
  }

  async session(keyHash: string): Promise<SessionStatus | undefined> {
    await this.#life.up();
    return this.#life.operators.session(keyHash);
  }

  async wakeSession(keyHash: string): Promise<boolean | undefined> {
    await this.#life.up();
    return this.#life.operators.wake(keyHash);
  }

  async endSession(keyHash: string): Promise<boolean> {
    await this.#life.up();
    const ended = await this.#life.operators.end(keyHash, Infinity);
    this.#life.announce();
    return ended;
  }

  /** Takes a live session to an origin, or to where the ring says. */
  async moveSession(keyHash: string, to: string | undefined): Promise<MoveAnswer> {
    await this.#life.up();
    return this.#life.operators.move(keyHash, to);
  }

  /** What changes would move; nothing is changed. */
  async plan(changes: readonly PlannedChange[]): Promise<PlanAnswer> {
    await this.#life.up();
    return planOf(this.#life, changes);
  }

  /** Where a request's session is, or would go; nothing is placed. */
  async explain(item: FindItem, live: boolean): Promise<Explained> {
    await this.#life.up();
    return explain(this.#life, item, live);
  }

  /** Waits for nobody: carriers that sleep or hang are not asked. */
  async metrics(): Promise<RingMetrics> {
    return metricsOf(this.#life);
  }

  /** The newest changes, newest first. */
  async audit(limit: number): Promise<readonly JournalEntry[]> {
    return this.#life.journal.newest(limit);
  }

  /** The oldest changes after one of them, all or those that were ordered, and the newest one's number. */
  async journal(after: number, limit: number, ordered = false): Promise<{ readonly entries: readonly JournalEntry[]; readonly lastSeq: number }> {
    return { entries: this.#life.journal.after(after, limit, ordered), lastSeq: this.#life.journal.lastSeq };
  }

  // — the clock —

  override alarm(): Promise<void> {
    return this.#life.tick();
  }
}
