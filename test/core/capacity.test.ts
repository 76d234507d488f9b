// The bound of the bounded load: exclusive, counting the session about to be placed.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { capacityOf } from "../../src/core/capacity.ts";

test.each<[factor: number, total: number, weightShare: number, capacity: number]>([
  [1.25, 0, 1, 2],
  [1.25, 0, 0.5, 1],
  [1.25, 7, 0.5, 5], // 1.25 × 8 ÷ 2 = 5 exactly
  [1.25, 8, 0.5, 6], // 5.625
  [2, 99, 0.1, 20],
  [1.25, 100, 0, 0],
])("with c %d, %i sessions and a weight share of %d, an origin stays below %i", (factor, total, weightShare, capacity) => {
  expect(capacityOf(factor, total, weightShare)).toBe(capacity);
});

describe("an origin takes a session while its load is below capacity", () => {
  const capacity = capacityOf(1.25, 7, 0.5);
  test.each<[load: number, taken: boolean]>([[capacity - 1, true], [capacity, false], [capacity + 1, false]])("load %i: %s", (load, taken) => {
    expect(load < capacity).toBe(taken);
  });
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
