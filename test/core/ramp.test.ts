// Slow start and recovery: plans of a share, event by event, and what holds of any sequence of them.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isNeeded, isOver, nextShare, NO_SHARE, type RampPolicy } from "../../src/core/ramp.ts";
import { FULL_SHARE, shareAt, type SharePlan } from "../../src/core/share.ts";
import type { SnapshotOrigin } from "../../src/core/snapshot.ts";

const POLICY: RampPolicy = { horizonMs: 20_000, windowMs: 40_000, holdDownMs: 30_000 };
const S = 1000;
const flat = (share: number): SharePlan => ({ from: share, to: share, startAtMs: 0, endAtMs: 0 });

/** At so many seconds its share is to be this; it fell then, if it did. What it is at that moment, and at later seconds if nothing more happens. */
type Event = readonly [atSeconds: number, target: number, now: number, later: Readonly<Record<number, number>>, fellAt?: number];

describe("the share of an origin, event by event", () => {
  test.each<[what: string, from: SharePlan, policy: Partial<RampPolicy>, events: readonly Event[]]>([
    ["a joiner begins a horizon ahead, and is full a window later", NO_SHARE, {}, [
      [100, 1, 0, { 119: 0, 120: 0, 130: 0.25, 140: 0.5, 160: 1, 1000: 1 }],
    ]],
    ["who comes back soon waits for the hold-down, counted from the fall", NO_SHARE, {}, [
      [100, 1, 0, { 128: 0, 129: 0, 149: 0.5, 169: 1 }, 99],
    ]],
    ["who comes back late only for the horizon", NO_SHARE, {}, [
      [100, 1, 0, { 120: 0, 140: 0.5, 160: 1 }, 50],
    ]],
    ["without a window all comes at once, then", NO_SHARE, { windowMs: 0 }, [
      [100, 1, 0, { 119: 0, 120: 1 }],
      [120, 1, 1, { 121: 1 }],
    ]],
    ["less is wanted: at once", FULL_SHARE, {}, [
      [100, 0.75, 0.75, { 101: 0.75, 1000: 0.75 }],
    ]],
    ["more is wanted again: on a ramp", flat(0.5), {}, [
      [100, 1, 0.5, { 120: 0.5, 140: 0.75, 160: 1 }],
    ]],
    ["less is wanted on the way, above where it is: goes on to less", NO_SHARE, {}, [
      [100, 1, 0, {}],
      [130, 0.75, 0.25, { 145: 0.5, 160: 0.75, 1000: 0.75 }],
    ]],
    ["less is wanted on the way, below where it is: falls and stays", NO_SHARE, {}, [
      [100, 1, 0, {}],
      [150, 0.5, 0.5, { 151: 0.5, 1000: 0.5 }],
    ]],
    ["less is wanted before it begins: the beginning stays", NO_SHARE, {}, [
      [100, 1, 0, {}],
      [110, 0.5, 0, { 120: 0, 140: 0.25, 160: 0.5 }],
    ]],
    ["more is wanted on the way: waits a horizon where it is, and goes on", NO_SHARE, {}, [
      [100, 0.5, 0, {}],
      [140, 1, 0.25, { 160: 0.25, 180: 0.625, 200: 1 }],
    ]],
    ["told again, nothing begins anew", NO_SHARE, {}, [
      [100, 1, 0, {}],
      [110, 1, 0, { 140: 0.5 }],
      [140, 1, 0.5, { 160: 1 }],
      [500, 1, 1, {}],
    ]],
  ])("%s", (_, from, policy, events) => {
    let plan = from;
    for (const [at, target, now, later, fellAt] of events) {
      plan = nextShare(plan, target, fellAt === undefined ? undefined : fellAt * S, { ...POLICY, ...policy }, at * S);
      expect(shareAt(plan, at * S), `at ${at} s`).toBeCloseTo(now, 10);
      for (const [second, share] of Object.entries(later)) expect(shareAt(plan, Number(second) * S), `after ${at} s, at ${second} s`).toBeCloseTo(share, 10);
    }
  });
});

const anyPolicy = fc.record({ horizonMs: fc.integer({ min: 1, max: 120_000 }), windowMs: fc.nat(60_000), holdDownMs: fc.nat(60_000) });
const anyTarget = fc.oneof(fc.constantFrom(0, 0.5, 1), fc.double({ min: 0, max: 1, noNaN: true }));
const anyEvents = fc.array(fc.record({ afterMs: fc.nat(80_000), target: anyTarget }), { maxLength: 20 });
const LATER = [0, 1, 999, 10_000, 30_000, 60_000, 1e6];
const EPSILON = 1e-12;

