// What a carrier does for a ring whose own carrier cannot be reached: it serves the home ring's placement over a longer leg, and registers nothing. The home
// ring is asked where each session is, and orders it there for a while, so that plain requests and drains know; while it is silent too, KV's
// snapshot and hints say the same. Every few seconds it looks whether the home carrier answers again, or a session belongs elsewhere: its visitors are
// then told to come back.

import { decide, replicasOf } from "../core/decide.ts";
import type { Decision } from "../core/decision.ts";
import { nextFence } from "../core/fence.ts";
import { regionOrder } from "../core/home.ts";
import type { CarrierName } from "../core/names.ts";
import type { EndedItem, FindItem, PlaceAnswer, PlaceItem, Placement } from "../core/protocol.ts";
import { chunks } from "./arrays.ts";
import type { Platform } from "./env.ts";
import { BATCH_MAX, OBJECT_ANSWER_MS, STAND_IN_BACK_SPREAD_MS, STAND_IN_LOOK_MS, STAND_IN_WORD_MS, within } from "./limits.ts";
import { isReached } from "./reach-carrier.ts";
import type { RingLine } from "./ring-client.ts";
import { heldRing, hintOf, knownRing } from "./snapshots.ts";
import { carrierStub, ringStub } from "./stubs.ts";

/** The home carrier has answered so many looks in a row before visitors are sent to it: by then no isolate takes it for lost any more. */
const BACK_AFTER_LOOKS = 2;

interface Held {
  readonly item: PlaceItem;
  readonly placement: Placement;
}

export class StandIn implements RingLine {
  readonly #platform: Platform;
  readonly #home: CarrierName;
  /** Tells a session's visitors to come back. */
  readonly #expel: (keyHash: string) => void;
  readonly #held = new Map<string, Held>();
  #largestFence = 0;
  #answeredCount = 0;
  #silentUntilMs = 0;
  #watching = false;

  constructor(platform: Platform, home: CarrierName, expel: (keyHash: string) => void) {
    this.#platform = platform;
    this.#home = home;
    this.#expel = expel;
  }

  /** Where a session goes. Never throws. */
  async place(item: PlaceItem): Promise<PlaceAnswer> {
    const [answer] = await this.#decideAll([item]);
    if (answer?.kind === "placed") {
      this.#held.set(item.keyHash, { item, placement: answer.placement });
      this.#watch();
    }
    return answer ?? { kind: "refused", keyHash: item.keyHash, why: "no-origin", epoch: 0 };
  }

