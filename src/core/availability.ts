// Whether an origin may take a session that it does not have, and whether it may keep one that it has: rule 1 of the decision.
// Lifecycle (what people want of it) and health (how it is) are two facts; here they are joined.

import type { Snapshot, SnapshotOrigin } from "./snapshot.ts";

export type Unavailable = "gone" | "joining" | "draining" | "drained" | "ejected" | "down" | "excluded" | "maintenance";

/** Why an origin takes no new session now; `undefined` when it does. `excluded`: the asker has just failed to reach it. */
export function unavailability(origin: SnapshotOrigin, nowMs: number, excluded: ReadonlySet<string>): Unavailable | undefined {
  if (origin.lifecycle !== "active") return origin.lifecycle;
  return illness(origin, nowMs, excluded) ?? (origin.maintenance ? "maintenance" : undefined);
}

/**
 * Why an origin may not keep a session that it holds since that fence: a drain alone is no reason before its closing epoch. What is older than an
 * origin was another's, of the same name; 0, not known, is older.
 */
export function lossOf(origin: SnapshotOrigin | undefined, nowMs: number, excluded: ReadonlySet<string>, fence = Infinity): Unavailable | undefined {
  if (!origin || fence < (origin.bornFence ?? 0)) return "gone";
  if (origin.closed || origin.lifecycle === "drained") return "drained";
  return illness(origin, nowMs, excluded);
}

/** Whether one of a region's own origins (no backup) is among those that take new sessions. */
export function hasSomebody({ origins }: Pick<Snapshot, "origins">, takes: (origin: SnapshotOrigin) => boolean): boolean {
  return origins.some((origin) => !origin.backup && origin.weight > 0 && takes(origin));
}

/** What is unplanned about an origin's absence. */
export function illness(origin: SnapshotOrigin, nowMs: number, excluded: ReadonlySet<string>): "excluded" | "down" | "ejected" | undefined {
  if (excluded.has(origin.id)) return "excluded";
  if (origin.health === "down") return "down";
  return origin.health === "ejected" && nowMs < origin.ejectedUntilMs ? "ejected" : undefined;
}
