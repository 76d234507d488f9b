// What is known of the pool's origins, joined from two sources: the router's rings and, in the demo, the fleet of processes.

import type { Ring } from "../shared/shapes.ts";

export const POOL = "collab";

export interface KnownOrigin {
  readonly id: string;
  readonly region: string;
  /** The most telling of process, health and lifecycle. */
  readonly state: string;
  readonly isKilled: boolean;
  /** Draining or drained. */
  readonly isOut: boolean;
  readonly isBackup: boolean;
  readonly sessions: number;
}

export function knownOrigins(rings: readonly Ring[], killed: ReadonlySet<string>): readonly KnownOrigin[] {
  return rings
    .filter(({ pool }) => pool === POOL)
    .flatMap((ring) =>
      ring.origins.map((origin) => {
        const isKilled = killed.has(origin.id);
        const isOut = origin.state === "draining" || origin.state === "drained";
        const state = isKilled ? "killed" : origin.health === "healthy" || origin.health === "unknown" ? origin.state : origin.health;
        return { id: origin.id, region: ring.region, state, isKilled, isOut, isBackup: origin.backup, sessions: origin.sessions };
      }),
    );
}

/** Those that can be brought back, by starting their process or by ending their drain. */
export function absent(origins: readonly KnownOrigin[]): readonly KnownOrigin[] {
  return origins.filter(({ isKilled, isOut }) => isKilled || isOut);
}
