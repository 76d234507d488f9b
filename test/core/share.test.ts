// Shares: a plan read from the clock, and who is let in by it.

import fc from "fast-check";
import { expect, test } from "vitest";
import { admits, FULL_SHARE, shareAt, type SharePlan } from "../../src/core/share.ts";

const ramp: SharePlan = { from: 0.1, to: 1, startAtMs: 1000, endAtMs: 2000 };
const drop: SharePlan = { from: 1, to: 0, startAtMs: 1000, endAtMs: 1000 };

test.each<[plan: SharePlan, nowMs: number, share: number]>([
  [ramp, -1, 0.1],
  [ramp, 999, 0.1],
  [ramp, 1000, 0.1],
  [ramp, 1500, 0.55],
  [ramp, 1999, 0.9991],
  [ramp, 2000, 1],
  [ramp, 2001, 1],
  [drop, 999, 1],
  [drop, 1000, 0],
  [{ from: -1, to: 3, startAtMs: 0, endAtMs: 4 }, -1, 0],
  [{ from: -1, to: 3, startAtMs: 0, endAtMs: 4 }, 1, 0],
  [{ from: -1, to: 3, startAtMs: 0, endAtMs: 4 }, 2, 1],
  [{ from: -1, to: 3, startAtMs: 0, endAtMs: 4 }, 4, 1],
  [{ from: 0.2, to: 0.7, startAtMs: 9, endAtMs: 3 }, 5, 0.2],
  [{ from: 0.2, to: 0.7, startAtMs: 9, endAtMs: 3 }, 9, 0.7],
  [FULL_SHARE, 0, 1],
])("the share of %j at %i is %d", (plan, nowMs, share) => {
  expect(shareAt(plan, nowMs)).toBeCloseTo(share, 10);
});

const share = fc.double({ min: 0, max: 1, noNaN: true });
const lot = fc.integer({ min: 0, max: 0xffffffff });

test("who is let in at one share is let in at every larger one", () => {
  fc.assert(
    fc.property(lot, fc.string(), share, share, (lot, id, a, b) => {
      const [smaller, larger] = [Math.min(a, b), Math.max(a, b)];
      if (admits(lot, id, smaller)) expect(admits(lot, id, larger)).toBe(true);
    }),
  );
});

test("share 0 lets nobody in, share 1 everybody", () => {
  fc.assert(
    fc.property(lot, fc.string(), (lot, id) => {
      expect([admits(lot, id, 0), admits(lot, id, 1)]).toEqual([false, true]);
    }),
  );
});

test("a share of 0.3 lets in three keys of ten, at each origin others", () => {
  const lots = Array.from({ length: 10_000 }, (_, n) => Math.imul(n, 0x9e3779b1) >>> 0);
  const first = lots.filter((lot) => admits(lot, "weur-1", 0.3));
  expect(first.length).toBeGreaterThan(2800);
  expect(first.length).toBeLessThan(3200);
  const both = first.filter((lot) => admits(lot, "weur-2", 0.3)).length;
  expect(both).toBeGreaterThan(700); // 0.3 × 0.3 of 10,000
  expect(both).toBeLessThan(1100);
});
