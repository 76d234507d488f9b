// What a carrier counts: each gap in its bucket, bounds inclusive, and numbers that only grow.

import { expect, test } from "vitest";
import { GAP_BOUNDS_MS } from "../../src/core/protocol.ts";
import { CarrierTally } from "../../src/platform/carrier-tally.ts";

const bucketOf = (heldMs: number): number => {
  const tally = new CarrierTally();
  tally.resumed(heldMs, 0);
  return tally.read().gaps.indexOf(1);
};

test("a gap at a bound belongs to it, the next one beyond", () => {
  expect(bucketOf(0)).toBe(0);
  GAP_BOUNDS_MS.forEach((boundMs, index) => expect([bucketOf(boundMs), bucketOf(boundMs + 1)]).toEqual([index, index + 1]));
  expect(bucketOf(1_000_000)).toBe(GAP_BOUNDS_MS.length);
});

test("there are as many buckets as bounds and one, each empty at first", () => {
  expect(new CarrierTally().read()).toEqual({ gaps: Array.from({ length: GAP_BOUNDS_MS.length + 1 }, () => 0), heldFrames: 0, refused: 0 });
});

test("counts add up, and what was read does not change any more", () => {
  const tally = new CarrierTally();
  tally.resumed(10, 3);
  const before = tally.read();
  tally.resumed(10, 4);
  tally.refused();
  expect([before.gaps[0], before.heldFrames, before.refused]).toEqual([1, 3, 0]);
  expect([tally.read().gaps[0], tally.read().heldFrames, tally.read().refused]).toEqual([2, 7, 1]);
});
