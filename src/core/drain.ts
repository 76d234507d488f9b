// A drain: who may order it and take it back, what a second order changes, and its steps from one to the next. Pure. Its terms are fixed when it is
// ordered, so that no change of the configuration shifts them.

export interface DrainTerms {
  /** What becomes of live sessions: they are moved to other origins, or stay until they end, or the deadline has passed. */
  readonly mode: "move" | "finish";
  /** After the order: then it is closed, whoever is left. `undefined`, where an older version took the order: the pool's. */
  readonly deadlineMs: number | undefined;
  /** The name of an operator's token; `register:<name>` of one that registers origins; `origin`, `region` or `config`. */
  readonly by: string;
}

/** Of drains that a version ordered which knew no terms. */
export const FORMER_TERMS: DrainTerms = { mode: "move", deadlineMs: undefined, by: "" };

/** An order to drain an origin. */
export interface DrainOrder extends DrainTerms {
  /** When its terms were ordered: its deadline counts from then. */
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
export function newDrain(orderedAtMs: number, terms: DrainTerms = FORMER_TERMS): DrainOrder {
  return { ...terms, orderedAtMs, closedAtMs: undefined, closedEpoch: undefined, publishedAtMs: undefined, drainedAtMs: undefined };
}

/** What an order says of the terms; the pool says the rest. */
export interface DrainWish {
  readonly mode?: DrainTerms["mode"] | undefined;
  readonly deadlineMs?: number | undefined;
}

export interface DrainPolicy {
  readonly horizonMs: number;
  readonly drain: { readonly deadlineMs: number; readonly graceMs: number; readonly mode?: DrainTerms["mode"] };
}

/** What a token that registers origins is called in drains that it orders. */
export function registrar(name: string): string {
  return `register:${name}`;
}

/**
 * The drain after somebody's order; the very one that there is where that changes nothing. A word of more weight takes over one of less: what an
 * operator has ordered no origin takes back. Who asks for other terms gets them, counted from now, until the closing epoch.
 */
export function orderDrain(known: DrainOrder | undefined, wish: DrainWish, by: string, pool: DrainPolicy, nowMs: number): DrainOrder {
  if (!known) {
    const { mode = pool.drain.mode ?? "move", deadlineMs = pool.drain.deadlineMs } = wish;
    return newDrain(nowMs, { mode, deadlineMs, by });
  }
  if (weightOf(by) < weightOf(known.by)) return known;
  const takesOver = weightOf(by) > weightOf(known.by);
  const { mode = known.mode, deadlineMs = known.deadlineMs } = wish;
  const isOther = known.closedAtMs === undefined && (mode !== known.mode || deadlineMs !== known.deadlineMs);
  if (!takesOver && !isOther) return known;
  return { ...known, ...(isOther && { mode, deadlineMs, orderedAtMs: nowMs }), ...(takesOver && { by }) };
}

/**
 * Why somebody may not take a drain back, in a sentence; `undefined` when they may. Operators may; others only what is their own, and not where the
 * origin is leaving.
 */
export function undrainFault(drain: DrainOrder, by: string, isLeaving: boolean): string | undefined {
  if (isOperator(by)) return undefined;
  if (isLeaving) return "It is leaving: an operator alone may bring it back.";
  return isOwn(drain, by) ? undefined : `It was drained by ${nameOf(drain.by)}, who alone may undrain it, or an operator.`;
}

/** Whether a drain is its origin's own, or that of those who order in that name. */
export function isOwn(drain: DrainOrder, by: string): boolean {
  return drain.by === by || (isRegistrar(by) && drain.by === "origin");
}

/** When its closing epoch is made at the latest. */
export function closesAtMs(drain: DrainOrder, pool: DrainPolicy): number {
  return drain.orderedAtMs + (drain.deadlineMs ?? pool.drain.deadlineMs);
}

/**
 * When a drained origin's process may end: its closing epoch has reached everyone who plans by an older snapshot (`horizonMs`), and
 * requests under way then have had their time (`graceMs`).
 */
export function drainedFromMs(publishedAtMs: number, pool: DrainPolicy): number {
  return publishedAtMs + pool.horizonMs + pool.drain.graceMs;
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
    const over = empty || nowMs >= closesAtMs(drain, pool);
    return over ? { ...drain, closedAtMs: nowMs, closedEpoch: epoch + 1 } : undefined;
  }
  if (drain.publishedAtMs === undefined) return publishedEpoch >= (drain.closedEpoch ?? Infinity) ? { ...drain, publishedAtMs: nowMs } : undefined;
  return empty && nowMs >= drainedFromMs(drain.publishedAtMs, pool) ? { ...drain, drainedAtMs: nowMs } : undefined;
}

/** An operator's word counts most, then that on the whole region, then the origin's own and its registrar's. */
function weightOf(by: string): number {
  if (by === "config") return 0;
  if (by === "origin" || isRegistrar(by)) return 1;
  return by === "region" ? 2 : 3;
}

function isRegistrar(by: string): boolean {
  return by.startsWith("register:");
}

export function isOperator(by: string): boolean {
  return weightOf(by) === 3;
}

/** Who ordered it, as people are told. */
function nameOf(by: string): string {
  if (by === "region") return "the order on its region";
  if (by === "config") return "the configuration";
  if (by === "origin") return "its own word";
  return by === "" ? "an operator" : by;
}
