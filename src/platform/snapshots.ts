// Snapshots in a Worker: isolate memory ← KV ← ring object ← configuration. Never backwards in epoch; snapshot and hints only as a pair
// of one version. Within an isolate results are shared, promises never: awaiting what another request began can hang.

import { hintsKvKey, snapshotKvKey } from "../core/names.ts";
import type { Pool } from "../core/config-types.ts";
import { bootstrapSnapshot, decodeHints, decodeSnapshot, isNewer, viewOf, type Hints, type RegionView, type Snapshot } from "../core/snapshot.ts";
import type { Env, Settings } from "./env.ts";
import type { Published } from "./ring-object.ts";
import { ringStub } from "./stubs.ts";

/** One ring as this isolate knows it. */
export interface KnownRing {
  readonly view: RegionView;
  /** Sessions that are not where the ring says: key hash → origin and fence. */
  readonly hints: ReadonlyMap<string, { readonly origin: string; readonly fence: number }>;
  readonly confirmedAtMs: number;
}

const known = new Map<string, KnownRing>();
const refreshing = new Set<string>();

/** A ring, confirmed within a quarter of the pool's horizon; past half of that one background read confirms it again. */
export async function knownRing(env: Env, ctx: ExecutionContext, settings: Settings, pool: Pool, region: string): Promise<KnownRing> {
  const name = `${pool.id}/${region}`;
  const held = known.get(name);
  const ageMs = held ? Date.now() - held.confirmedAtMs : Infinity;
  if (!held || ageMs > pool.horizonMs / 4) return refresh(env, settings, pool, region);
  if (ageMs > pool.horizonMs / 8 && !refreshing.has(name)) {
    refreshing.add(name);
    ctx.waitUntil(refresh(env, settings, pool, region).finally(() => refreshing.delete(name)));
  }
  return held;
}

/** Takes over what a ring object answered. */
export function learn({ snapshot, hints }: Published): KnownRing {
  const name = `${snapshot.pool}/${snapshot.region}`;
  const held = known.get(name);
  const newer = !held || isNewer(snapshot, held.view.snapshot);
  const ring: KnownRing = newer
    ? { view: viewOf(snapshot, held?.view), hints: hintMap(hints), confirmedAtMs: Date.now() }
    : { ...held, confirmedAtMs: Date.now() };
  known.set(name, ring);
  return ring;
}

async function refresh(env: Env, settings: Settings, pool: Pool, region: string): Promise<KnownRing> {
  const name = `${pool.id}/${region}`;
  const fromKv = await readKv(env, settings, pool, region, known.get(name));
  if (fromKv) return learn(fromKv);
  try {
    return learn(await ringStub(env, settings.config, pool.id, region).published());
  } catch (error) {
    console.error(JSON.stringify({ limpet: "ring-unreachable", pool: pool.id, region, error: String(error) }));
  }
  // Nobody answers: what is known is better than what the configuration says, however old.
  return known.get(name) ?? { view: viewOf(bootstrapSnapshot(pool, region, settings.config.configRevision)), hints: new Map(), confirmedAtMs: Date.now() };
}

/** The pair that KV has, if it is one; `undefined` where the ring object must be asked. */
async function readKv(env: Env, settings: Settings, pool: Pool, region: string, held: KnownRing | undefined): Promise<Published | undefined> {
  const options = settings.dev ? ({ type: "json" } as const) : ({ type: "json", cacheTtl: 30 } as const);
  try {
    const snapshot = decodeSnapshot(await env.AFFINITY.get(snapshotKvKey(pool.id, region), options));
    if (!snapshot || snapshot.pool !== pool.id || snapshot.region !== region) return undefined;
    const current = held?.view.snapshot;
    if (current && !isNewer(snapshot, current)) return isNewer(current, snapshot) ? withinHorizon(held, pool) : { snapshot: current, hints: NO_HINTS };
    if (snapshot.hintsVersion === 0 || snapshot.hintsVersion === current?.hintsVersion) return { snapshot, hints: hintsOf(held, snapshot) };
    const hints = decodeHints(await env.AFFINITY.get(hintsKvKey(pool.id, region), options));
    return hints?.version === snapshot.hintsVersion ? { snapshot, hints } : withinHorizon(held, pool);
  } catch (error) {
    console.error(JSON.stringify({ limpet: "kv-read-failed", pool: pool.id, region, error: String(error) }));
    return undefined;
  }
}

/** The older pair, while the horizon allows it; past that the ring object must be asked. */
function withinHorizon(held: KnownRing | undefined, pool: Pool): Published | undefined {
  if (!held || Date.now() - held.confirmedAtMs > pool.horizonMs / 2) return undefined;
  return { snapshot: held.view.snapshot, hints: NO_HINTS };
}

/** Stands for "as held": `learn` takes hints only with a newer snapshot. */
const NO_HINTS: Hints = { format: 1, pool: "", region: "", version: 0, entries: [] };

function hintsOf(held: KnownRing | undefined, snapshot: Snapshot): Hints {
  const entries = [...(held?.hints ?? [])].map(([keyHash, { origin, fence }]) => ({ keyHash, origin, region: "", fence }));
  return { ...NO_HINTS, version: snapshot.hintsVersion, entries: snapshot.hintsVersion === 0 ? [] : entries };
}

function hintMap(hints: Hints): KnownRing["hints"] {
  return new Map(hints.entries.map(({ keyHash, origin, fence }) => [keyHash, { origin, fence }]));
}
