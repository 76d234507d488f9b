// The snapshot: what one ring looks like at one epoch, as every holder reads it (KV, isolates, carriers, other ring objects).
// Written by the ring object alone. Whole-and-swap: never patched. Compared by (generation, epoch, hints version); the larger wins.
// docs/formats.md describes the wire form; test/formats holds a stored sample.

import * as v from "valibot";
import type { Pool } from "./config-types.ts";
import { buildRing, PLACEMENT, pointCount, type Ring } from "./ring.ts";
import { withSalts } from "./salts.ts";
import { FULL_SHARE, type SharePlan } from "./share.ts";

const shareSchema = v.object({ from: v.number(), to: v.number(), startAtMs: v.number(), endAtMs: v.number() });

export interface SnapshotOrigin {
  readonly id: string;
  readonly url: string;
  readonly weight: number;
  readonly salt: number;
  readonly backup: boolean;
  readonly lifecycle: "joining" | "active" | "draining" | "drained";
  /** Past the closing epoch of its drain: pins and claims to it have ended. */
  readonly closed: boolean;
  readonly health: "healthy" | "ejected" | "down";
  readonly ejectedUntilMs: number;
  readonly share: SharePlan;
  /** Its own word: no new sessions, but those that it has stay. */
  readonly maintenance?: true | undefined;
  /** Its drain leaves live sessions where they are until then. */
  readonly finishUntilMs?: number | undefined;
  /** It is another origin than the one that had its id before: what was placed with a smaller fence is not its own. */
  readonly bornFence?: number | undefined;
}

const snapshotSchema = v.object({
  format: v.literal(1),
  /** How keys are placed on it; one that is not known here cannot be read. */
  placement: v.optional(v.literal(PLACEMENT), PLACEMENT),
  pool: v.string(),
  region: v.string(),
  generation: v.number(),
  epoch: v.number(),
  configRevision: v.number(),
  writtenAtMs: v.number(),
  virtualNodes: v.number(),
  hintsVersion: v.number(),
  /** The share of its keys that the region keeps (spill.ts). */
  kept: v.optional(shareSchema, FULL_SHARE),
  origins: v.array(v.unknown()),
});

const hintsSchema = v.object({
  format: v.literal(1),
  pool: v.string(),
  region: v.string(),
  version: v.number(),
  /** `false`: more sessions than these are not where the ring says; of one that is not listed the ring object must be asked. */
  complete: v.optional(v.boolean(), true),
  /** Sorted by key hash; `region` is the origin's. */
  entries: v.array(v.object({ keyHash: v.string(), origin: v.string(), region: v.string(), fence: v.number() })),
});

export type Snapshot = Readonly<Omit<v.InferOutput<typeof snapshotSchema>, "origins">> & { readonly origins: readonly SnapshotOrigin[] };
/** The sessions that are not where the ring says: the published copy of the pins. */
export type Hints = v.InferOutput<typeof hintsSchema>;

/** A snapshot with its rings built: what a decision reads. */
export interface RegionView {
  readonly snapshot: Snapshot;
  readonly ring: Ring;
  /** The second ring, of the region's backup origins. */
  readonly backups: Ring;
  readonly byId: ReadonlyMap<string, SnapshotOrigin>;
}

/** A stored value as a snapshot; `undefined` for rubbish and for formats that are newer than this code. */
export function decodeSnapshot(value: unknown): Snapshot | undefined {
  const result = v.safeParse(snapshotSchema, value);
  if (!result.success) return undefined;
  const origins: SnapshotOrigin[] = [];
  for (const each of result.output.origins) {
    const origin = originOf(each);
    if (!origin) return undefined;
    origins.push(origin);
  }
  const points = origins.reduce((sum, { weight }) => sum + pointCount(weight, result.output.virtualNodes), 0);
  return points <= POINTS_MAX ? { ...result.output, origins } : undefined;
}

/** No configuration allows rings near this size: a value that asks for one is rubbish, and would take all memory. */
const POINTS_MAX = 1_048_576;

export function decodeHints(value: unknown): Hints | undefined {
  const result = v.safeParse(hintsSchema, value);
  return result.success ? result.output : undefined;
}

