// What a session needs while it looks for an origin's leg: how a try came out, what becomes of a leg that nobody wants any more, and when
// trying again is given up.

import { RESTART, STALE_HANDSHAKE, type Close } from "../core/close-codes.ts";
import type { PlaceAnswer } from "../core/protocol.ts";
import type { Connection, Opening } from "./connection.ts";
import { delay, FAILURES_REACHED, FAILURES_UNREACHED, RECONNECT_BACKOFF_MS, RESETS_WINDOW_MS, RESTART_SPREAD_MS } from "./limits.ts";

export type Refusal = Extract<PlaceAnswer, { kind: "refused" | "elsewhere" }>;

/** How an arrival or a reconnection came out. */
export type Connected =
  | { readonly kind: "connected" }
  | { readonly kind: "answered"; readonly response: Response }
  | { readonly kind: "refused"; readonly why: Extract<Refusal, { kind: "refused" }>["why"] }
  /** Another region's carriers have the session. */
  | { readonly kind: "elsewhere"; readonly region: string }
  /** Too many others wait for a handshake. */
  | { readonly kind: "full" }
  | { readonly kind: "unreachable" };

/** How often each connection has lost its leg lately. */
export class Resets<Key> {
  readonly #counts = new Map<Key, { count: number; readonly sinceMs: number }>();

  /** One more; how many there are now within the window. */
  another(key: Key, nowMs: number): number {
    const known = this.#counts.get(key);
    const resets = known && nowMs - known.sinceMs < RESETS_WINDOW_MS ? known : { count: 0, sinceMs: nowMs };
    resets.count++;
    this.#counts.set(key, resets);
    return resets.count;
  }

  of(key: Key): number {
    return this.#counts.get(key)?.count ?? 0;
  }

  forget(key: Key): void {
    this.#counts.delete(key);
  }
}

/** `undefined` when the deadline comes first. */
export async function unlessLate<T>(work: Promise<T>, deadlineMs: number): Promise<T | undefined> {
  return (await Promise.race([work, delay(Math.max(0, deadlineMs - Date.now()))])) ?? undefined;
}

/** A leg that is closed again before it could begin is one that could not be opened. */
export function hasBegun(opening: Extract<Opening, { kind: "open" }>): boolean {
  try {
    opening.begin();
    return true;
  } catch (error) {
    console.error(JSON.stringify({ limpet: "leg-not-begun", error: String(error) }));
    return false;
  }
}

export function discard(opening: Opening): void {
  if (opening.kind === "open") opening.discard();
  if (opening.kind === "answered") void opening.response.body?.cancel().catch(() => undefined); // nobody reads it any more
}

export function farewell(outcome: Exclude<Connected, { kind: "connected" }>): Close {
  return outcome.kind === "answered" ? STALE_HANDSHAKE : RESTART;
}

/** Whether the ring object is asked for another place, even if it finds this one well. */
export function isGivenUp(failures: number, reached: boolean): boolean {
  return failures >= (reached ? FAILURES_REACHED : FAILURES_UNREACHED);
}

/** Tells a visitor to come back whose protocol cannot bear a new leg: not all in the same moment. */
export async function sendBack(connection: Connection): Promise<void> {
  await delay(Math.random() * RESTART_SPREAD_MS);
  connection.end(RESTART);
}

/** How long to wait before the next try, and never past the deadline. */
export function backoff(failures: number, deadlineMs: number): number {
  const waitMs = RECONNECT_BACKOFF_MS[Math.min(Math.max(0, failures), RECONNECT_BACKOFF_MS.length - 1)] ?? 0;
  return Math.max(0, Math.min(waitMs, deadlineMs - Date.now()));
}
