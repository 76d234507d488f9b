// Step "identify": route table → pool and session key. Pure. A key is decoded once, bounded, and free of control characters;
// the same text under two sources is the same session, its namespace is the pool.

import type { Config, JwtSource, LearnedSource, Route, SessionSource } from "./config-types.ts";
import { isLearned, unwrap } from "./learned.ts";

/** What identification reads of a request. */
export interface RequestFacts {
  /** Path as received: percent-encoding intact, no query. */
  readonly path: string;
  /** Host without port, lower case. */
  readonly host: string;
  readonly header: (name: string) => string | null;
  readonly cookie: (name: string) => string | undefined;
  /** The query as received, with its "?", or nothing. */
  readonly query: string;
  /** The visitor's address, as the platform says it. */
  readonly address: string | null;
  /** The claims of the visitor's tokens that were verified, by the source that asks for them. */
  readonly verified: ReadonlyMap<JwtSource, string>;
}

export interface RouteMatch {
  readonly route: Route;
  /** Named segments as received, still percent-encoded. */
  readonly params: ReadonlyMap<string, string>;
}

export type KeyFinding =
  | { readonly kind: "key"; readonly key: string; readonly source: SessionSource }
  | { readonly kind: "none" }
  /** The path names a session that cannot be one. Going on without affinity would split that document in two. */
  | { readonly kind: "unusable"; readonly fault: string };

/** Greatest length of a session key in UTF-8 bytes. */
export const KEY_MAX_BYTES = 256;

/** The first route whose path, host and headers match; `alias` for a path that only looks like one of a route that names sessions. */
export function matchRoute(config: Config, facts: Omit<RequestFacts, "verified">): RouteMatch | "alias" | undefined {
  const given = facts.path.split("/");
  const collapsed = facts.path.includes("//") ? facts.path.replaceAll(/\/{2,}/g, "/").split("/") : undefined;
  for (const route of config.routes) {
    if (route.host !== undefined && route.host !== facts.host) continue;
    if (!hasHeaders(route, facts)) continue;
    const params = matchPath(segmentsOf(route), given);
    if (params) return { route, params };
    // An origin may fold "//": the same document would be served here by its key, and there by another route without one.
    const named = collapsed !== undefined && route.session.some((source) => source.kind === "path");
    if (named && matchPath(segmentsOf(route), collapsed)) return "alias";
  }
  return undefined;
}

function hasHeaders({ header }: Route, facts: Pick<RequestFacts, "header">): boolean {
  for (const name in header) if (facts.header(name) !== header[name]) return false;
  return true;
}

/** The key that the first source with a valid one gives; `issued` is the key that our own verified cookie carries. */
export function findKey(match: RouteMatch, facts: RequestFacts, issued: string | undefined): KeyFinding {
  for (const source of match.route.session) {
    if (source.kind === "issue") {
      if (issued !== undefined) return { kind: "key", key: issued, source };
      continue;
    }
    const parsed = parseKey(rawKey(source, match, facts));
    if (parsed.kind === "valid") return { kind: "key", key: parsed.key, source };
    if (parsed.kind === "invalid" && source.kind === "path") return { kind: "unusable", fault: parsed.fault };
  }
  return { kind: "none" };
}

type ParsedKey =
  { readonly kind: "valid"; readonly key: string } | { readonly kind: "absent" } | { readonly kind: "invalid"; readonly fault: string };

/** Canonical form of a session key: percent-decoded once; at most 256 bytes of UTF-8; no control characters. */
export function parseKey(raw: string | null | undefined): ParsedKey {
  if (raw === null || raw === undefined || raw === "") return { kind: "absent" };
  // Bytes that are no UTF-8 reach us as replacement characters: two different keys would be one.
  if (raw.includes("\uFFFD")) return { kind: "invalid", fault: "it is not UTF-8" };
  let key: string;
  try {
    key = decodeURIComponent(raw);
  } catch {
    return { kind: "invalid", fault: "it holds a percent sequence that is not UTF-8" };
  }
  const bytes = new TextEncoder().encode(key).length;
  if (bytes > KEY_MAX_BYTES) return { kind: "invalid", fault: `it is ${bytes} bytes long; at most ${KEY_MAX_BYTES} are allowed` };
  return /\p{Cc}/u.test(key) ? { kind: "invalid", fault: "it holds a control character" } : { kind: "valid", key };
}

/** A cookie of a `Cookie` header, unquoted, not decoded. Of two with one name the first counts (RFC 6265 §5.4: the more specific path). */
export function cookieIn(header: string | undefined, name: string): string | undefined {
  if (header === undefined) return undefined;
  let equals = -1; // looked for once: a header of semicolons alone is read in one go
  let from = 0;
  while (from < header.length) {
    const semicolon = header.indexOf(";", from);
    const end = semicolon < 0 ? header.length : semicolon;
    if (equals < from) equals = header.indexOf("=", from);
    if (equals < 0) return undefined;
    if (equals < end && header.slice(from, equals).trim() === name) {
      const value = header.slice(equals + 1, end).trim();
      return value.startsWith('"') && value.endsWith('"') && value.length > 1 ? value.slice(1, -1) : value;
    }
    from = end + 1;
  }
  return undefined;
}

