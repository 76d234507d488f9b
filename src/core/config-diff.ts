// What is different between two configurations as they were written, for people to read before it holds: a line for each place. Origins are told
// apart by their ids, not by where they stand in the list. A pool's seed is never shown: in its place stands a word that keeps it.

import difference from "microdiff";
import { pathText } from "./config-faults.ts";

export interface ConfigChange {
  /** Like `pools.collab.origins.weur-2.weight`. */
  readonly path: string;
  readonly what: "added" | "removed" | "changed";
  readonly before?: unknown;
  readonly after?: unknown;
}

/** Stands for a seed that is there; sent back, it keeps the one that is there. Too short to be one. */
export const KEPT_SEED = "(kept)";

/** Both as parsed JSON that was checked; in the order of the first, then of the second. Of a seed only that it is another. */
export function changesBetween(before: unknown, after: unknown): ConfigChange[] {
  const changes = difference({ whole: byIds(before) }, { whole: byIds(after) });
  return changes.map((change): ConfigChange => {
    const path = pathText(change.path.slice(1));
    const shown = (value: unknown): unknown => (isSeed(change.path.slice(1)) ? KEPT_SEED : withoutSeeds(value));
    if (change.type === "CREATE") return { path, what: "added", after: shown(change.value) };
    if (change.type === "REMOVE") return { path, what: "removed", before: shown(change.oldValue) };
    return { path, what: "changed", before: shown(change.oldValue), after: shown(change.value) };
  });
}

/** The same configuration, with a word in the place of each pool's seed. */
export function withoutSeeds(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutSeeds);
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [name, name === "seed" && typeof each === "string" ? KEPT_SEED : withoutSeeds(each)]),
  );
}

/** The same, with the seeds of another in their places. Where that has none the word stays, which is a fault. */
export function withSeedsOf(known: unknown, value: unknown): unknown {
  if (!isRecord(value) || !isRecord(value["pools"])) return value;
  const pools = isRecord(known) && isRecord(known["pools"]) ? known["pools"] : {};
  const seedOf = (id: string): unknown => {
    const pool = Object.hasOwn(pools, id) ? pools[id] : undefined;
    return isRecord(pool) ? pool["seed"] : undefined;
  };
  const restored = Object.entries(value["pools"]).map(([id, pool]) => {
    if (!isRecord(pool) || pool["seed"] !== KEPT_SEED) return [id, pool] as const;
    return [id, { ...pool, seed: seedOf(id) ?? KEPT_SEED }] as const;
  });
  return { ...value, pools: Object.fromEntries(restored) };
}

function isSeed(path: readonly (string | number)[]): boolean {
  return path.length === 3 && path[0] === "pools" && path[2] === "seed";
}

/** Lists of things that have an id as records by it. */
function byIds(value: unknown): unknown {
  if (Array.isArray(value)) {
    const ids = value.map((each: unknown) => (isRecord(each) && typeof each["id"] === "string" ? each["id"] : undefined));
    const isListed = value.length > 0 && ids.every((id) => id !== undefined) && new Set(ids).size === ids.length;
    return isListed ? Object.fromEntries(value.map((each: unknown, index) => [ids[index], byIds(each)])) : value.map(byIds);
  }
  return isRecord(value) ? Object.fromEntries(Object.entries(value).map(([name, each]) => [name, byIds(each)])) : value;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
