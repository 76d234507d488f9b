// Placing: which origin a session goes to, asked of this ring object by its carriers, and by other ring objects for their guests.
// Every choice is `decide`'s; here it is given what only the authority knows: live loads, pins, and the other region's word.

import { lossOf } from "../core/availability.ts";
import type { Balance } from "../core/balance.ts";
import { decide, replicasOf } from "../core/decide.ts";
import type { Decision, Reason } from "../core/decision.ts";
import type { FindItem, GuestAnswer, GuestItem, PlaceAnswer, PlaceItem, Placement, SessionRef, Tokens } from "../core/protocol.ts";
import type { Claim, Holding } from "../core/situation.ts";
import type { RegionView } from "../core/snapshot.ts";
import type { Env } from "./env.ts";
import { Gatherer } from "./gatherer.ts";
import { GATHER_GUESTS_MS, GUEST_ANSWER_MS, HALT_MS, REBORN_MS, within } from "./limits.ts";
import type { MoveLog } from "./move-log.ts";
import { Newcomers } from "./newcomers.ts";
import { Pace } from "./pace.ts";
import type { Prober, Verdict } from "./ring-health.ts";
import type { Homes, Owner } from "./ring-homes.ts";
import type { Quarantine } from "./ring-quarantine.ts";
import type { RingState } from "./ring-state.ts";
import { guestId, type LiveRow } from "./ring-table.ts";
import { ringStub } from "./stubs.ts";

export type Choice =
  | {
      readonly kind: "routed";
      readonly origin: string;
      readonly region: string;
      readonly epoch: number;
      readonly reason: Reason;
      /** Until its tokens are good, where it takes any. */
      readonly waitMs: number;
    }
  /** The origin would take it, but not yet. */
  | { readonly kind: "later" }
  | { readonly kind: "refused"; readonly why: "no-origin" | "owner-lost"; readonly epoch: number };

export interface Wish extends SessionRef {
  readonly claim?: Claim | undefined;
  readonly excluded: ReadonlySet<string>;
  /** The fence that the placement will have: a guest's region is told it. */
  readonly fence: number;
  /** By plan it leaves the place that its pin names. (A place that was lost the decision passes over by itself.) */
  readonly leaving?: boolean;
  /** Of a move: where it is now, and what it needs of the next origin's pace. */
  readonly from?: string | undefined;
  readonly tokens?: Tokens | undefined;
}

interface Beside {
  readonly env: Env;
  readonly state: RingState;
  readonly prober: Prober;
  readonly quarantine: Quarantine;
  readonly homes: Homes;
  readonly log: MoveLog;
}

export class Placing {
  readonly #env: Env;
  readonly #state: RingState;
  readonly #prober: Prober;
  /** Counts placements by turn; begins anywhere, so that not every start begins with the first origin. */
  #turn = Math.floor(Math.random() * 1_000_000);
  /** Moves under way, by key hash: whoever asks for such a session waits for its new place. */
  readonly moving = new Map<string, Promise<void>>();
  /** Of moves to our origins. */
  readonly pace: Pace;
  readonly #quarantine: Quarantine;
  readonly #homes: Homes;
  readonly #log: MoveLog;
  readonly #newcomers: Newcomers;
  /** Until then nobody is new. */
  readonly #knowsNobodyUntilMs: number;
  readonly #guestAsks: Gatherer<GuestItem, GuestAnswer | "unreachable">;
  /** Arrivals that are being placed. */
  #arrivingCount = 0;

  constructor({ env, state, prober, quarantine, homes, log }: Beside) {
    this.#env = env;
    this.#state = state;
    this.#prober = prober;
    this.#quarantine = quarantine;
    this.#homes = homes;
    this.#log = log;
    this.pace = new Pace(() => state.pool.pace.perOriginPerSecond);
    this.#newcomers = new Newcomers(`${state.name.pool}@${state.name.region}`, env.NEW_SESSIONS);
    this.#knowsNobodyUntilMs = state.isReborn ? Date.now() + REBORN_MS : 0;
    this.#guestAsks = new Gatherer(GATHER_GUESTS_MS, (region, items) => this.#askRegion(region, items));
  }

