// Which route and which session key a request has.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../src/core/config.ts";
import type { Config, JwtSource, SessionSource } from "../../src/core/config-types.ts";
import { claimAt, findKey as findKeyOf, cookieIn, matchRoute, parseKey, tokenOf, type RequestFacts, type RouteMatch } from "../../src/core/identity.ts";

/** The key, and of its source the kind. */
function findKey(...given: Parameters<typeof findKeyOf>) {
  const finding = findKeyOf(...given);
  return finding.kind === "key" ? { ...finding, source: finding.source.kind } : finding;
}

/** A route as a test names it: its pattern, host, headers and key sources; the rest is defaulted. */
function config(...routes: { path: string; host?: string; header?: Record<string, string>; session?: object[] }[]): Config {
  const parsed = parseConfig(
    {
      defaultRegion: "weur",
      regions: { weur: {} },
      pools: { web: { origins: [{ id: "weur-1", region: "weur", url: "http://weur-1.example.com" }] } },
      routes: routes.map((route) => ({ pool: "web", session: [], ...route })),
    },
    { dev: true },
  );
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  return parsed.config;
}

interface Given {
  readonly host?: string;
  readonly headers?: Record<string, string>;
  readonly cookie?: string | null;
  readonly query?: string;
  readonly address?: string | null;
}

function facts(path: string, { host = "app.example.com", headers = {}, cookie = null, query = "", address = null }: Given = {}): RequestFacts {
  return { path, host, header: (name) => headers[name] ?? null, cookie: (name) => cookieIn(cookie ?? undefined, name), query, address, verified: new Map() };
}

/** The route of a request, where it is not in doubt. */
function found(config: Config, request: RequestFacts): RouteMatch | undefined {
  const match = matchRoute(config, request);
  if (match === "alias") throw new Error(`${request.path} is an alias`);
  return match;
}

describe("a path pattern", () => {
  const NONE = undefined;
  test.each<[pattern: string, path: string, params: Record<string, string> | undefined]>([
    ["/", "/", {}],
    ["/", "/a", NONE],
    ["/a/b", "/a/b", {}],
    ["/a/b", "/a/b/", NONE],
    ["/a/b", "/A/b", NONE],
    ["/a/b", "/a", NONE],
    ["/collab/:session", "/collab/doc-1", { session: "doc-1" }],
    ["/collab/:session", "/collab/a%2Fb", { session: "a%2Fb" }],
    ["/collab/:session", "/collab/", NONE],
    ["/collab/:session", "/collab", NONE],
    ["/collab/:session", "/collab/doc-1/more", NONE],
    ["/:tenant/d/:session", "/acme/d/7", { tenant: "acme", session: "7" }],
    ["/:tenant/d/:session", "//d/7", NONE],
    ["/*", "/", {}],
    ["/*", "/any/thing", {}],
    ["/api/*", "/api/", {}],
    ["/api/*", "/api/v1/x", {}],
    ["/api/*", "/api", NONE],
    ["/api/*", "/apis/x", NONE],
    ["/d/:session/*", "/d/7/ws", { session: "7" }],
    ["/d/:session/*", "/d/7", NONE],
    ["/doc/:k", "/%64oc/k", { k: "k" }],
    ["/doc/:k", "/%64%6F%63/k", { k: "k" }],
    ["/doc/:k", "/d%6fc/%6B", { k: "%6B" }],
    ["/a-b.c_d~1/*", "/a%2Db%2Ec%5fd%7e%31/x", {}],
    ["/doc/:k", "/%44oc/k", NONE],
    ["/doc/:k", "/%2564oc/k", NONE],
    ["/doc/:k", "/doc%2Fk", NONE],
    ["/@me/:k", "/@me/k", { k: "k" }],
    ["/@me/:k", "/%40me/k", NONE], // reserved: encoded it may mean something else
    ["/a%20b/:k", "/a%20b/k", { k: "k" }],
    ["/a%20b/:k", "/a b/k", NONE],
    ["/%64oc/:k", "/%64oc/k", { k: "k" }],
    ["/doc/:k", "/%zzdoc/k", NONE],
  ])("%s against %s", (pattern, path, params) => {
    const match = found(config({ path: pattern }), facts(path));
    expect(match && Object.fromEntries(match.params)).toEqual(params);
  });
});

