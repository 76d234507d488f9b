// The pace of moves to the origins of a ring: who is granted tokens, who must ask again, and which origins are halted.

import { expect, test } from "vitest";
import { BOOKED_AHEAD_MS, URGENT_WAIT_MAX_MS } from "../../src/platform/limits.ts";
import { Pace } from "../../src/platform/pace.ts";

const T0 = 1_800_000_000_000;
const PER_SECOND = 100;
const BURST = 25;
/** A bucket of which so many tokens are gone already. */
function paceAfter(count: number): Pace {
  const pace = new Pace(() => PER_SECOND);
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
  [1_000, undefined, URGENT_WAIT_MAX_MS],
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
  const pace = new Pace(() => PER_SECOND);
  let count = 0;
  while (pace.take("o1", 3, PLANNED, T0) !== undefined) expect(count++).toBeLessThan(1_000);
  expect(pace.take("o1", 1, URGENT, T0)).toBeLessThanOrEqual(BOOKED_AHEAD_MS + 30);
});

test("each origin has a bucket of its own", () => {
  expect(paceAfter(1_000).take("o2", BURST, PLANNED, T0)).toBe(0);
});

test("no planned move goes to a halted origin until its time is over; an urgent one does", () => {
  const pace = new Pace(() => PER_SECOND);
  pace.halt("o1", T0 + 1_000);
  expect([pace.take("o1", 1, PLANNED, T0), pace.take("o2", 1, PLANNED, T0), pace.take("o1", 1, URGENT, T0)]).toEqual([undefined, 0, 0]);
  expect([pace.take("o1", 1, PLANNED, T0 + 999), pace.take("o1", 1, PLANNED, T0 + 1_000)]).toEqual([undefined, 0]);
  pace.halt("o1", T0 + 5_000);
  pace.halt("o1", T0 + 2_000); // a shorter one shortens nothing
  expect([pace.isHalted("o1", T0 + 4_999), pace.isHalted("o1", T0 + 5_000)]).toEqual([true, false]);
});

test("nor to one that is doubted, until it is trusted; what it is halted for otherwise stays", () => {
  const pace = new Pace(() => PER_SECOND);
  pace.doubt("o1", T0 + 1_000);
  expect(pace.take("o1", 1, PLANNED, T0)).toBeUndefined();
  pace.trust("o1");
  expect(pace.take("o1", 1, PLANNED, T0)).toBe(0);
  pace.halt("o1", T0 + 1_000);
  pace.doubt("o1", T0 + 500);
  pace.trust("o1");
  expect(pace.isHalted("o1", T0)).toBe(true);
});

test("after a loss nobody waits for longer than visitors can, however much is booked", () => {
  const pace = new Pace(() => 1);
  for (let n = 0; n < 100; n++) pace.take("o1", 1, URGENT, T0);
  expect(pace.take("o1", 1, URGENT, T0)).toBe(URGENT_WAIT_MAX_MS);
});

test("what was not used is given back", () => {
  const pace = new Pace(() => PER_SECOND);
  pace.take("o1", BURST, PLANNED, T0);
  const before = pace.take("o1", 1, PLANNED, T0);
  pace.giveBack("o1", BURST + 1);
  expect([before === 0, pace.take("o1", BURST, PLANNED, T0)]).toEqual([false, 0]);
  pace.giveBack("never", 1);
});

test("what is known of an origin goes with it", () => {
  const pace = paceAfter(1_000);
  pace.halt("o1", T0 + 1_000);
  pace.keep((origin) => origin !== "o1");
  expect([pace.isHalted("o1", T0), pace.take("o1", 1, PLANNED, T0)]).toEqual([false, 0]);
});
