// A carrier's line to its ring object: batched, numbered, repeated once on a new stub. While the ring object cannot be reached, the
// carrier decides on its own copy of the snapshots, with fences that go on from the largest it has seen.

import { decide, replicasOf } from "../core/decide.ts";
import { nextFence } from "../core/fence.ts";
import { regionOrder } from "../core/home.ts";
import type { CarrierName } from "../core/names.ts";
import { PROTOCOL_VERSION, type EndedItem, type Envelope, type PlaceAnswer, type PlaceItem, type Placement, type Tally } from "../core/protocol.ts";
import { bootstrapView, isNewer, viewOf, type RegionView, type Snapshot } from "../core/snapshot.ts";
import type { Env, Settings } from "./env.ts";
import { BATCH_MAX, callsEveryMs, Late, OBJECT_ANSWER_MS, within } from "./limits.ts";
import type { RingObject } from "./ring-object.ts";
import { ringStub } from "./stubs.ts";

/** How long asks are gathered into one call by a carrier that has not called lately. */
const GATHER_MS = 2;

interface Ask {
  readonly item: PlaceItem;
  readonly answer: (answer: PlaceAnswer) => void;
}

/** What a carrier says to whoever has the word on its sessions' places. */
export type RingLine = Pick<RingClient, "place" | "ended" | "accepted" | "report" | "over" | "adopt" | "reconfigured" | "saw">;

export class RingClient {
  readonly #env: Env;
  readonly #settings: Settings;
  readonly #carrier: CarrierName;
  readonly #incarnation: string;
  readonly #views = new Map<string, RegionView>();
  /** Asks that make the ring object probe are gathered apart: nobody new waits for a probe. */
  readonly #asks = { fresh: [] as Ask[], doubtful: [] as Ask[] };
  #ended: EndedItem[] = [];
  #accepted: string[] = [];
  #gathering = false;
  #flushedAtMs = 0;
  #seq = 0;
  #largestFence = 0;

  /** `startedAtMs`: when this life of the carrier began; larger than that of any life before it. */
  constructor(env: Env, settings: Settings, carrier: CarrierName, startedAtMs = Date.now()) {
    this.#incarnation = `${String(startedAtMs).padStart(15, "0")}-${crypto.randomUUID()}`;
    this.#env = env;
    this.#settings = settings;
    this.#carrier = carrier;
    this.reconfigured();
  }

