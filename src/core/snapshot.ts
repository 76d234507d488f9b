// The snapshot: what one ring looks like at one epoch, as every holder reads it (KV, isolates, carriers, other ring objects).
// Written by the ring object alone. Whole-and-swap: never patched. Compared by (generation, epoch, hints version); the larger wins.
// docs/formats.md describes the wire form; test/formats holds a stored sample.

import * as v from "valibot";
import { buildRing, type Ring } from "./ring.ts";
import { withSalts } from "./salts.ts";
import { FULL_SHARE } from "./share.ts";

const shareSchema = v.object({ from: v.number(), to: v.number(), startAtMs: v.number(), endAtMs: v.number() });

const originSchema = v.object({
  id: v.string(),
  url: v.string(),
  weight: v.number(),
  salt: v.number(),
  backup: v.boolean(),
  lifecycle: v.picklist(["joining", "active", "draining", "drained"]),
  /** Past the closing epoch of its drain: pins and claims to it have ended. */
  closed: v.boolean(),
  health: v.picklist(["healthy", "ejected", "down"]),
  ejectedUntilMs: v.number(),
  share: shareSchema,
});

const snapshotSchema = v.object({
  format: v.literal(1),
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
  origins: v.array(originSchema),
});

const hintsSchema = v.object({
  format: v.literal(1),
  pool: v.string(),
  region: v.string(),
  version: v.number(),
  /** Sorted by key hash; `region` is the origin's. */
  entries: v.array(v.object({ keyHash: v.string(), origin: v.string(), region: v.string(), fence: v.number() })),
});

export type SnapshotOrigin = Readonly<v.InferOutput<typeof originSchema>>;
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
  return result.success ? result.output : undefined;
}

export function decodeHints(value: unknown): Hints | undefined {
  const result = v.safeParse(hintsSchema, value);
  return result.success ? result.output : undefined;
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

interface ConfiguredPool {
  readonly id: string;
  readonly virtualNodes: number;
  readonly origins: readonly {
    readonly id: string;
    readonly region: string;
    readonly url: string;
    readonly weight: number;
    readonly salt?: number;
    readonly backup: boolean;
  }[];
}

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
  const versions = { format: 1 as const, generation: 1, epoch: 0, hintsVersion: 0, configRevision, writtenAtMs: 0 };
  return { ...versions, pool: id, region, virtualNodes, kept: FULL_SHARE, origins };
}
