// Checks of the configuration that need two places at once: regions, pools and origins here, routes in config-cross-routes.ts.
// They read the raw input and take only what has the right type, so that they run beside the faults of shape: what is malformed is
// reported there, and never a second time here.

import type { FoundFault } from "./config-faults.ts";
import { HORIZON_LEAST_MS, isWithin, LIMITS, type Limit } from "./config-limits.ts";
import { JURISDICTIONS } from "./config-types.ts";
import { isFields } from "./config-shapes.ts";
import { bareUrl, openUrlFault } from "./config-texts.ts";
import { anyOf, didYouMean, quoted } from "./config-words.ts";

/** Words of `home` that a region's id would be taken for. */
export const HOME_WORDS = ["visitor", "session", "first"] as const;

export function regionFaults(input: unknown, dev: boolean): FoundFault[] {
  const regions = field(input, "regions");
  const ids = namesOf(regions);
  const faults: FoundFault[] = [];
  if (!dev && isFields(input) && field(input, "configRevision") === undefined) {
    faults.push({
      path: ["configRevision"],
      message:
        "found nothing; needed outside dev is a whole number from 1 that grows with every change, so that an old bundle never undoes a new one",
    });
  }
  const fallback = field(input, "defaultRegion");
  if (ids && typeof fallback === "string") faults.push(...unknownRegion(fallback, ids, ["defaultRegion"]));
  for (const [id, region] of entriesOf(regions)) faults.push(...oneRegionFaults(id, region, ids ?? []), ...outsideFaults(id, region, regions));
  return faults;
}

export function poolFaults(input: unknown, dev: boolean): FoundFault[] {
  const regionIds = namesOf(field(input, "regions"));
  return entriesOf(field(input, "pools")).flatMap(([id, pool]) => {
    const path = ["pools", id];
    const horizonMs = field(pool, "horizonMs");
    const faults = [
      ...originFaults(pool, path, { regionIds, dev }),
      ...ringSizeFaults(pool, path),
      ...holdFaults(pool, path),
      ...repeatedHeaders(field(pool, "headers"), [...path, "headers"]),
    ];
    if (!dev && isWithin(LIMITS.horizonMs, horizonMs) && horizonMs < HORIZON_LEAST_MS) {
      const message = `found ${horizonMs}; outside dev at least ${HORIZON_LEAST_MS} (ms) is needed: KV takes that long, and a drained origin would still get requests`;
      faults.push({ path: [...path, "horizonMs"], message });
    }
    return faults;
  });
}

/** The fault of a region's id that does not exist. */
export function unknownRegion(id: string, ids: readonly string[], path: FoundFault["path"], also: readonly string[] = []): FoundFault[] {
  if (ids.includes(id)) return [];
  const known = [...also, ...ids];
  const guess = didYouMean(id, known);
  const regions = ids.length === 0 ? "there are no regions" : `regions are ${anyOf(ids)}`;
  return [{ path, message: `there is no region ${quoted(id)}${guess === "" ? `; ${regions}` : guess}` }];
}

/** Faults of header names that differ in case alone. */
export function repeatedHeaders(headers: unknown, path: FoundFault["path"]): FoundFault[] {
  const names = namesOf(headers) ?? [];
  const byName = new Map<string, string>();
  return names.flatMap((name) => {
    const first = byName.get(name.toLowerCase());
    byName.set(name.toLowerCase(), first ?? name);
    if (first === undefined) return [];
    return [{ path: [...path, name], message: `${quoted(name)} and ${quoted(first)} are one header, whose name has no case; take one out` }];
  });
}

