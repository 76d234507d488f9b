// What a ring has observed of one origin beside whether it is down, and how that shows in a snapshot. Of an origin of which nothing is recorded nothing is
// wrong: it is active, and takes its full share.

import { READY, type AgentWord } from "./agent-words.ts";
import type { Ejection } from "./ejection.ts";
import { NO_SHARE } from "./ramp.ts";
import { FULL_SHARE, type SharePlan } from "./share.ts";
import type { SnapshotOrigin } from "./snapshot.ts";

export interface Observed {
  /** It has joined, and not answered a check well yet. */
  readonly joining?: true | undefined;
  /** When it last became down or ejected. */
  readonly fellAtMs?: number | undefined;
  readonly ejection?: Ejection | undefined;
  /** Absent: full. */
  readonly share?: SharePlan | undefined;
  /** What it says of itself; absent: that it is ready. */
  readonly word?: AgentWord | undefined;
}

export const NOTHING_OBSERVED: Observed = {};

type Shown = Pick<SnapshotOrigin, "health" | "ejectedUntilMs" | "share" | "maintenance">;

/** Health, share and maintenance of an origin, as a snapshot shows them. */
export function shown({ joining, ejection, share = joining ? NO_SHARE : FULL_SHARE, word = READY }: Observed, down: boolean): Shown {
  const ejected = ejection && ejection.endedAtMs === undefined;
  return {
    health: down ? "down" : ejected ? "ejected" : "healthy",
    ejectedUntilMs: ejected && !down ? ejection.boundAtMs : 0,
    share,
    ...(word.maintenance ? { maintenance: true } : {}),
  };
}
