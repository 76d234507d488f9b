// What the visitor is told beside the answer: who serves (where exposed), the cookie that remembers it, and the tag of a key that the origin
// has issued with it.

import type { LearnedSource } from "../core/config-types.ts";
import { expireCookie, needsRewrite, setCookie, type Claims } from "../core/cookie.ts";
import { hasAffinity } from "../core/decide.ts";
import { cookieValueIn, isLearned, placeOf, unwrap, wrap, type Tag } from "../core/learned.ts";
import { pointOf } from "../core/secret-point.ts";
import type { Answered } from "../platform/carry-http.ts";
import type { Placed } from "../platform/carrier-object.ts";
import { exposeTo } from "../platform/record.ts";
import { seal } from "../platform/seal.ts";
import { learnedValueOf, type Identified } from "./request.ts";
import type { Passage } from "./route.ts";

/** `passing`: chosen for this request only. `ended`: the origin says that the session is over. */
type Circumstances = Pick<Answered, "passing" | "ended">;

/** A request that an origin has answered. */
export interface Served {
  readonly passage: Passage;
  readonly identified: Identified;
  readonly home: string;
  readonly placed: Placed;
}

export async function tell(served: Served, headers: Headers, circumstances: Circumstances = { passing: false, ended: false }): Promise<void> {
  if (served.passage.settings.config.expose) exposeTo(headers, served.placed);
  await wrapIssued(served, headers);
  await tellByCookie(served, headers, circumstances);
}

/** Adds tags to the keys that the origin has issued with this answer. */
async function wrapIssued(served: Served, headers: Headers): Promise<void> {
  for (const source of served.identified.route.session) {
    if (!isLearned(source)) continue;
    if (source.kind === "header") {
      const value = headers.get(source.name);
      if (value !== null && value !== "") headers.set(source.name, await wrapped(served, source, value));
    }
    if (source.kind === "cookie") await wrapCookie(served, source, headers);
  }
}

async function wrapCookie(served: Served, source: LearnedSource, headers: Headers): Promise<void> {
  const cookies = headers.getSetCookie();
  if (!cookies.some((cookie) => cookieValueIn(cookie, source.name))) return;
  headers.delete("set-cookie");
  for (const cookie of cookies) {
    const found = cookieValueIn(cookie, source.name);
    const value = found && (await wrapped(served, source, found.value));
    headers.append("set-cookie", found ? `${found.before}${value}${found.after}` : cookie);
  }
}

/** The longest cookie that browsers take is 4,096 bytes, its attributes included. */
const WRAPPED_MAX_LENGTH = 3_500;

/**
 * A key that the origin has issued, with a tag for the origin that has issued it; the very value that the visitor brought where nothing
 * changed. Without affinity, and where it would be too long to be kept, as it came.
 */
export async function wrapped({ passage, identified, home, placed }: Served, source: LearnedSource, value: string): Promise<string> {
  const { pool, tag } = identified;
  const { bare } = unwrap(value);
  if (tag?.place === placeOf(source) && tag.value === bare && tag.origin === placed.origin && tag.home === home) {
    return learnedValueOf(passage.request, source) ?? value;
  }
  if (!hasAffinity(pool, pointOf(bare, pool.pointSecret).lot)) return bare;
  const next: Tag = { pool: pool.id, place: placeOf(source), value: bare, home, origin: placed.origin, fence: placed.fence };
  const text = wrap(bare, await seal(passage.settings.secrets, "tag", next));
  return text.length > WRAPPED_MAX_LENGTH ? bare : text;
}

async function tellByCookie({ passage, identified, home, placed }: Served, headers: Headers, { passing, ended }: Circumstances): Promise<void> {
  const { dev, secrets } = passage.settings;
  const { pool, remembers, claims, issued, source, bound } = identified;
  // What has no affinity any more keeps its place until that ends, and the visitor their cookie.
  const kept = bound || placed.reason === "claim" || placed.reason === "pin";
  const visitors = identified.route.home.kind === "visitor";
  if (isPublic(headers)) return;
  // Only where its claim was looked at and is over: not on another route of the pool, nor for one request's bad luck.
  const lost = identified.forgets && !kept && visitors && !passing && placed.reason !== "panic" && placed.epoch > 0;
  if (lost || (ended && remembers && (claims || issued !== undefined))) {
    addCookie(headers, expireCookie(pool, dev));
    return;
  }
  // Without affinity there is nothing to remember but a key that was issued: with the next one the visitor might have drawn affinity.
  const remembersKey = remembers && !ended && (kept || (pool.affinity === "on" && issued !== undefined));
  if (!remembersKey || passing || placed.reason === "panic") return;
  const nowMs = Date.now();
  const times = { issuedAtMs: claims?.issuedAtMs ?? nowMs, seenAtMs: nowMs };
  const keyHash = await identified.ownHash();
  // A shared key's placement is nobody's claim, nor is one that the bare configuration gave, which may be another than the ring's; what the
  // cookie says of the visitor's own session stays.
  const own = visitors && placed.epoch > 0 && kept;
  const bare: Claims = { pool: pool.id, issued, keyHash, source, fence: 0, ...times };
  const shared: Claims = kept || !visitors ? { ...bare, ...claims, pool: pool.id, issued, ...times } : bare;
  const next: Claims = own ? { ...bare, home, origin: placed.origin, fence: placed.fence } : shared;
  if (needsRewrite(claims, next, pool.session.idleMs)) addCookie(headers, setCookie(pool, dev, await seal(secrets, "cookie", next), next));
}

function addCookie(headers: Headers, cookie: string): void {
  headers.append("set-cookie", cookie);
  if (!headers.has("cache-control")) headers.set("cache-control", "private");
}

/** An answer that shared caches may keep bears no visitor's cookie: others would get it. */
function isPublic(headers: Headers): boolean {
  return /(^|[\s,])(public|s-maxage)\b/i.test(headers.get("cache-control") ?? "");
}
