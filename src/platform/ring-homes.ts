// Which region a session belongs to while the pool's regions change: a key whose home is another one now may have its session live at the one before.
// Before a ring first places such a key it asks the ring there, which either has the session or gives it away: it then sends on whoever comes to it
// by the former configuration. What must stay true: of two rings that ask each other for one key, one is told that it is the other's.

import { poolRegions, rendezvous } from "../core/home.ts";
import type { GivenAnswer, PlaceItem, StrayList } from "../core/protocol.ts";
import {
  firstTransition,
  formerRegions,
  otherHomes,
  stillRemembered,
  withRegions,
  withTold,
  type RegionSet,
  type Transition,
} from "../core/transition.ts";
import type { Env } from "./env.ts";
import { Gatherer } from "./gatherer.ts";
import { GATHER_GUESTS_MS, GIVEN_MAX, HINTS_MAX, HOME_ANSWER_MS, HOME_SILENT_MS, PULL_TIMEOUT_MS, STRAYS_EVERY_MS, within } from "./limits.ts";
import type { RingState } from "./ring-state.ts";
import type { RingStore } from "./ring-store.ts";
import { ringStub } from "./stubs.ts";

export type Owner =
  | { readonly kind: "ours" }
  | { readonly kind: "elsewhere"; readonly region: string }
  /** Its former home does not say whether it is there, and nobody is placed on a guess here. */
  | { readonly kind: "silent" };

type Word = GivenAnswer | { readonly kind: "silent" };

const OURS: Owner = { kind: "ours" };

export class Homes {
  readonly #env: Env;
  readonly #state: RingState;
  readonly #store: RingStore;
  #known: Transition;
  /** Sessions that another region's ring may place, and this one not; what is over first stands first. */
  readonly #given: Map<string, { readonly region: string; readonly untilMs: number }>;
  readonly #asking = new Map<string, Asking>();
  /** Sessions that are being placed here, and how often. */
  readonly #taking = new Map<string, number>();
  readonly #asks: Gatherer<string, Word>;
  readonly #silentUntilMs = new Map<string, number>();
  #notBeforeMs = 0;

  constructor(env: Env, state: RingState, store: RingStore) {
    this.#env = env;
    this.#state = state;
    this.#store = store;
    this.#given = store.side.given();
    const text = store.text("regions");
    this.#known = text === undefined ? firstTransition(this.#regions(), this.#own, !state.isReborn) : (JSON.parse(text) as Transition); // written below
    if (text === undefined) this.#write(this.#known);
    this.#asks = new Gatherer(GATHER_GUESTS_MS, (region, keyHashes) => this.#ask(region, keyHashes));
    this.reconfigured();
  }

