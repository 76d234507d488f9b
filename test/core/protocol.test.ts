// What a Worker hands to a carrier, through one header; and which versions of a neighbour are understood.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeLiveRequest, encodeLiveRequest, isUnderstood, PROTOCOL_VERSION, type LiveRequest } from "../../src/core/protocol.ts";

const live: LiveRequest = {
  version: 1, keyHash: "00".repeat(16), position: 0, lot: 0xffffffff, keyed: true, key: "doc-1", requestId: "r-1",
  resume: { mode: "transparent", profile: "y-websocket" }, rehomeOn: [1001, 1006], quietMs: 100,
};

test("every session key comes through, in a header value that needs no escape", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 256 }), (key) => {
      const header = encodeLiveRequest({ ...live, key });
      expect(header).toMatch(/^[A-Za-z0-9_-]+$/);
      expect(decodeLiveRequest(header)).toEqual({ ...live, key });
    }),
  );
});

test("a stateless request with a claim comes through", () => {
  const { key: _, ...stateless } = live;
  const request: LiveRequest = { ...stateless, keyed: false, claim: { origin: "weur-1", fence: 999_999_999_999_999 }, resume: { mode: "restart" } };
  expect(decodeLiveRequest(encodeLiveRequest(request))).toEqual(request);
});

test("no header is no request", () => {
  expect(decodeLiveRequest(null)).toBeUndefined();
});

describe("a neighbour's version is understood one step to either side", () => {
  test.each<[what: string, version: number, understood: boolean]>([
    ["ours", PROTOCOL_VERSION, true],
    ["one older", PROTOCOL_VERSION - 1, true],
    ["one newer", PROTOCOL_VERSION + 1, true],
    ["two older", PROTOCOL_VERSION - 2, false],
    ["two newer", PROTOCOL_VERSION + 2, false],
  ])("%s", (_, version, understood) => {
    expect(isUnderstood(version)).toBe(understood);
    const sent = { ...live, version };
    expect(decodeLiveRequest(encodeLiveRequest(sent))).toEqual(understood ? sent : undefined);
  });

  test("but not one that is missing", () => {
    const { version: _, ...bare } = live;
    expect(decodeLiveRequest(btoa(JSON.stringify(bare)))).toBeUndefined();
  });

  test("and a newer one's further names do no harm", () => {
    const newer = { ...live, version: PROTOCOL_VERSION + 1, later: { than: "ours" } };
    expect(decodeLiveRequest(encodeLiveRequest(newer))).toMatchObject({ ...live, version: PROTOCOL_VERSION + 1 });
  });
});
