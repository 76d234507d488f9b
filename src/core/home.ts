// The home region of a session (step "locate"): nearest to the visitor, or drawn by the key, or fixed. Never by chance: the same
// visitor, or the same key, gets the same answer everywhere.

import type { Config, Pool, Region, Route } from "./config-types.ts";
import { fraction } from "./hash.ts";

/** What the platform says of where a visitor is; all of it may be missing. */
export interface VisitorPlace {
  readonly latitude?: number | undefined;
  readonly longitude?: number | undefined;
  /** Two letters: AF AN AS EU NA OC SA. */
  readonly continent?: string | undefined;
}

/** Rough middles of the continents' people, for visitors of whom only the continent is known. Degrees. */
const CONTINENTS: Readonly<Record<string, readonly [latitude: number, longitude: number]>> = {
  AF: [5, 20],
  AN: [-80, 0],
  AS: [28, 100],
  EU: [50, 10],
  NA: [40, -95],
  OC: [-30, 145],
  SA: [-15, -58],
};

/** The home region; `remembered` is what the visitor's cookie says, and counts while the pool still has that region. */
export function homeRegion(config: Config, route: Route, lot: number, place: () => VisitorPlace, remembered: string | undefined): string {
  const regions = poolRegions(config, route.pool);
  switch (route.home.kind) {
    case "region":
      return route.home.region;
    case "session":
    case "first": // whom its first visitor made its home, that region's ring object knows
      return rendezvous(regions, lot) ?? config.defaultRegion;
    case "visitor":
      if (remembered !== undefined && regions.some((region) => region.id === remembered)) return remembered;
      return nearest(regions, place()) ?? unknownVisitorsRegion(config, regions);
    default:
      return route.home satisfies never;
  }
}

/** The default region, where the pool is there; else the first of its regions, so that nobody is at home where nobody serves. */
function unknownVisitorsRegion(config: Config, regions: readonly Region[]): string {
  const known = regions.some((region) => region.id === config.defaultRegion);
  return known ? config.defaultRegion : (regions[0]?.id ?? config.defaultRegion);
}

/** Home first, then its secondary regions in which the pool has origins. */
export function regionOrder(config: Config, pool: Pool, home: string): readonly string[] {
  return remembered(orders, pool, home, () => {
    const secondary = config.regions[home]?.secondary ?? [];
    return [home, ...secondary.filter((id) => pool.origins.some((origin) => origin.region === id))];
  });
}

/** All rings of a configuration. */
export function ringsOf(config: Config): { readonly pool: string; readonly region: string }[] {
  return Object.keys(config.pools).flatMap((pool) => poolRegions(config, pool).map(({ id: region }) => ({ pool, region })));
}

/** The regions in which a pool has origins, sorted by id. */
export function poolRegions(config: Config, poolId: string): readonly Region[] {
  return remembered(regionsOfPools, config, poolId, () => {
    const ids = new Set(config.pools[poolId]?.origins.map((origin) => origin.region));
    return [...ids].toSorted().flatMap((id) => config.regions[id] ?? []);
  });
}

/** What follows from a configuration alone is worked out once for it: a configuration never changes. */
const orders = new WeakMap<Pool, Map<string, readonly string[]>>();
const regionsOfPools = new WeakMap<Config, Map<string, readonly Region[]>>();

function remembered<Of extends object, Value>(all: WeakMap<Of, Map<string, Value>>, of: Of, name: string, make: () => Value): Value {
  const known = all.get(of) ?? new Map<string, Value>();
  all.set(of, known);
  const value = known.get(name) ?? make();
  known.set(name, value);
  return value;
}

export type WeightedRegion = Pick<Region, "id" | "weight">;

/** Weighted rendezvous hash (highest -weight ÷ ln u): removing a region moves only its keys. Ties by id. */
export function rendezvous(regions: readonly WeightedRegion[], lot: number): string | undefined {
  let best: { id: string; score: number } | undefined;
  for (const { id, weight } of regions) {
    if (weight <= 0) continue;
    const draw = (fraction(lot, id) * 2 ** 32 + 0.5) / 2 ** 32; // in (0, 1), so that the logarithm is finite and not 0
    const score = -weight / Math.log(draw);
    if (!best || score > best.score || (score === best.score && id < best.id)) best = { id, score };
  }
  return best?.id;
}

/** The region nearest to a visitor by coordinates, else by the continent's middle; `undefined` when nothing is known. */
export function nearest(regions: readonly Region[], place: VisitorPlace): string | undefined {
  const at = coordinates(place);
  if (!at) return undefined;
  let best: { id: string; distance: number } | undefined;
  for (const { id, latitude, longitude } of regions) {
    if (latitude === undefined || longitude === undefined) continue;
    const distance = greatCircle(at, [latitude, longitude]);
    if (!best || distance < best.distance || (distance === best.distance && id < best.id)) best = { id, distance };
  }
  return best?.id;
}

function coordinates({ latitude, longitude, continent }: VisitorPlace): readonly [number, number] | undefined {
  const known = latitude !== undefined && longitude !== undefined && Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180;
  if (known) return [latitude, longitude];
  return continent !== undefined && Object.hasOwn(CONTINENTS, continent) ? CONTINENTS[continent] : undefined;
}

/** Central angle by the haversine formula, in radians: enough to compare. */
function greatCircle([lat1, lon1]: readonly [number, number], [lat2, lon2]: readonly [number, number]): number {
  const rad = Math.PI / 180;
  const a = Math.sin(((lat2 - lat1) * rad) / 2) ** 2 + Math.cos(lat1 * rad) * Math.cos(lat2 * rad) * Math.sin(((lon2 - lon1) * rad) / 2) ** 2;
  return 2 * Math.asin(Math.min(1, Math.sqrt(a)));
}
