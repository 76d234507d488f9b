// Three layers, stored apart, merged by one function: what the configuration says, what an operator ordered, what was observed.
// A deploy changes the first only, so it never loses an operator's drain, nor an origin that joined, was changed or left at run time.

import type { DrainOrder } from "./drain.ts";
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
  /** When its drain was through, and it left the ring. Such an order is whole: an id that comes back is compared with what it was. */
  readonly goneAtMs: number | undefined;
  /** Who has it leave: an operator (`undefined`, where an older version took the order), `config`, or `origin` for a lease that was not renewed. */
  readonly leftBy: string | undefined;
}

/** A lease: an origin that says of itself that it is there, and goes on saying so. */
export interface Lease {
  /** As it was last told: an operator may have changed the origin since. */
  readonly url: string;
  readonly weight: number;
  readonly ttlMs: number;
  /** Which life of the origin holds it, where it says so. */
  readonly instance: string | undefined;
  /** The name of the token that it was told with. */
  readonly by: string;
  /** When it was found to be over: its origin counts as down from then on. */
  readonly lapsedAtMs: number | undefined;
}

export interface Layers {
  readonly configured: readonly ConfiguredOrigin[];
  readonly members: ReadonlyMap<string, MemberOrder>;
  readonly drains: ReadonlyMap<string, DrainOrder>;
  readonly down: ReadonlySet<string>;
  /** What else was observed; of an origin without a record nothing. */
  readonly observed?: ReadonlyMap<string, Observed> | undefined;
  /** Of ids that were another origin's before, the fence with which they came back. */
  readonly born?: ReadonlyMap<string, number>;
}

/** The origins of a ring as its next snapshot shows them, sorted by id. */
export function mergeLayers({ configured, members, drains, down, observed, born }: Layers): SnapshotOrigin[] {
  return membersOf({ configured, members })
    .map(({ id, url, weight, salt, backup }): SnapshotOrigin => {
      const drain = drains.get(id);
      const bornFence = born?.get(id);
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
        ...(drain?.mode === "finish" && drain.closedAtMs === undefined && { finishUntilMs: drain.orderedAtMs + (drain.deadlineMs ?? 0) }),
        ...(bornFence !== undefined && { bornFence }),
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
