// Snapshots in a Worker: isolate memory ← KV ← ring object ← configuration. Never backwards in epoch; snapshot and hints only as a pair
// of one version. Within an isolate results are shared, promises never: awaiting what another request began can hang.

import { hintsKvKey, snapshotKvKey } from "../core/names.ts";
import type { Pool } from "../core/config-types.ts";
import type { Holding } from "../core/situation.ts";
import { bootstrapView, decodeHints, decodeSnapshot, isNewer, viewOf, type Hints, type RegionView, type Snapshot } from "../core/snapshot.ts";
import type { Env, Platform, Settings } from "./env.ts";
import { within } from "./limits.ts";
import type { Published } from "./ring-publisher.ts";
import { ringStub } from "./stubs.ts";

/** One ring as this isolate knows it. */
export interface KnownRing {
  readonly view: RegionView;
  /** Sessions that are not where the ring says: key hash → origin and fence. */
  readonly hints: ReadonlyMap<string, Holding>;
  /** `false`: of a session that is not among the hints the ring object must be asked. */
  readonly complete: boolean;
  readonly confirmedAtMs: number;
  /** Who answered for it this time. */
  readonly layer: Layer;
}

export type Layer = "memory" | "kv" | "ring" | "config";

interface Entry {
  held: KnownRing | undefined;
  /** Places that the ring object has told this isolate, until its snapshots tell them too. */
  readonly told: Map<string, Holding & { readonly untilMs: number }>;
  /** The last time that neither KV nor the ring object gave anything to go by. */
  failedAtMs: number;
  /** Until then a background read is thought to be under way; one that was cut off with its request counts for nothing after. */
  refreshingUntilMs: number;
}

const entries = new Map<string, Entry>();

let newestRevision = 0;

/** This isolate was told that a configuration holds, by a ring or an operator. */
export function heardOfRevision(revision: number): void {
  newestRevision = Math.max(newestRevision, revision);
}

/** The newest of those. */
export function newestConfigRevision(): number {
  return newestRevision;
}

const REFRESHING_MS = 10_000;
/** After a failure nobody tries again for this long: what is held is served. */
const RETRY_MS = 1_000;
const KV_TIMEOUT_MS = 2_000;
const RING_TIMEOUT_MS = 4_000;

/** A ring as this isolate holds it, confirmed within a quarter of the pool's horizon; past half of that one background read confirms it again. */
export function heldRing({ env, ctx, settings }: Platform, pool: Pool, region: string): KnownRing | undefined {
  const entry = entryOf(pool.id, region);
  const nowMs = Date.now();
  const ageMs = entry.held ? nowMs - entry.held.confirmedAtMs : Infinity;
  if (entry.held && nowMs - entry.failedAtMs < RETRY_MS) return entry.held;
  if (!entry.held || ageMs > pool.horizonMs / 4) return undefined;
  if (ageMs > pool.horizonMs / 8 && nowMs >= entry.refreshingUntilMs) {
    entry.refreshingUntilMs = nowMs + REFRESHING_MS;
    ctx.waitUntil(refresh(env, settings, pool, region).finally(() => (entry.refreshingUntilMs = 0)));
  }
  return entry.held;
}

/** The same, or what KV or the ring object says. */
export async function knownRing(platform: Platform, pool: Pool, region: string): Promise<KnownRing> {
  return heldRing(platform, pool, region) ?? refresh(platform.env, platform.settings, pool, region);
}

/** Takes over what KV or a ring object answered, and confirms what is held where that is as new. */
export function learn({ snapshot, hints }: Published, layer: Layer): KnownRing {
  heardOfRevision(snapshot.configRevision);
  const entry = entryOf(snapshot.pool, snapshot.region);
  const { held } = entry;
  const confirmedAtMs = Date.now();
  if (!held || isNewer(snapshot, held.view.snapshot)) {
    entry.held = { view: viewOf(snapshot, held?.view), hints: hintMap(hints), complete: hints.complete, confirmedAtMs, layer: "memory" };
  } else if (!isNewer(held.view.snapshot, snapshot)) {
    entry.held = { ...held, confirmedAtMs };
  }
  entry.failedAtMs = -Infinity;
  return { ...(entry.held ?? bootstrapped(viewOf(snapshot))), layer };
}

/** As many places are remembered; one more, and the oldest is forgotten: its origin says again where the session is. */
const TOLD_MAX = 1_000;

/** Remembers a place that the ring object told, for as long as a snapshot may not know it. */
export function remember(pool: Pool, region: string, keyHash: string, { origin, fence }: Holding): void {
  const { told } = entryOf(pool.id, region);
  told.delete(keyHash);
  told.set(keyHash, { origin, fence, untilMs: Date.now() + pool.horizonMs });
  const [oldest] = told.keys();
  if (told.size > TOLD_MAX && oldest !== undefined) told.delete(oldest);
}

