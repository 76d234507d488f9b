// What the admin API says, as far as commands read it: the router may say more. Shapes: docs/admin-api.md.

/** A live session. */
export interface SessionView {
  readonly origin: string;
  readonly region: string;
  readonly fence: number;
  readonly connections: number;
  readonly state: "settled" | "moving" | "parked" | "quarantined" | "lifted";
}

export interface OriginView {
  readonly id: string;
  readonly url: string;
  readonly region: string;
  readonly weight: number;
  readonly salt: number;
  readonly backup: boolean;
  readonly state: "joining" | "active" | "draining" | "drained" | "gone";
  readonly health: "healthy" | "ejected" | "down";
  /** It takes no new sessions, by its own word. */
  readonly maintenance?: boolean;
  /** 0–1, now. */
  readonly share: number;
  /** While its share grows: when it has reached the plan's end. */
  readonly shareEndsAtMs?: number;
  readonly sessions: number;
  readonly connections: number;
}

export interface RingView {
  readonly pool: string;
  readonly region: string;
  readonly epoch: number;
  readonly configRevision: number;
  readonly sessions: number;
  readonly connections: number;
  readonly waiting: number;
  readonly moving: number;
  readonly quarantined: readonly string[];
  readonly origins: readonly OriginView[];
  /** An operator has taken the region out of service. */
  readonly down?: boolean;
  readonly unreachable?: undefined;
}

/** A ring whose object did not answer. */
export interface SilentRingView {
  readonly pool: string;
  readonly region: string;
  readonly unreachable: true;
  readonly origins: readonly [];
}

export interface RingsView {
  readonly rings: readonly (RingView | SilentRingView)[];
}

/** A change of a ring, of its journal. */
export interface EntryView {
  /** `<pool>@<region>`, or `control`. */
  readonly ring: string;
  readonly seq: number;
  readonly atMs: number;
  readonly epoch: number;
  readonly what: string;
  readonly who: string;
  readonly origin?: string;
  readonly why?: string;
}

export interface AuditView {
  /** Newest first. */
  readonly entries: readonly EntryView[];
  /** Rings that did not answer: theirs are missing. */
  readonly unreachable: readonly string[];
}

/** Shares are of all keys, 0–1. */
export interface ShareChange {
  readonly before: number;
  readonly after: number;
  readonly gained: number;
  readonly lost: number;
}

export interface PlannedView {
  readonly epoch: number;
  readonly movedShare: number;
  readonly optimumShare: number;
  readonly elsewhere: ShareChange;
  readonly origins: readonly (ShareChange & { readonly id: string })[];
  /** Of the sessions that are live now. */
  readonly sessions: { readonly live: number; readonly moved: number; readonly stranded: number };
}

export interface StepView {
  readonly step: string;
  readonly region: string;
  readonly origin?: string;
  readonly outcome: string;
  readonly share?: number;
  readonly fraction?: number;
  readonly load?: number;
  readonly capacity?: number;
}

export type DecisionView =
  | { readonly kind: "routed"; readonly origin: string; readonly region: string; readonly reason: string }
  | { readonly kind: "refused"; readonly why: string };

interface DecidedView {
  readonly epoch: number;
  readonly steps: readonly StepView[];
  readonly decision: DecisionView;
  readonly byChance?: boolean;
}

/** Each step of a request's way that it gets to. */
export interface ExplainedView {
  readonly identify: {
    readonly outcome: string;
    readonly detail?: string;
    readonly route?: string;
    readonly pool?: string;
    readonly source?: string;
    readonly key?: string;
    readonly keyHash?: string;
    readonly bound?: boolean;
    readonly claim?: { readonly origin: string; readonly fence: number; readonly from: string };
  };
  readonly locate?: { readonly region: string; readonly why: string; readonly regions: readonly string[] };
  readonly carry?: { readonly how: string; readonly carrier?: number; readonly decidedBy: "worker" | "ring"; readonly fault?: string };
  readonly worker?: DecidedView & { readonly layer: string; readonly hint?: { readonly origin: string; readonly fence: number } };
  readonly ring?:
    | { readonly unreachable: true }
    | (DecidedView & {
        readonly unreachable?: undefined;
        readonly session?: { readonly origin: string; readonly region: string; readonly fence: number; readonly moving: boolean };
        readonly pin?: { readonly origin: string; readonly fence: number; readonly ordered: boolean };
        readonly quarantined?: true;
      });
}
