// Which headers pass, in either direction.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isLoop, mayPass, recordOf, requestHeaders, responseHeaders, type Forwarded } from "../../src/core/headers.ts";

const facts: Forwarded = { visitorIp: "203.0.113.9", host: "app.example.com", scheme: "https", style: "off", newSpanId: () => "00f067aa0ba902b7" };

/** What an origin gets, without the name that every request gets on its way. */
function toOrigin(headers: [string, string][], more: Partial<Forwarded> = {}): Record<string, string> {
  const { via, ...others } = requestHeaders(recordOf(new Headers(headers)), { ...facts, ...more });
  expect(via).toBe("1.1 limpet");
  return others;
}
/** What a visitor gets. An answer passes as it is only where nothing would be taken out but what the runtime replaces. */
function toVisitor(headers: [string, string][]): Record<string, string> {
  const [before, after] = [Object.fromEntries(new Headers(headers)), Object.fromEntries(responseHeaders(new Headers(headers)))];
  const taken = Object.keys(before).filter((name) => !(name in after));
  const replaced = ["connection", "keep-alive", "transfer-encoding"];
  if (mayPass(new Headers(headers))) expect(taken.filter((name) => !replaced.includes(name))).toEqual([]);
  else expect(taken).not.toEqual([]);
  return after;
}

