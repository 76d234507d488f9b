// Fences grow whatever the clock does, across restarts too.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { markFor, nextFence } from "../../src/core/fence.ts";

test.each<[what: string, last: number, nowMs: number, fence: number]>([
  ["the first of a ring is the clock's", 0, 1_800_000_000_000, 460_800_000_000_000],
  ["the clock went on", 256_000, 1001, 256_256],
  ["the same millisecond", 256_000, 1000, 256_001],
  ["the 256th of a millisecond borrows from the next", 256_255, 1000, 256_256],
  ["the clock stepped back", 256_000, 10, 256_001],
  ["a fraction of a millisecond", 0, 1000.9, 256_000],
])("%s", (_, last, nowMs, fence) => {
  expect(nextFence(last, nowMs)).toBe(fence);
});

test("until 2093 a fence has at most the 15 digits of RFC 9651 §3.3.1", () => {
  expect(nextFence(0, Date.UTC(2093, 0, 1))).toBeLessThanOrEqual(999_999_999_999_999);
});

describe("the mark", () => {
  const RESERVE = 10_000 * 256;
  test.each<[fence: number, persisted: number, mark: number | undefined]>([
    [1, 0, 1 + RESERVE],
    [99, 100, undefined],
    [100, 100, undefined],
    [101, 100, 101 + RESERVE],
  ])("for fence %i over a mark of %i is %s", (fence, persisted, mark) => {
    expect(markFor(fence, persisted)).toBe(mark);
  });
});

test("no fence is given out twice, whatever the clock does and whenever the ring object restarts", () => {
  const event = fc.record({ clockMs: fc.nat(100_000), restart: fc.boolean() });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), (events) => {
      let [last, mark, largest] = [0, 0, 0];
      for (const { clockMs, restart } of events) {
        if (restart) last = mark;
        last = nextFence(last, clockMs);
        mark = markFor(last, mark) ?? mark;
        expect(last).toBeGreaterThan(largest);
        expect(mark).toBeGreaterThanOrEqual(last);
        largest = last;
      }
    }),
  );
});