  /** Places for a carrier's sessions, in their order; not for those that are new and too many. `complete`: the live table is. */
  async placeAll(items: readonly PlaceItem[], complete: boolean): Promise<PlaceAnswer[]> {
    const owners = await this.#homes.owners(items);
    const ours = items.filter((_, index) => owners[index]?.kind === "ours");
    try {
      const answers = await this.#placeOurs(ours, complete);
      const placed = new Map(ours.map((item, index) => [item, answers[index]]));
      return items.map((item, index) => placed.get(item) ?? this.#notOurs(item, owners[index]));
    } finally {
      this.#homes.placed(ours);
    }
  }

  #notOurs({ keyHash, sentOn }: PlaceItem, owner: Owner | undefined): PlaceAnswer {
    const { epoch } = this.#state.view.snapshot;
    if (owner?.kind !== "elsewhere") return { kind: "refused", keyHash, why: "owner-lost", epoch };
    return sentOn ? { kind: "refused", keyHash, why: "no-origin", epoch } : { kind: "elsewhere", keyHash, region: owner.region };
  }

  async #placeOurs(items: readonly PlaceItem[], complete: boolean): Promise<PlaceAnswer[]> {
    const isKnowing = complete && Date.now() >= this.#knowsNobodyUntilMs;
    const isNew = ({ keyHash, opening, live }: PlaceItem): boolean => opening === true && live === undefined && this.#state.isNew(keyHash);
    const tooMany = await this.#newcomers.tooMany(isKnowing ? items.filter(isNew) : []);
    const { epoch } = this.#state.view.snapshot;
    return Promise.all(
      items.map(async (item): Promise<PlaceAnswer> =>
        tooMany.has(item.keyHash) ? { kind: "refused", keyHash: item.keyHash, why: "too-many-sessions", epoch } : this.place(item, complete),
      ),
    );
  }

  /** One session's place, for a carrier. `bounded`: the live table is complete, so the load bound may be applied. */
  async place(item: PlaceItem, bounded: boolean): Promise<PlaceAnswer> {
    const { keyHash } = item;
    if (this.moving.has(keyHash)) return { kind: "moving", keyHash };
    if (this.#quarantine.of(keyHash, Date.now())) {
      return { kind: "refused", keyHash, why: "quarantined", epoch: this.#state.view.snapshot.epoch };
    }
    const known = this.#state.live.get(item.keyHash) ?? this.#adopted(item);
    if (known) {
      const kept = await this.#kept(known, item);
      if (kept) return kept;
      if (this.moving.has(keyHash)) return { kind: "moving", keyHash };
      const moved = this.#state.live.get(item.keyHash);
      if (moved && moved.fence > known.fence) return { kind: "placed", placement: this.placementOf(moved) };
    }
    return this.#newPlace(item, known, bounded);
  }

  /** A guest's place among our own origins. */
  guest(item: GuestItem): GuestAnswer {
    const held: Claim | undefined = item.held === undefined ? undefined : { origin: item.held, fence: item.fence, from: "connection" };
    const decision = this.#decideOn([this.#state.view], { ...item, claim: held, excluded: new Set(item.excluded) }, this.#balance(true));
    if (decision.kind === "refused" || decision.reason === "panic") return { kind: "refused" };
    const { keyHash, position, lot, keyed, homeRegion, fence, tokens } = item;
    const waitMs = tokens ? this.pace.take(decision.origin.id, tokens.count, tokens.urgent, Date.now()) : 0;
    if (waitMs === undefined) return { kind: "later" };
    this.#state.guests.set({ keyHash, position, lot, keyed, homeRegion, fence, origin: decision.origin.id });
    return { kind: "placed", origin: decision.origin.id, url: decision.origin.url, epoch: decision.epoch, waitMs };
  }

  /** The origin for a wish; where that is another region's, that region's ring object has the word while it can be reached. */
  async choose(wish: Wish, bounded: boolean): Promise<Choice> {
    let views = this.#state.views();
    for (;;) {
      const pin = wish.leaving ? undefined : this.#state.pinOf(wish.keyHash);
      const decision = this.#decideOn(views, { ...wish, pin }, this.#balance(bounded));
      if (decision.kind === "refused") return { kind: "refused", why: decision.why, epoch: decision.epoch };
      const { region, epoch, reason } = decision;
      const choice = { kind: "routed", origin: decision.origin.id, region, epoch, reason, waitMs: 0 } as const;
      if (choice.origin === wish.from) return choice; // it stays
      if (region === this.#state.name.region || reason === "panic") {
        const waitMs = this.#tokensFor(wish, choice.origin);
        if (waitMs === undefined) return { kind: "later" };
        // Counted before anybody else is decided on: a batch is bounded too.
        this.#state.coming.set({ keyHash: wish.keyHash, fence: wish.fence, origin: choice.origin });
        return { ...choice, waitMs };
      }
      const held = decision.fence === undefined ? undefined : decision.origin.id;
      const answer = await this.#guestAsks.ask(region, this.#guestItem(wish, held));
      if (answer === "unreachable") return choice;
      if (answer.kind === "later") return answer;
      if (answer.kind === "placed") return { ...choice, origin: answer.origin, epoch: answer.epoch, waitMs: answer.waitMs ?? 0 };
      views = views.filter((view) => view.snapshot.region !== region);
    }
  }

  /**
   * Where a session is now, without placing it: live, pinned, claimed, or by the ring, without bound or turn, so that everybody is told the
   * same. Waits for a move that is under way.
   */
  async find(item: FindItem): Promise<Decision> {
    await this.moving.get(item.keyHash);
    const row = this.#state.live.get(item.keyHash);
    const live: Claim | undefined = row && { origin: row.origin, fence: row.fence, from: "connection" };
    const wish = { ...item, claim: live ?? claimOf(item), pin: live ? undefined : this.#heldFor(item.keyHash), excluded: new Set(item.excluded) };
    const decision = this.#decideOn(this.#state.views(), wish, { kind: "ring" });
    return row && decision.kind === "routed" && decision.origin.id === row.origin ? { ...decision, reason: row.reason } : decision;
  }

  #heldFor(keyHash: string): Holding | undefined {
    return this.#state.pinOf(keyHash) ?? this.#state.strays.get(keyHash);
  }

  placementOf(row: LiveRow): Placement {
    const { keyHash, origin, region, fence, epoch, reason, movedFrom } = row;
    const url = this.urlOf(region, origin);
    const replicas = replicasOf({ key: row, regions: this.#state.views(), nowMs: Date.now() }, origin);
    return { keyHash, origin, region, url, fence, epoch, reason, replicas, movedFrom };
  }

  urlOf(region: string, origin: string): string {
    return this.#state.viewOfRegion(region)?.byId.get(origin)?.url ?? "";
  }

  /** Whether an origin of any region can be reached: its own ring object probes it. */
  async verdict(region: string, origin: string): Promise<Verdict> {
    if (region === this.#state.name.region) return this.ownVerdict(origin);
    try {
      const answer = await ringStub(this.#env, this.#state.config, this.#state.name.pool, region).verdict(origin);
      this.#state.takeNeighbour(answer.snapshot);
      return answer.verdict;
    } catch {
      return { healthy: false, atMs: Date.now() }; // neither it nor its authority answers: the asker's word stands
    }
  }

  /** Probes one of our origins that somebody could not reach; meanwhile no planned move goes there. */
  async ownVerdict(origin: string): Promise<Verdict> {
    this.pace.doubt(origin, Infinity);
    const verdict = await this.#prober.ask(origin);
    if (verdict.healthy) this.pace.trust(origin);
    else this.pace.doubt(origin, Date.now() + HALT_MS);
    return verdict;
  }

  /** Tells other regions that their origins are rid of these sessions. */
  async release(rows: readonly { readonly keyHash: string; readonly region: string; readonly fence: number }[]): Promise<void> {
    const away = Map.groupBy(
      rows.filter((row) => row.region !== this.#state.name.region),
      (row) => row.region,
    );
    for (const [region, items] of away) {
      const ended = items.map(({ keyHash, fence }) => ({ keyHash, fence }));
      // A lost call leaves rows behind that the next exchange of guests takes away.
      await ringStub(this.#env, this.#state.config, this.#state.name.pool, region)
        .guestsEnded(ended)
        .catch(() => undefined);
    }
  }

  /** The carrier has it and we do not (this object is younger): believed, unless a pin on disk knows a later move of it. */
  #adopted(item: PlaceItem): LiveRow | undefined {
    const { live } = item;
    if (!live || !this.#state.viewOfRegion(live.region)?.byId.has(live.origin)) return undefined;
    if ((this.#state.pinOf(item.keyHash)?.fence ?? 0) > live.fence) return undefined;
    const { keyHash, position, lot, keyed, learned, drawn, opening } = item;
    const row: LiveRow = { keyHash, position, lot, keyed, learned, drawn, opening, ...live, epoch: this.#state.view.snapshot.epoch, reason: "claim" };
    this.#state.fence(live.fence);
    this.#state.live.set(row);
    this.#state.reconcilePins([row]);
    return row;
  }

  /** The answer that leaves a session where it is; `undefined` when its origin is lost (and its move, if it has one, under way). */
  async #kept(row: LiveRow, item: PlaceItem): Promise<PlaceAnswer | undefined> {
    const lost = (): boolean => lossOf(this.#state.viewOfRegion(row.region)?.byId.get(row.origin), Date.now(), new Set(), row.fence) !== undefined;
    if (lost()) return undefined;
    if (!item.excluded.includes(row.origin)) return { kind: "placed", placement: this.placementOf(row) };
    const verdict = await this.verdict(row.region, row.origin);
    if (!verdict.healthy || lost() || item.unreached) return undefined;
    return { kind: "placed", placement: this.placementOf(row), probedAtMs: verdict.atMs };
  }

  /** A place for a session that has none, or has lost it. Known as coming meanwhile: nobody who compares tables takes it for ended. */
  async #newPlace(item: PlaceItem, old: LiveRow | undefined, bounded: boolean): Promise<PlaceAnswer> {
    const coming = { keyHash: item.keyHash, fence: this.#state.fence(), origin: "" };
    this.#state.coming.set(coming);
    if (!old) this.#arrivingCount++;
    try {
      return await this.#placeComing(item, old, coming.fence, bounded);
    } finally {
      if (!old) this.#arrivingCount--;
      this.#state.coming.delete(guestId(coming));
    }
  }

  async #placeComing(item: PlaceItem, old: LiveRow | undefined, fence: number, bounded: boolean): Promise<PlaceAnswer> {
    const { keyHash, position, lot, keyed, learned, drawn } = item;
    const claim = old ? undefined : claimOf(item); // it speaks of the time before the placement that was lost
    const excluded = new Set(old ? [old.origin, ...item.excluded] : item.excluded);
    const choice = await this.choose({ keyHash, position, lot, keyed, claim, excluded, fence }, bounded);
    if (choice.kind === "refused") return { ...choice, keyHash };
    if (choice.kind === "later") throw new Error("a placement without tokens was told to wait for them");
    const raced = this.#state.live.get(keyHash);
    if (raced?.fence !== old?.fence) {
      await this.release([{ keyHash, region: choice.region, fence }]);
      if (raced) return { kind: "placed", placement: this.placementOf(raced) };
      return { kind: "refused", keyHash, why: "no-origin", epoch: choice.epoch }; // it ended while its new place was asked for
    }
    if ((this.#state.pinOf(keyHash)?.fence ?? 0) > fence) {
      // It was ordered elsewhere while another region was asked.
      await this.release([{ keyHash, region: choice.region, fence }]);
      return this.#newPlace(item, old, bounded);
    }
    const { origin, region, epoch, reason } = choice;
    const moved = old && { movedFrom: old.origin, rehomedAtMs: Date.now() };
    const url = this.urlOf(region, origin);
    const { opening } = raced ?? item; // it may have been accepted where it was, meanwhile
    const row: LiveRow = { keyHash, position, lot, keyed, learned, drawn, opening, origin, region, url, epoch, reason, fence, ...moved };
    this.#state.live.set(row);
    this.#state.reconcilePins([row]);
    if (old) {
      this.#log.moved("lost", [{ from: old.origin, to: origin }], this.#state.view.snapshot.epoch);
      void this.release([old]); // never rejects, and nobody waits for another region here
    }
    return { kind: "placed", placement: this.placementOf(row) };
  }

  #decideOn(regions: readonly RegionView[], wish: Omit<Wish, "fence"> & { pin?: Holding | undefined }, balance: Balance): Decision {
    const { pool } = this.#state;
    return decide({
      key: wish,
      keyed: wish.keyed,
      regions,
      pin: wish.pin,
      claim: wish.claim,
      excluded: wish.excluded,
      policy: pool,
      balance,
      nowMs: Date.now(),
    });
  }

  /** What the pool's policy has to know. `known`: the live table is complete; until it is, loads say nothing, and the ring decides. */
  #balance(known: boolean): Balance {
    const { pool, view, live, guests } = this.#state;
    const kind = known || pool.balance === "round-robin" || pool.balance === "random" ? pool.balance : "ring";
    const loadOf = (id: string): number => this.#state.loadOf(id);
    switch (kind) {
      case "ring":
        return { kind };
      case "bounded-ring": {
        const settled = [...view.byId.keys()].reduce((sum, id) => sum + live.countOf(id) + guests.countOf(id), 0);
        const total = settled + this.#arrivingCount; // one that moves is counted where it was
        return { kind, factor: pool.boundFactor, total, loadOf };
      }
      case "least-connections":
        return { kind, loadOf, draw: Math.random() };
      case "round-robin":
        return { kind, turn: this.#turn++ };
      case "random":
        return { kind, draw: Math.random() };
      default:
        return kind satisfies never;
    }
  }

  /** Tokens of one of our own origins; of another region's, chosen in panic without its ring's word, there are none to ask for. */
  #tokensFor({ tokens }: Wish, origin: string): number | undefined {
    if (!tokens || !this.#state.view.byId.has(origin)) return 0;
    return this.pace.take(origin, tokens.count, tokens.urgent, Date.now());
  }

  #guestItem({ keyHash, position, lot, keyed, excluded, fence, tokens }: Wish, held: string | undefined): GuestItem {
    return { keyHash, position, lot, keyed, excluded: [...excluded], homeRegion: this.#state.name.region, held, fence, tokens };
  }

  async #askRegion(region: string, items: readonly GuestItem[]): Promise<(GuestAnswer | "unreachable")[]> {
    try {
      return await within(ringStub(this.#env, this.#state.config, this.#state.name.pool, region).guest(items), GUEST_ANSWER_MS, "guest");
    } catch {
      return items.map(() => "unreachable"); // the home ring then decides on its own copy of that region's snapshot
    }
  }
}

/** What the visitor brings beside the key: a cookie's claim, or the tag of a key that an origin has issued. */
function claimOf({ claim, learned }: Pick<PlaceItem, "claim" | "learned">): Claim | undefined {
  return claim && { ...claim, from: learned ? "tag" : "cookie" };
}
