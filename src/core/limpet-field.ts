// The `Limpet` field (RFC 9651 dictionary): the one header in which Limpet speaks to origins and visitors. A visitor's own never gets
// through: whoever forwards a request deletes it before setting ours.

import { DisplayString, Token, parseDictionary, serializeDictionary, type InnerList, type Item } from "structured-headers";
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
}

/** What the origin is told of a request or of a leg. */
export function fieldForOrigin(facts: OriginFieldFacts): string {
  const members = new Map<string, Item | InnerList>();
  if (facts.session !== undefined) members.set("session", item(keyItem(facts.session)));
  members.set("origin", item(facts.origin)).set("region", item(facts.region)).set("epoch", item(facts.epoch));
  if (facts.fence !== undefined) members.set("fence", item(facts.fence));
  members.set("reason", item(new Token(facts.reason)));
  if (facts.replicas.length > 0) members.set("replicas", [facts.replicas.map((id) => item(id)), new Map()]);
  if (facts.movedFrom !== undefined) members.set("moved-from", item(facts.movedFrom));
  if (facts.request !== undefined) members.set("request", item(facts.request));
  if (facts.attempt !== undefined && facts.attempt > 1) members.set("attempt", item(facts.attempt));
  return serializeDictionary(members);
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
    const [replay, end] = [members.get("replay")?.[0], members.get("end")?.[0]];
    return { ...(typeof replay === "string" ? { replay } : {}), end: end === true };
  } catch {
    return undefined;
  }
}

/** What a visitor is told, where the configuration exposes it. */
export function fieldForVisitor(facts: FieldFacts): string {
  return serializeDictionary(
    new Map<string, Item>([
      ["origin", item(facts.origin)],
      ["region", item(facts.region)],
      ["reason", item(new Token(facts.reason))],
      ["epoch", item(facts.epoch)],
    ]),
  );
}

function item(value: string | number | Token | DisplayString): Item {
  return [value, new Map()];
}

/** A string where ASCII suffices (RFC 9651 §3.3.3), else a Display String (§3.3.8). */
function keyItem(key: string): string | DisplayString {
  return /^[\x20-\x7e]*$/.test(key) ? key : new DisplayString(key);
}
