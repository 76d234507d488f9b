// The control object: the one place where a running router's configuration is changed. What is applied is on its disk first, with who did it and
// whom it has still to tell; then KV has it, for Workers, and every ring object, which tells its carriers. An alarm goes on until all have it,
// whatever this object dies of meanwhile. What must stay true: a revision is given out once, and each is larger than every one before it.

import { DurableObject } from "cloudflare:workers";
import { prevails, type AppliedConfig, type AuditRow, type RetiredRing, type Revision } from "../core/applied-config.ts";
import { changesBetween, withoutSeeds, withSeedsOf, type ConfigChange } from "../core/config-diff.ts";
import type { ConfigFault } from "../core/config-faults.ts";
import type { Config } from "../core/config-types.ts";
import { ringsOf } from "../core/home.ts";
import { CONFIG_KV_KEY } from "../core/names.ts";
import { chunks } from "./arrays.ts";
import { ControlStore, toApplied } from "./control-store.ts";
import { ConfigFaults, SettingsFault, type Env, type SettingsSource } from "./env.ts";
import { OBJECT_ANSWER_MS, within } from "./limits.ts";
import type { ConfigPlan } from "./ring-config.ts";
import { ringStub } from "./stubs.ts";

/** An object that dies with somebody still to be told goes on then. */
const RETRY_MS = 1_000;
const RETRY_MAX_MS = 30_000;
/** KV takes one write a second of a key. */
const KV_EVERY_MS = 1_000;
const TELL_AT_ONCE = 50;
const LOOK_AT_RETIRED_MS = 10_000;
/** Of those that somebody gives: a slip of the pen must leave larger ones for whatever comes after it. */
const GIVEN_REVISION_MAX = 2 ** 52;
/** The outbox's name of KV; a ring's is `pool@region`. */
const KV = "kv";

export interface ConfigOrder {
  /** The revision that is to hold when it is changed; `undefined`: any. */
  readonly ifMatch: number | undefined;
  readonly by: string;
  readonly why: string | undefined;
}

/** What holds now, as written; seeds are left out. */
export interface ConfigView {
  readonly revision: number;
  readonly source: "bundle" | "applied";
  readonly config: string;
  /** Those that held, the newest first; which of them is the present one their revision says. */
  readonly revisions: readonly Omit<Revision, "text" | "bundleHash">[];
  /** Who has still to be told: `kv`, or a ring. */
  readonly pending: readonly string[];
  readonly rings: readonly RetiredRing[];
  readonly retired: readonly RetiredRing[];
}

export type ConfigAnswer =
  | { readonly kind: "applied"; readonly revision: number; readonly changes: readonly ConfigChange[] }
  | { readonly kind: "planned"; readonly revision: number; readonly changes: readonly ConfigChange[]; readonly plan: readonly RingPlan[] }
  /** Another one holds than the one that was named. */
  | { readonly kind: "stale"; readonly revision: number }
  | { readonly kind: "conflict"; readonly why: string }
  | { readonly kind: "faulty"; readonly faults: readonly ConfigFault[] };

export type RingPlan = ConfigPlan | (RetiredRing & { readonly unreachable: true });

/** What is to be changed, checked. */
interface Draft {
  readonly text: string;
  readonly revision: number;
  readonly config: Config;
  readonly changes: readonly ConfigChange[];
}

export class ControlObject extends DurableObject<Env> {
  readonly #source: SettingsSource;
  readonly #store: ControlStore;
  #publishing = false;
  #failures = 0;
  #kvWrittenAtMs = -Infinity;
  #lookAtRetiredMs = 0;

  constructor(ctx: DurableObjectState, env: Env, source: SettingsSource) {
    super(ctx, env);
    this.#source = source;
    this.#store = new ControlStore(ctx.storage.sql);
  }