  /** The settings say something else: rings that they do not name any more are forgotten, those that are new known as configured. */
  reconfigured(): void {
    const { config } = this.#settings;
    const { pool: id, region: home } = this.#carrier.ring;
    const pool = config.pools[id];
    if (!pool) return;
    const known = new Map(this.#views);
    this.#views.clear();
    for (const region of regionOrder(config, pool, home)) {
      this.#views.set(region, known.get(region) ?? bootstrapView(pool, region, config.configRevision));
    }
  }

  get #spacingMs(): number {
    return callsEveryMs(this.#settings.config.pools[this.#carrier.ring.pool]?.carriers ?? 0);
  }

  /** Where a session goes. Never throws. */
  place(item: PlaceItem): Promise<PlaceAnswer> {
    return new Promise((answer) => {
      (item.excluded.length > 0 ? this.#asks.doubtful : this.#asks.fresh).push({ item, answer });
      this.#gather();
    });
  }

  ended(item: EndedItem): void {
    this.#ended.push(item);
    this.#gather();
  }

  /** An origin has taken a session that was being opened. */
  accepted(keyHash: string): void {
    this.#accepted.push(keyHash);
    this.#gather();
  }

  /** Connections by origin, and what was counted so far; `asleep`: nobody here needs to hear of changes. `false`: it was lost. */
  async report(counts: Readonly<Record<string, number>>, tally: Tally, asleep: boolean): Promise<boolean> {
    return this.#call((stub, envelope) => stub.report(envelope, counts, tally, asleep)).then(
      () => true,
      () => false,
    );
  }

  /** The origin has said so of a session. What is lost here another answer says again. */
  over(item: EndedItem, origin: string): Promise<void> {
    const { pool, region } = this.#carrier.ring;
    return ringStub(this.#env, this.#settings.config, pool, region)
      .endOrder(item, origin)
      .catch(() => undefined);
  }

  adopt(snapshots: readonly Snapshot[]): void {
    for (const snapshot of snapshots) {
      const known = this.#views.get(snapshot.region);
      if (known && isNewer(snapshot, known.snapshot)) this.#views.set(snapshot.region, viewOf(snapshot, known));
    }
  }

  saw(fence: number): void {
    this.#largestFence = Math.max(this.#largestFence, fence);
  }

  #gather(): void {
    if (this.#gathering) return;
    this.#gathering = true;
    setTimeout(
      () => {
        this.#gathering = false;
        this.#flushedAtMs = Date.now();
        this.#flush();
      },
      Math.max(GATHER_MS, this.#flushedAtMs + this.#spacingMs - Date.now()),
    );
  }

  #flush(): void {
    const [ended, accepted] = [this.#ended.splice(0), this.#accepted.splice(0)];
    // Ends first: a session that ended and began again in one batch must not be ended after it was placed.
    if (ended.length + accepted.length > 0) {
      void this.#call((stub, envelope) => stub.ended(envelope, ended, accepted)).catch(() => undefined); // a gap makes the ring object pull
    }
    const over = new Map(ended.map(({ keyHash, fence }) => [keyHash, fence]));
    for (const asks of [this.#asks.fresh, this.#asks.doubtful]) {
      const { moot = [], due = [] } = Object.groupBy(asks.splice(0), ({ item: { keyHash, live } }) =>
        live && live.fence <= (over.get(keyHash) ?? -1) ? "moot" : "due",
      );
      // What a session that is over had asked would bring it back: the ring object believes whoever says that it carries one.
      for (const { item, answer } of moot) answer({ kind: "refused", keyHash: item.keyHash, why: "no-origin", epoch: 0 });
      while (due.length > 0) void this.#ask(due.splice(0, BATCH_MAX));
    }
  }

  async #ask(asks: readonly Ask[]): Promise<void> {
    const items = asks.map((ask) => ask.item);
    let answers: readonly PlaceAnswer[] = [];
    try {
      const call = this.#call((stub, envelope) => stub.place(envelope, items));
      answers = await within(call, OBJECT_ANSWER_MS, "place");
      for (const each of answers) if (each.kind === "placed") this.saw(each.placement.fence);
    } catch (error) {
      // One that is only slow (it may be probing) still has the word: who is somewhere already asks again.
      if (error instanceof Late) return asks.forEach((ask) => ask.answer(meanwhile(ask.item)));
      this.#seq++; // what we decide now the ring object does not know: the gap makes it read our table
      console.error(JSON.stringify({ limpet: "ring-unreachable", ...this.#carrier.ring, slice: this.#carrier.slice, error: String(error) }));
    }
    asks.forEach((ask, index) => ask.answer(answers[index] ?? this.#ownAnswer(ask.item)));
  }

  /** One numbered call; repeated once, with its number, on a new stub: a stub that broke stays broken, and an object that was lost has its next life. */
  async #call<T>(send: (stub: DurableObjectStub<RingObject>, envelope: Envelope) => Promise<T>): Promise<T> {
    const envelope: Envelope = { version: PROTOCOL_VERSION, slice: this.#carrier.slice, incarnation: this.#incarnation, seq: ++this.#seq };
    const { pool, region } = this.#carrier.ring;
    const stub = (): DurableObjectStub<RingObject> => ringStub(this.#env, this.#settings.config, pool, region);
    try {
      return await send(stub(), envelope);
    } catch (error) {
      const { retryable, overloaded, durableObjectReset } = error as { retryable?: boolean; overloaded?: boolean; durableObjectReset?: boolean }; // set by the runtime on its own errors
      if ((retryable !== true && durableObjectReset !== true) || overloaded === true) throw error;
      return send(stub(), envelope);
    }
  }

  /** The decision on our own copy: known sessions go on, a strict pool takes no new ones. */
  #ownAnswer(item: PlaceItem): PlaceAnswer {
    const pool = this.#settings.config.pools[this.#carrier.ring.pool];
    const regions = [...this.#views.values()];
    const epoch = regions[0]?.snapshot.epoch ?? 0;
    const { keyHash, live, claim } = item;
    if (!pool || (pool.stickiness === "strict" && !live)) return { kind: "refused", keyHash, why: "owner-lost", epoch };
    const nowMs = Date.now();
    const decision = decide({
      key: item,
      keyed: item.keyed,
      regions,
      claim: live ? { ...live, from: "connection" } : claim && { ...claim, from: item.learned ? "tag" : "cookie" },
      excluded: new Set(item.excluded),
      policy: pool,
      balance: { kind: "ring" },
      nowMs,
    });
    if (decision.kind === "refused") return { ...decision, keyHash };
    const { origin, region, reason } = decision;
    const stays = live?.origin === origin.id;
    this.saw(Math.max(live?.fence ?? 0, claim?.fence ?? 0));
    this.#largestFence = stays ? this.#largestFence : nextFence(this.#largestFence, nowMs);
    const placement: Placement = {
      keyHash,
      origin: origin.id,
      url: origin.url,
      region,
      epoch: decision.epoch,
      reason,
      fence: stays ? live.fence : this.#largestFence,
      replicas: replicasOf({ key: item, regions, nowMs }, origin.id),
      movedFrom: stays ? undefined : live?.origin,
    };
    return { kind: "placed", placement };
  }
}

function meanwhile({ keyHash, live }: PlaceItem): PlaceAnswer {
  return live ? { kind: "moving", keyHash } : { kind: "refused", keyHash, why: "no-origin", epoch: 0 };
}
