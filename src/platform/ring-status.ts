// What operators see of a ring: the shapes of the admin API, made from what the ring object knows.

import type { Reason } from "../core/decision.ts";
import { closesAtMs, type DrainOrder, type DrainPolicy } from "../core/drain.ts";
import type { ConfiguredOrigin, Lease } from "../core/lifecycle.ts";
import { shareAt } from "../core/share.ts";
import type { Tally } from "../core/protocol.ts";
import type { MoveReason } from "./move-log.ts";
import type { Outcomes } from "./outcomes.ts";
import type { LiveRow } from "./ring-table.ts";
import type { SnapshotOrigin } from "../core/snapshot.ts";

export interface OriginStatus {
  readonly id: string;
  readonly url: string;
  readonly region: string;
  readonly weight: number;
  /** Written in the configuration, or found when the origin joined: to be written there, so that nothing but it decides the ring. */
  readonly salt: number;
  readonly backup: boolean;
  /** `gone`: an operator has removed it, and it is no longer in the ring. */
  readonly state: SnapshotOrigin["lifecycle"] | "gone";
  readonly health: SnapshotOrigin["health"];
  /** It takes no new sessions, by its own word. */
  readonly maintenance?: true | undefined;
  /** 0–1, now. */
  readonly share: number;
  /** It takes sessions, as many as it will: active, well, and its ramp is over. */
  readonly serving: boolean;
  /** The ring's, when this was told. */
  readonly generation: number;
  readonly epoch: number;
  readonly drain?: DrainStatus | undefined;
  readonly lease?: LeaseStatus | undefined;
  /** While the share changes by a plan: when that has ended. */
  readonly shareEndsAtMs?: number;
  readonly sessions: number;
  readonly connections: number;
  /** What became of plain requests to it, as Workers have told since the ring object's start: faults within a second or two, the rest in batches of thousands. */
  readonly outcomes: Outcomes;
}

export interface DrainStatus extends Pick<DrainOrder, "by" | "mode" | "orderedAtMs" | "closedAtMs" | "drainedAtMs"> {
  /** When it is closed, whoever is left. */
  readonly closesAtMs: number;
}

export interface LeaseStatus extends Pick<Lease, "ttlMs" | "instance" | "lapsedAtMs"> {
  readonly expiresAtMs: number;
}

export interface RingStatus {
  readonly pool: string;
  readonly region: string;
  readonly generation: number;
  readonly epoch: number;
  /** An operator has taken the region out: its origins are drained until it is brought back. */
  readonly down: boolean;
  readonly configRevision: number;
  readonly hintsVersion: number;
  /** Sessions that an origin's order keeps where they are. */
  readonly orders: number;
  /** Sessions whose home this ring is and which an origin has accepted, and their connections, wherever their origins are. */
  readonly sessions: number;
  /** Sessions that wait for their turn to be moved, and are served meanwhile; and those between two origins. */
  readonly waiting: number;
  readonly moving: number;
  /** Sessions moved since the ring object's start, by reason. */
  readonly moved: Readonly<Partial<Record<MoveReason, number>>>;
  /** What the carriers have counted: connections that got a new leg, by how long they had none (`GAP_BOUNDS_MS`); frames held back; refused. */
  readonly gaps: Tally["gaps"];
  readonly heldFrames: number;
  readonly refused: number;
  /** Key hashes of sessions whose origins keep dying. */
  readonly quarantined: readonly string[];
  readonly connections: number;
  readonly connectionsByOrigin: Readonly<Record<string, number>>;
  readonly origins: readonly OriginStatus[];
}

export interface SessionStatus {
  readonly origin: string;
  readonly region: string;
  readonly fence: number;
  readonly epoch: number;
  /** None of a session that is in quarantine. */
  readonly reason?: Reason;
  readonly movedFrom?: string | undefined;
  readonly connections: number;
  /** `parked`: no origin has a leg of it; `quarantined`: its origins kept dying, the named one last; `lifted`: it was until now. */
  readonly state: "settled" | "moving" | "parked" | "quarantined" | "lifted";
}

/** What is known of an origin beside the snapshot. */
export type Counted = Pick<OriginStatus, "region" | "generation" | "epoch" | "sessions" | "connections" | "outcomes" | "drain" | "lease">;

export function describeOrigin(origin: SnapshotOrigin, counted: Counted, nowMs: number): OriginStatus {
  const { id, url, weight, salt, backup, lifecycle, health, share, maintenance } = origin;
  const isRamping = nowMs < share.endAtMs || nowMs < share.startAtMs;
  const serving = lifecycle === "active" && health === "healthy" && !isRamping && maintenance === undefined;
  const plan = nowMs < share.endAtMs ? { shareEndsAtMs: share.endAtMs } : {};
  const own = { id, url, weight, salt, backup, state: lifecycle, health, ...(maintenance && { maintenance }) };
  return { ...own, share: shareAt(share, nowMs), ...plan, serving, ...counted };
}

/** Nobody watches over it any more. */
export function describeGone({ id, url, weight, salt, backup }: ConfiguredOrigin, counted: Counted): OriginStatus {
  return { id, url, weight, salt, backup, state: "gone", health: "down", share: 0, serving: false, ...counted };
}

export function describeDrain(drain: DrainOrder, pool: DrainPolicy): DrainStatus {
  const { by, mode, orderedAtMs, closedAtMs, drainedAtMs } = drain;
  return { by, mode, orderedAtMs, closesAtMs: closesAtMs(drain, pool), closedAtMs, drainedAtMs };
}

export function describeSession(
  { origin, region, fence, epoch, reason, movedFrom }: LiveRow,
  connections: number,
  state: "settled" | "moving" | "parked",
): SessionStatus {
  return { origin, region, fence, epoch, reason, movedFrom, connections, state };
}
