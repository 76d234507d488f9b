// What the visitor is told beside the answer: who serves (where exposed), the cookie that remembers it, and the tag of a key that the origin
// has issued with it.

import type { LearnedSource } from "../core/config-types.ts";
import { expireCookie, needsRewrite, packed, setCookie, type Claims } from "../core/cookie.ts";
import { hasAffinity } from "../core/decide.ts";
import { cookieValueIn, isLearned, sourceNameOf, unwrap, wrap, type Tag } from "../core/learned.ts";
import { pointOf } from "../core/secret-point.ts";
import type { Answered } from "../platform/carry-http.ts";
import type { Placed } from "../platform/carrier-answers.ts";
import { exposeTo } from "../platform/record.ts";
import { seal } from "../platform/seal.ts";
import type { Draft } from "./messages.ts";
import { learnedValueOf, type Identified } from "./request.ts";
import type { Arrival } from "./route.ts";

type Answer = Pick<Draft, "headers" | "change">;

/** `passing`: chosen for this request only. `ended`: the origin says that the session is over. */
type Circumstances = Pick<Answered, "passing" | "ended">;

/** A request that an origin has answered. */
export interface Served {
  readonly arrival: Arrival;
  readonly identified: Identified;
  readonly home: string;
  readonly placed: Placed;
}

export async function tell(served: Served, draft: Answer, circumstances: Circumstances = { passing: false, ended: false }): Promise<void> {
  if (served.arrival.settings.config.expose) exposeTo(draft.change(), served.placed);
  if (served.identified.route.session.some(isLearned)) await wrapIssued(served, draft);
  await tellByCookie(served, draft, circumstances);
}

/** Adds tags to the keys that the origin has issued with this answer. */
async function wrapIssued(served: Served, draft: Answer): Promise<void> {
  for (const source of served.identified.route.session) {
    if (!isLearned(source)) continue;
    if (source.kind === "header") {
      const value = draft.headers.get(source.name);
      if (value !== null && value !== "") draft.change().set(source.name, await wrapped(served, source, value));
    }
    if (source.kind === "cookie") await wrapCookie(served, source, draft);
  }
}

async function wrapCookie(served: Served, source: LearnedSource, draft: Answer): Promise<void> {
  const cookies = draft.headers.getSetCookie();
  if (!cookies.some((cookie) => cookieValueIn(cookie, source.name, isPast))) return;
  const headers = draft.change();
  headers.delete("set-cookie");
  for (const cookie of cookies) {
    const found = cookieValueIn(cookie, source.name, isPast);
    const value = found && (await wrapped(served, source, found.value));
    headers.append("set-cookie", found ? `${found.before}${value}${found.after}` : cookie);
  }
}

/** A date that cannot be read is none. */
function isPast(date: string): boolean {
  return Date.parse(date) <= Date.now();
}

/** The longest cookie that browsers take is 4,096 bytes, its attributes included. */
const WRAPPED_MAX_LENGTH = 3_500;

/**
 * A key that the origin has issued, with a tag for the origin that has issued it; the very value that the visitor brought where nothing
 * changed. Without affinity, and where it would be too long to be kept, as it came.
 */
export async function wrapped({ arrival, identified, home, placed }: Served, source: LearnedSource, value: string): Promise<string> {
  const { pool, tag } = identified;
  const { bare } = unwrap(value);
  if (tag?.source === sourceNameOf(source) && tag.value === bare && tag.origin === placed.origin && tag.home === home) {
    return learnedValueOf(arrival, source) ?? value;
  }
  if (!hasAffinity(pool, pointOf(bare, pool.pointSecret).lot)) return bare;
  const next: Tag = { pool: pool.id, source: sourceNameOf(source), value: bare, home, origin: placed.origin, fence: placed.fence };
  const text = wrap(bare, await seal(arrival.settings.secrets, "tag", next));
  return text.length > WRAPPED_MAX_LENGTH ? bare : text;
}

async function tellByCookie({ arrival, identified, home, placed }: Served, draft: Answer, { passing, ended }: Circumstances): Promise<void> {
  const { dev, secrets } = arrival.settings;
  const { pool, remembers, claims, issued, source, bound } = identified;
  // What has no affinity any more keeps its place until that ends, and the visitor their cookie.
  const kept = bound || placed.reason === "claim" || placed.reason === "pin";
  const visitors = identified.route.home.kind === "visitor";
  // Only where its claim was looked at and is over: not on another route of the pool, nor for one request's bad luck.
  const lost = identified.forgets && !kept && visitors && !passing && placed.reason !== "panic" && placed.epoch > 0;
  if (lost || (ended && remembers && (claims || issued !== undefined))) {
    addCookie(draft, expireCookie(pool, dev));
    return;
  }
  // Without affinity there is nothing to remember but a key that was issued: with the next one the visitor might have drawn affinity.
  const remembersKey = remembers && !ended && (kept || (pool.affinity === "on" && issued !== undefined));
  if (!remembersKey || passing || placed.reason === "panic") return;
  const nowMs = Date.now();
  const times = { issuedAtMs: claims?.issuedAtMs ?? nowMs, seenAtMs: nowMs };
  // Another key of the same source would have been another session: theirs is the hash that the cookie holds already.
  const keyHash = source === "issue" ? "" : claims?.source === source ? claims.keyHash : await identified.ownHash();
  // A shared key's placement is nobody's claim, nor is one that the bare configuration gave, which may be another than the ring's; what the
  // cookie says of the visitor's own session stays.
  const own = visitors && placed.epoch > 0 && kept;
  const bare: Claims = { pool: pool.id, issued, keyHash, source, fence: 0, ...times };
  const shared: Claims = kept || !visitors ? { ...bare, ...claims, pool: pool.id, issued, ...times } : bare;
  const next: Claims = own ? { ...bare, home, origin: placed.origin, fence: placed.fence } : shared;
  if (needsRewrite(claims, next, pool.session.idleMs)) addCookie(draft, setCookie(pool, dev, await seal(secrets, "cookie", packed(next)), next));
}

/** An answer that shared caches may keep bears no visitor's cookie, else others would get it; one that gets it is the visitor's own. */
function addCookie(draft: Answer, cookie: string): void {
  const cacheControl = draft.headers.get("cache-control");
  if (maySharedCacheKeep(draft.headers, cacheControl)) return;
  const headers = draft.change();
  headers.append("set-cookie", cookie);
  if (cacheControl === null) headers.set("cache-control", "private");
}

/** Whether a shared cache may keep the answer (RFC 9111 §3), or a cache of a provider's that has a field of its own. */
function maySharedCacheKeep(headers: Headers, cacheControl: string | null): boolean {
  if (CDN_FIELDS.some((name) => headers.has(name))) return true;
  if (cacheControl === null || /(^|[\s,])(private|no-store)\b/i.test(cacheControl)) return false;
  return /(^|[\s,])(public|s-maxage|max-age|must-revalidate)\b/i.test(cacheControl);
}

const CDN_FIELDS = ["cdn-cache-control", "cloudflare-cdn-cache-control", "surrogate-control"];