describe("a route", () => {
  const routes = config({ path: "/*", host: "beta.example.com" }, { path: "/*", header: { "X-Tier": "gold" } }, { path: "/api/*" }, { path: "/*" });

  test.each<[what: string, facts: RequestFacts, index: number]>([
    ["by host", facts("/api/x", { host: "beta.example.com" }), 0],
    ["by header, whose name has no case", facts("/api/x", { headers: { "x-tier": "gold" } }), 1],
    ["not by another value of the header", facts("/api/x", { headers: { "x-tier": "Gold" } }), 2],
    ["the first that matches", facts("/api/x"), 2],
    ["the last resort", facts("/x"), 3],
  ])("is found %s", (_, facts, index) => {
    expect(found(routes, facts)?.route).toBe(routes.routes[index]);
  });

  test("is not found where none matches", () => {
    expect(matchRoute(config({ path: "/a" }), facts("/b"))).toBeUndefined();
  });
});

describe("a path with an empty segment, which some servers fold away and others do not", () => {
  const NAMED = [{ path: "k" }];
  const routes = config({ path: "/raw/*" }, { path: "/doc/:k", session: NAMED }, { path: "/:tenant/d/:k/*", session: NAMED }, { path: "/list/:k" }, { path: "/*" });
  test.each<[path: string, outcome: number | "alias"]>([
    ["/doc/k", 1],
    ["/doc//k", "alias"],
    ["//doc/k", "alias"],
    ["///doc////k", "alias"],
    ["/%64oc//k", "alias"],
    ["/acme//d/7/x", "alias"],
    ["//acme/d/7/", "alias"],
    // Behind the key it is the origin's: the key is the same, folded or not.
    ["/acme/d/7//x", 2],
    ["/acme/d/7//", 2],
    // Folded, it names no session either.
    ["/doc//", 4],
    ["/doc//k/more", 4],
    ["//", 4],
    // An earlier route has it as it stands, or the route that it would be names no session.
    ["/raw//doc/k", 0],
    ["/list//k", 4],
    // An encoded slash is not an empty segment.
    ["/doc/%2Fk", 1],
  ])("%s", (path, outcome) => {
    const match = matchRoute(routes, facts(path));
    expect(match === "alias" ? match : match && routes.routes.indexOf(match.route)).toBe(outcome);
  });

  test("is in doubt only on the host and with the headers of the route", () => {
    const guarded = config({ path: "/doc/:k", host: "docs.example.com", header: { "x-tier": "gold" }, session: NAMED }, { path: "/*" });
    const outcome = (host: string, tier: string): unknown => matchRoute(guarded, facts("/doc//k", { host, headers: { "x-tier": tier } }));
    expect(outcome("docs.example.com", "gold")).toBe("alias");
    expect([outcome("app.example.com", "gold"), outcome("docs.example.com", "tin")]).toEqual([{ route: guarded.routes[1], params: new Map() }, { route: guarded.routes[1], params: new Map() }]);
  });

  test("is in doubt even where nobody else would take it", () => {
    expect(matchRoute(config({ path: "/doc/:k", session: NAMED }), facts("/doc//k"))).toBe("alias");
  });

  test("never has another key than its folded form", () => {
    const segment = fc.constantFrom("", "", "a", "doc", "d", "%64", "raw");
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 7 }), (segments) => {
        const path = `/${segments.join("/")}`;
        const keyOf = (path: string): unknown => {
          const match = matchRoute(routes, facts(path));
          return match && match !== "alias" ? findKey(match, facts(path), undefined) : match;
        };
        const given = keyOf(path);
        if (given !== "alias") expect(given).toEqual(keyOf(path.replaceAll(/\/+/g, "/")));
      }),
      { numRuns: 1000 },
    );
  });
});

