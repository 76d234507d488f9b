// Passive health: what speaks against an origin, telling by telling, and for how long it is passed by.

import { describe, expect, test } from "vitest";
import { afterTold, canSpare, chargeOf, isLate, KEYS_MAX, nextEjection, UNWATCHED, type Charge, type Ejection, type Told, type Watched } from "../../src/core/ejection.ts";
import { FULL_SHARE } from "../../src/core/share.ts";
import type { SnapshotOrigin } from "../../src/core/snapshot.ts";

const POLICY = { faults: 5, baseMs: 30_000, maxShare: 0.5 };
const NOTHING: Told = { ok: 0, errors: 0, unreached: 0, slow: 0, keys: [], slowKeys: [] };
const keys = (count: number, from = 0): number[] => Array.from({ length: count }, (_, n) => from + n);
const unreached = (count: number, keyCount = count, ok = 0): Told => ({ ...NOTHING, unreached: count, ok, keys: keys(keyCount) });
const errors = (count: number, ok: number, keyCount = count): Told => ({ ...NOTHING, errors: count, ok, keys: keys(keyCount) });
const slow = (count: number, ok: number, keyCount = count): Told => ({ ...NOTHING, ok, slow: count, slowKeys: keys(keyCount) });
const ok = (count: number): Told => ({ ...NOTHING, ok: count });

/** At so many seconds this is told of it, and of the others; what speaks against it then. */
type Row = readonly [atSeconds: number, told: Told, charge: Charge | undefined, others?: Told];

describe("what speaks against an origin, telling by telling", () => {
  test.each<[what: string, rows: readonly Row[]]>([
    ["requests that do not reach it, of several keys", [
      [0, unreached(4), undefined],
      [1, unreached(1), "unreached"],
    ]],
    ["not of one key, however many", [[0, unreached(500, 1), undefined], [1, unreached(500, 1), undefined]]],
    ["nor of two", [[0, unreached(50, 2), undefined]]],
    ["answers between them end the run", [
      [0, unreached(4), undefined],
      [1, ok(10), undefined],
      [2, unreached(4), undefined],
    ]],
    ["that it was well a moment ago does not save it", [
      [0, ok(900), undefined],
      [1, unreached(5), "unreached"],
    ]],
    ["faults that lie ten seconds apart have nothing to do with each other", [
      [0, unreached(4), undefined],
      [10, unreached(4), undefined],
    ]],
    ["its own errors say that it is reached", [
      [0, unreached(4), undefined],
      [1, { ...unreached(1), errors: 4 }, undefined],
    ]],
    ["errors, where they are all that it answers", [[0, errors(4, 0), undefined], [1, errors(1, 0), "errors"]]],
    ["not where it answers others well", [[0, errors(4, 1), undefined], [1, errors(4, 1), undefined]]],
    ["unless they are all of one telling", [[0, ok(900), undefined], [1, errors(5, 0), "errors"]]],
    ["or half of many answers", [[0, errors(10, 11), undefined], [1, errors(20, 5), "errors"]]],
    ["not of one broken session", [[0, errors(100, 0, 1), undefined]]],
    ["not a few among many", [[0, errors(10, 30), undefined]]],
    ["late answers, where the others' are not", [[0, slow(10, 12), "slow", ok(20)]]],
    ["not where the others are late too", [[0, slow(10, 12), undefined, slow(4, 20)]]],
    ["not where nobody knows of others", [[0, slow(10, 12), undefined]]],
    ["not where few are late", [[0, slow(5, 12), undefined, ok(20)]]],
    ["not of few sessions", [[0, slow(10, 12, 4), undefined, ok(20)]]],
    ["not of few answers", [[0, slow(9, 9), undefined, ok(20)]]],
  ])("%s", (_, rows) => {
    let [own, others]: [Watched, Watched] = [UNWATCHED, UNWATCHED];
    for (const [at, told, charge, othersTold = NOTHING] of rows) {
      own = afterTold(own, told, at * 1000);
      others = afterTold(others, othersTold, at * 1000);
      expect(chargeOf(own, [others], POLICY, at * 1000), `at ${at} s`).toBe(charge);
    }
  });
});

