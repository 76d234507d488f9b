// Pace: what one bucket of tokens grants, row by row, and over any sequence.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { takeTokens } from "../../src/core/pace.ts";

const T0 = 1_800_000_000_000;
/** The part of a second's tokens that a full bucket gives at once. */
const BURST_SHARE = 0.25;

describe("a bucket of 200 a second, of which 50 may go at once", () => {
  const PER_SECOND = 200;
  test.each([
    // takes: [at ms, count] → the wait of each
    ["an untouched bucket gives a burst", [[0, 50]], [0]],
    ["one by one, too", [[0, 49], [0, 1]], [0, 0]],
    ["the one after the burst waits for one token", [[0, 50], [0, 1]], [0, 5]],
    ["and the next for two", [[0, 50], [0, 1], [0, 1]], [0, 5, 10]],
    ["what is over the bucket goes at once and leaves a debt", [[0, 250], [0, 1]], [0, 1_005]],
    ["a token is back after its time, not before", [[0, 50], [4, 1], [5, 1]], [0, 1, 5]],
    ["a rest fills it again, and no further", [[0, 50], [10_000, 50], [10_000, 1]], [0, 0, 5]],
    ["nothing costs nothing", [[0, 50], [0, 0], [0, 1]], [0, 5, 5]],
    ["a clock that goes back only makes it wait", [[1_000, 50], [0, 1]], [0, 1_005]],
  ] as const)("%s", (_, takes, waits) => {
    let fullAtMs = 0;
    const waited = takes.map(([atMs, count]) => {
      const taken = takeTokens(fullAtMs, count, T0 + atMs, PER_SECOND);
      fullAtMs = taken.fullAtMs;
      return taken.waitMs;
    });
    expect(waited).toEqual(waits);
  });
});

test("a pace below four a second still gives one at once", () => {
  const first = takeTokens(0, 1, T0, 1);
  expect([first.waitMs, takeTokens(first.fullAtMs, 1, T0, 1).waitMs]).toEqual([0, 1_000]);
});

const anyTakes = fc.array(fc.record({ afterMs: fc.oneof(fc.constant(0), fc.nat(50), fc.nat(3_000)), count: fc.integer({ min: 1, max: 40 }) }), { minLength: 1, maxLength: 80, size: "max" });
const anyPace = fc.constantFrom(1, 3, 10, 40, 200, 1_000);

/** When each take's tokens are good. */
function granted(takes: readonly { readonly afterMs: number; readonly count: number }[], perSecond: number): { readonly atMs: number; readonly count: number }[] {
  let [fullAtMs, nowMs] = [0, T0];
  return takes.map(({ afterMs, count }) => {
    nowMs += afterMs;
    const taken = takeTokens(fullAtMs, count, nowMs, perSecond);
    fullAtMs = taken.fullAtMs;
    return { atMs: nowMs + taken.waitMs, count };
  });
}

test("no stretch of time grants more than a burst and the rate, beside the take that runs over its end", () => {
  fc.assert(
    fc.property(anyPace, anyTakes, (perSecond, takes) => {
      const grants = granted(takes, perSecond);
      const burst = Math.max(1, BURST_SHARE * perSecond);
      const over = grants.map(({ atMs: fromMs }, from) => {
        let [sum, most] = [0, 0];
        for (const { atMs, count } of grants.slice(from)) {
          most = Math.max(most, sum - ((atMs - fromMs) * perSecond) / 1000);
          sum += count;
        }
        return most;
      });
      expect(Math.max(...over)).toBeLessThanOrEqual(burst + 1e-6);
    }),
    { numRuns: 500 },
  );
});

test("whoever asks first has the tokens first, and every wait ends", () => {
  fc.assert(
    fc.property(anyPace, anyTakes, (perSecond, takes) => {
      const grants = granted(takes, perSecond);
      const total = takes.reduce((sum, { count }) => sum + count, 0);
      const askedUntilMs = T0 + takes.reduce((sum, { afterMs }) => sum + afterMs, 0);
      expect(grants.map(({ atMs }) => atMs)).toEqual(grants.map(({ atMs }) => atMs).toSorted((a, b) => a - b));
      for (const { atMs } of grants) expect(atMs).toBeLessThanOrEqual(askedUntilMs + (total * 1000) / perSecond);
    }),
    { numRuns: 500 },
  );
});
