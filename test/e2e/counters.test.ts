// What the ring counts, which bounded load and operators build on: sessions and connections of each origin, exact after moves and after
// any object's restart; moves by reason, gaps, frames held, connections refused.

import { afterEach, expect, test } from "vitest";
import { LiveStack, names, type LiveRing } from "../support/live-stack.ts";
import { eventually } from "../support/stack.ts";
import type { Talker } from "../support/talker.ts";

let stack: LiveStack;

afterEach(() => stack.stop());

const SESSIONS = 20;
const IDS = ["o0", "o1", "o2"];
/** Seldom probed, so that a ring object has idle moments in which it can be evicted; whoever fails to reach an origin has it probed at once. */
const health = { intervalMs: 2_000, timeoutMs: 400, rise: 1, fall: 2 };
const EVICTING = { timeout: 120_000 };

/** What origins really have, as they count their own legs. */
function real(): Record<string, [sessions: number, connections: number]> {
  return Object.fromEntries(
    stack.origins.map((origin) => [origin.id, [new Set(origin.open().map(({ session }) => session)).size, origin.open().length]]),
  );
}

/** Waits until the ring's counts are what is there, and have been twice. */
async function counted(): Promise<LiveRing> {
  let last: LiveRing | undefined;
  const isExact = ({ origins }: LiveRing): boolean =>
    JSON.stringify(real()) === JSON.stringify(Object.fromEntries(origins.map(({ id, sessions, connections }) => [id, [sessions, connections]])));
  try {
    return await eventually(
      "the counts are exact",
      async () => isExact((last = await stack.ring())) && isExact((last = await stack.ring())) && last,
      40_000,
    );
  } catch (cause) {
    throw new Error(`real ${JSON.stringify(real())}, told ${JSON.stringify(last)}`, { cause });
  }
}

const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);

async function crowd(): Promise<Talker[]> {
  return (await Promise.all(names("s", SESSIONS).map((key) => Promise.all([stack.join(key, "a"), stack.join(key, "b")])))).flat();
}

/** The runtime evicts an object only in a moment in which nothing asks it anything. */
async function evict(className: string, name: string): Promise<void> {
  await eventually(
    `${name} is evicted`,
    () =>
      stack.router.miniflare.unsafeEvictDurableObject("limpet", className, { name }).then(
        () => true,
        (error: unknown) => {
          if (!String(error).includes("active references")) throw error;
          return false;
        },
      ),
    60_000,
  );
}

test("sessions and connections are exact after moves; moves are counted by reason, gaps by connection", async () => {
  stack = await LiveStack.start({ ids: IDS });
  const talkers = await crowd();
  const first = await counted();
  expect([first.sessions, first.connections, first.moved, sum(first.gaps)]).toEqual([SESSIONS, 2 * SESSIONS, {}, 0]);
  const atFirst = real()["o0"] ?? [0, 0];
  await stack.drain("o0");
  await stack.emptied("o0");
  await counted();
  const drained = await eventually("the gaps are told", async () => {
    const ring = await stack.ring();
    return sum(ring.gaps) >= atFirst[1] && ring;
  });
  expect([drained.moved, sum(drained.gaps)]).toEqual([{ drain: atFirst[0] }, atFirst[1]]);
  await stack.undrain("o0");
  const atSecond = real()["o1"] ?? [0, 0];
  await stack.origin("o1").kill();
  await stack.down("o1");
  await stack.emptied("o1");
  await counted();
  const killed = await eventually("the gaps are told", async () => {
    const ring = await stack.ring();
    return sum(ring.gaps) >= atFirst[1] + atSecond[1] && ring;
  });
  expect([killed.moved, sum(killed.gaps)]).toEqual([{ drain: atFirst[0], lost: atSecond[0] }, atFirst[1] + atSecond[1]]);
  // Who leaves is not counted any more.
  for (const talker of talkers.slice(0, 6)) talker.leave(); // three sessions, both of each
  talkers[6]?.leave(); // one of two
  const left = await eventually("they are gone", async () => {
    const ring = await stack.ring();
    return ring.connections === 2 * SESSIONS - 7 && ring;
  });
  expect(left.sessions).toBe(SESSIONS - 3);
  await counted();
});