/** What a request says where an origin's key should be, its tag included; nothing where that is no text. */
export function learnedValue(source: LearnedSource, facts: Pick<RequestFacts, "cookie" | "header" | "query">): string | undefined {
  if (source.kind === "cookie") return facts.cookie(source.name);
  if (source.kind === "header") return facts.header(source.name) ?? undefined;
  const value = queryValue(facts.query, source.name);
  return value === undefined ? undefined : decoded(value);
}

function rawKey(source: Exclude<SessionSource, { kind: "issue" }>, match: RouteMatch, facts: RequestFacts): string | null | undefined {
  if (isLearned(source)) {
    const value = learnedValue(source, facts);
    return encoded(value === undefined ? undefined : unwrap(value).bare); // an origin's own text, which nobody has encoded
  }
  switch (source.kind) {
    case "path":
      return match.params.get(source.name);
    case "cookie":
      return facts.cookie(source.name);
    case "header":
      return facts.header(source.name);
    case "query":
      return queryValue(facts.query, source.name);
    case "subprotocol":
      return subprotocols(facts.header("sec-websocket-protocol"))
        .find((entry) => entry.startsWith(source.prefix))
        ?.slice(source.prefix.length);
    case "ip":
      return facts.address === null ? null : networkOf(facts.address);
    case "jwt":
      return encoded(facts.verified.get(source));
    default:
      return source satisfies never;
  }
}

/** The token of a source, not verified yet. */
export function tokenOf({ token }: JwtSource, facts: Omit<RequestFacts, "verified">): string | undefined {
  if (token === "bearer") return /^Bearer +([\w.~+/-]+=*)$/i.exec(facts.header("authorization") ?? "")?.[1];
  return "cookie" in token ? facts.cookie(token.cookie) : queryValue(facts.query, token.query);
}

/** The claim that a source asks for: a text or a whole number; larger ones are no longer exact, and two users would be one. */
export function claimAt(claims: unknown, { claim }: JwtSource): string | undefined {
  let value: unknown = claims;
  for (const name of claim) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[name];
  }
  return typeof value === "string" || Number.isSafeInteger(value) ? String(value) : undefined;
}

/** As a key is written elsewhere, so that the same text is the same key; half a surrogate pair cannot be written. */
function encoded(text: string | undefined): string | undefined {
  return text === undefined || !text.isWellFormed() ? undefined : encodeURIComponent(text);
}

/** The first value of a name in a query, still percent-encoded; its plus signs are blanks, as forms write them. */
function queryValue(query: string, name: string): string | undefined {
  for (const pair of query.slice(1).split("&")) {
    const equals = pair.indexOf("=");
    if (equals > 0 && decoded(pair.slice(0, equals)) === name) return pair.slice(equals + 1).replaceAll("+", "%20");
  }
  return undefined;
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll("+", "%20"));
  } catch {
    return undefined; // a broken name is no name
  }
}

/** The entries of a `Sec-WebSocket-Protocol` field, in order. */
export function subprotocols(header: string | null): string[] {
  return (header ?? "")
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "");
}

/**
 * What is one visitor's of an address, percent-encoded: an IPv4 address, or the first 64 bits of an IPv6 one, which are what a household or a
 * machine is given (RFC 6177, RFC 7421). `undefined` for what is no address.
 */
export function networkOf(address: string): string | undefined {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(address)) return hostOf(address);
  const host = hostOf(`[${address}]`);
  if (host === undefined) return undefined;
  const [head = "", tail] = host.slice(1, -1).split("::");
  const groups = (text: string): string[] => (text === "" ? [] : text.split(":"));
  const all =
    tail === undefined ? groups(head) : [...groups(head), ...Array<string>(8 - groups(head).length - groups(tail).length).fill("0"), ...groups(tail)];
  const mapped = all.slice(0, 6).join(":") === "0:0:0:0:0:ffff";
  if (!mapped) return encodeURIComponent(`${all.slice(0, 4).join(":")}::/64`);
  return all
    .slice(6)
    .flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff])
    .join(".");
}

/** The one form of an address that the URL standard gives it; `undefined` where it is none. */
function hostOf(text: string): string | undefined {
  const url = URL.canParse(`http://${text}/`) ? new URL(`http://${text}/`) : undefined;
  return url !== undefined && url.pathname === "/" && url.username === "" ? url.hostname : undefined;
}

/** Of each route, taken apart once. */
const segments = new WeakMap<Route, readonly string[]>();

function segmentsOf(route: Route): readonly string[] {
  const known = segments.get(route);
  if (known) return known;
  const made = route.path.split("/");
  segments.set(route, made);
  return made;
}

function matchPath(wanted: readonly string[], given: readonly string[]): Map<string, string> | undefined {
  const open = wanted.at(-1) === "*";
  if (open ? given.length < wanted.length : given.length !== wanted.length) return undefined;
  const params = new Map<string, string>();
  for (const [index, segment] of wanted.entries()) {
    if (open && index === wanted.length - 1) break;
    const value = given[index] ?? "";
    if (segment.startsWith(":")) {
      if (value === "") return undefined;
      params.set(segment.slice(1), value);
    } else if (segment !== value && segment !== withPlainLetters(value)) return undefined;
  }
  return params;
}

/** Percent-encoded unreserved characters are the characters themselves (RFC 3986 §6.2.2.2). */
function withPlainLetters(segment: string): string {
  return segment.replaceAll(/%([0-9a-f]{2})/gi, (encoded, hex: string) => {
    const char = String.fromCharCode(Number.parseInt(hex, 16));
    return /[A-Za-z0-9\-._~]/.test(char) ? char : encoded;
  });
}
