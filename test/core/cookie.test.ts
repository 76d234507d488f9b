// The affinity cookie: when its claims count, how it is named and set, when it is written again.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../src/core/config.ts";
import type { Pool } from "../../src/core/config-types.ts";
import { cookieName, needsRewrite, readClaims, setCookie, type Claims } from "../../src/core/cookie.ts";

function poolWith(cookie: object): Pool {
  const parsed = parseConfig(
    {
      defaultRegion: "weur",
      regions: { weur: {} },
      pools: { web: { cookie, session: { idleMs: 1000, maxLifeMs: 5000 }, origins: [{ id: "weur-1", region: "weur", url: "http://weur-1.example.com" }] } },
      routes: [{ path: "/*", pool: "web", session: [{ issue: true }] }],
    },
    { dev: true },
  );
  const pool = parsed.ok ? parsed.config.pools["web"] : undefined;
  if (!pool) throw new Error(JSON.stringify(parsed));
  return pool;
}

const pool = poolWith({});
const NOW = 1_000_000;
const claims: Claims = {
  pool: "web", issued: "k", keyHash: "00".repeat(16), source: "issue", home: "weur", origin: "weur-1", fence: 7, issuedAtMs: NOW - 3000, seenAtMs: NOW - 500,
};

/** Claims as a cookie holds them, whatever they are; what a newer version adds stands behind. */
function sealedAs({ pool: of, issued, keyHash, source, home, origin, fence, issuedAtMs, seenAtMs, ...later }: Readonly<Record<string, unknown>>): unknown[] {
  const text = (value: unknown): unknown => (value === undefined ? "" : value);
  return [of, text(issued), keyHash, source, text(home), text(origin), fence, issuedAtMs, seenAtMs, ...Object.values(later)];
}

describe("claims count while they are of this pool, fresh, and not of the future", () => {
  test.each<[what: string, more: object, counts: boolean]>([
    ["as sealed", {}, true],
    ["of a shared key: without a home and an origin", { home: undefined, origin: undefined, fence: 0 }, true],
    ["of a shared key, as it was written once: with a home", { origin: undefined, fence: 0 }, true],
    ["of another source's key: nothing issued", { issued: undefined, source: "header" }, true],
    ["with what a newer version added", { later: 1 }, true],
    ["seen just now", { seenAtMs: NOW }, true],
    ["idle for as long as allowed", { seenAtMs: NOW - 1000 }, true],
    ["idle for longer", { seenAtMs: NOW - 1001 }, false],
    ["as old as allowed", { issuedAtMs: NOW - 5000 }, true],
    ["older", { issuedAtMs: NOW - 5001 }, false],
    ["by a clock that is a minute ahead", { seenAtMs: NOW + 60_000, issuedAtMs: NOW + 60_000 }, true],
    ["seen in the future", { seenAtMs: NOW + 60_001 }, false],
    ["issued in the future", { issuedAtMs: NOW + 60_001 }, false],
    ["of another pool", { pool: "api" }, false],
    ["without a key hash", { keyHash: undefined }, false],
    ["of an unknown source", { source: "guess" }, false],
    ["with a fence as text", { fence: "7" }, false],
    ["with a time that is no number", { seenAtMs: Number.NaN }, false],
    ["with an origin that is null", { origin: null }, false],
    ["with a home that is null", { home: null }, false],
  ])("%s", (_, more, counts) => {
    expect(readClaims(sealedAs({ ...claims, ...more }), pool, NOW) !== undefined).toBe(counts);
  });

  test("rubbish is no cookie and no exception", () => {
    fc.assert(
      fc.property(fc.anything(), (opened) => {
        expect(readClaims(opened, pool, NOW)).toBeUndefined();
      }),
    );
  });
});

describe("name and attributes", () => {
  test.each<[cookie: object, dev: boolean, set: string]>([
    [{}, false, "__Host-limpet-web=1.x; Path=/; HttpOnly; Secure; SameSite=Lax"],
    [{}, true, "limpet-web=1.x; Path=/; HttpOnly; SameSite=Lax"],
    [{ domain: "example.com" }, false, "__Secure-limpet-web=1.x; Path=/; Domain=example.com; HttpOnly; Secure; SameSite=Lax"],
    [{ path: "/app" }, false, "__Secure-limpet-web=1.x; Path=/app; HttpOnly; Secure; SameSite=Lax"],
    [{ sameSite: "strict" }, false, "__Host-limpet-web=1.x; Path=/; HttpOnly; Secure; SameSite=Strict"],
    [{ sameSite: "none" }, false, "__Host-limpet-web=1.x; Path=/; HttpOnly; Secure; SameSite=None"],
    [{ sameSite: "none", partitioned: true }, false, "__Host-limpet-web=1.x; Path=/; HttpOnly; Secure; SameSite=None; Partitioned"],
    [{ partitioned: true }, true, "limpet-web=1.x; Path=/; HttpOnly; SameSite=Lax"],
    [{ persistent: true }, false, "__Host-limpet-web=1.x; Path=/; Max-Age=1; HttpOnly; Secure; SameSite=Lax"],
  ])("of %j, dev %s", (cookie, dev, set) => {
    const pool = poolWith(cookie);
    expect(setCookie(pool, dev, "1.x", claims)).toBe(set);
    expect(set.startsWith(`${cookieName(pool, dev)}=`)).toBe(true);
  });
});

test.each<[ageMs: number, seconds: number]>([[0, 1], [4000, 1], [4001, 1], [4999, 1], [5000, 0], [9000, 0]])("a persistent cookie of a session that is %i ms old lives for %i s: as long as its claims count", (ageMs, seconds) => {
  expect(setCookie(poolWith({ persistent: true }), true, "1.x", { issuedAtMs: NOW - ageMs, seenAtMs: NOW })).toContain(`Max-Age=${seconds};`);
});

describe("the cookie is written again when something changed or a quarter of the idle time has passed", () => {
  const next = { ...claims, seenAtMs: claims.seenAtMs + 100 };
  test.each<[what: string, old: Claims | undefined, next: Claims, again: boolean]>([
    ["there was none", undefined, next, true],
    ["nothing changed", claims, next, false],
    ["just under a quarter", claims, { ...claims, seenAtMs: claims.seenAtMs + 249 }, false],
    ["a quarter", claims, { ...claims, seenAtMs: claims.seenAtMs + 250 }, true],
    ["another key", claims, { ...next, keyHash: "11".repeat(16) }, true],
    ["another home", claims, { ...next, home: "enam" }, true],
    ["another origin", claims, { ...next, origin: "weur-2" }, true],
    ["a larger fence", claims, { ...next, fence: 8 }, true],
  ])("%s", (_, old, next, again) => {
    expect(needsRewrite(old, next, 1000)).toBe(again);
  });
});
