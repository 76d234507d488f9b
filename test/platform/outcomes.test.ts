// What isolates tell ring objects of their requests: gathered, after the answer, and never one call a request.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { BATCH_COUNT, OutcomeSums, tally, type Detail, type Outcome, type Outcomes } from "../../src/platform/outcomes.ts";

type Told = Readonly<Record<string, Outcomes>>;

const FAULT_DELAY_MS = 1_000;
const FLUSHING_MS = 5_000;
let poolNumber = 0;
let world: ReturnType<typeof makeWorld>;

/** A ring object that is told, and an isolate whose background work can be cut off. */
function makeWorld() {
  const pool = { id: `p${poolNumber++}` };
  const calls: { region: string; told: Told; window: object }[] = [];
  const state = { answer: async (): Promise<void> => undefined, most: 0, under: 0 };
  const env = {
    RING: {
      idFromName: (name: string) => name,
      get: (name: string) => ({
        outcomes: async (told: Told, window: object) => {
          calls.push({ region: /@(\w+)#/.exec(name)?.[1] ?? "", told: structuredClone(told), window });
          state.most = Math.max(state.most, ++state.under);
          await state.answer().finally(() => state.under--);
        },
      }),
    },
  };
  const background: Promise<unknown>[] = [];
  const ctx = { waitUntil: (work: Promise<unknown>) => void background.push(work) };
  const settings = { config: { regions: { weur: {}, enam: {} } } };
  const count = (outcome: Outcome, times = 1, origin = "o1", region = "weur", detail?: Detail): void => {
    for (let n = 0; n < times; n++) tally({ env, ctx, settings } as never, pool as never, region, origin, outcome, detail);
  };
  return { state, calls, background, count };
}

beforeEach(() => {
  vi.useFakeTimers({ now: 1_800_000_000_000 });
  vi.spyOn(console, "error").mockImplementation(() => undefined);
  world = makeWorld();
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const sumsOf = (told: Told | undefined, origin = "o1"): Partial<Outcomes> =>
  Object.fromEntries(Object.entries(told?.[origin] ?? {}).filter(([, count]) => count > 0));
const settled = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

test("what went well is told in batches: one less makes no call, the next one makes one", async () => {
  expect(BATCH_COUNT).toBe(5_000);
  world.count("ok", BATCH_COUNT - 1);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(world.calls).toEqual([]);
  world.count("ok");
  await settled();
  expect(world.calls.map(({ told }) => sumsOf(told))).toEqual([{ ok: BATCH_COUNT }]);
  world.count("ok", BATCH_COUNT - 1);
  await settled();
  expect(world.calls).toHaveLength(1);
});

test.each(["origin-fault", "timeout"] as const)("%s is told a second later, in one call, with all that came before and meanwhile", async (fault) => {
  world.count("ok", 3);
  world.count(fault);
  await vi.advanceTimersByTimeAsync(FAULT_DELAY_MS - 1);
  expect(world.calls).toEqual([]);
  world.count("ok", 2);
  world.count(fault, 50);
  world.count("client-gone", 1, "o2");
  await vi.advanceTimersByTimeAsync(1);
  expect(world.calls).toHaveLength(1);
  expect([sumsOf(world.calls[0]?.told), sumsOf(world.calls[0]?.told, "o2")]).toEqual([{ ok: 5, [fault]: 51 }, { "client-gone": 1 }]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(world.calls).toHaveLength(1);
});

test.each(["client-gone", "ours", "ok"] as const)("%s speaks against nobody: it waits for the batch", async (outcome) => {
  world.count(outcome, 10);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(world.calls).toEqual([]);
});

test("what broke off while its visitor was sending is counted, and speaks against nobody", async () => {
  const detail = { lot: 1, isUnclear: true };
  world.count("origin-fault", 10, "o1", "weur", detail);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(world.calls).toEqual([]);
  world.count("origin-fault", 1, "o2", "weur", { lot: 2 });
  world.count("origin-fault", 10, "o1", "weur", detail);
  await vi.advanceTimersByTimeAsync(FAULT_DELAY_MS);
  expect([sumsOf(world.calls[0]?.told), Object.keys(world.calls[0]?.window ?? {})]).toEqual([{ "origin-fault": 20 }, ["o2"]]);
});

test("nothing waits for it: a call that hangs holds up no request, and is a background's", () => {
  world.state.answer = () => new Promise(() => undefined);
  world.count("ok", BATCH_COUNT);
  expect(world.background).toHaveLength(1);
});

test("under a storm there is a call for a batch, or one a second, not more", async () => {
  const SECONDS = 10;
  const A_SECOND = 20_000;
  for (let second = 0; second < SECONDS; second++) {
    for (let n = 0; n < A_SECOND; n += 100) {
      world.count("ok", 99);
      world.count("origin-fault");
      await vi.advanceTimersByTimeAsync(5);
    }
  }
  await vi.advanceTimersByTimeAsync(FAULT_DELAY_MS);
  expect(world.calls.length).toBeLessThanOrEqual(SECONDS + 1);
  const all = world.calls.map(({ told }) => sumsOf(told));
  expect(all.reduce((sum, { ok = 0 }) => sum + ok, 0)).toBe(SECONDS * A_SECOND * 0.99); // none is lost, none told twice
});

test("never more than one call is under way, however slow the ring object", async () => {
  world.state.answer = () => new Promise((resolve) => setTimeout(resolve, 3_000));
  for (let second = 0; second < 10; second++) {
    world.count("ok", 2 * BATCH_COUNT);
    world.count("origin-fault");
    await vi.advanceTimersByTimeAsync(1_000);
  }
  expect(world.state.most).toBe(1);
});

test("what speaks against an origin while a call is under way goes with the next count, of whatever", async () => {
  world.state.answer = () => new Promise((resolve) => setTimeout(resolve, 1_000));
  world.count("ok", BATCH_COUNT);
  await settled();
  world.count("timeout");
  await vi.advanceTimersByTimeAsync(1_000);
  world.count("ok");
  await vi.advanceTimersByTimeAsync(FAULT_DELAY_MS);
  expect(world.calls.map(({ told }) => sumsOf(told))).toEqual([{ ok: BATCH_COUNT }, { timeout: 1, ok: 1 }]);
});

test("a call that never comes back is given up, and the next batch is told", async () => {
  world.state.answer = () => new Promise(() => undefined);
  world.count("origin-fault");
  await vi.advanceTimersByTimeAsync(FLUSHING_MS);
  world.count("origin-fault");
  await vi.advanceTimersByTimeAsync(FLUSHING_MS);
  expect(world.calls).toHaveLength(2);
  await expect(Promise.all(world.background)).resolves.toBeDefined();
});

test("a ring object that fails loses that batch alone", async () => {
  world.state.answer = () => Promise.reject(new Error("the ring object is away"));
  world.count("origin-fault", 7);
  await vi.advanceTimersByTimeAsync(FAULT_DELAY_MS);
  world.state.answer = async () => undefined;
  world.count("origin-fault", 2);
  await vi.advanceTimersByTimeAsync(FAULT_DELAY_MS);
  expect(world.calls.map(({ told }) => sumsOf(told))).toEqual([{ "origin-fault": 7 }, { "origin-fault": 2 }]);
  await expect(Promise.all(world.background)).resolves.toBeDefined(); // nothing is thrown into the background
});

test("a call that was cut off with its request stops none after it", async () => {
  world.count("origin-fault");
  vi.clearAllTimers(); // the isolate's request ended before the second was over
  vi.setSystemTime(Date.now() + FLUSHING_MS);
  world.count("origin-fault");
  await vi.advanceTimersByTimeAsync(FAULT_DELAY_MS);
  expect(world.calls.map(({ told }) => sumsOf(told))).toEqual([{ "origin-fault": 2 }]);
});

test("each ring is told of its own origins", async () => {
  world.count("origin-fault", 1, "o1", "weur");
  world.count("origin-fault", 2, "o9", "enam");
  await vi.advanceTimersByTimeAsync(FAULT_DELAY_MS);
  expect(world.calls.map(({ region, told }) => [region, Object.keys(told)])).toEqual([
    ["weur", ["o1"]],
    ["enam", ["o9"]],
  ]);
});

test("a ring object sums what it is told, of its own origins only", () => {
  const sums = new OutcomeSums();
  const told = { ok: 1, "origin-fault": 2, timeout: 3, "client-gone": 4, ours: 5 };
  for (let n = 0; n < 2; n++) sums.add({ o1: told, stranger: told }, new Map([["o1", {}]]));
  expect(sums.of("o1")).toEqual({ ok: 2, "origin-fault": 4, timeout: 6, "client-gone": 8, ours: 10 });
  expect(Object.values(sums.of("stranger")).every((count) => count === 0)).toBe(true);
});
