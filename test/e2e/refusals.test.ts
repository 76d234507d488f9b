// New origins that do not take what moves to them: they refuse the visitor, fail, or hang, while their health checks are well. And old ones
// that do not let go: they never answer a close, or hang and wake later.

import { afterEach, expect, test } from "vitest";
import { LiveStack, names } from "../support/live-stack.ts";
import { eventually } from "../support/stack.ts";

let stack: LiveStack;

afterEach(() => stack.stop());

test.each([401, 403])("a new origin that refuses with %i: that visitor is closed with 1012, the others of the session stay", async (status) => {
  stack = await LiveStack.start({ ids: ["o0", "o1"] });
  await stack.drain("o1");
  const [stale, fresh] = [await stack.join("s", "stale"), await stack.join("s", "fresh")];
  await stack.undrain("o1");
  await Promise.all([stale.ask(), fresh.ask()]);
  stack.origin("o1").will.refuseTarget = { includes: "stale", status };
  await stack.drain("o0");
  expect(await stale.visitor.closed).toMatchObject({ code: 1012, reason: expect.stringContaining("fresh handshake") as string });
  await fresh.ask();
  await fresh.expectWhole();
  expect((await stack.ownerOf("s")).id).toBe("o1");
  expect(stack.legsOf("s").filter(({ origin }) => origin === "o1")).toHaveLength(1);
});

test("a new origin that answers 503 to handshakes, while its checks are well: the session goes to the next of the walk", async () => {
  stack = await LiveStack.start({ ids: ["o0", "o1", "o2"] });
  const talkers = await stack.gatherAt("o0", names("s", 12));
  stack.origin("o1").will.refuse = 503;
  await stack.drain("o0");
  await eventually("all are at the last one", () => stack.origin("o2").open().length === talkers.length);
  expect(stack.origin("o1").handshakesAtMs.length).toBeGreaterThan(0);
  for (const talker of talkers) {
    await talker.ask();
    await talker.expectWhole();
  }
  stack.expectOneOwner();
  const ring = await stack.settled();
  expect(ring.origins.map(({ sessions }) => sessions)).toEqual([0, 0, talkers.length]);
});

test("a handshake that hangs is given up as soon as the ring knows that its origin is down, not at its own time-out", async () => {
  stack = await LiveStack.start({ ids: ["o0", "o1", "o2"], doors: true });
  const talkers = await stack.gatherAt("o0", names("s", 6));
  await stack.drain("o2");
  stack.origin("o1").will.hangs = true; // its health checks are well
  await stack.drain("o0");
  await eventually("they are on their way", () => stack.origin("o1").handshakesAtMs.length > 2);
  await stack.undrain("o2");
  stack.door("o1").freeze(true); // and now they are not
  await stack.down("o1");
  const knownAtMs = Date.now();
  for (const talker of talkers) await talker.ask();
  expect(Date.now() - knownAtMs).toBeLessThan(2_500);
  expect(stack.origin("o2").open()).toHaveLength(talkers.length);
  stack.expectOneOwner();
});

test("where handshakes hang while the checks are well, one time-out is enough: the session goes to the next of the walk", async () => {
  stack = await LiveStack.start({ ids: ["o0", "o1", "o2"] });
  const talkers = await stack.gatherAt("o0", names("s", 12));
  stack.origin("o1").will.hangs = true;
  await stack.drain("o0");
  await eventually("all are at the last one", () => stack.origin("o2").open().length === talkers.length, 9_000); // one time-out is 5 s
  expect(stack.origin("o1").handshakesAtMs.length).toBeGreaterThan(0);
  for (const talker of talkers) {
    await talker.ask();
    await talker.expectWhole();
  }
  stack.expectOneOwner();
});

