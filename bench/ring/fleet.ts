// Snapshots as a ring object publishes them, for what is measured on a whole decision.

import { PLACEMENT, type RingMember } from "../../src/core/ring.ts";
import { FULL_SHARE } from "../../src/core/share.ts";
import { viewOf, type RegionView, type Snapshot } from "../../src/core/snapshot.ts";

export function snapshotOf(fleet: readonly RingMember[], virtualNodes: number): Snapshot {
  return {
    format: 1,
    placement: PLACEMENT,
    pool: "bench",
    region: "weur",
    generation: 1,
    epoch: 1,
    configRevision: 1,
    writtenAtMs: 0,
    virtualNodes,
    hintsVersion: 0,
    kept: FULL_SHARE,
    origins: fleet.map(({ id, weight, salt }) => ({
      id,
      url: `https://${id}.example.com`,
      weight,
      salt,
      backup: false,
      lifecycle: "active",
      closed: false,
      health: "healthy",
      ejectedUntilMs: 0,
      share: FULL_SHARE,
    })),
  };
}

export function snapshotView(fleet: readonly RingMember[], virtualNodes: number): RegionView {
  return viewOf(snapshotOf(fleet, virtualNodes));
}
