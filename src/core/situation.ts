// What a decision is asked: everything it may know, as data. Time, counters and chance among it, so that the same situation always gets
// the same decision, in the Worker, in the ring object, in a plan and in a test.

import type { Balance } from "./balance.ts";
import type { KeyPoint } from "./hash.ts";
import type { RegionView } from "./snapshot.ts";

export interface Situation {
  readonly key: KeyPoint;
  /** `false`: nothing names a session; `key` is then a draw, which spreads by weight because the ring does. */
  readonly keyed: boolean;
  /** A draw for a session whose key has no affinity (`affinity`, `rollout`); without one its key is taken. */
  readonly draw?: KeyPoint | undefined;
  /** Home region first, then its secondary regions in order. */
  readonly regions: readonly RegionView[];
  readonly pin?: Holding | undefined;
  readonly claim?: Claim | undefined;
  /** Origins that the asker has just failed to reach. */
  readonly excluded: ReadonlySet<string>;
  readonly policy: Policy;
  /** What a policy needs to know of loads, turns or chance. Only a ring's own object knows loads, those of its own region. */
  readonly balance: Balance;
  readonly nowMs: number;
}

/** The pool's settings that a decision follows. */
export interface Policy {
  readonly stickiness: "prefer" | "strict";
  /** `false`: a session follows the ring; what a cookie remembers then counts for nothing. */
  readonly hold: boolean;
  readonly affinity: "on" | "off";
  /** The share (0–1) of the keys that have affinity, the same ones every time. */
  readonly rollout: number;
  /** `sessions`: what a cookie remembers of another region counts only until the home region takes its keys again. Default `new`. */
  readonly failback?: "sessions" | "new";
}

/** An origin that already holds the session, and since which fence (0: not known). */
export interface Holding {
  readonly origin: string;
  readonly fence: number;
}

/**
 * A holding that somebody outside the ring object knows of: a live connection's carrier, the visitor's cookie, or the tag that an origin's own
 * key bears, which everyone of the session brings.
 */
export interface Claim extends Holding {
  readonly from: "connection" | "cookie" | "tag";
}
