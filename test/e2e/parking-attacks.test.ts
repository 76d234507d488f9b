// Parking under attack: visitors who speak at the worst moment, too much, or something else than expected; origins that do not let a session
// wake; and a carrier that is full of those who sleep. Whoever is parked goes on or is told, in bounded time.

import { setTimeout as delay } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { LiveStack, names, type Options } from "../support/live-stack.ts";
import { eventually } from "../support/stack.ts";
import { refusedHandshake } from "../support/visitor.ts";

const AFTER_MS = 1_000;
/** The carrier looks every half second who is at rest. */
const LOOK_MS = 500;
/** A busy machine is no dead origin: where a session is must not change by that. */
const PATIENT = { intervalMs: 200, timeoutMs: 1_000, rise: 1, fall: 5 };
/** Longest wait for an origin by those who were there, twice: to be placed, and to be dialled. */
const TOLD_WITHIN_MS = 32_000;

let stack: LiveStack;

afterEach(() => stack.stop());

const start = (options: Partial<Options> = {}): Promise<LiveStack> =>
  LiveStack.start({
    ids: ["o0", "o1"],
    ...options,
    pool: { carriers: 1, health: PATIENT, ...options.pool },
    route: { park: { afterMs: AFTER_MS }, ...options.route },
  });

const open = (session: string): number => stack.origins.reduce((sum, origin) => sum + origin.open(session).length, 0);

function parked(session: string): Promise<unknown> {
  return eventually(`${session} is parked`, async () => (await stack.session(session))?.state === "parked" && open(session) === 0, 8_000);
}

test("visitors who speak just before their session is parked, or just then, lose nothing and hear everything once", async () => {
  stack = await start();
  const sessions = names("s", 6);
  const talkers = await stack.joinAll(sessions);
  await Promise.all(
    talkers.map(async (talker, n) => {
      for (let round = 0; round < 6; round++) {
        talker.say();
        await delay(AFTER_MS - 100 + ((n * 6 + round) % 12) * (LOOK_MS / 10));
      }
    }),
  );
  for (const talker of talkers) await talker.expectWhole();
  stack.expectOneOwner();
});

test("thousands of frames at once to a session that sleeps: all arrive, in order", async () => {
  stack = await start();
  const [a, b] = [await stack.join("s", "a"), await stack.join("s", "b")];
  await Promise.all([a.ask(), b.ask()]);
  await parked("s");
  for (let n = 0; n < 3_000; n++) {
    a.say();
    if (n % 10 === 0) b.say();
  }
  await a.expectWhole();
  await b.expectWhole();
});

test("more than is held back of one visitor, said to a session that sleeps: its sender is told, the other goes on", async () => {
  stack = await start();
  const [a, b] = [await stack.join("s", "a"), await stack.join("s", "b")];
  await Promise.all([a.ask(), b.ask()]);
  await parked("s");
  a.visitor.socket.send(new Uint8Array(9 * 1024 * 1024));
  expect((await a.visitor.closed).code).toBe(1013);
  await b.ask();
  await b.expectWhole();
});

test("text where the protocol is binary, and bytes that are none of it, are the origin's to judge: they wake", async () => {
  stack = await start({ route: { park: { afterMs: AFTER_MS }, resume: { mode: "transparent", profile: "y-websocket" } } });
  const a = await stack.join("s", "a");
  await a.ask();
  await parked("s");
  await a.ask();
  await parked("s");
  a.visitor.socket.send(new Uint8Array([1, 255, 255, 255, 255, 255]));
  await eventually("it has its leg again", () => open("s") === 1);
  await a.ask();
});

for (const [how, will] of [
  ["refuses with 401", { refuse: 401 }],
  ["answers 503", { refuse: 503 }],
  ["hangs", { hangs: true }],
] as const) {
  test(
    `a session whose every origin ${how} when it wakes: its visitors are told, and nothing is left of it`,
    async () => {
      stack = await start();
      const [a, b] = [await stack.join("s", "a"), await stack.join("s", "b")];
      await Promise.all([a.ask(), b.ask()]);
      await parked("s");
      for (const origin of stack.origins) Object.assign(origin.will, will);
      const saidAtMs = Date.now();
      a.say();
      const closes = await Promise.all([a.visitor.closed, b.visitor.closed]);
      expect(closes.map(({ code }) => code)).toEqual([1012, 1012]);
      expect(Date.now() - saidAtMs).toBeLessThan(TOLD_WITHIN_MS);
      await eventually("the session is over", async () => (await stack.ring()).sessions === 0, 10_000);
    },
    TOLD_WITHIN_MS + 30_000,
  );
}

test("all origins are down when a session wakes, and one is back soon: its visitors notice nothing", async () => {
  stack = await start();
  const a = await stack.join("s", "a");
  await a.ask();
  await parked("s");
  await Promise.all(stack.origins.map((origin) => origin.kill()));
  a.say();
  await delay(2_000);
  await stack.origin("o1").start();
  await a.expectWhole();
});

test("those who sleep count among the connections of their carrier, and wake however full it is", async () => {
  stack = await start({ pool: { carriers: 1, carrier: { maxConnections: 3 } } });
  const talkers = [await stack.join("s", "a"), await stack.join("s", "b"), await stack.join("t", "c")];
  await Promise.all(talkers.map((talker) => talker.ask()));
  await parked("s");
  await parked("t");
  expect((await refusedHandshake(stack.url("s", "d"))).status).toBe(503);
  expect(open("s"), "nobody was woken for it").toBe(0);
  for (const talker of talkers) await talker.ask();
  talkers[0]?.leave();
  await eventually("one has gone", async () => (await stack.session("s"))?.connections === 1);
  await (await stack.join("s", "e")).ask();
});