describe("a key", () => {
  const valid = (key: string) => ({ kind: "valid", key });
  const invalid = (fault: string) => ({ kind: "invalid", fault: expect.stringContaining(fault) });
  const absent = { kind: "absent" };

  test.each<[what: string, raw: string | null | undefined, parsed: object]>([
    ["plain", "doc-1", valid("doc-1")],
    ["absent", null, absent],
    ["undefined", undefined, absent],
    ["empty", "", absent],
    ["percent-encoded", "Z%C3%BCrich%20%F0%9F%90%9A", valid("Zürich 🐚")],
    ["encoded in lower case", "%c3%bc", valid("ü")],
    ["decoded once only", "a%2541", valid("a%41")],
    ["with a slash inside", "a%2Fb", valid("a/b")],
    ["with a plus, which is none of our business", "a+b", valid("a+b")],
    ["with a broken sequence", "%zz", invalid("percent")],
    ["with half a sequence", "100%", invalid("percent")],
    ["with a sequence that is not UTF-8", "%ff", invalid("percent")],
    ["with bytes that were not UTF-8", "a\uFFFDb", invalid("not UTF-8")],
    ["with such bytes among escapes", "%41\uFFFD", invalid("not UTF-8")],
    ["with the replacement character itself, encoded", "a%EF%BF%BDb", valid("a\uFFFDb")],
    ["with half a surrogate pair", "%ED%A0%80", invalid("percent")],
    ["of 256 bytes", "x".repeat(256), valid("x".repeat(256))],
    ["of 257 bytes", "x".repeat(257), invalid("257 bytes")],
    ["of 256 bytes in 64 characters", "🐚".repeat(64), valid("🐚".repeat(64))],
    ["of 257 bytes in 65 characters", `${"🐚".repeat(64)}x`, invalid("257 bytes")],
    ["of 256 bytes once decoded", "%78".repeat(256), valid("x".repeat(256))],
    ["with NUL", "a%00b", invalid("control")],
    ["with a line feed", "a%0Ab", invalid("control")],
    ["with DEL", "a%7F", invalid("control")],
    ["with a C1 control character", "a%C2%85", invalid("control")],
    ["with a space at the end", "a%20", valid("a ")],
  ])("%s", (_, raw, parsed) => {
    expect(parseKey(raw)).toEqual(parsed);
  });

  test("comes back from any text that it is the encoding of, if it is short and has no control characters", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 }), (text) => {
        fc.pre(!/\p{Cc}/u.test(text) && new TextEncoder().encode(text).length <= 256);
        expect(parseKey(encodeURIComponent(text))).toEqual(valid(text));
      }),
    );
  });

  test("is never an exception", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (raw) => void parseKey(raw)));
  });
});

describe("the first source that yields a valid key wins", () => {
  const BY_PATH = [{ path: "session" }, { cookie: "sid" }, { header: "X-Session-Id" }];
  const BY_COOKIE = [{ cookie: "sid" }, { header: "x-session-id" }, { issue: true }];
  const find = (session: object[], path: string, more: { cookie?: string; header?: string; issued?: string } = {}) => {
    const request = facts(path, { cookie: more.cookie ?? null, headers: more.header === undefined ? {} : { "x-session-id": more.header } });
    const pattern = session === BY_PATH ? "/d/:session" : "/*";
    const match = found(config({ path: pattern, session }), request);
    return match && findKey(match, request, more.issued);
  };
  const key = (key: string, source: SessionSource["kind"]) => ({ kind: "key", key, source });

  test.each<[what: string, found: unknown, wanted: unknown]>([
    ["the path before all", find(BY_PATH, "/d/p", { cookie: "sid=c", header: "h" }), key("p", "path")],
    ["the cookie", find(BY_COOKIE, "/", { cookie: "sid=c", header: "h", issued: "i" }), key("c", "cookie")],
    ["the header", find(BY_COOKIE, "/", { header: "h", issued: "i" }), key("h", "header")],
    ["what we issued", find(BY_COOKIE, "/", { issued: "i" }), key("i", "issue")],
    ["none", find(BY_COOKIE, "/"), { kind: "none" }],
    ["not a cookie that is no key", find(BY_COOKIE, "/", { cookie: "sid=%zz", header: "h" }), key("h", "header")],
    ["not an empty cookie", find(BY_COOKIE, "/", { cookie: "sid=", header: "h" }), key("h", "header")],
    ["a bad cookie and a bad header are no fault", find(BY_COOKIE, "/", { cookie: "sid=%00", header: "%ff" }), { kind: "none" }],
    ["a path that names no session is a fault", find(BY_PATH, "/d/%ff"), { kind: "unusable", fault: expect.stringContaining("percent") }],
    ["so is one that was not UTF-8", find(BY_PATH, "/d/\uFFFD", { cookie: "sid=c" }), { kind: "unusable", fault: "it is not UTF-8" }],
    ["a cookie that was not UTF-8 is passed over", find(BY_COOKIE, "/", { cookie: "sid=\uFFFD", header: "h" }), key("h", "header")],
    ["so is one that is too long", find(BY_PATH, `/d/${"x".repeat(257)}`), { kind: "unusable", fault: expect.stringContaining("257") }],
    ["no later source heals it: two visitors of that path might not have it in common", find(BY_PATH, "/d/%ff", { cookie: "sid=c" }), { kind: "unusable", fault: expect.stringContaining("percent") }],
    ["the same text is the same key from everywhere", find(BY_COOKIE, "/", { cookie: "sid=Z%C3%BC" }), key("Zü", "cookie")],
  ])("%s", (_, found, wanted) => {
    expect(found).toEqual(wanted);
  });
});

