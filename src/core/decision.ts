// What a decision says: the origin or the refusal, with its reason, and, for those who ask to see it, every step that led there.

import type { Unavailable } from "./availability.ts";
import type { SnapshotOrigin } from "./snapshot.ts";

/** The closed list shown in headers, records, metrics and the dashboard. */
export const REASONS = ["pin", "claim", "owner", "next", "backup", "spill", "failover", "panic", "replay", "balance"] as const;
export type Reason = (typeof REASONS)[number];

export type Decision = Routed | Refused;

export interface Routed {
  readonly kind: "routed";
  readonly origin: SnapshotOrigin;
  readonly region: string;
  readonly epoch: number;
  /** Of the pin or claim that named the origin; `undefined` where the ring did. */
  readonly fence: number | undefined;
  readonly reason: Reason;
  /** Who was passed over before this one was taken, in order, and why. */
  readonly passed: readonly Passed[];
}

export interface Refused {
  readonly kind: "refused";
  /** `no-origin`: none is left to try. `owner-lost`: a strict pool waits for the owner. */
  readonly why: "no-origin" | "owner-lost";
  readonly epoch: number;
  readonly passed: readonly Passed[];
}

export type Why = Unavailable | "share" | "full";

export interface Passed {
  readonly origin: string;
  readonly why: Why;
}

/** One origin that was looked at, or a region's word on its keys, in the order of the decision. */
export interface Step {
  readonly step:
    /** Whether the region keeps this key; told where it does not keep all. */
    | "region"
    | "pin"
    | "claim"
    /** A strict pool: the owner must be well. */
    | "owner"
    /** In a region that takes what the home region does not, or cannot, keep. */
    | "abroad"
    | "walk"
    /** Nobody was left: once more without the shares, then without the bound. */
    | "walk-without-shares"
    | "walk-without-bound"
    /** No ring: those among whom load, turn or chance chose. */
    | "balance"
    | "backup"
    | "panic";
  readonly region: string;
  /** None where a region is looked at as a whole. */
  readonly origin?: string;
  readonly outcome: "taken" | "not-chosen" | "kept" | "not-kept" | "does-not-count" | Why;
  /** Of an origin or region whose share is not full: the share, and the key's own number, which must be below it. */
  readonly share?: number;
  readonly fraction?: number;
  /** Where loads count: the origin's sessions, and where they are bounded the number that they must be below. */
  readonly load?: number;
  readonly capacity?: number;
}

/** Takes the steps of one decision as they are made. */
export type Trace = (step: Step) => void;
