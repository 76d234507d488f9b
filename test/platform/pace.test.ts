// The pace of moves to the origins of a ring: who is granted tokens, who must ask again, and which origins are halted.

import { expect, test } from "vitest";
import { BOOKED_AHEAD_MS } from "../../src/platform/limits.ts";
import { Pace } from "../../src/platform/pace.ts";

const T0 = 1_800_000_000_000;
const PER_SECOND = 100;
const BURST = 25;
/** A bucket of which so many tokens are gone already. */
function paceAfter(count: number): Pace {
  const pace = new Pace(PER_SECOND);
  if (count > 0) pace.take("o1", count, true, T0);
  return pace;
}
const PLANNED = false;
const URGENT = true;

test.each([
  // tokens taken before, what a planned and what an urgent move are told
  [0, 0, 0],
  [BURST - 1, 0, 0],
  [BURST, 10, 10],
  [BURST + 49, BOOKED_AHEAD_MS, BOOKED_AHEAD_MS],
  [BURST + 50, undefined, BOOKED_AHEAD_MS + 10],
  [1_000, undefined, 9_760],
])("after %i tokens a planned move waits %s ms, an urgent one %s ms", (before, planned, urgent) => {
  expect(paceAfter(before).take("o1", 1, PLANNED, T0)).toBe(planned);
  expect(paceAfter(before).take("o1", 1, URGENT, T0)).toBe(urgent);
});

test("who is told to ask again has taken nothing", () => {
  const pace = paceAfter(BURST + 50);
  for (let n = 0; n < 10; n++) expect(pace.take("o1", 5, PLANNED, T0)).toBeUndefined();
  expect(pace.take("o1", 1, PLANNED, T0 + 10)).toBe(BOOKED_AHEAD_MS);
});

test("planned moves never make an urgent one wait for longer than they may book, and one move more", () => {
  const pace = new Pace(PER_SECOND);
  let count = 0;
  while (pace.take("o1", 3, PLANNED, T0) !== undefined) expect(count++).toBeLessThan(1_000);
  expect(pace.take("o1", 1, URGENT, T0)).toBeLessThanOrEqual(BOOKED_AHEAD_MS + 30);
});

test("each origin has a bucket of its own", () => {
  expect(paceAfter(1_000).take("o2", BURST, PLANNED, T0)).toBe(0);
});

test("no planned move goes to a halted origin until its time is over or it is lifted; an urgent one does", () => {
  const pace = new Pace(PER_SECOND);
  pace.halt("o1", T0 + 1_000);
  expect([pace.take("o1", 1, PLANNED, T0), pace.take("o2", 1, PLANNED, T0), pace.take("o1", 1, URGENT, T0)]).toEqual([undefined, 0, 0]);
  expect([pace.take("o1", 1, PLANNED, T0 + 999), pace.take("o1", 1, PLANNED, T0 + 1_000)]).toEqual([undefined, 0]);
  pace.halt("o1", T0 + 5_000);
  pace.halt("o1", T0 + 2_000); // a shorter one shortens nothing
  expect([pace.isHalted("o1", T0 + 4_999), pace.isHalted("o1", T0 + 5_000)]).toEqual([true, false]);
  pace.lift("o1");
  expect(pace.take("o1", 1, PLANNED, T0 + 1_500)).toBe(0);
});

test("what is known of an origin goes with it", () => {
  const pace = paceAfter(1_000);
  pace.halt("o1", T0 + 1_000);
  pace.keep((origin) => origin !== "o1");
  expect([pace.isHalted("o1", T0), pace.take("o1", 1, PLANNED, T0)]).toEqual([false, 0]);
});
