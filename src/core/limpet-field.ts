// The `Limpet` field (RFC 9651 dictionary): the one header in which Limpet speaks to origins and visitors. A visitor's own never gets
// through: whoever forwards a request deletes it before setting ours.

import { DisplayString, parseDictionary, serializeItem, Token } from "structured-headers";
import type { Reason } from "./decision.ts";

export const LIMPET_FIELD = "Limpet";

export interface FieldFacts {
  readonly origin: string;
  readonly region: string;
  readonly epoch: number;
  readonly reason: Reason;
}

export interface OriginFieldFacts extends FieldFacts {
  /** The session key; absent on a stateless request. */
  readonly session?: string | undefined;
  readonly fence?: number | undefined;
  readonly replicas: readonly string[];
  readonly movedFrom?: string | undefined;
  /** The request's id, the same for all its attempts; a live connection's legs have none. */
  readonly request?: string | undefined;
  /** Told from the second on. */
  readonly attempt?: number | undefined;
  /** In a hand-over: the origin is asked for the session's state, or brought it. */
  readonly handover?: "give" | "take" | undefined;
}

/** What the origin is told of a request or of a leg. Written for every request: ids, regions and reasons are plain tokens, so that only a key needs care. */
export function fieldForOrigin(facts: OriginFieldFacts): string {
  const { session, origin, region, epoch, fence, reason, replicas, movedFrom, request, attempt, handover } = facts;
  let field = session === undefined ? "" : `session=${keyItem(session)}, `;
  field += `origin="${origin}", region="${region}", epoch=${epoch}`;
  if (fence !== undefined) field += `, fence=${fence}`;
  field += `, reason=${reason}`;
  if (replicas.length > 0) field += `, replicas=("${replicas.join('" "')}")`;
  if (movedFrom !== undefined) field += `, moved-from="${movedFrom}"`;
  if (handover !== undefined) field += `, handover=${handover}`;
  if (request !== undefined) field += `, request=${keyItem(request)}`;
  return attempt !== undefined && attempt > 1 ? `${field}, attempt=${attempt}` : field;
}

/** What an origin says of the session in its answer: that it belongs to another, or is over. What cannot be read says nothing. */
export interface OriginWord {
  readonly replay?: string;
  readonly end: boolean;
}

export function wordOf(field: string | null): OriginWord | undefined {
  if (field === null) return undefined;
  try {
    const members = parseDictionary(field);
    const [given, end] = [members.get("replay")?.[0], members.get("end")?.[0]];
    const replay = given instanceof Token ? given.toString() : given; // an id without its quotes
    return { ...(typeof replay === "string" ? { replay } : {}), end: end === true };
  } catch {
    return undefined;
  }
}

/** What a visitor is told, where the configuration exposes it. */
export function fieldForVisitor({ origin, region, reason, epoch }: FieldFacts): string {
  return `origin="${origin}", region="${region}", reason=${reason}, epoch=${epoch}`;
}

/** A string where ASCII suffices (RFC 9651 §3.3.3), else a Display String (§3.3.8). */
function keyItem(key: string): string {
  if (!/^[\x20-\x7e]*$/.test(key)) return serializeItem([new DisplayString(key), new Map()]);
  return /["\\]/.test(key) ? `"${key.replaceAll(/["\\]/g, "\\$&")}"` : `"${key}"`;
}