  /** The newest that was applied, for objects that were not told. */
  async current(): Promise<AppliedConfig | undefined> {
    const applied = this.#store.applied();
    return applied && toApplied(applied, this.#store.retired());
  }

  async view(): Promise<ConfigView> {
    const { revision, source, text } = this.#present();
    return {
      revision,
      source,
      config: JSON.stringify(withoutSeeds(JSON.parse(text))),
      revisions: this.#store.revisions().map(({ text: _text, bundleHash: _hash, ...each }) => each),
      pending: [...this.#store.outbox().keys()],
      rings: ringsOf(this.#source.read(text, this.env).config),
      retired: this.#store.retired(),
    };
  }

  /** Changes the configuration; `dryRun`: only says what would change. `text`: JSON; a seed that says that it is kept is. */
  async put(text: string, order: ConfigOrder, dryRun = false): Promise<ConfigAnswer> {
    const present = this.#present();
    if (order.ifMatch !== undefined && order.ifMatch !== present.revision) return { kind: "stale", revision: present.revision };
    const given: unknown = JSON.parse(text);
    // What holds already, by its own revision: given twice it is the same order.
    if (isOf(present.revision, given) && changesBetween(JSON.parse(present.text), withSeedsOf(JSON.parse(present.text), given)).length === 0) {
      return { kind: dryRun ? "planned" : "applied", revision: present.revision, changes: [], plan: [] };
    }
    const draft = this.#draft(given, present);
    if ("kind" in draft) return draft;
    if (dryRun) {
      return { kind: "planned", revision: draft.revision, changes: draft.changes, plan: await this.#plan(draft, present) };
    }
    return this.#take(draft, present, "apply", order);
  }

  /** What held before the present one holds again, under a new revision. Of an undo: what was undone. */
  async undo(order: ConfigOrder): Promise<ConfigAnswer> {
    const present = this.#present();
    if (order.ifMatch !== undefined && order.ifMatch !== present.revision) return { kind: "stale", revision: present.revision };
    const previous = this.#store.previous();
    if (present.source === "bundle" || !previous)
      return { kind: "conflict", why: `Revision ${present.revision} came with the Worker: there is nothing applied that could be undone.` };
    const { configRevision: _, ...raw } = JSON.parse(previous.text) as Record<string, unknown>; // checked when it was taken
    const draft = this.#draft(raw, present);
    if ("kind" in draft) return draft;
    return this.#take(draft, present, "undo", { ...order, why: order.why ?? `back to what revision ${previous.revision} said` });
  }

  /** The newest changes, newest first. */
  async audit(limit: number): Promise<AuditRow[]> {
    return this.#store.newest(limit);
  }

  /** The oldest changes after one of them, and the newest one's number. */
  async journal(after: number, limit: number): Promise<{ readonly entries: readonly AuditRow[]; readonly lastSeq: number }> {
    return { entries: this.#store.audit(after, limit), lastSeq: this.#store.newest(1)[0]?.seq ?? 0 };
  }

  override async alarm(): Promise<void> {
    await this.#publish();
    await this.#lookAtRetired();
  }

  /** What holds: what was applied, or the bundle's. One that this code cannot read holds nowhere. */
  #present(): Revision {
    const bundle = this.#source.bundle(this.env);
    const applied = this.#store.applied();
    const { dev } = this.#source.bundled(this.env);
    if (applied && prevails(toApplied(applied, []), bundle, dev) && this.#isReadable(applied)) return applied;
    return { revision: bundle.revision, text: bundle.text, source: "bundle", bundleHash: bundle.hash, atMs: 0, who: "bundle", why: undefined };
  }

  #isReadable({ text, revision }: Revision): boolean {
    try {
      return this.#source.read(text, this.env) !== undefined;
    } catch (error) {
      console.error(JSON.stringify({ limpet: "config-unreadable", revision, error: String(error) }));
      return false;
    }
  }

  /** A revision above the bundle's and every one that was ever applied: an object that holds one would not take it for newer. */
  #nextRevision(): number {
    return Math.max(this.#source.bundle(this.env).revision, this.#store.applied()?.revision ?? 0) + 1;
  }

  #draft(given: unknown, present: Revision): Draft | Exclude<ConfigAnswer, { kind: "applied" | "planned" }> {
    const known: unknown = JSON.parse(present.text);
    const next = this.#nextRevision();
    const seeded = withSeedsOf(known, given);
    const isRecord = typeof seeded === "object" && seeded !== null && !Array.isArray(seeded);
    const raw = isRecord ? { configRevision: next, ...seeded } : seeded;
    const text = JSON.stringify(raw);
    try {
      const { config } = this.#source.read(text, this.env);
      const { configRevision: given } = config;
      const why =
        given === next || (given > next && given <= GIVEN_REVISION_MAX)
          ? this.#refusal(config, present)
          : `configRevision must be at least ${next} and at most ${GIVEN_REVISION_MAX}, or left out.`;
      if (why !== undefined) return { kind: "conflict", why };
      return { text, revision: config.configRevision, config, changes: changesBetween(known, raw) };
    } catch (error) {
      if (error instanceof ConfigFaults) return { kind: "faulty", faults: error.faults };
      if (error instanceof SettingsFault) return { kind: "faulty", faults: [{ path: "", message: error.message }] };
      throw error;
    }
  }

  /** What cannot change while sessions are live: which carrier a key is at, and where it stands. */
  #refusal({ pools, regions }: Config, present: Revision): string | undefined {
    const { config: known } = this.#source.read(present.text, this.env);
    for (const { pool, region } of [...ringsOf(known), ...this.#store.retired()]) {
      const jurisdiction = known.regions[region]?.jurisdiction;
      if (jurisdiction !== regions[region]?.jurisdiction)
        return `regions.${region} cannot get another jurisdiction, or leave with the one that it has, while pool ${pool} has anybody there: its objects are found by it. Take the pool's origins there out first.`;
    }
    for (const before of Object.values(known.pools)) {
      const after = Object.hasOwn(pools, before.id) ? pools[before.id] : undefined;
      if (!after) continue;
      if (after.carriers !== before.carriers)
        return `pools.${before.id}.carriers is ${before.carriers} and cannot change while the router runs: each key has its carrier by it. Make a new pool, or deploy it while no session is live.`;
      if (after.pointSecret?.join() !== before.pointSecret?.join())
        return `pools.${before.id}.seed cannot change while the router runs: nearly every key would go to another origin and carrier. Make a new pool, or deploy it while no session is live.`;
    }
    return undefined;
  }

  /** In one turn: the configuration, its audit and whom it has to be told to are on disk together, or nothing is. */
  #take({ text, revision, config, changes }: Draft, present: Revision, what: AuditRow["what"], { by, why }: ConfigOrder): ConfigAnswer {
    const atMs = Date.now();
    const rings = ringsOf(config);
    const before = ringsOf(this.#source.read(present.text, this.env).config);
    this.ctx.storage.transactionSync(() => {
      if (present.source === "bundle") this.#store.add({ ...present, atMs });
      this.#store.add({ revision, text, source: "applied", bundleHash: this.#source.bundle(this.env).hash, atMs, who: by, why });
      this.#store.note({ atMs, who: by, what, revision, why, changes });
      for (const ring of before) this.#store.setRetired(ring, true);
      for (const ring of rings) this.#store.setRetired(ring, false);
      for (const ring of [...rings, ...this.#store.retired()]) this.#store.owe(targetOf(ring), revision);
      this.#store.owe(KV, revision);
    });
    this.#lookAtRetiredMs = atMs + LOOK_AT_RETIRED_MS;
    this.ctx.waitUntil(this.ctx.storage.setAlarm(atMs + RETRY_MS));
    this.ctx.waitUntil(this.#publish());
    return { kind: "applied", revision, changes };
  }

  /** Tells everybody who has not been told: KV first, so that a Worker that hears of it from a ring finds it there. Never rejects. */
  async #publish(): Promise<void> {
    if (this.#publishing) return; // who came since is told by the alarm
    this.#publishing = true;
    try {
      const owed = this.#store.outbox();
      if (owed.size === 0) return;
      const applied = await this.current();
      if (!applied) return;
      if (owed.delete(KV)) await this.#attempt(KV, applied.revision, this.#writeKv(applied));
      for (const some of chunks([...owed.keys()], TELL_AT_ONCE)) {
        await Promise.all(some.map((target) => this.#attempt(target, applied.revision, this.#tell(target, applied))));
      }
    } finally {
      this.#publishing = false;
      const left = this.#store.outbox().size;
      this.#failures = left > 0 ? this.#failures + 1 : 0;
      const retryMs = Math.min(RETRY_MAX_MS, RETRY_MS * 2 ** Math.min(10, this.#failures - 1));
      if (left > 0) await this.ctx.storage.setAlarm(Date.now() + retryMs);
      else if (this.#store.retired().length > 0) await this.ctx.storage.setAlarm(Date.now() + LOOK_AT_RETIRED_MS);
    }
  }

  async #attempt(target: string, revision: number, work: Promise<void>): Promise<void> {
    try {
      await work;
      this.#store.told(target, revision);
    } catch (error) {
      console.error(JSON.stringify({ limpet: "config-not-told", target, revision, error: String(error) }));
    }
  }

  async #writeKv(applied: AppliedConfig): Promise<void> {
    const waitMs = this.#kvWrittenAtMs + KV_EVERY_MS - Date.now();
    if (waitMs > 0) throw new Error("KV was written a moment ago");
    this.#kvWrittenAtMs = Date.now();
    await this.env.AFFINITY.put(CONFIG_KV_KEY, JSON.stringify(applied));
  }

  async #tell(target: string, applied: AppliedConfig): Promise<void> {
    const [pool = "", region = ""] = target.split("@");
    await within(this.#ring({ pool, region }).applyConfig(applied), OBJECT_ANSWER_MS, `ring ${target}`);
  }

  #ring({ pool, region }: RetiredRing): ReturnType<typeof ringStub> {
    return ringStub(this.env, this.#source.read(this.#present().text, this.env).config, pool, region);
  }

  /** Those that are empty need not be found any more. */
  async #lookAtRetired(): Promise<void> {
    const retired = this.#store.retired();
    if (retired.length === 0 || Date.now() < this.#lookAtRetiredMs) return;
    const answers = await Promise.allSettled(retired.map((ring) => within(this.#ring(ring).isEmpty(), OBJECT_ANSWER_MS, "retired ring")));
    const empty = retired.filter((_, index) => answers[index]?.status === "fulfilled" && answers[index].value);
    for (const ring of empty) this.#store.setRetired(ring, false);
    const applied = this.#store.applied();
    if (empty.length > 0 && applied) this.#store.owe(KV, applied.revision);
    await this.ctx.storage.setAlarm(Date.now() + (empty.length > 0 ? RETRY_MS : LOOK_AT_RETIRED_MS));
  }

  /** Of the rings that there are; what is new has nothing to move. */
  async #plan({ text }: Draft, present: Revision): Promise<RingPlan[]> {
    const rings = ringsOf(this.#source.read(present.text, this.env).config);
    return Promise.all(
      rings.map((ring) =>
        within(this.#ring(ring).planConfig(text), OBJECT_ANSWER_MS, "plan").catch((): RingPlan => ({ ...ring, unreachable: true })),
      ),
    );
  }
}

function isOf(revision: number, given: unknown): boolean {
  return typeof given === "object" && given !== null && "configRevision" in given && given.configRevision === revision;
}

function targetOf({ pool, region }: RetiredRing): string {
  return `${pool}@${region}`;
}
