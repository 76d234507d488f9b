// The Limpet field: what we write is what any RFC 9651 parser reads.

import fc from "fast-check";
import { DisplayString, parseDictionary, serializeDictionary, Token, type InnerList, type Item } from "structured-headers";
import { describe, expect, test } from "vitest";
import { REASONS } from "../../src/core/decision.ts";
import { fieldForOrigin, fieldForVisitor, wordOf, type OriginFieldFacts } from "../../src/core/limpet-field.ts";

const facts: OriginFieldFacts = { origin: "weur-1", region: "weur", epoch: 12, reason: "owner", replicas: [] };

const sessionOf = (session: string): unknown => parseDictionary(fieldForOrigin({ ...facts, session })).get("session")?.[0];

test.each<[what: string, more: Partial<OriginFieldFacts>, field: string]>([
  ["a stateless request", {}, 'origin="weur-1", region="weur", epoch=12, reason=owner'],
  [
    "a live session",
    { session: "doc-1", fence: 460800000000031, replicas: ["weur-2", "enam-1"] },
    'session="doc-1", origin="weur-1", region="weur", epoch=12, fence=460800000000031, reason=owner, replicas=("weur-2" "enam-1")',
  ],
  [
    "a re-homed leg",
    { session: "doc-1", fence: 7, replicas: ["weur-2"], movedFrom: "weur-4" },
    'session="doc-1", origin="weur-1", region="weur", epoch=12, fence=7, reason=owner, replicas=("weur-2"), moved-from="weur-4"',
  ],
  ["the ring of the configuration alone", { epoch: 0, reason: "panic" }, 'origin="weur-1", region="weur", epoch=0, reason=panic'],
])("to the origin of %s", (_, more, field) => {
  expect(fieldForOrigin({ ...facts, ...more })).toBe(field);
});

test("to the visitor", () => {
  expect(fieldForVisitor(facts)).toBe('origin="weur-1", region="weur", reason=owner, epoch=12');
});

describe("a session key", () => {
  test.each<[session: string, written: string]>([
    ["doc 1", 'session="doc 1"'],
    ['a"b\\c', 'session="a\\"b\\\\c"'],
    ["~", 'session="~"'],
    ["é", 'session=%"%c3%a9"'],
    ['50% "Zürich" 🐚', 'session=%"50%25 %22Z%c3%bcrich%22 %f0%9f%90%9a"'],
  ])("%s is written as %s", (session, written) => {
    expect(fieldForOrigin({ ...facts, session }).startsWith(`${written}, `)).toBe(true);
  });

  test("of ASCII is a String, any other a Display String, and both come back whole", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ maxLength: 64 }), fc.string({ unit: "grapheme", maxLength: 64 })), (session) => {
        fc.pre(!/\p{Cc}/u.test(session));
        const parsed = sessionOf(session);
        expect(String(parsed)).toBe(session);
        expect(parsed instanceof DisplayString).toBe(/[^\x20-\x7e]/.test(session));
        expect(fieldForOrigin({ ...facts, session })).toMatch(/^[\x20-\x7e]*$/);
      }),
    );
  });
});

test("every reason is a Token, and every member has its type", () => {
  for (const reason of REASONS) {
    const members = parseDictionary(fieldForOrigin({ ...facts, reason, fence: 999_999_999_999_999, replicas: ["a", "b"], movedFrom: "c" }));
    expect(members.get("reason")?.[0]).toEqual(new Token(reason));
    expect(members.get("fence")?.[0]).toBe(999_999_999_999_999);
    expect(members.get("replicas")?.[0]).toEqual([["a", new Map()], ["b", new Map()]]);
    expect([...members.keys()]).toEqual(["origin", "region", "epoch", "fence", "reason", "replicas", "moved-from"]);
  }
});

test("is written as the library writes it", () => {
  const item = (value: string | number | Token | DisplayString): Item => [value, new Map()];
  const text = (value: string): Item => item(/^[\x20-\x7e]*$/.test(value) ? value : new DisplayString(value));
  const id = fc.stringMatching(/^[a-z0-9-]{1,32}$/);
  const key = fc.string({ unit: "grapheme", maxLength: 40 }).filter((each) => !/\p{Cc}/u.test(each));
  const some = fc.record({ session: key, fence: fc.nat(), movedFrom: id, request: key, attempt: fc.integer({ min: 2, max: 6 }) }, { requiredKeys: [] });
  fc.assert(
    fc.property(some, id, id, fc.nat(), fc.constantFrom(...REASONS), fc.array(id, { maxLength: 2 }), (more, origin, region, epoch, reason, replicas) => {
      const members = new Map<string, Item | InnerList>();
      if (more.session !== undefined) members.set("session", text(more.session));
      members.set("origin", item(origin)).set("region", item(region)).set("epoch", item(epoch));
      if (more.fence !== undefined) members.set("fence", item(more.fence));
      members.set("reason", item(new Token(reason)));
      if (replicas.length > 0) members.set("replicas", [replicas.map(item), new Map()]);
      if (more.movedFrom !== undefined) members.set("moved-from", item(more.movedFrom));
      if (more.request !== undefined) members.set("request", text(more.request));
      if (more.attempt !== undefined) members.set("attempt", item(more.attempt));
      expect(fieldForOrigin({ ...more, origin, region, epoch, reason, replicas })).toBe(serializeDictionary(members));
    }),
  );
});

test.each<[field: string | null, word: object | undefined]>([
  [null, undefined],
  ['replay="weur-2"', { replay: "weur-2", end: false }],
  ["end", { end: true }],
  ["end=?0", { end: false }],
  ['end, replay="weur-2", later=1', { replay: "weur-2", end: true }],
  ["replay=weur-2", { replay: "weur-2", end: false }],
  ["replay", { end: false }],
  ['replay=("a" "b")', { end: false }],
  ['replay="unclosed', undefined],
  ["", { end: false }],
])("an origin's %j says %j", (field, word) => {
  expect(wordOf(field)).toEqual(word);
});
