// What of a ring changes by the clock alone, without an epoch: shares that are on their way. Whoever looks at another moment may find another place there.

import { isOver } from "./ramp.ts";
import { walk } from "./ring.ts";
import type { RegionView, SnapshotOrigin } from "./snapshot.ts";

/** A session, by its key and its origin. */
interface Placed {
  readonly position: number;
  readonly origin: string;
}

/**
 * Whether everybody finds a session at its origin by the ring, whenever they look: now, when all shares have arrived, and in between. `placeAt` says where
 * the ring has it at a time.
 */
export function isAlwaysAt(view: RegionView, placed: Placed, placeAt: (nowMs: number) => string | undefined, nowMs: number): boolean {
  if (placeAt(nowMs) !== placed.origin) return false;
  if (!view.snapshot.origins.some((origin) => isInMotion(origin, nowMs))) return true;
  return !passesMotion(view, placed, nowMs) && placeAt(Infinity) === placed.origin;
}

/** Whether something on its walk, up to its origin, changes by the clock alone. */
function passesMotion({ ring, byId }: RegionView, { position, origin }: Placed, nowMs: number): boolean {
  for (const id of walk(ring, position)) {
    const passed = byId.get(id);
    if (passed && isInMotion(passed, nowMs)) return true;
    if (id === origin) return false;
  }
  return false;
}

/** Its share is on its way, or its ejection ends by itself where its ring object is gone. */
function isInMotion({ share, health }: SnapshotOrigin, nowMs: number): boolean {
  return health === "ejected" || !isOver(share, nowMs);
}

/** When the last share is what it is to be; `undefined`: all are. */
export function settlesAtMs(origins: readonly SnapshotOrigin[], nowMs: number): number | undefined {
  const moving = origins.filter(({ share }) => !isOver(share, nowMs));
  return moving.length > 0 ? Math.max(...moving.map(({ share }) => Math.max(share.startAtMs, share.endAtMs))) : undefined;
}