/** An own field of an object; `undefined` where there is none, or no object. */
export function field(value: unknown, name: string): unknown {
  return isFields(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

export function entriesOf(value: unknown): [string, unknown][] {
  return isFields(value) ? Object.entries(value) : [];
}

export function itemsOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The names of an object; `undefined` where it is none, and nothing can be said about what exists. */
export function namesOf(value: unknown): string[] | undefined {
  return isFields(value) ? Object.keys(value) : undefined;
}

function oneRegionFaults(id: string, region: unknown, ids: readonly string[]): FoundFault[] {
  const path = ["regions", id];
  const faults: FoundFault[] = [];
  if (HOME_WORDS.some((word) => word === id)) {
    faults.push({ path, message: `${quoted(id)} is a word of a route's home, which would not know what is meant; choose another id` });
  }
  const [latitude, longitude] = [field(region, "latitude"), field(region, "longitude")];
  if ((latitude === undefined) !== (longitude === undefined)) {
    const [missing, given] = latitude === undefined ? ["latitude", "longitude"] : ["longitude", "latitude"];
    faults.push({ path: [...path, missing], message: `found nothing beside ${given}; give both, or neither: the hint's are taken then` });
  }
  const secondary = itemsOf(field(region, "secondary"));
  for (const [index, other] of secondary.entries()) {
    if (typeof other !== "string" || other === "") continue;
    const place = [...path, "secondary", index];
    if (other === id) faults.push({ path: place, message: `${quoted(other)} is this region itself; a secondary region is another one` });
    else if (secondary.indexOf(other) !== index) faults.push({ path: place, message: `${quoted(other)} stands here twice; take one out` });
    else faults.push(...unknownRegion(other, ids, place));
  }
  return faults;
}

/** Whoever takes over has the sessions' names, and their origins the data: neither leaves a jurisdiction. */
function outsideFaults(id: string, region: unknown, regions: unknown): FoundFault[] {
  const jurisdiction = field(region, "jurisdiction");
  if (!JURISDICTIONS.some((known) => known === jurisdiction)) return [];
  return itemsOf(field(region, "secondary")).flatMap((other, index) => {
    const there = typeof other === "string" ? field(regions, other) : undefined;
    if (other === id || !isFields(there) || field(there, "jurisdiction") === jurisdiction) return [];
    const message = `${quoted(String(other))} is outside the jurisdiction ${quoted(String(jurisdiction))} of this region, for which nobody outside may take over; give it the same, or take it out`;
    return [{ path: ["regions", id, "secondary", index], message }];
  });
}

interface Surroundings {
  readonly regionIds: readonly string[] | undefined;
  readonly dev: boolean;
}

function originFaults(pool: unknown, path: readonly string[], { regionIds, dev }: Surroundings): FoundFault[] {
  const faults: FoundFault[] = [];
  const byId = new Map<string, number>();
  const byAddress = new Map<string, number>();
  for (const [index, origin] of itemsOf(field(pool, "origins")).entries()) {
    const place = [...path, "origins", index];
    const [id, region, url] = [field(origin, "id"), field(origin, "region"), bareUrl(field(origin, "url"))];
    const binding = field(origin, "binding");
    faults.push(...repeatedHeaders(field(origin, "headers"), [...place, "headers"]));
    if (typeof id === "string") {
      const first = seenAt(byId, id, index);
      if (first !== undefined)
        faults.push({ path: [...place, "id"], message: `${quoted(id)} is the id of origins[${first}] too; ids are unique in a pool` });
    }
    if (typeof region === "string" && region !== "" && regionIds) faults.push(...unknownRegion(region, regionIds, [...place, "region"]));
    if (url === undefined) continue;
    // A binding is a way of its own, which is not open to the world.
    const open = dev || binding !== undefined ? undefined : openUrlFault(url);
    if (open !== undefined) faults.push({ path: [...place, "url"], message: open });
    const first = seenAt(byAddress, JSON.stringify([url, typeof binding === "string" ? binding : ""]), index);
    if (first !== undefined) {
      faults.push({
        path: [...place, "url"],
        message: `${quoted(url)} is the address of origins[${first}] too; one server under two ids would own one session twice`,
      });
    }
  }
  return faults;
}

/** The index under which a key was seen before, if it was. */
function seenAt(seen: Map<string, number>, key: string, index: number): number | undefined {
  const first = seen.get(key);
  if (first === undefined) seen.set(key, index);
  return first;
}

/** Rings are made per pool × region, backups apart. */
function holdFaults(pool: unknown, path: readonly string[]): FoundFault[] {
  const balance = field(pool, "balance");
  const ringless = balance === "least-connections" || balance === "round-robin" || balance === "random";
  if (field(pool, "hold") !== false || !ringless) return [];
  return [{ path: [...path, "hold"], message: `balance ${quoted(balance)} has no ring that a session could follow; take it out` }];
}

function ringSizeFaults(pool: unknown, path: readonly string[]): FoundFault[] {
  const virtualNodes = numberOr(LIMITS.virtualNodes, field(pool, "virtualNodes"));
  const points = new Map<string, number>();
  for (const origin of itemsOf(field(pool, "origins"))) {
    const region = field(origin, "region");
    if (typeof region !== "string") continue;
    const ring = field(origin, "backup") === true ? `the backup origins of ${quoted(region)}` : `the origins of ${quoted(region)}`;
    points.set(ring, (points.get(ring) ?? 0) + numberOr(LIMITS.originWeight, field(origin, "weight")) * virtualNodes);
  }
  return [...points].flatMap(([ring, count]) => {
    if (count <= LIMITS.ringPoints.most) return [];
    const found = `weight × virtualNodes of ${ring} is ${Math.round(count)} points`;
    return [
      {
        path: [...path, "virtualNodes"],
        message: `${found}; allowed are ${LIMITS.ringPoints.most}, because ${LIMITS.ringPoints.outside}; lower virtualNodes, or all weights alike`,
      },
    ];
  });
}

function numberOr(limit: Limit<number>, value: unknown): number {
  return isWithin(limit, value) ? value : limit.fallback;
}
