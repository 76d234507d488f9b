// What a Worker hands to a carrier, through one header.

import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeLiveRequest, encodeLiveRequest, type LiveRequest } from "../../src/core/protocol.ts";

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

test("no header is no request, and neither is a version further off than the next", () => {
  expect(decodeLiveRequest(null)).toBeUndefined();
  expect(decodeLiveRequest(btoa(JSON.stringify({ ...live, version: 3 })))).toBeUndefined();
});
