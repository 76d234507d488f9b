// Days on which several things go wrong at once: a rolling deploy with deadlines, destinations that fail, an origin that is replaced while its
// ring object dies, visitors who read slowly. Each of these has closed sockets or lost frames once.

import { randomBytes } from "node:crypto";
import { afterEach, expect, test } from "vitest";
import { LiveStack, names } from "../support/live-stack.ts";
import { eventually } from "../support/stack.ts";

let stack: LiveStack;
afterEach(() => stack.stop());

test("a second drain takes along the sessions that have just come by the first: a rolling deploy closes nobody's socket", async () => {
  const pool = { carriers: 1, drain: { deadlineMs: 20_000, graceMs: 100 }, pace: { perOriginPerSecond: 8 } };
  stack = await LiveStack.start({ ids: ["o0", "o1", "o2"], pool });
  const talkers = await stack.gatherAt("o0", names("s", 24));
  await stack.drain("o0");
  await eventually("some have come to the next", () => stack.origin("o1").open().length >= 2);
  await stack.drain("o1");
  await stack.emptied("o0", "o1");
  expect(talkers.filter((talker) => talker.isOpen)).toHaveLength(24);
  expect(await stack.settled()).toMatchObject({ waiting: 0, moving: 0 });
  stack.expectOneOwner();
});

test("a drain's deadline does not wait for the pace: who is left then is moved at once", async () => {
  const pool = { carriers: 1, drain: { deadlineMs: 800, graceMs: 100 }, pace: { perOriginPerSecond: 1 } };
  stack = await LiveStack.start({ ids: ["o0", "o1"], pool });
  const talkers = await stack.gatherAt("o0", names("s", 30));
  const drainedAtMs = performance.now();
  await stack.drain("o0");
  await stack.emptied("o0");
  expect(performance.now() - drainedAtMs).toBeLessThan(10_000); // at the pace it would be half a minute
  expect(talkers.filter((talker) => talker.isOpen)).toHaveLength(30);
});

test("nor where sessions follow the ring: they leave for the drain, and nobody is closed at its deadline", async () => {
  const pool = { carriers: 1, hold: false, drain: { deadlineMs: 800, graceMs: 100 }, pace: { perOriginPerSecond: 1 } };
  stack = await LiveStack.start({ ids: ["o0", "o1"], pool });
  const talkers = await stack.joinAll(names("s", 30));
  const there = stack.origin("o0").open().length;
  expect(there).toBeGreaterThan(5);
  await stack.drain("o0");
  await stack.emptied("o0");
  expect(talkers.filter((talker) => talker.isOpen)).toHaveLength(30);
  expect((await stack.ring()).moved).toEqual({ drain: there });
});

test("a destination whose handshakes fail while its checks are well gets a few sessions, not all of them", async () => {
  stack = await LiveStack.start({ ids: ["o0", "o1", "o2"], pool: { carriers: 1, pace: { perOriginPerSecond: 20 } } });
  const talkers = await stack.gatherAt("o0", names("s", 60));
  const before = stack.origin("o1").handshakesAtMs.length;
  stack.origin("o1").will.refuse = 503;
  await stack.drain("o0");
  await eventually("most have gone to the other", () => stack.origin("o2").open().length >= 25);
  const tried = stack.origin("o1").handshakesAtMs.length - before;
  expect(tried).toBeLessThan(40); // two for each that went there before it was known
  await stack.emptied("o0");
  expect(talkers.filter((talker) => talker.isOpen)).toHaveLength(60);
}, 60_000);

test("one death is held against a session once, however long nobody can take it", async () => {
  stack = await LiveStack.start({ ids: ["o0", "o1"], pool: { faultBudget: { deaths: 2, windowMs: 600_000 } } });
  const talkers = await stack.gatherAt("o0", names("s", 4));
  await stack.origin("o0").kill();
  await eventually("all have gone to the other", () => stack.origin("o1").open().length === 4);
  await stack.origin("o1").kill();
  await stack.down("o1");
  await eventually("nobody could take them for a while", async () => (await stack.ring()).moving === 0);
  await stack.origin("o1").start();
  await stack.healthy("o1");
  await eventually("they are served again", () => stack.origin("o1").open().length === 4);
  expect([(await stack.ring()).quarantined, talkers.filter((talker) => talker.isOpen).length]).toEqual([[], 4]);
});

test("live sessions follow their origin to its new address, also when the ring object dies meanwhile", async () => {
  stack = await LiveStack.start({ ids: ["o0"], doors: true, mortal: true, pool: { carriers: 1 } });
  const talkers = await stack.joinAll(names("s", 6));
  const before = stack.origin("o0").legs.length;
  const init = { method: "PUT", headers: { authorization: "Bearer dev" }, body: JSON.stringify({ url: stack.origin("o0").url }) };
  expect((await stack.client.fetch("/_limpet/v1/rings/live/weur/origins/o0", init)).status).toBe(200);
  await stack.abort("RING", "v1:live@weur#g1");
  await eventually("all are there", () => stack.origin("o0").legs.length === before + 6);
  expect(talkers.filter((talker) => talker.isOpen)).toHaveLength(6);
});

test("MQTT to a visitor who does not read: what did not fit is told by a close, never left out in silence", async () => {
  stack = await LiveStack.start({ ids: ["o0"], pool: { carriers: 1 }, route: { resume: { mode: "transparent", profile: "mqtt" } } });
  const { visitor } = await stack.join("slow");
  const [leg] = stack.legsOf("slow");
  const BODY = 60_000;
  const packets = Array.from({ length: 1_600 }, (_, n) => {
    const body = randomBytes(BODY);
    body.writeUInt16BE(2, 0);
    body.write("t/", 2);
    body.writeUInt32BE(n, 4);
    return Buffer.concat([Buffer.from([0x30, (BODY & 127) | 128, ((BODY >> 7) & 127) | 128, BODY >> 14]), body]);
  });
  const all = Buffer.concat(packets);
  visitor.socket.pause();
  // Frames that end within packets, so that packets are put together and passed on one by one.
  for (let at = 0; at < all.length; at += 64_000) leg?.socket.send(all.subarray(at, at + 64_000));
  await eventually("the carrier gives it up", async () => (await stack.ring()).refused === 1);
  visitor.socket.resume();
  expect((await visitor.closed).code).toBe(1013);
  const heard = Buffer.concat(visitor.heard.map((frame) => Buffer.from(frame)));
  expect(heard.equals(all.subarray(0, heard.length))).toBe(true);
}, 60_000);