test("origins that hang are left one after the other: for the next of the walk, the backup, the secondary region", async () => {
  stack = await LiveStack.start({
    ids: ["weur-0", "weur-1", "weur-2", "weur-b", "enam-0"],
    origin: { "weur-b": { backup: true } },
    regions: { weur: { secondary: ["enam"] }, enam: {} },
    pool: { overprovisioning: 10 }, // who is left bears all: nobody is spilt
    doors: true,
  });
  const all = names("s", 6);
  await stack.drain("weur-1", "weur-2");
  const talkers = await stack.joinAll(all);
  await stack.undrain("weur-1", "weur-2");
  const went = async (from: string, to: string): Promise<void> => {
    stack.door(from).freeze(true);
    for (const talker of talkers) talker.say();
    await eventually(
      `all are at ${to}`,
      () =>
        new Set(
          stack
            .origin(to)
            .open()
            .map(({ session }) => session),
        ).size === talkers.length,
    );
    for (const talker of talkers) await talker.ask();
  };
  // Two of three hang at once: nobody is left to wait for the second after the first.
  stack.door("weur-1").freeze(true);
  await went("weur-0", "weur-2");
  await went("weur-2", "weur-b");
  await went("weur-b", "enam-0");
  for (const talker of talkers) expect(talker.isOpen).toBe(true);
  expect((await stack.ring("enam")).origins.map(({ sessions }) => sessions)).toEqual([all.length]);
});

test("when every origin of the region refuses handshakes, the backup takes the sessions, and when that refuses too, the secondary region", async () => {
  stack = await LiveStack.start({
    ids: ["weur-0", "weur-1", "weur-b", "enam-0"],
    origin: { "weur-b": { backup: true } },
    regions: { weur: { secondary: ["enam"] }, enam: {} },
  });
  await stack.drain("weur-1");
  const talker = await stack.join("s");
  await stack.undrain("weur-1");
  stack.origin("weur-1").will.refuse = 503;
  await stack.drain("weur-0");
  await eventually("the backup has it", () => stack.origin("weur-b").open("s").length === 1);
  await talker.ask();
  stack.origin("weur-b").will.refuse = 503;
  stack.origin("weur-b").cut();
  await eventually("the secondary region has it", () => stack.origin("enam-0").open("s").length === 1);
  await talker.ask();
  await talker.expectHoles(1);
  stack.expectOneOwner();
});

test("an old origin that never answers the close is left at the deadline, and what it says later is not delivered", async () => {
  const DEADLINE_MS = 600;
  stack = await LiveStack.start({ ids: ["o0", "o1"], pool: { closeDeadlineMs: DEADLINE_MS } });
  for (const { will } of stack.origins) will.deafToClose = true;
  const talkers = await stack.gatherAt("o0", names("s", 4));
  await Promise.all(talkers.map((talker) => talker.ask()));
  const beganAtMs = Date.now();
  await stack.drain("o0");
  await eventually("it was told to close", () => stack.origin("o0").legs.every(({ closing }) => closing?.code === 1012));
  for (const { socket } of stack.origin("o0").legs) socket.send("in time");
  await eventually("all are at the new one", () => stack.origin("o1").open().length === talkers.length);
  expect(Date.now() - beganAtMs).toBeGreaterThan(DEADLINE_MS);
  expect(Date.now() - beganAtMs).toBeLessThan(DEADLINE_MS + 3_000);
  for (const { socket } of stack.origin("o0").legs) socket.send("too late", () => undefined);
  await eventually("its sockets are cut", () => stack.origin("o0").open().length === 0);
  await Promise.all(talkers.map((talker) => talker.ask()));
  for (const talker of talkers) {
    await talker.expectWhole();
    expect(talker.visitor.heard.map(String).filter((frame) => frame.includes(" "))).toEqual(["in time"]);
  }
  stack.expectOneOwner();
});

test("an origin that hangs and wakes: what it says then is not delivered, its sockets are cut, and its fence is old", async () => {
  stack = await LiveStack.start({ ids: ["o0", "o1"], doors: true });
  const talkers = await stack.gatherAt("o0", names("s", 5));
  await Promise.all(talkers.map((talker) => talker.ask()));
  stack.door("o0").freeze(true);
  for (const { socket } of stack.origin("o0").legs) socket.send("asleep");
  for (const talker of talkers) talker.say(); // on their way to who hangs
  await stack.down("o0");
  await eventually("all are at the new one", () => stack.origin("o1").open().length === talkers.length);
  await Promise.all(talkers.map((talker) => talker.ask()));
  stack.door("o0").freeze(false);
  await stack.healthy("o0");
  await eventually("its sockets are cut", () => stack.origin("o0").open().length === 0);
  for (const talker of talkers) {
    await talker.expectHoles(1);
    expect(talker.visitor.heard).not.toContain("asleep");
  }
  const fences = (id: string): number[] => stack.origin(id).legs.map(({ fence }) => fence);
  expect(Math.max(...fences("o0"))).toBeLessThan(Math.min(...fences("o1")));
  expect(stack.origin("o0").open()).toHaveLength(0);
});