test("what is remembered of an origin is bounded, whatever is told", () => {
  let watched: Watched = UNWATCHED;
  for (let n = 0; n < 10_000; n++) watched = afterTold(watched, unreached(1_000_000, 100), n);
  expect([watched.keys.length, watched.lately.length]).toEqual([KEYS_MAX, 64]);
});

test.each<[tookMs: number, own: number | undefined, others: number[], late: boolean]>([
  [1_000, 1, [1], false],
  [1_001, 1, [1], true],
  [1_999, 500, [1], false], // as usual for it
  [2_001, 500, [1], true],
  [1_999, 1, [600, 400], false], // as usual for the others
  [2_001, 1, [600, 400], true],
  [9_999, undefined, [1], false],
  [9_999, 1, [], false],
])("an answer after %i ms, where it took %s and the others %j, is late: %s", (tookMs, own, others, late) => {
  const means = new Map([...(own === undefined ? [] : [["own", own] as const]), ...others.map((mean, n) => [`o${n}`, mean] as const)]);
  expect(isLate(tookMs, "own", means)).toBe(late);
});

test("each ejection in a row is twice as long, ten times at most; who was well for that long begins anew", () => {
  const backOff = { baseMs: 30_000, returnMs: 1_000 };
  let [ejection, nowMs]: [Ejection | undefined, number] = [undefined, 0];
  const lengths: number[] = [];
  for (let n = 0; n < 6; n++) {
    ejection = nextEjection(ejection, "errors", backOff, nowMs);
    lengths.push((ejection.untilMs - nowMs) / 1000);
    expect(ejection.boundAtMs - ejection.untilMs).toBe(1_000);
    nowMs = ejection.untilMs + 299_999; // well for not quite long enough
    ejection = { ...ejection, endedAtMs: ejection.untilMs };
  }
  expect(lengths).toEqual([30, 60, 120, 240, 300, 300]);
  expect(nextEjection(ejection, "errors", backOff, nowMs + 1).times).toBe(1);
  const { endedAtMs: _, ...still } = ejection ?? { endedAtMs: 0, times: 0, why: "errors", untilMs: 0, boundAtMs: 0 };
  expect(nextEjection(still, "errors", backOff, nowMs + 1e9).times).toBe(7); // never well in between
});

describe("a region can spare an origin", () => {
  const origin = (id: string, more: Partial<SnapshotOrigin> = {}): SnapshotOrigin => ({
    id, url: "https://a.example.com", weight: 1, salt: 0, backup: false, lifecycle: "active", closed: false, health: "healthy", ejectedUntilMs: 0, share: FULL_SHARE, ...more,
  });
  const DOWN = { health: "down" } as const;
  const EJECTED = { health: "ejected", ejectedUntilMs: 9_999 } as const;
  test.each<[what: string, others: Partial<SnapshotOrigin>[], policy: { maxShare: number; panicShare: number }, spared: boolean]>([
    ["the only one never", [], { maxShare: 1, panicShare: 0 }, false],
    ["one of two", [{}], { maxShare: 0.5, panicShare: 0.5 }, true],
    ["not two of three", [EJECTED, {}], { maxShare: 0.5, panicShare: 0 }, false],
    ["not where few are left", [DOWN, {}, {}], { maxShare: 1, panicShare: 0.6 }, false],
    ["a third, of three", [{}, {}], { maxShare: 1 / 3, panicShare: 2 / 3 }, true],
    ["not where only a backup is left", [{ backup: true }], { maxShare: 1, panicShare: 0 }, false],
    ["not where only a joiner is", [{ lifecycle: "joining" }], { maxShare: 1, panicShare: 0 }, false],
    ["nobody, where nobody may be ejected", [{}, {}], { maxShare: 0, panicShare: 0 }, false],
  ])("%s", (_, others, policy, spared) => {
    expect(canSpare([origin("bad"), ...others.map((more, n) => origin(`o${n}`, more))], "bad", policy, 1_000)).toBe(spared);
  });
});
