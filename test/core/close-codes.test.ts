// What a received close becomes on the other leg.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { answerTo, brokenProtocol, isFaulty, isSendable, LOST, overloaded, relayed, RESTART } from "../../src/core/close-codes.ts";

test.each<[from: number, to: number, sendable: boolean]>([
  [0, 999, false],
  [1000, 1003, true],
  [1004, 1006, false],
  [1007, 1014, true],
  [1015, 2999, false],
  [3000, 4999, true],
  [5000, 65_535, false],
])("codes %i to %i are sendable: %s", (from, to, sendable) => {
  for (let code = from; code <= to; code++) expect(isSendable(code), String(code)).toBe(sendable);
});

test.each<[what: string, received: number, sent: number | undefined]>([
  ["no code was received", 1005, undefined],
  ["the runtime's own word for none", 0, undefined],
  ["a lost peer", 1006, 1011],
  ["a failed TLS handshake", 1015, 1011],
  ["a code nobody may send", 1004, 1011],
  ["a code of no registry", 2000, 1011],
  ["the application's own", 4001, 4001],
  ["a normal close", 1000, 1000],
  ["a restart", 1012, 1012],
])("%s: %i is relayed as %s", (_, received, sent) => {
  expect(relayed({ code: received, reason: "why" })).toEqual(sent === undefined ? undefined : { code: sent, reason: "why" });
});

test.each<[what: string, received: number, answer: number | undefined, faulty: boolean]>([
  ["no code", 1005, undefined, false],
  ["the runtime's own word for none", 0, undefined, false],
  ["a normal close", 1000, 1000, false],
  ["the application's own", 4001, 4001, false],
  ["a lost peer, which hears nothing anyway", 1006, 1002, false],
  ["a code that stands for no close frame", 1015, 1002, true],
  ["a reserved code", 1004, 1002, true],
  ["a code below all", 999, 1002, true],
  ["a code of no registry, which the runtime would send", 2000, 1002, true],
  ["a code beyond all", 5000, 1002, true],
])("%s: %i is answered with %s", (_, received, answer, faulty) => {
  expect(answerTo({ code: received, reason: "" })).toEqual(answer === undefined ? undefined : { code: answer, reason: "" });
  expect(isFaulty({ code: received, reason: "" })).toBe(faulty);
});

test("a peer that broke the protocol is told from one that was lost by the runtime's text alone", () => {
  const said = (code: number): string =>
    `Uncaught Error: WebSocket protocol error; protocolError.statusCode = ${code}; protocolError.description = Message is too large: 2 > 1`;
  expect(brokenProtocol(said(1009))).toEqual({ code: 1011, reason: "the other side sent a message of more than 32 MiB" });
  expect(brokenProtocol(said(1002))?.reason).toBe("the other side broke the WebSocket protocol");
  for (const other of ["", "Uncaught ", "Uncaught Error: Network connection lost."]) expect(brokenProtocol(other)).toBeUndefined();
});

describe("a reason", () => {
  const reasonOf = (reason: string): string | undefined => relayed({ code: 4000, reason })?.reason;

  test.each<[what: string, reason: string, sent: string]>([
    ["of 123 bytes passes whole", "x".repeat(123), "x".repeat(123)],
    ["of 124 bytes loses one", "x".repeat(124), "x".repeat(123)],
    ["is not cut inside a character of 2 bytes", `${"x".repeat(122)}é`, "x".repeat(122)],
    ["is not cut inside a character of 4 bytes", `${"x".repeat(120)}🐚`, "x".repeat(120)],
    ["keeps a character that just fits", `${"x".repeat(119)}🐚!`, `${"x".repeat(119)}🐚`],
  ])("%s", (_, reason, sent) => {
    expect(reasonOf(reason)).toBe(sent);
  });

  test("is always a beginning of what was received, and fits into a close frame", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 200 }), (reason) => {
        const sent = reasonOf(reason) ?? "";
        expect(new TextEncoder().encode(sent).length).toBeLessThanOrEqual(123);
        expect(reason.startsWith(sent)).toBe(true);
      }),
    );
  });
});

test("our own closes can be sent", () => {
  const said = [1002, 1009].flatMap((code) => brokenProtocol(`protocolError.statusCode = ${code}`) ?? []);
  for (const { code, reason } of [RESTART, overloaded("too many frames are held"), ...said]) {
    expect(isSendable(code)).toBe(true);
    expect(relayed({ code, reason })).toEqual({ code, reason });
  }
  expect(relayed(LOST)).toEqual({ code: 1011, reason: LOST.reason });
});