describe("further sources", () => {
  const find = (session: object[], given: Given): unknown => {
    const match = found(config({ path: "/*", session }), facts("/", given));
    const finding = match && findKey(match, facts("/", given), undefined);
    return finding?.kind === "key" ? `${finding.source} ${finding.key}` : finding?.kind;
  };

  test.each<[query: string, found: string]>([
    ["?sid=a", "query a"], ["?x=1&sid=a&sid=b", "query a"], ["?sid=Z%C3%BC", "query Zü"], ["?sid=a+b", "query a b"], ["?s%69d=a", "query a"],
    ["?sid=a=b", "query a=b"], ["?sid=a%26b", "query a&b"], ["", "none"], ["?", "none"], ["?sid", "none"], ["?sid=", "none"], ["?SID=a", "none"],
    ["?sid=%zz", "none"], ["?%zz=a", "none"], ["?sid=a%00", "none"], ["?xsid=a", "none"], [`?sid=${"x".repeat(257)}`, "none"],
  ])("a key in the query %j: %s", (query, wanted) => {
    expect(find([{ query: "sid" }], { query })).toBe(wanted);
  });

  test.each<[header: string | undefined, found: string]>([
    ["limpet.doc-1", "subprotocol doc-1"], ["chat, limpet.doc-1", "subprotocol doc-1"], ["limpet.a,limpet.b", "subprotocol a"],
    ["limpet.Z%C3%BC", "subprotocol Zü"], ["chat", "none"], ["limpet.", "none"], ["xlimpet.a", "none"], [undefined, "none"], [" , ,", "none"],
  ])("a key among the subprotocols %j: %s", (header, wanted) => {
    expect(find([{ subprotocol: "limpet." }], header === undefined ? {} : { headers: { "sec-websocket-protocol": header } })).toBe(wanted);
  });

  test.each<[address: string | null, found: string]>([
    ["203.0.113.7", "ip 203.0.113.7"], ["2001:db8:1:2:3:4:5:6", "ip 2001:db8:1:2::/64"], ["2001:DB8:1:2::9", "ip 2001:db8:1:2::/64"],
    ["2001:db8::1", "ip 2001:db8:0:0::/64"], ["::1", "ip 0:0:0:0::/64"], ["fe80::1:2:3:4", "ip fe80:0:0:0::/64"],
    ["::ffff:203.0.113.7", "ip 203.0.113.7"], ["::ffff:cb00:7107", "ip 203.0.113.7"],
    ["999.0.0.1", "none"], ["1.2.3", "none"], ["localhost", "none"], ["::1]/x[", "none"], ["a@1.2.3.4", "none"], ["", "none"], [null, "none"],
  ])("the visitor's address %j: %s", (address, wanted) => {
    expect(find([{ ip: true }], { address })).toBe(wanted);
  });

  test("an address is read without an exception, whatever it is, and two of one network are one visitor", () => {
    fc.assert(fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.ipV6(), fc.ipV4()), (address) => void find([{ ip: true }], { address })));
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 0xffff }), { minLength: 4, maxLength: 4 }), fc.integer({ min: 1, max: 0xffff }), (network, host) => {
        const prefix = network.map((group) => group.toString(16)).join(":");
        expect(find([{ ip: true }], { address: `${prefix}::${host.toString(16)}` })).toBe(`ip ${prefix}::/64`);
      }),
    );
  });

  const source = (jwt: object): JwtSource => {
    const [first] = config({ path: "/*", session: [{ jwt: { claim: "sub", secret: "KEY", ...jwt } }] }).routes[0]?.session ?? [];
    if (first?.kind !== "jwt") throw new Error("no token source");
    return first;
  };

  test.each<[jwt: object, given: Given, token: string | undefined]>([
    [{}, { headers: { authorization: "Bearer a.b.c" } }, "a.b.c"],
    [{}, { headers: { authorization: "bearer  a.b-c_d.e" } }, "a.b-c_d.e"],
    [{}, { headers: { authorization: "Basic a.b.c" } }, undefined],
    [{}, { headers: { authorization: "Bearer a b" } }, undefined],
    [{}, {}, undefined],
    [{ cookie: "t" }, { cookie: "t=a.b.c", headers: { authorization: "Bearer x.y.z" } }, "a.b.c"],
    [{ query: "t" }, { query: "?t=a.b.c" }, "a.b.c"],
  ])("the token of %j in %j is %s", (jwt, given, token) => {
    expect(tokenOf(source(jwt), facts("/", given))).toBe(token);
  });

  test.each<[claims: unknown, claim: string, found: string | undefined]>([
    [{ sub: "ann" }, "sub", "ann"], [{ sub: 7 }, "sub", "7"], [{ sub: 2 ** 53 }, "sub", undefined], [{ sub: 1.5 }, "sub", undefined], [{ sub: Infinity }, "sub", undefined], [{ org: { id: "o1" } }, "org.id", "o1"], [{ "org.id": "no" }, "org.id", undefined],
    [{}, "sub", undefined], [{ sub: null }, "sub", undefined], [{ sub: ["a"] }, "sub", undefined], [{ sub: true }, "sub", undefined],
    [null, "sub", undefined], ["sub", "length", undefined], [{}, "constructor.name", undefined], [{}, "__proto__", undefined],
  ])("of the claims %j, %s is %s", (claims, claim, wanted) => {
    expect(claimAt(claims, source({ claim }))).toBe(wanted);
  });

  test("a verified claim is a key as it stands, whatever it looks like, and only if it is a key", () => {
    const [route] = config({ path: "/*", session: [{ jwt: { claim: "sub", secret: "KEY" } }] }).routes;
    const [jwt] = route?.session ?? [];
    if (!route || jwt?.kind !== "jwt") throw new Error("no token source");
    const find = (claim: string) => findKey({ route, params: new Map() }, { ...facts("/"), verified: new Map([[jwt, claim]]) }, undefined);
    expect(["ann", "a%41", "Z ü/&", "100%"].map(find)).toEqual(["ann", "a%41", "Z ü/&", "100%"].map((key) => ({ kind: "key", key, source: "jwt" })));
    expect(["", "\u0000", "\ud800", "x".repeat(257)].map(find)).toEqual(Array.from({ length: 4 }, () => ({ kind: "none" })));
  });

  test("count in the order in which they stand", () => {
    const given = { query: "?sid=q", headers: { "sec-websocket-protocol": "p.s" }, address: "203.0.113.7" };
    const sources = [{ subprotocol: "p." }, { query: "sid" }, { ip: true }];
    expect([find(sources, given), find(sources.slice(1), given), find(sources.slice(2), given)]).toEqual(["subprotocol s", "query q", "ip 203.0.113.7"]);
  });
});