test("frames held in a move are counted, each once", async () => {
  stack = await LiveStack.start({ ids: ["o0", "o1"] });
  const [talker] = await stack.gatherAt("o0", ["s"]);
  await talker?.ask();
  stack.origin("o1").will.handshakeMs = 600;
  await stack.drain("o0");
  await eventually("it is on its way", () => stack.origin("o1").handshakesAtMs.length > 0);
  for (let n = 0; n < 25; n++) talker?.say();
  await talker?.expectWhole();
  const ring = await eventually("it is told", async () => {
    const now = await stack.ring();
    return now.heldFrames > 0 && now;
  });
  expect([ring.heldFrames, sum(ring.gaps), sum(ring.gaps.slice(4))]).toEqual([25, 1, 1]); // more than half a second
});

test("who comes when the carrier is full is refused and counted", async () => {
  stack = await LiveStack.start({ ids: ["o0"], pool: { carriers: 1, carrier: { maxConnections: 3 } } });
  await stack.joinAll(names("s", 3));
  await expect(stack.join("s4")).rejects.toThrow("503");
  const ring = await eventually("it is told", async () => {
    const now = await stack.ring();
    return now.refused > 0 && now;
  });
  expect([ring.refused, ring.connections]).toEqual([1, 3]);
});

test("after the ring object was evicted it knows every session and connection again, and goes on moving", EVICTING, async () => {
  stack = await LiveStack.start({ ids: IDS, pool: { health } });
  const talkers = await crowd();
  await stack.drain("o0");
  await stack.emptied("o0");
  await stack.undrain("o0");
  await counted();
  await evict("RingObject", "v1:live@weur#g1");
  const ring = await counted();
  expect([ring.sessions, ring.connections]).toEqual([SESSIONS, 2 * SESSIONS]);
  for (const talker of talkers.slice(0, 4)) talker.leave();
  await stack.drain("o1");
  await stack.emptied("o1");
  await counted();
  for (const talker of talkers.slice(4)) await talker.ask();
  stack.expectOneOwner();
});

test("after the ring object died in the middle of a drain, the drain goes on, and nobody's socket closes", async () => {
  stack = await LiveStack.start({ ids: IDS, mortal: true, pool: { pace: { perOriginPerSecond: 10 } } });
  const talkers = await crowd();
  await stack.drain("o0");
  await eventually("some have moved", () => stack.legsOf("s0").length + stack.origins.flatMap(({ legs }) => legs).length > 2 * SESSIONS + 3);
  await stack.abort("RING", "v1:live@weur#g1");
  await stack.emptied("o0");
  const ring = await counted();
  expect([ring.sessions, ring.connections]).toEqual([SESSIONS, 2 * SESSIONS]);
  for (const talker of talkers) await talker.ask();
  for (const talker of talkers) await talker.expectWhole();
  stack.expectOneOwner();
});

test("when a carrier died its visitors are gone from the counts, and those who come back are counted once", async () => {
  stack = await LiveStack.start({ ids: IDS, mortal: true, pool: { carriers: 2 } });
  const talkers = await crowd();
  await counted();
  await stack.abort("CARRIER", "v1:live@weur#g1/0");
  await eventually("its visitors are cut off", () => talkers.some(({ isOpen }) => !isOpen));
  const cut = talkers.filter(({ isOpen }) => !isOpen);
  expect(cut.length).toBeLessThan(talkers.length);
  await Promise.all(cut.map(({ session, name }) => stack.join(session, name)));
  const ring = await counted();
  expect([ring.sessions, ring.connections]).toEqual([SESSIONS, 2 * SESSIONS]);
});
