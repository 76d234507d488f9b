// `learn: "wrap"`: a key that the origin issues gets a tag on its way to the visitor, which names the placement, and loses it on its way back.
// Nothing is stored. A tag is sealed (platform/seal.ts), so that it is opaque and nobody can make one; whether it counts or not, what looks
// like one is never shown to an origin, and never is part of a key.

import * as v from "valibot";
import type { LearnedSource, Pool, SessionSource } from "./config-types.ts";

const tagSchema = v.object({
  pool: v.string(),
  /** Where the key is: `cookie JSESSIONID`. */
  source: v.string(),
  /** The key as the origin issued it: a tag counts beside no other. */
  value: v.string(),
  home: v.string(),
  origin: v.string(),
  /** 0: not known. */
  fence: v.number(),
});

/** What a tag says. It does not age: the origin decides how long its sessions live. */
export type Tag = Readonly<v.InferOutput<typeof tagSchema>>;

export function isLearned(source: SessionSource): source is LearnedSource & { readonly learn: true } {
  return "learn" in source && source.learn;
}

/** Between an origin's value and its tag. */
const MARK = "~limpet.";
const TAG_AT_END = /~limpet\.([\w.-]*)$/;
const TAGS = /~limpet\.[\w.-]*/g;
/** In a query `~` may be percent-encoded. */
const QUERY_TAGS = /(?:~|%7e)limpet\.[\w.-]*/gi;

/** A value as a visitor brings it: what the origin issued, just as the origin will get it, and the sealed tag behind it, if there is one. */
export function unwrap(value: string): { readonly bare: string; readonly sealed: string | undefined } {
  return { bare: withoutTags(value), sealed: TAG_AT_END.exec(value)?.[1] };
}

export function wrap(bare: string, sealed: string): string {
  return `${bare}${MARK}${sealed}`;
}

/** The same text without any tags: a `Cookie` field or a header as the origin gets it. */
export function withoutTags(text: string): string {
  return text.includes(MARK) ? text.replaceAll(TAGS, "") : text;
}

/** `learned`: the name of a learned key, whose letters may be percent-encoded too. */
export function queryWithoutTags(query: string, learned: string | undefined): string {
  const plain = query.includes("limpet.") ? query.replaceAll(QUERY_TAGS, "") : query;
  if (learned === undefined || !plain.includes("%")) return plain;
  const pairs = plain.slice(1).split("&");
  const bare = pairs.map((pair) => {
    const equals = pair.indexOf("=");
    const value = decoded(pair.slice(equals + 1));
    return equals > 0 && value?.includes(MARK) ? `${pair.slice(0, equals)}=${encodeURIComponent(withoutTags(value))}` : pair;
  });
  return `?${bare.join("&")}`;
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined; // it names nothing
  }
}

export function sourceNameOf(source: LearnedSource): string {
  return `${source.kind} ${source.name}`;
}

/** What an opened tag says, if it was made for this pool, this source and this very value. */
export function readTag(opened: unknown, pool: Pool, source: LearnedSource, bare: string): Tag | undefined {
  const result = v.safeParse(tagSchema, opened);
  if (!result.success) return undefined;
  const tag = result.output;
  return tag.pool === pool.id && tag.source === sourceNameOf(source) && tag.value === bare ? tag : undefined;
}

/** A `Set-Cookie` value taken apart at its cookie's value, quotes left outside; `undefined` for one that sets nothing (empty, or taken away). */
export function cookieValueIn(
  setCookie: string,
  name: string,
  isPast: (date: string) => boolean,
): { readonly before: string; readonly value: string; readonly after: string } | undefined {
  const equals = setCookie.indexOf("=");
  if (equals < 0 || setCookie.slice(0, equals).trim() !== name) return undefined;
  const semicolon = setCookie.indexOf(";", equals);
  const end = semicolon < 0 ? setCookie.length : semicolon;
  const text = setCookie.slice(equals + 1, end);
  const quoted = text.trim();
  const isQuoted = quoted.length > 1 && quoted.startsWith('"') && quoted.endsWith('"');
  const value = isQuoted ? quoted.slice(1, -1) : quoted;
  if (value === "" || isTakenAway(setCookie.slice(end), isPast)) return undefined;
  const from = equals + 1 + text.indexOf(quoted) + (isQuoted ? 1 : 0);
  return { before: setCookie.slice(0, from), value, after: setCookie.slice(from + value.length) };
}

/** Whether a cookie's lifetime is over as it is set: by Max-Age where there is one, else by Expires (RFC 6265 §5.3). */
function isTakenAway(attributes: string, isPast: (date: string) => boolean): boolean {
  const maxAge = /;\s*max-age\s*=\s*(-?\d+)\s*(?:;|$)/i.exec(attributes)?.[1];
  if (maxAge !== undefined) return Number(maxAge) <= 0;
  const expires = /;\s*expires\s*=\s*([^;]*)/i.exec(attributes)?.[1];
  return expires !== undefined && isPast(expires);
}

/**
 * The session's id in an Engine.IO open packet (protocol 4: `0{"sid":"…",…}`, further packets behind U+001E), as Socket.IO answers a polling
 * handshake; `undefined` for anything else.
 */
export function engineIoSid(body: string): string | undefined {
  const sid: unknown = openPacket(body)?.["sid"];
  return typeof sid === "string" && sid !== "" ? sid : undefined;
}

/** The same body with another id. */
export function withEngineIoSid(body: string, sid: string): string {
  const end = packetEnd(body);
  return `0${JSON.stringify({ ...openPacket(body), sid })}${body.slice(end)}`;
}

function openPacket(body: string): Readonly<Record<string, unknown>> | undefined {
  if (!body.startsWith("0{")) return undefined;
  try {
    const packet: unknown = JSON.parse(body.slice(1, packetEnd(body)));
    return typeof packet === "object" && packet !== null ? { ...packet } : undefined;
  } catch {
    return undefined; // something else that begins so
  }
}

function packetEnd(body: string): number {
  const separator = body.indexOf("\u001e");
  return separator < 0 ? body.length : separator;
}
