// Three layers, stored apart, merged by one function: what the configuration says, what an operator ordered, what was observed.
// A deploy changes the first only, so it never loses an operator's drain, nor an origin that joined, was changed or left at run time.

import { NOTHING_OBSERVED, shown, type Observed } from "./observed.ts";
import type { SnapshotOrigin } from "./snapshot.ts";

export interface ConfiguredOrigin {
  readonly id: string;
  readonly url: string;
  readonly weight: number;
  readonly salt: number;
  readonly backup: boolean;
}

/** What an operator ordered of an origin's membership: all of an origin that is not configured, and of one that is what is to be otherwise. */
export interface MemberOrder {
  readonly url: string | undefined;
  readonly weight: number | undefined;
  readonly salt: number | undefined;
  readonly backup: boolean | undefined;
  /** When it was ordered to leave: it is drained first. */
  readonly leavingAtMs: number | undefined;
  /** When its drain was through, and it left the ring. */
  readonly goneAtMs: number | undefined;
}

/** An operator's drain. */
export interface DrainOrder {
  readonly orderedAtMs: number;
  /** When its closing epoch was made: pins and claims ended. `undefined` while sessions are leaving. */
  readonly closedAtMs: number | undefined;
  readonly closedEpoch: number | undefined;
  /** When KV had that epoch: from then on everyone learns of it within the horizon. */
  readonly publishedAtMs: number | undefined;
  /** When nothing could reach it any more, and its process may end. */
  readonly drainedAtMs: number | undefined;
}

/** A drain that has just been ordered: none of its steps is reached. */
export function newDrain(orderedAtMs: number): DrainOrder {
  return { orderedAtMs, closedAtMs: undefined, closedEpoch: undefined, publishedAtMs: undefined, drainedAtMs: undefined };
}

export interface Layers {
  readonly configured: readonly ConfiguredOrigin[];
  readonly members: ReadonlyMap<string, MemberOrder>;
  readonly drains: ReadonlyMap<string, DrainOrder>;
  readonly down: ReadonlySet<string>;
  /** What else was observed; of an origin without a record nothing. */
  readonly observed?: ReadonlyMap<string, Observed>;
}

/** The origins of a ring as its next snapshot shows them, sorted by id. */
export function mergeLayers({ configured, members, drains, down, observed }: Layers): SnapshotOrigin[] {
  return membersOf({ configured, members })
    .map(({ id, url, weight, salt, backup }): SnapshotOrigin => {
      const drain = drains.get(id);
      const seen = observed?.get(id) ?? NOTHING_OBSERVED;
      const lifecycle = !drain ? (seen.joining ? "joining" : "active") : drain.drainedAtMs === undefined ? "draining" : "drained";
      return {
        id,
        url,
        weight,
        salt,
        backup,
        lifecycle,
        closed: drain?.closedAtMs !== undefined,
        ...shown(seen, down.has(id)),
      };
    })
    .toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

/** Who belongs to the ring, as the first two layers say; in no order. */
export function membersOf({ configured, members }: Pick<Layers, "configured" | "members">): ConfiguredOrigin[] {
  const ids = new Set([...configured.map(({ id }) => id), ...members.keys()]);
  return [...ids].filter((id) => members.get(id)?.goneAtMs === undefined).flatMap((id) => originOf(id, { configured, members }) ?? []);
}

/** Whether an order is all of an origin: such a one needs no configuration. One that is a part speaks of nobody without it. */
export function isWhole(order: MemberOrder): boolean {
  return [order.url, order.weight, order.salt, order.backup].every((field) => field !== undefined);
}

/** An origin as it is, or was before it left; `undefined` for one that is not configured and never joined. */
export function originOf(id: string, { configured, members }: Pick<Layers, "configured" | "members">): ConfiguredOrigin | undefined {
  const written = configured.find((origin) => origin.id === id);
  const order = members.get(id);
  const url = order?.url ?? written?.url;
  if (url === undefined || (!written && order && !isWhole(order))) return undefined;
  return {
    id,
    url,
    weight: order?.weight ?? written?.weight ?? 1,
    salt: order?.salt ?? written?.salt ?? 0,
    backup: order?.backup ?? written?.backup ?? false,
  };
}

export interface DrainPolicy {
  readonly horizonMs: number;
  readonly drain: { readonly deadlineMs: number; readonly graceMs: number };
}

/**
 * When a drained origin's process may end: its closing epoch has reached everyone who plans by an older snapshot (`horizonMs`), and
 * requests under way then have had their time (`graceMs`).
 */
export function drainedFromMs(publishedAtMs: number, pool: DrainPolicy): number {
  return publishedAtMs + pool.horizonMs + pool.drain.graceMs;
}

export type ConfigVerdict = "take" | "same" | "older" | "conflict";

/**
 * What a ring does with the configuration that its code brought: a smaller revision is ignored, an equal one with other content is
 * refused and shown, so that two Worker versions cannot flip a ring. In dev the bundle always wins.
 */
export function judgeConfig(
  stored: { revision: number; content: string } | undefined,
  given: { revision: number; content: string },
  dev: boolean,
): ConfigVerdict {
  if (!stored) return "take";
  if (stored.content === given.content && stored.revision === given.revision) return "same";
  if (dev || given.revision > stored.revision) return "take";
  return given.revision < stored.revision ? "older" : "conflict";
}

export interface DrainFacts {
  /** No session is at the origin, or on its way there. */
  readonly empty: boolean;
  /** The ring's epoch now, and the newest that KV has. */
  readonly epoch: number;
  readonly publishedEpoch: number;
  readonly nowMs: number;
}

/**
 * The next step of a drain, or `undefined` while nothing changes: closed when its sessions are gone or its deadline has passed; published
 * when KV has that epoch; drained when that has reached everyone, requests under way have had their time, and no session is left.
 */
export function advanceDrain(drain: DrainOrder, facts: DrainFacts, pool: DrainPolicy): DrainOrder | undefined {
  const { empty, epoch, publishedEpoch, nowMs } = facts;
  if (drain.drainedAtMs !== undefined) return undefined;
  if (drain.closedAtMs === undefined) {
    const over = empty || nowMs >= drain.orderedAtMs + pool.drain.deadlineMs;
    return over ? { ...drain, closedAtMs: nowMs, closedEpoch: epoch + 1 } : undefined;
  }
  if (drain.publishedAtMs === undefined) return publishedEpoch >= (drain.closedEpoch ?? Infinity) ? { ...drain, publishedAtMs: nowMs } : undefined;
  return empty && nowMs >= drainedFromMs(drain.publishedAtMs, pool) ? { ...drain, drainedAtMs: nowMs } : undefined;
}
