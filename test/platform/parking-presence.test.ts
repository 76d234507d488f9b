// What goes on while a session is parked: presence that is renewed and shown, visitors who do not read it, and the time after which it is over.

import { afterEach, beforeEach, expect, test } from "vitest";
import { IDLE } from "../../src/core/close-codes.ts";
import { SOCKET_LOOK_BYTES } from "../../src/platform/limits.ts";
import { AT_MS, ParkedBench, presence } from "./carried/parked-bench.ts";

let bench: ParkedBench;

beforeEach(() => {
  bench = new ParkedBench();
});
afterEach(() => bench.end());

test("presence that is renewed is shown to all, wakes nobody, and goes on from there after eviction", async () => {
  await bench.parked(2);
  for (const at of [6, 7]) {
    bench.say(0, presence([1, at, "{}"]));
    await bench.through();
    bench.evict();
  }
  expect(bench.sleepers.map(({ got }) => got)).toEqual([
    [presence([1, 6, "{}"]), presence([1, 7, "{}"])],
    [presence([1, 6, "{}"]), presence([1, 7, "{}"])],
  ]);
  expect([bench.revived, bench.told, bench.heldBytes]).toEqual([[], [], 0]);
  bench.say(1, "x");
  await bench.through();
  expect(bench.clocks, "whose presence was not renewed has the clock that was kept").toEqual([7, undefined]);
});

test("what only repeats is shown to nobody: one's own once more, or what others have shown", async () => {
  await bench.parked(2);
  bench.say(1, presence([1, 6, "{}"])); // as a provider does for each that it hears
  bench.say(1, presence([2, 5, "{}"]));
  bench.say(0, presence([1, 6, "{}"]));
  await bench.through();
  bench.say(0, presence([1, 6, "{}"]));
  bench.say(1, presence([1, 6, "{}"]));
  await bench.through();
  expect(bench.sleepers.map(({ got }) => got.length)).toEqual([1, 1]);
  expect(bench.revived).toEqual([]);
});

test("presence that has changed, an older clock, a text and an edit wake", async () => {
  for (const frame of [presence([1, 6, '{"cursor":1}']), presence([1, 4, "{}"]), "text", new Uint8Array([0, 2, 1, 0]).buffer]) {
    bench.end();
    bench = new ParkedBench();
    await bench.parked(1);
    bench.say(0, frame);
    await bench.through();
    expect(bench.revived).toEqual([0]);
    expect(bench.sleepers[0]?.got).toEqual([]);
  }
});

test("of one who leaves the others hear that its presence is over, up to the clock that it had reached", async () => {
  await bench.parked(2);
  bench.say(0, presence([1, 9, "{}"]));
  await bench.through();
  bench.sleepers[0]?.far.close(1000, "");
  await bench.through();
  expect(bench.sleepers[1]?.got).toEqual([presence([1, 9, "{}"]), presence([1, 9, "null"])]);
});

test("a visitor who reads nothing is told to come back, and is not counted for a socket that it never closes", async () => {
  await bench.parked(2);
  const [, slow] = bench.sleepers;
  if (!slow) throw new Error("two were parked");
  slow.near.bufferedAmount = SOCKET_LOOK_BYTES + 1;
  slow.far.cut = true; // it hears nothing of what it is told
  bench.say(0, presence([1, 6, "{}"]), presence([1, 7, "{}"]));
  await bench.through();
  expect(slow.near.closing?.code).toBe(1013);
  expect([bench.parking.connectionsOf(bench.keyHash), bench.rows()]).toEqual([1, { sessions: 1, connections: 1 }]);
  expect(bench.sleepers[0]?.got.slice(0, 2)).toEqual([presence([1, 6, "{}"]), presence([1, 7, "{}"])]);
});

const LIMITS = { idleMs: 60_000, maxLifeMs: 600_000 };

test("a session is over when nothing was said for as long as its pool allows, of which a renewal is something", async () => {
  await bench.parked(2);
  expect(bench.parking.nextDueAtMs(LIMITS)).toBe(AT_MS + LIMITS.idleMs);
  await bench.clock.pass(LIMITS.idleMs - 1_000);
  bench.say(0, presence([1, 6, "{}"]));
  await bench.clock.pass(1_000);
  bench.evict(); // when it was heard of last outlives the memory
  bench.parking.endDue(bench.clock.nowMs, LIMITS);
  expect([bench.parking.rows().length, bench.ended]).toEqual([1, []]);
  const dueAtMs = bench.parking.nextDueAtMs(LIMITS);
  expect(dueAtMs).toBeGreaterThan(bench.clock.nowMs);
  await bench.clock.pass(dueAtMs - bench.clock.nowMs - 1);
  bench.parking.endDue(bench.clock.nowMs, LIMITS);
  expect(bench.parking.rows().length).toBe(1);
  await bench.clock.pass(1);
  bench.parking.endDue(bench.clock.nowMs, LIMITS);
  await bench.clock.pass(1);
  expect([bench.parking.rows().length, bench.ended, bench.rows(), bench.parking.nextDueAtMs(LIMITS)]).toEqual([
    0,
    [100],
    { sessions: 0, connections: 0 },
    Infinity,
  ]);
  expect(bench.sleepers.map(({ told }) => told)).toEqual([IDLE, IDLE]);
});

test("a session is over when it has lived for as long as its pool allows, whatever is renewed", async () => {
  await bench.parked(1);
  const limits = { idleMs: 60_000, maxLifeMs: 100_000 };
  for (let at = 6; bench.clock.nowMs < AT_MS + limits.maxLifeMs; at++) {
    bench.parking.endDue(bench.clock.nowMs, limits);
    bench.say(0, presence([1, at, "{}"]));
    await bench.clock.pass(20_000);
  }
  bench.parking.endDue(bench.clock.nowMs, limits);
  await bench.clock.pass(1);
  expect([bench.codes(), bench.parking.rows().length]).toEqual([[1012], 0]);
});

test("a pool that is no more ends what is parked of it", async () => {
  await bench.parked(1);
  bench.parking.endDue(bench.clock.nowMs, { idleMs: 0, maxLifeMs: 0 });
  await bench.clock.pass(1);
  expect([bench.codes(), bench.parking.rows().length]).toEqual([[1001], 0]);
});
