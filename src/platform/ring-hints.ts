// The published copy of what a ring's pins say, and of the sessions that live on at a former home.

import type { Stray } from "../core/protocol.ts";
import type { Hints, Snapshot } from "../core/snapshot.ts";
import { HINTS_MAX } from "./limits.ts";

interface Known {
  readonly pins: Iterable<Stray>;
  readonly strays: readonly Stray[];
  /** Whether it is one of the ring's own sessions: then its own word counts. */
  readonly isOwn: (keyHash: string) => boolean;
}

/** Of more than `HINTS_MAX` the newest, and that it is not all. */
export function hintsOf({ pool, region, hintsVersion }: Snapshot, { pins, strays, isOwn }: Known): Hints {
  const all = [...pins, ...strays.filter(({ keyHash }) => !isOwn(keyHash))].map(({ keyHash, origin, region: at, fence }) => ({
    keyHash,
    origin,
    region: at,
    fence,
  }));
  const complete = all.length <= HINTS_MAX;
  const entries = (complete ? all : all.toSorted((a, b) => b.fence - a.fence).slice(0, HINTS_MAX)).toSorted((a, b) =>
    a.keyHash < b.keyHash ? -1 : 1,
  );
  return { format: 1, pool, region, version: hintsVersion, complete, entries };
}
