// What becomes of a ring's members when its configuration changes: who is dropped leaves as by an operator's removal, drained first; who is written
// again stays, or joins once more. What operators ordered stands beside it. Pure.

import { newDrain, type DrainOrder, type DrainTerms } from "./drain.ts";
import { isWhole, originOf, type ConfiguredOrigin, type Lease, type MemberOrder } from "./lifecycle.ts";

interface Known {
  /** As it was written until now. */
  readonly configured: readonly ConfiguredOrigin[];
  readonly members: ReadonlyMap<string, MemberOrder>;
  readonly drains: ReadonlyMap<string, DrainOrder>;
  readonly leases: ReadonlyMap<string, Lease>;
  /** The pool has left the region: so does everybody who is there. */
  readonly isRetired?: boolean;
}

/** What is to be remembered of one origin from now on. */
export interface ConfigStep {
  readonly id: string;
  readonly order: MemberOrder | undefined;
  readonly drain: DrainOrder | undefined;
  /** What happened, for the journal; `undefined`: nothing that anybody sees. */
  readonly what: "remove" | "stay" | "join" | "gone" | undefined;
  /** Another server has the id now: what the one before it had is not its own. */
  readonly isAnother?: boolean;
}

export function configSteps(known: Known, written: readonly ConfiguredOrigin[], terms: Omit<DrainTerms, "by">, nowMs: number): ConfigStep[] {
  const before = new Map(known.configured.map((origin) => [origin.id, origin]));
  const after = new Map(written.map((origin) => [origin.id, origin]));
  return [...new Set([...before.keys(), ...known.members.keys()])].flatMap((id) => {
    const now = after.get(id);
    if (now) return writtenAgain(known, now) ?? [];
    return (before.has(id) || known.isRetired ? dropped(known, id, terms, nowMs) : alone(known, id)) ?? [];
  });
}

/** Its configuration does not name it any more. Who was put, or holds a lease, is there without one. */
function dropped(
  { configured, members, drains, isRetired }: Known,
  id: string,
  terms: Omit<DrainTerms, "by">,
  nowMs: number,
): ConfigStep | undefined {
  const order = members.get(id);
  const origin = originOf(id, { configured, members });
  if (!origin || (!isRetired && order && isWhole(order) && order.leavingAtMs === undefined)) return undefined;
  const { url, weight, salt, backup } = origin;
  const leavingAtMs = order?.leavingAtMs ?? nowMs;
  const whole = { url, weight, salt, backup, leavingAtMs, goneAtMs: order?.goneAtMs, leftBy: "config" };
  if (order?.goneAtMs !== undefined) return { id, order: whole, drain: undefined, what: undefined };
  const known = drains.get(id) ?? newDrain(nowMs, { mode: terms.mode, deadlineMs: terms.deadlineMs, by: "config" });
  const drain = order?.leavingAtMs === undefined ? known : { ...known, by: "config" }; // an operator's removal is its own now, and ends with it
  if (drain.drainedAtMs !== undefined) return { id, order: { ...whole, goneAtMs: nowMs }, drain: undefined, what: "gone" };
  return { id, order: whole, drain, what: order?.leavingAtMs === undefined ? "remove" : undefined };
}

/** Who left by a configuration, or with its lease, is back by this one; nobody had it go. A lease of one that is written counts no more. */
function writtenAgain({ members, drains, leases }: Known, { id, url }: ConfiguredOrigin): ConfigStep | undefined {
  const order = members.get(id);
  if (!order) return undefined;
  const drain = drains.get(id);
  if (order.goneAtMs !== undefined) {
    if (order.leftBy !== "config" && order.leftBy !== "origin") return undefined;
    return { id, order: undefined, drain: undefined, what: "join", isAnother: order.url !== undefined && order.url !== url };
  }
  if (order.leavingAtMs !== undefined) {
    return order.leftBy === "config" ? { id, order: undefined, drain: drain?.by === "config" ? undefined : drain, what: "stay" } : undefined;
  }
  return leases.has(id) ? { id, order: undefined, drain, what: "stay" } : undefined;
}

/** Written neither before nor now: an order that is a part speaks of nobody. */
function alone({ members }: Known, id: string): ConfigStep | undefined {
  const order = members.get(id);
  return order && !isWhole(order) ? { id, order: undefined, drain: undefined, what: undefined } : undefined;
}
