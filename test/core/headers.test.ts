// Which headers pass, in either direction.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { requestHeaders, responseHeaders, type Forwarded } from "../../src/core/headers.ts";

const facts: Forwarded = { visitorIp: "203.0.113.9", host: "app.example.com", scheme: "https", cookieName: "__Host-limpet-web", style: "off" };

const toOrigin = (headers: [string, string][], more: Partial<Forwarded> = {}): Record<string, string> =>
  Object.fromEntries(requestHeaders(new Headers(headers), { ...facts, ...more }));
const toVisitor = (headers: [string, string][]): Record<string, string> => Object.fromEntries(responseHeaders(new Headers(headers)));

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
  const FORGED: [string, string][] = [["x-forwarded-for", "1.1.1.1"], ["x-forwarded-host", "evil"], ["x-forwarded-proto", "http"], ["x-real-ip", "1.1.1.1"], ["forwarded", "for=1.1.1.1"]];
  test.each<[what: string, more: Partial<Forwarded>, passing: Record<string, string>]>([
    ["is never what the visitor says", {}, {}],
    ["is what we know", { style: "x-forwarded" }, { "x-forwarded-for": "203.0.113.9", "x-forwarded-host": "app.example.com", "x-forwarded-proto": "https" }],
    ["leaves out what we do not know", { style: "x-forwarded", visitorIp: null }, { "x-forwarded-host": "app.example.com", "x-forwarded-proto": "https" }],
  ])("%s", (_, more, passing) => {
    expect(toOrigin(FORGED, more)).toEqual(passing);
    expect(toOrigin([...FORGED, ["connection", FORGED.map(([name]) => name).join()]], more)).toEqual(passing);
  });
});

describe("our cookie is taken out of what the origin gets", () => {
  test.each<[cookie: string, left: string | undefined]>([
    ["a=1", "a=1"],
    ["__Host-limpet-web=1.x", undefined],
    ["a=1; __Host-limpet-web=1.x; b=2", "a=1; b=2"],
    ["__Host-limpet-web = 1.x ;a=1", "a=1"],
    ["__Host-limpet-web=1.x; __Host-limpet-web=2; a=1", "a=1"],
    ["x__Host-limpet-web=1; a=__Host-limpet-web=1", "x__Host-limpet-web=1; a=__Host-limpet-web=1"],
    ["a=__Host-limpet-web; __Host-limpet-web=1.x", "a=__Host-limpet-web"],
    ['a="1;__Host-limpet-web=1.x"; b=2', 'a="1; b=2'],
  ])("%s", (cookie, left) => {
    expect(toOrigin([["cookie", cookie]])).toEqual(left === undefined ? {} : { cookie: left });
  });
});

test("an origin's cookies reach the visitor one by one", () => {
  const incoming = new Headers([["set-cookie", "a=1, x"], ["set-cookie", "b=2"], ["connection", "close"]]);
  expect(responseHeaders(incoming).getSetCookie()).toEqual(["a=1, x", "b=2"]);
  expect(incoming.has("connection")).toBe(true); // the headers given are not changed
});