export function forget(pool: Pool, region: string, keyHash: string): void {
  entryOf(pool.id, region).told.delete(keyHash);
}

/** Whether anybody of this ring may be elsewhere than it says: only then a session's key hash is of use. */
export function mayBeElsewhere(pool: Pool, region: string, { hints, complete }: KnownRing): boolean {
  return hints.size > 0 || !complete || entryOf(pool.id, region).told.size > 0;
}

/** The newest place that is known of a session that may not be where the ring says. */
export function hintOf(pool: Pool, region: string, { hints }: KnownRing, keyHash: string): Holding | undefined {
  const { told } = entryOf(pool.id, region);
  const [hint, word] = [hints.get(keyHash), told.get(keyHash)];
  if (word && word.untilMs > Date.now() && word.fence > (hint?.fence ?? 0)) return word;
  if (word) told.delete(keyHash);
  return hint;
}

async function refresh(env: Env, settings: Settings, pool: Pool, region: string): Promise<KnownRing> {
  const entry = entryOf(pool.id, region);
  const fromKv = await readKv(env, settings, pool, region, entry.held);
  if (fromKv !== "ask-ring" && fromKv !== "unconfirmed") return learn(fromKv, "kv");
  // KV lags behind what is held: that is as good as it was, until half of the horizon has passed since somebody confirmed it.
  if (fromKv === "unconfirmed" && entry.held && Date.now() - entry.held.confirmedAtMs <= pool.horizonMs / 2) return entry.held;
  try {
    return learn(await within(ringStub(env, settings.config, pool.id, region).published(true), RING_TIMEOUT_MS, "ring object"), "ring");
  } catch (error) {
    console.error(JSON.stringify({ limpet: "ring-unreachable", pool: pool.id, region, error: String(error) }));
  }
  // Nobody answers: what is known is better than what the configuration says, however old; and that is better than nothing.
  entry.failedAtMs = Date.now();
  return (entry.held ??= bootstrapped(bootstrapView(pool, region, settings.config.configRevision)));
}

/** What KV has, if it is a pair and not older than what is held. Never throws. */
async function readKv(
  env: Env,
  settings: Settings,
  pool: Pool,
  region: string,
  held: KnownRing | undefined,
): Promise<Published | "unconfirmed" | "ask-ring"> {
  const options = settings.dev ? ({ type: "json" } as const) : ({ type: "json", cacheTtl: 30 } as const);
  const read = (key: string): Promise<unknown> => within(env.AFFINITY.get(key, options), KV_TIMEOUT_MS, "KV");
  try {
    const snapshot = decodeSnapshot(await read(snapshotKvKey(pool.id, region)));
    if (!snapshot || snapshot.pool !== pool.id || snapshot.region !== region) return "ask-ring";
    const current = held?.view.snapshot;
    if (current && isNewer(current, snapshot)) return "unconfirmed";
    if (current && !isNewer(snapshot, current)) return { snapshot: current, hints: hintsOf(held, current) };
    if (snapshot.hintsVersion === 0 || snapshot.hintsVersion === current?.hintsVersion) return { snapshot, hints: hintsOf(held, snapshot) };
    const hints = decodeHints(await read(hintsKvKey(pool.id, region)));
    return hints?.version === snapshot.hintsVersion ? { snapshot, hints } : "unconfirmed";
  } catch (error) {
    console.error(JSON.stringify({ limpet: "kv-read-failed", pool: pool.id, region, error: String(error) }));
    return "ask-ring";
  }
}

function entryOf(pool: string, region: string): Entry {
  const name = `${pool}/${region}`;
  const entry = entries.get(name) ?? {
    held: undefined,
    told: new Map<string, Holding & { untilMs: number }>(),
    failedAtMs: -Infinity,
    refreshingUntilMs: 0,
  };
  entries.set(name, entry);
  return entry;
}

function bootstrapped(view: RegionView): KnownRing {
  return { view, hints: new Map(), complete: true, confirmedAtMs: -Infinity, layer: "config" };
}

/** The hints that are held, in the form that a snapshot of the same hints version comes with. */
function hintsOf(held: KnownRing | undefined, { pool, region, hintsVersion }: Snapshot): Hints {
  const entries = hintsVersion === 0 ? [] : [...(held?.hints ?? [])];
  return {
    format: 1,
    pool,
    region,
    version: hintsVersion,
    complete: hintsVersion === 0 || held?.complete !== false,
    entries: entries.map(([keyHash, { origin, fence }]) => ({ keyHash, origin, region, fence })),
  };
}

function hintMap(hints: Hints): KnownRing["hints"] {
  return new Map(hints.entries.map(({ keyHash, origin, fence }) => [keyHash, { origin, fence }]));
}
