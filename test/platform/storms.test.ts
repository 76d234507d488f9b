// Many visitors at once at one carrier: who can be served in time is, everybody else is told at once when to come back, and not all for the same
// moment. Time is played.

import { afterEach, beforeEach, expect, test } from "vitest";
import { ComeBack } from "../../src/platform/come-back.ts";
import { Handshakes, type Release } from "../../src/platform/handshakes.ts";
import { ARRIVAL_DEADLINE_MS, ARRIVAL_SLOT_WITHIN_MS, ARRIVALS_WAITING_MAX, COME_BACK_MAX_MS, HANDSHAKE_SLOTS } from "../../src/platform/limits.ts";
import { VirtualClock } from "./carried/virtual-clock.ts";

/** Handshakes of this length: so many are served by a carrier in the time that an arrival may wait for its slot. */
const HANDSHAKE_MS = 100;
const IN_TIME = (ARRIVAL_SLOT_WITHIN_MS / HANDSHAKE_MS) * HANDSHAKE_SLOTS;

let clock: VirtualClock;
let restore: () => void;
let handshakes: Handshakes;
let comeBack: ComeBack;
let startMs: number;

beforeEach(() => {
  clock = new VirtualClock();
  restore = clock.install();
  [handshakes, comeBack, startMs] = [new Handshakes(), new ComeBack(), clock.nowMs];
});
afterEach(() => restore());

interface Visitor {
  readonly origin: string;
  /** After the beginning. */
  servedAtMs?: number;
  readonly told: { readonly atMs: number; readonly retryAfterMs: number }[];
}

const since = (): number => clock.nowMs - startMs;

/** A visitor as carriers serve them: dialled when there is a slot, told otherwise. They come back when they were told to, and stay. */
async function arrive(visitor: Visitor, handshakeMs: (origin: string) => number, comesBack = true): Promise<void> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), ARRIVAL_DEADLINE_MS);
  const release: Release | "full" | "aborted" = await handshakes.take("arrivals", visitor.origin, late.signal);
  clearTimeout(timer);
  if (typeof release === "string") {
    const retryAfterMs = 1_000 * Number(comeBack.seconds(handshakes.arrivalsNeed, clock.nowMs));
    visitor.told.push({ atMs: since(), retryAfterMs });
    if (!comesBack) return;
    await new Promise((resolve) => setTimeout(resolve, retryAfterMs));
    return arrive(visitor, handshakeMs);
  }
  await new Promise((resolve) => setTimeout(resolve, handshakeMs(visitor.origin)));
  visitor.servedAtMs = since();
  release();
}

function storm(count: number, handshakeMs: (origin: string) => number, { origins = ["o0", "o1", "o2"], comesBack = true } = {}): Visitor[] {
  const visitors = Array.from({ length: count }, (_, n): Visitor => ({ origin: origins[n % origins.length] ?? "", told: [] }));
  for (const visitor of visitors) void arrive(visitor, handshakeMs, comesBack);
  return visitors;
}

test("1,250 at once, 100 ms each: as many as can be served in time wait, the others are told as soon as that is known", async () => {
  const visitors = storm(1_250, () => HANDSHAKE_MS, { comesBack: false });
  await clock.pass(2 * HANDSHAKE_MS);
  const told = visitors.filter((visitor) => visitor.told.length > 0);
  expect(visitors.length - told.length).toBeGreaterThanOrEqual(IN_TIME);
  expect(visitors.length - told.length).toBeLessThanOrEqual(IN_TIME + 3 * HANDSHAKE_SLOTS);
  await clock.pass(ARRIVAL_DEADLINE_MS);
  for (const visitor of visitors)
    expect([visitor.told.length, visitor.servedAtMs === undefined]).toEqual(visitor.told.length > 0 ? [1, true] : [0, false]);
});

test("those who come back when they were told to are all served, in little more time than that many handshakes take, and few are told twice", async () => {
  const visitors = storm(1_250, () => HANDSHAKE_MS);
  const leastMs = (1_250 / HANDSHAKE_SLOTS) * HANDSHAKE_MS;
  await clock.pass(1.25 * leastMs);
  expect(visitors.filter(({ servedAtMs }) => servedAtMs === undefined)).toEqual([]);
  expect(visitors.filter(({ told }) => told.length > 1).length).toBeLessThan(1_250 / 10);
});

