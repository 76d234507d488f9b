// Names that outlive a deploy: Durable Object names (an object's first access places it for ever, so the name carries a version and a
// generation) and KV keys. Ids match [a-z0-9-]{1,32}, so none of the separators can occur in them.

export interface RingName {
  readonly pool: string;
  readonly region: string;
  readonly generation: number;
}

export interface CarrierName {
  readonly ring: RingName;
  /** Which slice of the session keys: 0 … carriers - 1. */
  readonly slice: number;
  /** The region that it is in, where it stands in for a carrier of the ring's own region that cannot be reached. */
  readonly standIn?: string | undefined;
}

/** The generation that rings are created with today; a ring is rebuilt elsewhere under the next one. */
export const GENERATION = 1;

const RING = /^v1:([a-z0-9-]{1,32})@([a-z0-9-]{1,32})#g([1-9]\d{0,8})$/;
const CARRIER = /^([^/]+)\/(0|[1-9]\d{0,3})(?:~([a-z0-9-]{1,32}))?$/;

export function ringObjectName({ pool, region, generation }: RingName): string {
  return `v1:${pool}@${region}#g${generation}`;
}

export function carrierObjectName({ ring, slice, standIn }: CarrierName): string {
  return `${ringObjectName(ring)}/${slice}${standIn === undefined ? "" : `~${standIn}`}`;
}

export function parseRingObjectName(name: string | undefined): RingName | undefined {
  const [, pool, region, generation] = RING.exec(name ?? "") ?? [];
  return pool && region && generation ? { pool, region, generation: Number(generation) } : undefined;
}

export function parseCarrierObjectName(name: string | undefined): CarrierName | undefined {
  const [, ringPart, slice, standIn] = CARRIER.exec(name ?? "") ?? [];
  const ring = parseRingObjectName(ringPart);
  return ring && slice ? { ring, slice: Number(slice), ...(standIn === undefined ? {} : { standIn }) } : undefined;
}

/** The carrier of a key: a key has exactly one. Its lot, not its position, so that an origin's arc spreads over all carriers. */
export function sliceOf(lot: number, carriers: number): number {
  return lot % carriers;
}

/** The one object that holds what was applied. */
export const CONTROL_OBJECT_NAME = "v1:control";

/** What was applied, for Workers. */
export const CONFIG_KV_KEY = "config";

export const snapshotKvKey = (pool: string, region: string): string => `ring/${pool}/${region}`;
/** The home region that the first visitor of a session gave it. */
export const firstKvKey = (pool: string, keyHash: string): string => `first/${pool}/${keyHash}`;
export const hintsKvKey = (pool: string, region: string): string => `hints/${pool}/${region}`;