describe("cookies", () => {
  test.each<[header: string | undefined, name: string, value: string | undefined]>([
    [undefined, "sid", undefined],
    ["", "sid", undefined],
    ["sid=1", "sid", "1"],
    ["sid=1", "si", undefined],
    ["asid=0; sid=1", "sid", "1"],
    ["a=1; b=2;c=3", "b", "2"],
    ["a=1; b=2;c=3", "c", "3"],
    ["  a =  1  ;; b", "a", "1"],
    ["  a =  1  ;; b", "b", undefined],
    ["b; a=1", "a", "1"],
    ["a=1; a=2", "a", "1"],
    ['a="quoted"; b="half; c=""', "a", "quoted"],
    ['a="quoted"; b="half; c=""', "b", '"half'],
    ['a="quoted"; b="half; c=""', "c", ""],
    ['a="', "a", '"'],
    ["a=b=c==", "a", "b=c=="],
    ["a=%20", "a", "%20"],
    ["__proto__=1; constructor=2", "__proto__", "1"],
    ["a=1", "constructor", undefined],
    [";=;===;", "", ""],
  ])("of %j: %j", (header, name, value) => {
    expect(cookieIn(header, name)).toBe(value);
  });

  test("of any header are read without an exception, and none reaches over its end", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300 }), fc.string({ maxLength: 3 }), (header, name) => {
        expect(cookieIn(`${header}; ${name}=x`, name)?.includes(";") ?? false).toBe(false);
      }),
    );
  });

  test("of a hostile header are read in no time", () => {
    expect(cookieIn(`a="${'"'.repeat(100_000)}`, "b")).toBeUndefined();
    expect(cookieIn(`${"a;".repeat(100_000)}b=1`, "b")).toBe("1");
    expect(cookieIn(`a=${" ".repeat(100_000)}x`, "a")).toBe("x");
  });
});
