// The bound of the bounded load: exclusive, counting the session about to be placed.

import fc from "fast-check";
import { expect, test } from "vitest";
import { capacityOf } from "../../src/core/capacity.ts";
import { partsOf } from "../../src/core/share.ts";

test.each<[factor: number, total: number, weightShare: number, capacity: number]>([
  [1.25, 0, 1, 2],
  [1.25, 0, 0.5, 1],
  [1.25, 7, 0.5, 5], // 1.25 × 8 ÷ 2 = 5 exactly
  [1.25, 8, 0.5, 6], // 5.625
  [2, 99, 0.1, 20],
  [1.25, 100, 0, 0],
  [1.25, 0, 1e-9, 1], // whoever has any part at all may take one
  [1.001, 0, 1, 2], // an origin alone always has room for one more
  [1.001, 999, 1, 1001],
  [10, 0, 1, 10],
  [10, 1_000_000, 1, 10_000_010],
])("with c %d, %i sessions and a weight share of %d, an origin stays below %i", (factor, total, weightShare, capacity) => {
  expect(capacityOf(factor, total, weightShare)).toBe(capacity);
});

// c × (total + 1) ÷ n is a whole number here, which doubles miss by a little, upwards or downwards: it is that number, not one more.
test.each<[factor: number, total: number, origins: number, capacity: number]>([
  [1.1, 99, 10, 11],
  [1.1, 999, 10, 110],
  [1.05, 19_999, 10, 2100],
  [1.1, 29, 3, 11],
  [1.2, 24, 6, 5],
  [1.15, 199, 23, 10],
  [1.3, 2_999_999, 3, 1_300_000],
  [1.07, 699_999, 7, 107_000],
])("with c %d, %i sessions and one of %i equal origins it is exactly %i, and with one session more it is one more", (factor, total, origins, capacity) => {
  for (const weight of [1, 0.1, 1 / 3, 7]) {
    const [part = 0] = partsOf(Array.from({ length: origins }, () => ({ weight, share: 1 })));
    expect(capacityOf(factor, total, part)).toBe(capacity);
    expect(capacityOf(factor, total + 1, part)).toBe(capacity + 1);
  }
});

test("whatever is a whole number on paper is that number, for every part of a hundredth and every hundredth of c", () => {
  for (let hundredths = 101; hundredths <= 200; hundredths++) {
    for (let parts = 1; parts <= 100; parts++) {
      for (const hundreds of [1, 3, 200]) {
        // (hundredths ÷ 100) × (hundreds × 100) × (parts ÷ 100), in whole numbers: hundredths × hundreds × parts ÷ 100, rounded up.
        const exact = Math.ceil((hundredths * hundreds * parts) / 100);
        const got = capacityOf(hundredths / 100, hundreds * 100 - 1, parts / 100);
        if (got !== exact) expect.fail(`c ${hundredths / 100}, ${hundreds * 100} sessions, part ${parts / 100}: ${got} instead of ${exact}`);
      }
    }
  }
});

test("the capacities of a fleet always have room for one more session", () => {
  const weights = fc.array(fc.double({ min: 0.01, max: 10, noNaN: true }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(weights, fc.nat(100_000), fc.double({ min: 1.001, max: 10, noNaN: true }), (weights, total, factor) => {
      const sum = weights.reduce((a, b) => a + b, 0);
      const room = weights.reduce((room, weight) => room + capacityOf(factor, total, weight / sum), 0);
      expect(room).toBeGreaterThan(total);
    }),
  );
});

test("so do they for every mix of weights, shares and drains, of weights that doubles cannot hold too", () => {
  const weight = fc.oneof(fc.constantFrom(0, 0.1, 0.3, 0.7, 1 / 3, 1, 1.1, 2, 100), fc.double({ min: 0.001, max: 100, noNaN: true }));
  const share = fc.oneof(fc.constantFrom(0, 0.1, 1 / 3, 1, 1), fc.double({ min: 0, max: 1, noNaN: true }));
  const origins = fc.array(fc.record({ weight, share, draining: fc.boolean() }), { minLength: 1, maxLength: 20 });
  // Whole hundredths are where sums end exactly at the number of sessions and one.
  const factor = fc.oneof(fc.integer({ min: 101, max: 1000 }).map((hundredths) => hundredths / 100), fc.constantFrom(1.001), fc.double({ min: 1.001, max: 10, noNaN: true }));
  fc.assert(
    fc.property(origins, fc.oneof(fc.nat(100), fc.nat(1_000_000)), factor, (origins, total, factor) => {
      const open = origins.filter(({ draining }) => !draining);
      fc.pre(open.some(({ weight }) => weight > 0));
      const room = partsOf(open).reduce((room, part) => room + capacityOf(factor, total, part), 0);
      expect(room).toBeGreaterThanOrEqual(total + 1);
    }),
    { numRuns: 500 },
  );
});

test("and among equal weights no origin's is more than one session above its fair part", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 50 }), fc.nat(10_000), fc.constantFrom(1.05, 1.1, 1.25, 2), (count, total, factor) => {
      const parts = partsOf(Array.from({ length: count }, () => ({ weight: 0.1, share: 1 })));
      for (const part of parts) expect(capacityOf(factor, total, part) - (factor * (total + 1)) / count).toBeLessThan(1);
    }),
  );
});

test("as sessions come, no capacity shrinks", () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(1_000_000), fc.double({ min: 1.001, max: 10, noNaN: true }), (part, total, factor) => {
      expect(capacityOf(factor, total + 1, part)).toBeGreaterThanOrEqual(capacityOf(factor, total, part));
    }),
  );
});