test("whoever is told is told a time between two seconds and half a minute, and no second has many more of them than can be served in it", async () => {
  const visitors = storm(5_000, () => HANDSHAKE_MS, { comesBack: false });
  await clock.pass(2 * HANDSHAKE_MS);
  const afterMs = visitors.flatMap(({ told }) => told.map(({ retryAfterMs }) => retryAfterMs));
  expect(afterMs.length).toBeGreaterThan(4_500);
  expect(Math.min(...afterMs)).toBeGreaterThanOrEqual(2_000);
  expect(Math.max(...afterMs)).toBeLessThanOrEqual(COME_BACK_MAX_MS);
  const bySecond = Map.groupBy(afterMs, (ms) => ms);
  expect(bySecond.size).toBeGreaterThan(20);
  // More than half a minute's worth: what is beyond is spread over its second half.
  expect(Math.max(...[...bySecond.values()].map(({ length }) => length))).toBeLessThan(afterMs.length / 10);
});

test("while nothing is known of handshakes the bound is the number of those who wait", async () => {
  const visitors = storm(ARRIVALS_WAITING_MAX + HANDSHAKE_SLOTS + 1, () => HANDSHAKE_MS, { comesBack: false });
  await clock.pass(0);
  expect(visitors.filter(({ told }) => told.length > 0)).toHaveLength(1);
});

test("where handshakes are quick nobody is told who would be served in time", async () => {
  const visitors = storm(1_000, () => 5);
  await clock.pass(1_000);
  expect(visitors.filter(({ servedAtMs, told }) => servedAtMs === undefined || told.length > 0)).toEqual([]);
});

test("those who wait for an origin whose handshakes hang are told when its time is known; nobody else is, and nobody else waits", async () => {
  const hangsMs = (origin: string): number => (origin === "o0" ? ARRIVAL_DEADLINE_MS : 10);
  const visitors = storm(400, hangsMs, { origins: ["o0", "o1"], comesBack: false });
  await clock.pass(3_000);
  const others = visitors.filter(({ origin }) => origin === "o1");
  expect(others.filter(({ servedAtMs, told }) => servedAtMs === undefined || told.length > 0)).toEqual([]);
  await clock.pass(3_000);
  const later = storm(100, hangsMs, { origins: ["o0", "o1"], comesBack: false });
  await clock.pass(1_500);
  expect(later.filter(({ origin, servedAtMs }) => origin === "o1" && servedAtMs === undefined)).toEqual([]);
  const [told] = later.filter(({ origin, told: its }) => origin === "o0" && its.length > 0);
  expect((told?.told[0]?.atMs ?? Infinity) - 6_000).toBeLessThan(100); // at once
});

test("an origin that was slow and is well again is not kept from anybody: what is first in the queue is always tried", async () => {
  let slowMs = ARRIVAL_DEADLINE_MS;
  const first = storm(50, () => slowMs, { origins: ["o0"], comesBack: false });
  await clock.pass(3 * ARRIVAL_DEADLINE_MS);
  expect(first.some(({ told }) => told.length > 0)).toBe(true);
  slowMs = 10;
  const served: boolean[] = [];
  for (let n = 0; n < 60; n++) {
    const [visitor] = storm(1, () => slowMs, { origins: ["o0"], comesBack: false });
    await clock.pass(20);
    served.push(visitor?.servedAtMs !== undefined);
  }
  expect(served).not.toContain(false);
  const many = storm(100, () => slowMs, { origins: ["o0"], comesBack: false });
  await clock.pass(1_000);
  expect(many.filter(({ told }) => told.length > 0)).toEqual([]);
});

test("moves take every other turn, and whoever arrives beside them is told by that", async () => {
  const visitors = storm(1_000, () => HANDSHAKE_MS, { comesBack: false });
  for (let n = 0; n < 500; n++) {
    void handshakes.take("moves", `o${n % 3}`, new AbortController().signal).then(async (release) => {
      await new Promise((resolve) => setTimeout(resolve, HANDSHAKE_MS));
      if (typeof release === "function") release();
    });
  }
  await clock.pass(2 * HANDSHAKE_MS);
  const waitingCount = visitors.filter(({ told }) => told.length === 0).length;
  expect(waitingCount).toBeGreaterThan(IN_TIME / 2 - HANDSHAKE_SLOTS);
  expect(waitingCount).toBeLessThan(IN_TIME / 2 + 4 * HANDSHAKE_SLOTS);
  await clock.pass(ARRIVAL_DEADLINE_MS);
  expect(visitors.filter(({ told, servedAtMs }) => told.length === 0 && servedAtMs === undefined)).toEqual([]);
});

test("where nobody waits those who are told come back within seconds, not all in the same", () => {
  const seconds = Array.from({ length: 200 }, () => Number(comeBack.seconds({ ms: 0, count: 0 }, clock.nowMs)));
  expect([Math.min(...seconds), Math.max(...seconds)]).toEqual([3, 4]);
});