function play(
  events: readonly { afterMs: number; target: number }[],
  policy: RampPolicy,
  look: (facts: { plan: SharePlan; before: SharePlan; target: number; nowMs: number }) => void,
): void {
  let [plan, nowMs] = [NO_SHARE, 1_800_000_000_000];
  for (const { afterMs, target } of events) {
    nowMs += afterMs;
    const before = plan;
    plan = nextShare(before, target, undefined, policy, nowMs);
    look({ plan, before, target, nowMs });
  }
}

describe("after any sequence", () => {
  test("a share never jumps up, never passes what is wanted, and only grows until the next event", () => {
    fc.assert(
      fc.property(anyEvents, anyPolicy, (events, policy) => {
        play(events, policy, ({ plan, before, target, nowMs }) => {
          expect(shareAt(plan, nowMs)).toBeCloseTo(Math.min(shareAt(before, nowMs), target), 10);
          const shares = LATER.map((ms) => shareAt(plan, nowMs + ms));
          for (const [n, share] of shares.entries()) {
            expect(share).toBeLessThanOrEqual(target + EPSILON);
            expect(share).toBeGreaterThanOrEqual((shares[n - 1] ?? 0) - EPSILON);
          }
          expect(shareAt(plan, nowMs + 1e9)).toBe(target);
        });
      }),
      { numRuns: 500 },
    );
  });

  test("the same wish again is the same plan: it makes no epoch", () => {
    fc.assert(
      fc.property(anyEvents, anyPolicy, fc.nat(200_000), (events, policy, laterMs) => {
        play(events, policy, ({ plan, target, nowMs }) => expect(nextShare(plan, target, undefined, policy, nowMs + laterMs)).toSatisfy((next: SharePlan) => next === plan || isOver(next, nowMs + laterMs)));
      }),
    );
  });
});

test("an origin that flaps every few seconds takes nothing: its sessions move once, and come back once a hold-down at most", () => {
  // Down for 2 s of every 7, for twenty minutes; judged well again at once.
  const policy = { horizonMs: 1_000, windowMs: 0, holdDownMs: 30_000 };
  const returns: number[] = [];
  let [plan, fellAtMs, before] = [FULL_SHARE, 0, 0];
  for (let second = 0; second < 1200; second++) {
    const nowMs = second * S;
    const phase = second % 7;
    if (phase === 0) [plan, fellAtMs] = [NO_SHARE, nowMs];
    if (phase === 2) plan = nextShare(plan, 1, fellAtMs, policy, nowMs);
    const takes = phase >= 2 ? shareAt(plan, nowMs) : 0;
    if (takes > 0 && before === 0) returns.push(second);
    before = takes;
  }
  expect(returns).toEqual([]);
});

describe("who comes back is needed at once", () => {
  const origin = (id: string, more: Partial<SnapshotOrigin> = {}): SnapshotOrigin => ({
    id, url: "https://a.example.com", weight: 1, salt: 0, backup: false, lifecycle: "active", closed: false, health: "healthy", ejectedUntilMs: 0, share: FULL_SHARE, ...more,
  });
  const DOWN = { health: "down" } as const;
  const RISING = { share: { from: 0, to: 1, startAtMs: 1000, endAtMs: 2000 } };
  const JOINING = { lifecycle: "joining" } as const;
  test.each<[what: string, others: Partial<SnapshotOrigin>[], needed: boolean]>([
    ["where nobody else is", [], true],
    ["where all others are down", [DOWN, DOWN], true],
    ["where a quarter of the region is there", [{}, DOWN, DOWN], true],
    ["not where half of it is", [{}], false],
    ["not where three of four are", [{}, {}, {}], false],
    ["not in a fleet that grows from one to four in a moment", [{}, RISING, RISING], false],
    ["nor is who joins missed", [{}, JOINING, JOINING, JOINING], false],
    ["where the others only say that they can bear little", [{ share: flat(0.3) }, { share: flat(0.3) }, { share: flat(0.3) }], true],
    ["by weight", [{ weight: 0.5 }], true],
    ["backups do not count", [DOWN, { backup: true }, { backup: true }], true],
  ])("%s", (_, others, needed) => {
    const origins = [origin("back", DOWN), ...others.map((more, n) => origin(`o${n}`, more))];
    expect(isNeeded(origins, "back", 0.5, 500)).toBe(needed);
  });
});