  ended({ keyHash, fence }: EndedItem): void {
    if ((this.#held.get(keyHash)?.placement.fence ?? Infinity) <= fence) this.#held.delete(keyHash);
  }

  async over(item: EndedItem, origin: string): Promise<void> {
    await this.#ring()
      .endOrder(item, origin)
      .catch(() => undefined); // its origin says it again
  }

  saw(fence: number): void {
    this.#largestFence = Math.max(this.#largestFence, fence);
  }

  /** It is not one of the ring's carriers: nobody there counts on hearing of it. */
  accepted(): void {}
  /** Settings are read when they are needed. */
  reconfigured(): void {}

  adopt(): void {}
  async report(): Promise<boolean> {
    return true;
  }

  #watch(): void {
    if (this.#watching) return;
    this.#watching = true;
    this.#answeredCount = 0;
    const timer = setInterval(() => {
      this.#watching = this.#held.size > 0;
      if (this.#watching) this.#platform.ctx.waitUntil(this.#look());
      else clearInterval(timer);
    }, STAND_IN_LOOK_MS);
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    const { env, settings } = this.#platform;
    const { ring, slice } = this.#home;
    this.#answeredCount = (await isReached(carrierStub(env, settings.config, ring, slice))) ? this.#answeredCount + 1 : 0;
    if (this.#answeredCount >= BACK_AFTER_LOOKS) return this.#sendBack([...this.#held.keys()]);
    for (const some of chunks([...this.#held.values()], BATCH_MAX)) {
      const answers = await this.#decideAll(some.map(({ item, placement }) => ({ ...item, live: placement, excluded: [] })));
      const elsewhere = some.filter(({ placement }, index) => {
        const answer = answers[index];
        return this.#isHeld(placement) && answer?.kind === "placed" && answer.placement.origin !== placement.origin;
      });
      this.#sendBack(elsewhere.map(({ item }) => item.keyHash));
    }
  }

  /** Not all in the same moment. */
  #sendBack(keyHashes: readonly string[]): void {
    for (const keyHash of keyHashes) setTimeout(() => this.#expel(keyHash), Math.random() * STAND_IN_BACK_SPREAD_MS);
  }

  #isHeld({ keyHash, fence }: Placement): boolean {
    return this.#held.get(keyHash)?.placement.fence === fence;
  }

  async #decideAll(items: readonly PlaceItem[]): Promise<PlaceAnswer[]> {
    const decisions = await this.#askHome(items).catch((error: unknown) => {
      const isNews = Date.now() >= this.#silentUntilMs;
      this.#silentUntilMs = Date.now() + STAND_IN_LOOK_MS;
      if (isNews)
        console.error(
          JSON.stringify({
            limpet: "ring-unreachable",
            ...this.#home.ring,
            slice: this.#home.slice,
            standIn: this.#home.standIn,
            error: String(error),
          }),
        );
      return undefined;
    });
    return Promise.all(items.map(async (item, index) => this.#answer(item, decisions?.[index] ?? (await this.#decide(item)))));
  }

  /** The home ring's word; one that has to probe an origin first is given the time. `undefined`: it was silent a moment ago. */
  async #askHome(items: readonly PlaceItem[]): Promise<Decision[] | undefined> {
    if (Date.now() < this.#silentUntilMs) return undefined;
    const asked = items.map(({ keyHash, position, lot, keyed, learned, live, claim, excluded }): FindItem => {
      return { keyHash, position, lot, keyed, learned, claim: live ? { origin: live.origin, fence: live.fence } : claim, excluded };
    });
    const isDoubtful = asked.some(({ excluded }) => excluded.length > 0);
    const answer = async (): Promise<Decision[]> => this.#ring().standIn(asked);
    return within(answer(), isDoubtful ? OBJECT_ANSWER_MS : STAND_IN_WORD_MS, "stand-in");
  }

  /** As every Worker decides on a plain request. */
  async #decide({ keyHash, keyed, live, claim, excluded, learned, ...key }: PlaceItem): Promise<Decision> {
    const { config } = this.#platform.settings;
    const { pool: poolId, region } = this.#home.ring;
    const pool = config.pools[poolId];
    if (!pool || (pool.stickiness === "strict" && !live)) return { kind: "refused", why: "owner-lost", epoch: 0, passed: [] };
    const known = await Promise.all(regionOrder(config, pool, region).map((each) => knownRing(this.#platform, pool, each)));
    const [home] = known;
    const hint = home && hintOf(pool, region, home, keyHash);
    return decide({
      key,
      keyed,
      regions: known.map(({ view }) => view),
      pin: hint && hint.fence >= (live?.fence ?? claim?.fence ?? 0) ? hint : undefined,
      claim: live ? { ...live, from: "connection" } : claim && { ...claim, from: learned ? "tag" : "cookie" },
      excluded: new Set(excluded),
      policy: pool,
      balance: { kind: "ring" },
      nowMs: Date.now(),
    });
  }

  #answer(item: PlaceItem, decision: Decision): PlaceAnswer {
    const { keyHash, live } = item;
    if (decision.kind === "refused") return { kind: "refused", keyHash, why: decision.why, epoch: decision.epoch };
    const { origin, region, epoch, reason } = decision;
    const stays = live?.origin === origin.id;
    this.saw(Math.max(live?.fence ?? 0, item.claim?.fence ?? 0, decision.fence ?? 0));
    const fence = decision.fence ?? (stays ? live.fence : (this.#largestFence = nextFence(this.#largestFence, Date.now())));
    const { config } = this.#platform.settings;
    const pool = config.pools[this.#home.ring.pool];
    const held = pool ? regionOrder(config, pool, this.#home.ring.region).flatMap((each) => heldRing(this.#platform, pool, each)?.view ?? []) : [];
    const replicas = replicasOf({ key: item, regions: held, nowMs: Date.now() }, origin.id);
    const movedFrom = stays ? undefined : live?.origin;
    return { kind: "placed", placement: { keyHash, origin: origin.id, url: origin.url, region, epoch, reason, fence, replicas, movedFrom } };
  }

  #ring(): ReturnType<typeof ringStub> {
    const { env, settings } = this.#platform;
    return ringStub(env, settings.config, this.#home.ring.pool, this.#home.ring.region);
  }
}