describe("in both directions", () => {
  test.each<[what: string, headers: [string, string][], passing: Record<string, string>]>([
    ["the user's own pass", [["accept", "text/html"], ["x-request-id", "7"]], { accept: "text/html", "x-request-id": "7" }],
    [
      "hop-by-hop fields end here",
      ["Keep-Alive", "Proxy-Authorization", "Proxy-Authenticate", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade"].map((name) => [name, "x"]),
      {},
    ],
    ["so do those that Connection names", [["connection", "close, X-One ,x-two,, \t"], ["x-one", "1"], ["x-two", "2"], ["x-three", "3"]], { "x-three": "3" }],
    ["a Connection that names no token harms nobody", [["connection", "ä, (), a b, :"], ["accept", "a"]], { accept: "a" }],
    ["a handshake's own fields are made anew", [["sec-websocket-key", "k"], ["sec-websocket-version", "13"], ["sec-websocket-extensions", "x"], ["sec-websocket-accept", "a"]], {}],
    ["the subprotocol is the application's", [["sec-websocket-protocol", "a, b"]], { "sec-websocket-protocol": "a, b" }],
    ["nobody but we speaks of Limpet", [["Limpet", "replay=x"], ["limpet-live", "x"], ["LIMPET-DEV-CF", "{}"], ["limpet-", "x"]], {}],
    ["what only sounds like us passes", [["limpets", "1"], ["x-limpet", "2"]], { limpets: "1", "x-limpet": "2" }],
  ])("%s", (_, headers, passing) => {
    expect(toOrigin(headers)).toEqual(passing);
    expect(toVisitor(headers)).toEqual(passing);
  });

  test.each<[headers: [string, string][], passes: boolean]>([
    [[], true],
    [[["connection", "keep-alive"], ["keep-alive", "timeout=5"], ["transfer-encoding", "chunked"], ["content-type", "text/plain"]], true],
    [[["connection", "Close"]], true],
    [[["connection", "keep-alive, x-secret"], ["x-secret", "1"]], false],
    [[["connection", "x-secret"], ["x-secret", "1"]], false],
    [[["limpet", "end"]], false],
    [[["set-cookie", "theirs=1"]], true],
    [[["set-cookie", "theirs=1"], ["set-cookie", "limpet-web=evil"]], false],
  ])("an answer with %j passes as it is: %s", (headers, passes) => {
    expect(mayPass(new Headers(headers))).toBe(passes);
  });

  test("no header that a visitor can send passes as ours", () => {
    const name = fc.stringMatching(/^[Ll]impet(-[a-z0-9]{0,8})?$/);
    fc.assert(
      fc.property(name, fc.string({ unit: fc.constantFrom("a", ",", " ", "-") }), (name, connection) => {
        expect(Object.keys(toOrigin([[name, "x"], ["connection", connection]]))).toEqual([]);
      }),
    );
  });
});

describe("who a request is forwarded for", () => {
  const FORGED: [string, string][] = [
    ["x-forwarded-for", "1.1.1.1"], ["x-forwarded-host", "evil"], ["x-forwarded-proto", "http"], ["X-Forwarded-Port", "80"], ["x-forwarded-prefix", "/admin"],
    ["x-forwarded-server", "evil"], ["x-forwarded-", "x"], ["x-real-ip", "1.1.1.1"], ["forwarded", "for=1.1.1.1"], ["X-Original-URL", "/admin"],
    ["x-original-host", "evil"], ["true-client-ip", "1.1.1.1"], ["x-forwarded", "1"], ["x-client-ip", "1.1.1.1"], ["x-cluster-client-ip", "1.1.1.1"],
    ["fastly-client-ip", "1.1.1.1"], ["x-rewrite-url", "/admin"], ["x_forwarded_for", "1.1.1.1"], ["X-Forwarded_Host", "evil"], ["x_real_ip", "1.1.1.1"],
    ["limpet_live", "x"],
  ];
  test.each<[what: string, more: Partial<Forwarded>, passing: Record<string, string>]>([
    ["is never what the visitor says", {}, {}],
    ["is what we know", { style: "x-forwarded" }, { "x-forwarded-for": "203.0.113.9", "x-forwarded-host": "app.example.com", "x-forwarded-proto": "https" }],
    ["leaves out what we do not know", { style: "x-forwarded", visitorIp: null }, { "x-forwarded-host": "app.example.com", "x-forwarded-proto": "https" }],
    ["by the standard's field", { style: "forwarded" }, { forwarded: "for=203.0.113.9;host=app.example.com;proto=https" }],
    ["of IPv6 in brackets and quotes", { style: "forwarded", visitorIp: "2001:db8::1", host: "localhost:8787" }, { forwarded: 'for="[2001:db8::1]";host="localhost:8787";proto=https' }],
    ["by whom we do not know", { style: "forwarded", visitorIp: null }, { forwarded: "for=unknown;host=app.example.com;proto=https" }],
  ])("%s", (_, more, passing) => {
    expect(toOrigin(FORGED, more)).toEqual(passing);
    expect(toOrigin([...FORGED, ["connection", FORGED.map(([name]) => name).join()]], more)).toEqual(passing);
  });

  test("what only sounds like it passes, and so does an origin's word to the visitor", () => {
    const others: [string, string][] = [["x-forwarder", "1"], ["x-original-uri", "/"], ["x-real-ip-2", "1"], ["cf-connecting-ip", "203.0.113.9"]];
    expect(toOrigin(others)).toEqual(Object.fromEntries(others));
    expect(toVisitor([["x-forwarded-for", "10.0.0.1"]])).toEqual({ "x-forwarded-for": "10.0.0.1" });
  });
});

describe("a visitor's trace", () => {
  const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
  test.each<[what: string, given: string, sent: string | undefined]>([
    ["goes on with us as its latest part", `00-${TRACE}-1111111111111111-01`, `00-${TRACE}-00f067aa0ba902b7-01`],
    ["of a later version is read as this one", `cc-${TRACE}-1111111111111111-00-later`, `00-${TRACE}-00f067aa0ba902b7-00`],
    ["of this version has nothing behind it", `00-${TRACE}-1111111111111111-01-x`, undefined],
    ["of no version is none", `ff-${TRACE}-1111111111111111-01`, undefined],
    ["without a trace is none", `00-${"0".repeat(32)}-1111111111111111-01`, undefined],
    ["without a parent is none", `00-${TRACE}-${"0".repeat(16)}-01`, undefined],
    ["in capitals is none", `00-${TRACE.toUpperCase()}-1111111111111111-01`, undefined],
    ["of rubbish is none", "hello", undefined],
  ])("%s", (_, given, sent) => {
    const expected = sent === undefined ? {} : { traceparent: sent, tracestate: "a=1" };
    expect(toOrigin([["traceparent", given], ["tracestate", "a=1"]])).toEqual(expected);
  });

  test("is not begun by us", () => {
    expect(toOrigin([["accept", "a"]])).toEqual({ accept: "a" });
  });
});

describe("our cookies, of any pool, are taken out of what the origin gets", () => {
  test.each<[cookie: string, left: string | undefined]>([
    ["a=1", "a=1"],
    ["a=1;b=2 ; c", "a=1;b=2 ; c"], // nothing of ours: as it came
    ["__Host-limpet-web=1.x", undefined],
    ["a=1; __Host-limpet-web=1.x; b=2", "a=1; b=2"],
    ["__Host-limpet-web = 1.x ;a=1", "a=1"],
    ["__Host-limpet-web=1.x; __Host-limpet-web=2; a=1", "a=1"],
    ["__Host-limpet-web=1.x; __Host-limpet-collab=1.y; __Secure-limpet-shop-2=1.z; limpet-web=1.w; a=1", "a=1"],
    ["__host-LIMPET-web=1.x; a=1", "a=1"],
    ["limpet-web; a=1", "a=1"],
    ["limpet=1; limpet-=2; limpets-web=3; mylimpet-web=4; __Other-limpet-web=5", "limpet=1; limpet-=2; limpets-web=3; mylimpet-web=4; __Other-limpet-web=5"],
    ["x__Host-limpet-web=1; a=__Host-limpet-web=1", "x__Host-limpet-web=1; a=__Host-limpet-web=1"],
    ["a=__Host-limpet-web; __Host-limpet-web=1.x", "a=__Host-limpet-web"],
    ['a="1;__Host-limpet-web=1.x"; b=2', 'a="1; b=2'],
  ])("%s", (cookie, left) => {
    expect(toOrigin([["cookie", cookie]])).toEqual(left === undefined ? {} : { cookie: left });
  });

  test("under every name that they are set by, whatever stands around them", () => {
    const id = fc.stringMatching(/^[a-z0-9-]{1,32}$/);
    const prefix = fc.constantFrom("__Host-", "__Secure-", "");
    const other = fc.stringMatching(/^[a-k]{1,5}=[a-z0-9"]{0,5}$/);
    fc.assert(
      fc.property(id, prefix, fc.array(other), fc.array(other), (id, prefix, before, after) => {
        const cookie = [...before, `${prefix}limpet-${id}=1.x`, ...after].join("; ");
        expect(toOrigin([["cookie", cookie]])).toEqual(before.length + after.length === 0 ? {} : { cookie: [...before, ...after].join("; ") });
      }),
    );
  });
});

describe("an origin's cookies", () => {
  const set = (...cookies: string[]): string[] => responseHeaders(new Headers(cookies.map((cookie): [string, string] => ["set-cookie", cookie]))).getSetCookie();

  test("reach the visitor one by one", () => {
    const incoming = new Headers([["set-cookie", "a=1, x"], ["set-cookie", "b=2"], ["connection", "close"]]);
    expect(responseHeaders(incoming).getSetCookie()).toEqual(["a=1, x", "b=2"]);
    expect([incoming.has("connection"), incoming.getSetCookie()]).toEqual([true, ["a=1, x", "b=2"]]); // the headers given are not changed
  });

  test.each<[what: string, cookie: string, passes: boolean]>([
    ["ours", "__Host-limpet-web=1.x; Path=/; Secure", false],
    ["another pool's", "__Secure-limpet-shop=1.x; Secure", false],
    ["dev's", "limpet-web=1.x", false],
    ["in other letters", " __HOST-Limpet-web =; Max-Age=0", false],
    ["one that says the name in its value", "a=limpet-web=1", true],
    ["one that only sounds like it", "limpet=1", true],
    ["one without a value", "flag", true],
  ])("do not pass under our names: %s", (_, cookie, passes) => {
    expect(set("first=1", cookie, "last=2")).toEqual(["first=1", ...(passes ? [cookie] : []), "last=2"]);
  });

  test("leave nothing behind when all were under our names", () => {
    expect(toVisitor([["set-cookie", "limpet-web=1"], ["etag", "7"]])).toEqual({ etag: "7" });
  });
});

describe("our name on the way", () => {
  test("stands behind those of others, and an answer does not get it", () => {
    expect(requestHeaders({ via: "1.0 fred, 1.1 p.example.com" }, facts)["via"]).toBe("1.0 fred, 1.1 p.example.com, 1.1 limpet");
    expect(toVisitor([["via", "1.1 origin"]])).toEqual({ via: "1.1 origin" });
    expect(toVisitor([])).toEqual({});
  });

  test.each<[via: string | undefined, loop: boolean]>([
    [undefined, false],
    ["1.1 proxy", false],
    ["1.1 limpet", true],
    ["1.0 fred, 1.1 LIMPET , 2 other", true],
    ["1.1 limpets, 2 limpet, 1.1 limpet.example.com", false],
  ])("%s is a loop: %s", (via, loop) => {
    expect(isLoop(via)).toBe(loop);
  });

  test("is known again, whatever a request came with", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("a", ",", " ", "1", ".") }), fc.constantFrom("", "via", "close, Via"), (via, connection) => {
        expect(isLoop(requestHeaders(recordOf(new Headers([["via", via], ["connection", connection]])), facts)["via"])).toBe(true);
      }),
    );
  });
});
