// Several moves in a row, over each other, with visitors who come, go and talk in the middle of them. A ledger of numbered frames, both
// ways, finds what is lost, doubled or out of order; in planned moves there is nothing to find.

import { afterEach, beforeEach, expect, test } from "vitest";
import { LiveStack, names } from "../support/live-stack.ts";
import { eventually } from "../support/stack.ts";
import type { Talker } from "../support/talker.ts";

let stack: LiveStack;
const SESSIONS = 8;

beforeEach(async () => {
  stack = await LiveStack.start({ ids: ["o0", "o1", "o2"], pool: { pace: { perOriginPerSecond: 500 } }, route: { quietMs: 200 } });
  for (const { will } of stack.origins) will.answerMs = () => Math.random() * 30;
});

afterEach(() => stack.stop());

/** Two visitors of each session, who talk all the time. */
async function crowd(): Promise<Talker[]> {
  const talkers = (await Promise.all(names("s", SESSIONS).map((key) => Promise.all([stack.join(key, "a"), stack.join(key, "b")])))).flat();
  for (const talker of talkers) talker.talk(40);
  await eventually("all are served", () => talkers.every((talker) => talker.answers.length > 3));
  return talkers;
}

const movedCount = (id: string): number => stack.origin(id).legs.filter(({ movedFrom }) => movedFrom !== undefined).length;

test("a drain, a drain of its destination while it is under way, an undrain in the middle, and again: the ledger is whole", async () => {
  const talkers = await crowd();
  await stack.drain("o0");
  await eventually("some are on their way", async () => (await stack.ring()).moving > 0);
  await stack.drain("o1"); // everybody must go to the last one, those who have just come too
  await eventually("some have come to the last", () => movedCount("o2") > 0);
  const late = await Promise.all(names("s", 4).map((key) => stack.join(key, "late")));
  for (const talker of late) talker.talk(40);
  const leavers = talkers.splice(0, 3);
  for (const talker of leavers) talker.leave();
  await stack.undrain("o0"); // in the middle: those that still wait for their turn stay
  await stack.emptied("o1");
  await stack.drain("o2");
  await stack.emptied("o2");
  await stack.undrain("o1", "o2");
  await stack.drain("o0");
  await stack.emptied("o0");
  await stack.settled();
  for (const talker of [...talkers, ...late]) await talker.expectWhole();
  stack.expectOneOwner();
  for (const { heard } of talkers.map(({ visitor }) => visitor)) expect(heard.length).toBeGreaterThan(10);
});

test("what origins push by themselves in a drain arrives too, each leg's in order, as far as it was said before the close", async () => {
  const talkers = await crowd();
  const pushed = new Map<object, number>();
  const pusher = setInterval(() => {
    for (const leg of stack.origins.flatMap((origin) => origin.open())) {
      if (leg.socket.readyState !== leg.socket.OPEN) continue;
      const n = pushed.get(leg) ?? 0;
      leg.socket.send(`push ${leg.origin} ${leg.fence} ${n}`);
      pushed.set(leg, n + 1);
    }
  }, 15);
  await stack.drain("o0");
  await stack.emptied("o0");
  clearInterval(pusher);
  for (const talker of talkers) await talker.expectWhole();
  for (const { session, name, visitor } of talkers) {
    const legs = stack.legsOf(session).filter(({ target }) => target.endsWith(`?${name}`));
    const expected = legs.flatMap((leg) => Array.from({ length: pushed.get(leg) ?? 0 }, (_, n) => `push ${leg.origin} ${leg.fence} ${n}`));
    const heard = (): string[] => visitor.heard.map(String).filter((frame) => frame.startsWith("push"));
    await eventually("all pushes are here", () => heard().length >= expected.length);
    expect(heard()).toEqual(expected);
  }
});

test("the destination dies in the middle of a move: nobody's socket closes, and the sessions go to the next", async () => {
  const talkers = await crowd();
  await stack.drain("o0");
  await eventually("some have come", () => movedCount("o1") > 0 && movedCount("o2") > 0);
  await stack.origin("o1").kill();
  await stack.down("o1");
  await stack.emptied("o0", "o1");
  await stack.settled();
  for (const talker of talkers) await talker.expectHoles(1);
  stack.expectOneOwner();
  expect(new Set(stack.origins.flatMap((origin) => origin.open().map((leg) => leg.origin)))).toEqual(new Set(["o2"]));
});

test("two deaths, one after the other, and both come back: nobody's socket closes, nothing is doubled or out of order", async () => {
  const talkers = await crowd();
  await stack.origin("o0").kill();
  await eventually("some have gone on", () => movedCount("o1") + movedCount("o2") > 0);
  await stack.origin("o1").kill();
  await stack.down("o1");
  await stack.emptied("o0", "o1");
  await stack.origin("o0").start();
  await stack.origin("o1").start();
  await stack.healthy("o1");
  await stack.settled();
  for (const talker of talkers) await talker.expectHoles(2);
  stack.expectOneOwner();
});

test("a visitor who sends and closes in the middle of a move has said what they said", async () => {
  const [talker, other] = [await stack.join("s", "a"), await stack.join("s", "b")];
  await talker.ask();
  await other.ask();
  const from = await stack.ownerOf("s");
  for (const { id, will } of stack.origins) if (id !== from.id) will.handshakeMs = 1_000;
  await stack.drain(from.id);
  await eventually("it is on its way", () => stack.origins.some(({ handshakesAtMs, legs }) => handshakesAtMs.length > legs.length));
  talker.say();
  talker.say();
  talker.visitor.socket.close(4000, "bye");
  expect((await talker.visitor.closed).code).toBe(4000);
  const to = await eventually("it is there", () => stack.origins.find(({ id, legs }) => id !== from.id && legs.length === 2));
  await eventually("what was held is said", () =>
    to.legs.some((leg) => leg.target.endsWith("?a") && leg.received.join() === "a.1,a.2" && leg.closing?.code === 4000),
  );
  await other.ask();
  await other.expectWhole();
  stack.expectOneOwner();
});
