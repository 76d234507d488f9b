// What of a ring changes by the clock alone, without an epoch: shares that are on their way. Whoever looks at another moment may find another place there.

import { isOver } from "./ramp.ts";
import { walk } from "./ring.ts";
import type { RegionView, SnapshotOrigin } from "./snapshot.ts";

/** Whether the clock alone changes what an origin takes: its share is on its way, or its ejection ends by itself where its ring object is gone. */
export function isInMotion({ share, health }: SnapshotOrigin, nowMs: number): boolean {
  return health === "ejected" || !isOver(share, nowMs);
}

/** Whether what somebody finds on a key's walk, up to an origin, depends on when they look. */
export function passesMotion(
  { ring, byId }: RegionView,
  { position, origin }: { readonly position: number; readonly origin: string },
  nowMs: number,
): boolean {
  for (const id of walk(ring, position)) {
    const passed = byId.get(id);
    if (passed && isInMotion(passed, nowMs)) return true;
    if (id === origin) return false;
  }
  return false;
}

/** When the last share is what it is to be; `undefined`: all are. */
export function settlesAtMs(origins: readonly SnapshotOrigin[], nowMs: number): number | undefined {
  const moving = origins.filter(({ share }) => !isOver(share, nowMs));
  return moving.length > 0 ? Math.max(...moving.map(({ share }) => Math.max(share.startAtMs, share.endAtMs))) : undefined;
}
