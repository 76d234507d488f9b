// The pace of moves: the next origin gets no more handshakes than its bucket has tokens, the idle go first, and whoever waits is served.

import { afterEach, expect, test } from "vitest";
import { LiveStack, mostWithin, names } from "../support/live-stack.ts";
import { eventually } from "../support/stack.ts";

let stack: LiveStack;

afterEach(() => stack.stop());

const PER_SECOND = 20;
/** A quarter of a second's tokens at once, those of one group, which waits for the last of its own, and what a slow machine bunches together. */
const BURST = PER_SECOND / 4 + 8 + PER_SECOND / 2;
const SESSIONS = 60;

test("a drain goes at the pace: the idle first, the busiest last, and who waits is served", async () => {
  stack = await LiveStack.start({ ids: ["o0", "o1"], pool: { carriers: 1, pace: { perOriginPerSecond: PER_SECOND } }, route: { quietMs: 150 } }); // a slow machine answers late, too
  const talkers = await stack.gatherAt("o0", names("s", SESSIONS));
  const [busiest, ...busy] = talkers.slice(10, 15);
  busiest?.talk(5);
  for (const talker of busy) talker.talk(25);
  await Promise.all([busiest, ...busy].map((talker) => eventually("it talks", () => (talker?.answers.length ?? 0) > 5)));
  const before = stack.origin("o1").legs.length;
  const beganAtMs = Date.now();
  await stack.drain("o0");
  // In the middle of it those that have not moved yet are answered at once by the origin that is left.
  await eventually("a part has moved", () => stack.origin("o1").legs.length >= 20);
  expect(stack.origin("o0").open().length).toBeGreaterThan(10);
  const silent = talkers.filter((talker) => talker !== busiest && !busy.includes(talker));
  await Promise.all(silent.map((talker) => talker.ask()));
  expect(stack.origin("o0").legs.filter(({ received }) => received.includes("a.0")).length).toBeGreaterThan(10);
  await stack.emptied("o0");
  const legs = stack.origin("o1").legs.slice(before);
  expect(legs).toHaveLength(SESSIONS);
  const atMs = legs.map(({ openedAtMs }) => openedAtMs);
  expect(mostWithin(atMs, 1_000)).toBeLessThanOrEqual(PER_SECOND + BURST);
  expect(Math.max(...atMs) - beganAtMs).toBeGreaterThan(((SESSIONS - BURST) / PER_SECOND) * 1_000);
  const order = legs.map(({ session }) => session);
  expect(order.at(-1)).toBe(busiest?.session);
  // Who was asked in the middle of it is not idle in the moment in which it is weighed: a few of them may go as late.
  for (const { session } of busy) expect(order.indexOf(session)).toBeGreaterThanOrEqual(SESSIONS - 8);
  for (const talker of talkers) await talker.expectWhole();
  stack.expectOneOwner();
});

test("after a death everybody comes to the next origin at its pace, by all carriers together, and nobody's socket closes", async () => {
  stack = await LiveStack.start({ ids: ["o0", "o1"], pool: { carriers: 4, pace: { perOriginPerSecond: PER_SECOND } } });
  const talkers = await stack.gatherAt("o0", names("s", SESSIONS));
  const before = stack.origin("o1").handshakesAtMs.length;
  await stack.origin("o0").kill();
  for (const talker of talkers) talker.say();
  await eventually("all are there", () => stack.origin("o1").open().length === SESSIONS);
  const atMs = stack.origin("o1").handshakesAtMs.slice(before);
  expect(atMs).toHaveLength(SESSIONS);
  expect(mostWithin(atMs, 1_000)).toBeLessThanOrEqual(PER_SECOND + BURST);
  expect(Math.max(...atMs) - Math.min(...atMs)).toBeGreaterThan(((SESSIONS - BURST) / PER_SECOND) * 1_000);
  for (const talker of talkers) await talker.expectWhole();
  stack.expectOneOwner();
});