/** A plain function: a fresh isolate reads hundreds of origins before anything is compiled, and a schema would take several times as long. */
function originOf(value: unknown): SnapshotOrigin | undefined {
  if (!isFields(value)) return undefined;
  const { id, url, weight, salt, backup, lifecycle, closed, health, ejectedUntilMs } = value;
  const share = planOf(value["share"]);
  if (typeof id !== "string" || typeof url !== "string" || typeof backup !== "boolean" || typeof closed !== "boolean") return undefined;
  if (!isNumber(weight) || !isNumber(salt) || !isNumber(ejectedUntilMs) || !share) return undefined;
  if (lifecycle !== "joining" && lifecycle !== "active" && lifecycle !== "draining" && lifecycle !== "drained") return undefined;
  if (health !== "healthy" && health !== "ejected" && health !== "down") return undefined;
  const { maintenance, finishUntilMs, bornFence } = value;
  return {
    id,
    url,
    weight,
    salt,
    backup,
    lifecycle,
    closed,
    health,
    ejectedUntilMs,
    share,
    ...(maintenance === true ? { maintenance } : {}),
    ...(isNumber(finishUntilMs) ? { finishUntilMs } : {}),
    ...(isNumber(bornFence) ? { bornFence } : {}),
  };
}

function planOf(value: unknown): SharePlan | undefined {
  if (!isFields(value)) return undefined;
  const { from, to, startAtMs, endAtMs } = value;
  return isNumber(from) && isNumber(to) && isNumber(startAtMs) && isNumber(endAtMs) ? { from, to, startAtMs, endAtMs } : undefined;
}

function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

function isNumber(value: unknown): value is number {
  return typeof value === "number" && !Number.isNaN(value);
}

/** Whether `a` is newer than `b`; of equal ones neither is. */
export function isNewer(a: Snapshot, b: Snapshot): boolean {
  return (a.generation - b.generation || a.epoch - b.epoch || a.hintsVersion - b.hintsVersion) > 0;
}

/** Rings are rebuilt only where membership, weights or salts differ from `previous`: health and drains never change a ring. */
export function viewOf(snapshot: Snapshot, previous?: RegionView): RegionView {
  const rings = (backup: boolean): Ring =>
    buildRing(
      snapshot.origins.filter((origin) => origin.backup === backup),
      snapshot.virtualNodes,
    );
  const same = previous !== undefined && shapeOf(previous.snapshot) === shapeOf(snapshot);
  return {
    snapshot,
    ring: same ? previous.ring : rings(false),
    backups: same ? previous.backups : rings(true),
    byId: new Map(snapshot.origins.map((origin) => [origin.id, origin])),
  };
}

function shapeOf({ virtualNodes, origins }: Snapshot): string {
  return JSON.stringify([virtualNodes, origins.map(({ id, weight, salt, backup }) => [id, weight, salt, backup])]);
}

type ConfiguredPool = Pick<Pool, "id" | "virtualNodes" | "origins">;

/** Made once for each pool of a parsed configuration: to search salts and build rings takes milliseconds. */
const bootstraps = new WeakMap<ConfiguredPool, Map<string, RegionView>>();

/**
 * The ring that the configuration alone gives, for when nobody else can be asked: epoch 0, everyone believed healthy. The same as the
 * ring object's while the salts are written in the configuration, or the fleet has not changed since it began.
 */
export function bootstrapView(pool: ConfiguredPool, region: string, configRevision: number): RegionView {
  const views = bootstraps.get(pool) ?? new Map<string, RegionView>();
  bootstraps.set(pool, views);
  const view = views.get(region) ?? viewOf(bootstrapSnapshot(pool, region, configRevision));
  views.set(region, view);
  return view;
}

function bootstrapSnapshot(pool: ConfiguredPool, region: string, configRevision: number): Snapshot {
  const { id, virtualNodes } = pool;
  const here = pool.origins.filter((origin) => origin.region === region);
  const origins = withSalts(here, virtualNodes).map(({ id, url, weight, salt, backup }) => ({
    id,
    url,
    weight,
    salt,
    backup,
    lifecycle: "active" as const,
    closed: false,
    health: "healthy" as const,
    ejectedUntilMs: 0,
    share: FULL_SHARE,
  }));
  const versions = { format: 1 as const, placement: PLACEMENT, generation: 1, epoch: 0, hintsVersion: 0, configRevision, writtenAtMs: 0 };
  return { ...versions, pool: id, region, virtualNodes, kept: FULL_SHARE, origins };
}
