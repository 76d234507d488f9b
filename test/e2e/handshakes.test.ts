// Six handshakes at once: the platform's limit is kept by a queue of our own, in which arrivals and moves take turns and a hanging origin
// keeps nobody else waiting. The fake origins fail what goes beyond the limit, as the platform does.

import { afterEach, expect, test } from "vitest";
import { Cap } from "../support/live-origin.ts";
import { LiveStack, names } from "../support/live-stack.ts";
import { eventually } from "../support/stack.ts";

let stack: LiveStack;

afterEach(() => stack.stop());

const SLOTS = 6;
/** 150 of them, six at a time, are over in 1.5 s; an arrival waits for 5 s at most, and the machine may be slow. */
const HANDSHAKE_MS = 60;

test("a hundred visitors come while fifty sessions move: all are served, none beyond the limit, and both advance side by side", async () => {
  const cap = new Cap(SLOTS);
  stack = await LiveStack.start({ ids: ["o0", "o1", "o2"], pool: { carriers: 1, pace: { perOriginPerSecond: 1_000 } }, cap });
  const old = await stack.gatherAt("o0", names("old", 50));
  for (const origin of stack.origins) origin.will.handshakeMs = HANDSHAKE_MS;
  const legCounts = stack.origins.map(({ legs }) => legs.length);
  // Both begin at once; none of the new ones is at home at the origin that is drained.
  await stack.drain("o0");
  const young = await stack.joinAll(names("young", 100));
  await stack.emptied("o0");
  for (const talker of [...old, ...young]) talker.say();
  for (const talker of [...old, ...young]) await talker.expectWhole();
  expect([cap.failedCount, cap.mostCount]).toEqual([0, SLOTS]);
  const order = stack.origins
    .flatMap(({ legs }, index) => legs.slice(legCounts[index]))
    .toSorted((a, b) => a.openedAtMs - b.openedAtMs)
    .map(({ session }) => session.startsWith("old"));
  expect(order).toHaveLength(150);
  // From the first move to the last, moves and arrivals take turns.
  const during = order.slice(order.indexOf(true), order.lastIndexOf(true) + 1);
  const arrivals = during.filter((isMove) => !isMove).length;
  expect(arrivals).toBeGreaterThan(20);
  expect(during.length - arrivals).toBe(50);
  stack.expectOneOwner();
});

test("an origin whose handshakes hang keeps nobody from the others", async () => {
  const cap = new Cap(SLOTS);
  stack = await LiveStack.start({ ids: ["o0", "o1"], pool: { carriers: 1 }, cap });
  const hanging = stack.origin("o0");
  hanging.will.hangs = true; // and its health checks are well
  const beganAtMs = Date.now();
  const took = new Map<string, number>();
  const talkers = await Promise.all(
    names("s", 40).map(async (session) => {
      const talker = await stack.join(session).catch(() => undefined);
      took.set(session, Date.now() - beganAtMs);
      return talker;
    }),
  );
  const served = talkers.filter((talker) => talker !== undefined);
  for (const talker of served) talker.say();
  for (const talker of served) await talker.expectWhole();
  const [atOther, atHanging] = [stack.origin("o1").legs.map(({ session }) => session), hanging.handshakesAtMs.length];
  expect(atHanging).toBeGreaterThan(0);
  // Those whose owner it is not had no wait at all.
  const quick = atOther.filter((session) => (took.get(session) ?? Infinity) < 900);
  expect(quick.length).toBeGreaterThan(10);
  await eventually("handshakes that hang are given up", () => cap.waitingCount === 0);
});
