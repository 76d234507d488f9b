// Publishing to KV: coalesced, hints first, repeated when it failed, and once more when somebody could not find it there.

import { beforeEach, expect, test, vi } from "vitest";
import { Publisher } from "../../src/platform/ring-publisher.ts";

const EVERY_MS = 1_000;
let puts: string[];
let putsAtMs: Map<string, number[]>;
let nowMs: number;
let fails: boolean;
let snapshot: { pool: string; region: string; epoch: number; hintsVersion: number };
let meta: Map<string, string>;
let publisher: Publisher;

beforeEach(() => {
  vi.spyOn(console, "error").mockImplementation(() => undefined);
  puts = [];
  putsAtMs = new Map();
  nowMs = 0;
  fails = false;
  snapshot = { pool: "p", region: "weur", epoch: 1, hintsVersion: 0 };
  meta = new Map();
  publisher = start();
});

/** A new life of the ring object, on the same disk. */
function start(): Publisher {
  const put = async (key: string): Promise<void> => {
    if (fails) throw new Error("KV is down");
    puts.push(key);
    putsAtMs.set(key, [...(putsAtMs.get(key) ?? []), nowMs]);
  };
  const state = {
    get view() {
      return { snapshot };
    },
    pool: { horizonMs: 120_000 },
    hints: () => ({}),
  };
  const store = { text: (key: string) => meta.get(key), set: (key: string, value: string) => meta.set(key, value) };
  return new Publisher({ put } as never, state as never, store as never);
}

test("what KV has is written once, hints first; a change is due when its time has come", async () => {
  await publisher.run(0);
  await publisher.run(1);
  expect([puts, publisher.nextDueAtMs(), publisher.publishedEpoch()]).toEqual([["hints/p/weur", "ring/p/weur"], Infinity, 1]);
  snapshot = { ...snapshot, epoch: 2 };
  expect(publisher.nextDueAtMs()).toBe(EVERY_MS);
  await publisher.run(EVERY_MS - 1);
  expect(publisher.publishedEpoch()).toBe(1);
  await publisher.run(EVERY_MS);
  expect(publisher.publishedEpoch()).toBe(2);
});

test("a write that failed is due again", async () => {
  fails = true;
  await publisher.run(0);
  expect([publisher.publishedEpoch(), publisher.nextDueAtMs()]).toEqual([0, 1_000]);
  fails = false;
  await publisher.run(1_000);
  expect(publisher.publishedEpoch()).toBe(1);
});

test("who misses what KV should have long had makes it be written once more, and once only; a young value may just not be seen yet", async () => {
  await publisher.run(0);
  publisher.doubt(89_999);
  expect(publisher.nextDueAtMs()).toBe(Infinity);
  publisher.doubt(90_000);
  expect([publisher.nextDueAtMs() <= 90_000, publisher.publishedEpoch()]).toEqual([true, 1]);
  await publisher.run(90_000);
  publisher.doubt(90_001);
  expect([puts.length, publisher.nextDueAtMs()]).toEqual([4, Infinity]);
});

test("a new life believes its disk until somebody misses something", async () => {
  await publisher.run(0);
  const next = start();
  expect(next.nextDueAtMs()).toBe(Infinity);
  next.doubt(5);
  expect(next.nextDueAtMs()).toBeLessThan(Infinity);
});

test("a storm of 1,000 changes is a write a second and key at most, and the last change is among them", async () => {
  const [CHANGES, STORM_MS] = [1_000, 10_000];
  const at = async (ms: number): Promise<void> => {
    nowMs = ms;
    await publisher.run(ms);
  };
  for (let change = 1; change <= CHANGES; change++) {
    // Pins change the hints alone, everything else the epoch; the clock comes when it is asked for.
    snapshot = change % 3 === 0 ? { ...snapshot, epoch: snapshot.epoch + 1 } : { ...snapshot, hintsVersion: snapshot.hintsVersion + 1 };
    const dueAtMs = publisher.nextDueAtMs();
    if (dueAtMs <= (change * STORM_MS) / CHANGES) await at(dueAtMs);
    await at((change * STORM_MS) / CHANGES);
  }
  await at(publisher.nextDueAtMs());
  for (const times of putsAtMs.values()) {
    expect(Math.min(...times.slice(1).map((ms, index) => ms - (times[index] ?? 0)))).toBeGreaterThanOrEqual(EVERY_MS);
    expect(times.length).toBeGreaterThan(STORM_MS / EVERY_MS - 2); // and nobody waits much longer than that
  }
  expect([putsAtMs.size, publisher.publishedEpoch(), publisher.nextDueAtMs()]).toEqual([2, snapshot.epoch, Infinity]);
});
