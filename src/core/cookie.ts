// The affinity cookie: what it holds, when it counts and how it is set. Sealing it (opaque, authenticated) is platform/seal.ts.
// Forged, truncated, expired, of another pool or of a newer format: no cookie, no error.

import type { Pool } from "./config-types.ts";

const SOURCES = ["path", "cookie", "header", "query", "subprotocol", "ip", "jwt", "issue"] as const;

export interface Claims {
  readonly pool: string;
  /** The key that Limpet issued, where no source named one. */
  readonly issued?: string | undefined;
  /** Keyed hash of the key that the claim belongs to ("" of one that Limpet issued: it is here itself), and the source it came from. */
  readonly keyHash: string;
  readonly source: (typeof SOURCES)[number];
  /** The home region and the placement of this visitor's own session; absent for shared keys, whose visitors must all agree without it. */
  readonly home?: string | undefined;
  readonly origin?: string | undefined;
  readonly fence: number;
  readonly issuedAtMs: number;
  readonly seenAtMs: number;
}

/** First character of the value, and of a tag's: the format. A value of another format is none. */
export const SEAL_FORMAT = "1";

/** `__Host-` binds the cookie to the host; it forbids Domain and any Path but "/". Plain in dev, where there is no https. */
export function cookieName(pool: Pool, dev: boolean): string {
  if (dev) return `limpet-${pool.id}`;
  const bound = pool.cookie.domain === undefined && pool.cookie.path === "/";
  return `${bound ? "__Host-" : "__Secure-"}limpet-${pool.id}`;
}

/** The claims as they are sealed: names left out, since every request bears them. */
export function packed({ pool, issued, keyHash, source, home, origin, fence, issuedAtMs, seenAtMs }: Claims): readonly (string | number)[] {
  return [pool, issued ?? "", keyHash, source, home ?? "", origin ?? "", fence, issuedAtMs, seenAtMs];
}

/** The claims of an opened cookie, while they count: of this pool, not idle for too long, not too old, not from the future. */
export function readClaims(opened: unknown, pool: Pool, nowMs: number): Claims | undefined {
  const claims = Array.isArray(opened) ? unpacked(opened) : undefined;
  if (claims?.pool !== pool.id) return undefined;
  const { issuedAtMs, seenAtMs } = claims;
  const CLOCK_SKEW_MS = 60_000;
  if (issuedAtMs > nowMs + CLOCK_SKEW_MS || seenAtMs > nowMs + CLOCK_SKEW_MS) return undefined;
  if (nowMs - seenAtMs > pool.session.idleMs || nowMs - issuedAtMs > pool.session.maxLifeMs) return undefined;
  return claims;
}

/** By hand, not by a schema: this is done for every request of a known session. */
function unpacked([pool, issued, keyHash, source, home, origin, fence, issuedAtMs, seenAtMs]: readonly unknown[]): Claims | undefined {
  if (!isText(pool) || !isText(issued) || !isText(keyHash) || !isText(home) || !isText(origin) || !isSource(source)) return undefined;
  if (!isNumber(fence) || !isNumber(issuedAtMs) || !isNumber(seenAtMs)) return undefined;
  const [at, by] = [home === "" ? undefined : home, origin === "" ? undefined : origin];
  return { pool, issued: issued === "" ? undefined : issued, keyHash, source, home: at, origin: by, fence, issuedAtMs, seenAtMs };
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

function isSource(value: unknown): value is Claims["source"] {
  return SOURCES.some((source) => source === value);
}

/** Whether the cookie must be written again: the placement or the key changed, or a quarter of the idle time has passed. */
export function needsRewrite(old: Claims | undefined, next: Claims, idleMs: number): boolean {
  if (!old) return true;
  const same = old.keyHash === next.keyHash && old.home === next.home && old.origin === next.origin && old.fence === next.fence;
  return !same || next.seenAtMs - old.seenAtMs >= idleMs / 4;
}

/** The `Set-Cookie` value that takes the cookie away. */
export function expireCookie(pool: Pool, dev: boolean): string {
  return attributes(pool, dev, "", 0);
}

/** The `Set-Cookie` value. Lives as long as the browser's session, or as its claims, which carry their own end in any case. */
export function setCookie(pool: Pool, dev: boolean, sealed: string, claims: Pick<Claims, "issuedAtMs" | "seenAtMs">): string {
  const { idleMs, maxLifeMs } = pool.session;
  const countsMs = Math.max(0, Math.min(idleMs, claims.issuedAtMs + maxLifeMs - claims.seenAtMs));
  return attributes(pool, dev, sealed, pool.cookie.persistent ? Math.ceil(countsMs / 1000) : undefined);
}

function attributes(pool: Pool, dev: boolean, sealed: string, maxAge: number | undefined): string {
  const { domain, path, sameSite, partitioned } = pool.cookie;
  return [
    `${cookieName(pool, dev)}=${sealed}`,
    `Path=${path}`,
    ...(domain === undefined ? [] : [`Domain=${domain}`]),
    ...(maxAge === undefined ? [] : [`Max-Age=${maxAge}`]),
    "HttpOnly",
    ...(dev ? [] : ["Secure"]),
    `SameSite=${sameSite[0]?.toUpperCase()}${sameSite.slice(1)}`,
    ...(partitioned && !dev ? ["Partitioned"] : []), // browsers take it only with Secure
  ].join("; ");
}