  get #own(): string {
    return this.#state.name.region;
  }

  #regions(): RegionSet {
    return poolRegions(this.#state.config, this.#state.name.pool);
  }

  /** The configuration may have other regions, or other weights. */
  reconfigured(): void {
    const nowMs = Date.now();
    this.#take(stillRemembered(withRegions(this.#known, this.#regions(), nowMs, this.#lifeMs), nowMs));
  }

  get #lifeMs(): number {
    return this.#state.pool.session.maxLifeMs;
  }

  /** Other regions whose rings may have sessions of ours, or did until lately. */
  get formerRegions(): string[] {
    this.#take(stillRemembered(this.#known, Date.now()));
    return formerRegions(this.#known, this.#own);
  }

  /** What a newborn ring of the pool asks. */
  get told(): Pick<Transition, "now" | "before"> {
    return { now: this.#known.now, before: this.#known.before };
  }

  /** A newborn ring asks the others, until each has told what it knows of the time before. Never rejects. */
  async hear(): Promise<void> {
    const { config, name } = this.#state;
    this.#notBeforeMs = Date.now() + this.#everyMs;
    await Promise.allSettled(
      this.#known.untold.map(async (region) => {
        const told = await within(ringStub(this.#env, config, name.pool, region).regions(), PULL_TIMEOUT_MS, "regions");
        this.#take(withTold(this.#known, region, told, Date.now(), this.#lifeMs));
      }),
    );
  }

  get hasToHear(): boolean {
    return this.#known.untold.length > 0;
  }

  /** When `run` has something to do; Infinity where no session lives elsewhere. */
  get nextDueAtMs(): number {
    return this.hasToHear || this.#known.before.length > 0 ? this.#notBeforeMs : Infinity;
  }

  get #everyMs(): number {
    return Math.min(STRAYS_EVERY_MS, this.#state.pool.horizonMs / 4);
  }

  /** At each tick of the ring object's clock: what was not heard, and which sessions of ours live on at other homes. Never rejects. */
  async run(nowMs: number): Promise<void> {
    if (nowMs < this.nextDueAtMs) return;
    this.#notBeforeMs = nowMs + this.#everyMs;
    const former = this.formerRegions;
    this.#state.strays.keepOnly(former);
    await Promise.all([this.hear(), ...former.map((region) => this.#findStrays(region))]);
  }

  async #findStrays(region: string): Promise<void> {
    const { config, name, strays } = this.#state;
    const asked = async (): Promise<StrayList> => ringStub(this.#env, config, name.pool, region).strays(name.region, this.#known.now);
    const told = await within(asked(), PULL_TIMEOUT_MS, "strays").catch(() => undefined); // it is asked again
    if (told) strays.take(region, told.strays, told.partial === true);
  }

  /** Our live sessions whose home another region is, by the regions as that one has them. */
  straysOf(region: string, regions: RegionSet, complete: boolean): StrayList {
    const rows = this.#state.live.rows((row) => row.drawn === true && row.keyed && !row.opening && rendezvous(regions, row.lot) === region);
    const newest = rows.length <= HINTS_MAX ? rows : rows.toSorted((a, b) => b.fence - a.fence).slice(0, HINTS_MAX);
    return {
      strays: newest.map(({ keyHash, origin, region: at, fence }) => ({ keyHash, origin, region: at, fence })),
      ...(!complete && { partial: true }),
    };
  }

  /** Who would have arbitrated a session of `home: "first"` before the regions changed. */
  formerArbiters(lot: number): string[] {
    return otherHomes({ ...this.#known, now: [] }, lot, this.#own, Date.now());
  }

  /** Whose sessions these are. Those that are ours are taken: no other ring is given them until `placed`. Never rejects. */
  owners(items: readonly PlaceItem[]): Promise<readonly Owner[]> {
    return Promise.all(items.map(async (item) => this.#ownerOf(item)));
  }

  /** They have a place now, or none. */
  placed(items: readonly Pick<PlaceItem, "keyHash">[]): void {
    for (const { keyHash } of items) {
      const count = (this.#taking.get(keyHash) ?? 0) - 1;
      if (count > 0) this.#taking.set(keyHash, count);
      else this.#taking.delete(keyHash);
    }
  }

  #ownerOf(item: PlaceItem): Owner | Promise<Owner> {
    const { keyHash, lot, drawn, live } = item;
    const given = this.#givenTo(keyHash);
    const isHere = live !== undefined || this.#state.live.get(keyHash) !== undefined;
    if (!drawn || isHere) return this.#taken(keyHash);
    if (given !== undefined) return { kind: "elsewhere", region: given };
    const others = otherHomes(this.#known, lot, this.#own, Date.now());
    if (others.length === 0) return this.#taken(keyHash);
    const asking = this.#asking.get(keyHash) ?? this.#askAll(keyHash, others);
    asking.waiting++;
    return asking.owner;
  }

  #taken(keyHash: string, count = 1): Owner {
    this.#taking.set(keyHash, (this.#taking.get(keyHash) ?? 0) + count);
    return OURS;
  }

  #askAll(keyHash: string, regions: readonly string[]): Asking {
    const words = Promise.all(regions.map(async (region) => ({ region, word: await this.#asks.ask(region, keyHash) })));
    const owner = words.then((said) => {
      this.#asking.delete(keyHash);
      const judged = this.#judge(keyHash, said);
      return judged.kind === "ours" ? this.#taken(keyHash, asking.waiting) : judged; // in this turn: nobody else is given it before they hear
    });
    const asking: Asking = { waiting: 0, owner };
    this.#asking.set(keyHash, asking);
    return asking;
  }

  #judge(keyHash: string, said: readonly { readonly region: string; readonly word: Word }[]): Owner {
    for (const { word } of said) if (word.kind === "yours") this.#state.fence(word.fence);
    const given = this.#givenTo(keyHash); // it was asked for meanwhile
    if (given !== undefined) return { kind: "elsewhere", region: given };
    for (const { region, word } of said) {
      if (word.kind === "here") return { kind: "elsewhere", region };
      if (word.kind === "elsewhere" && word.region !== this.#own) return { kind: "elsewhere", region: word.region };
    }
    const isSilent = said.some(({ word }) => word.kind === "silent" || word.kind === "unknown");
    // One that was here until now is ours, and who prefers an origin to none has it.
    if (isSilent && this.#state.isNew(keyHash) && this.#state.pool.stickiness === "strict") return { kind: "silent" };
    if (!isSilent) this.#state.strays.forget(keyHash);
    return OURS;
  }

  // — asked by other rings —

  /** `complete`: all of our own carriers were read; else what is not known here may be here all the same. */
  give(keyHashes: readonly string[], asker: string, complete: boolean): GivenAnswer[] {
    return keyHashes.map((keyHash): GivenAnswer => {
      const isHere = this.#state.live.get(keyHash) !== undefined || this.#taking.has(keyHash) || this.#state.pinOf(keyHash) !== undefined;
      if (isHere) return { kind: "here" };
      if (!complete) return { kind: "unknown" };
      if (this.#asking.has(keyHash) && this.#own < asker) return { kind: "here" }; // both ask each other: one of them must have it
      const given = this.#givenTo(keyHash);
      if (given !== undefined && given !== asker) return { kind: "elsewhere", region: given };
      this.#giveTo(keyHash, asker);
      return { kind: "yours", fence: this.#state.fence() };
    });
  }

  #givenTo(keyHash: string): string | undefined {
    const given = this.#given.get(keyHash);
    return given && given.untilMs > Date.now() ? given.region : undefined;
  }

  /** For so long somebody may come by the former configuration: Workers have the new one within a horizon. */
  #giveTo(keyHash: string, region: string): void {
    const nowMs = Date.now();
    this.#set(keyHash, undefined); // the newest stands last
    for (const [old, { untilMs }] of this.#given) {
      if (untilMs > nowMs && this.#given.size < GIVEN_MAX) break;
      if (untilMs > nowMs) console.error(JSON.stringify({ limpet: "given-full", ...this.#state.name, forgotten: old }));
      this.#set(old, undefined);
    }
    this.#set(keyHash, { region, untilMs: nowMs + 2 * this.#state.pool.horizonMs });
  }

  #set(keyHash: string, given: { readonly region: string; readonly untilMs: number } | undefined): void {
    if (given) this.#given.set(keyHash, given);
    else if (!this.#given.delete(keyHash)) return;
    this.#store.side.setGiven(keyHash, given);
  }

  /** Never rejects. One that was silent is left alone for a moment. */
  async #ask(region: string, keyHashes: readonly string[]): Promise<Word[]> {
    const { config, name } = this.#state;
    const asked = async (): Promise<Word[]> => ringStub(this.#env, config, name.pool, region).given(keyHashes, this.#own);
    if (Date.now() >= (this.#silentUntilMs.get(region) ?? 0)) {
      try {
        // An object that was lost has its next life: to be asked twice is as to be asked once.
        return await within(asked().catch(asked), HOME_ANSWER_MS, "given");
      } catch (error) {
        this.#silentUntilMs.set(region, Date.now() + HOME_SILENT_MS);
        console.error(JSON.stringify({ limpet: "former-home-silent", ...name, former: region, error: String(error) }));
      }
    }
    return keyHashes.map(() => ({ kind: "silent" }));
  }

  #take(next: Transition): void {
    if (next === this.#known) return;
    this.#known = next;
    this.#write(next);
  }

  #write(known: Transition): void {
    this.#store.set("regions", JSON.stringify(known));
  }
}

/** A question under way, and how many sessions' placements wait for it. */
interface Asking {
  waiting: number;
  readonly owner: Promise<Owner>;
}
