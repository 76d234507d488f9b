// How many new sessions a ring takes: of one network, altogether, and while nothing can be said.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { LATELY_MAX, LATELY_MS, NEW_SESSIONS_AT_ONCE, NEW_SESSIONS_PER_SECOND, RATE_LIMIT_ANSWER_MS } from "../../src/platform/limits.ts";
import { Lately } from "../../src/platform/lately.ts";
import { Newcomers } from "../../src/platform/newcomers.ts";
import { VirtualClock } from "./carried/virtual-clock.ts";

const LIMIT = 10;

let clock: VirtualClock;
let restore: () => void;
let asked: { readonly key: string; readonly delta: number }[];
let limit: RateLimit;

beforeEach(() => {
  clock = new VirtualClock();
  restore = clock.install();
  asked = [];
  const counts = new Map<string, number>();
  limit = {
    limit: async ({ key, delta = 1 }) => {
      asked.push({ key, delta });
      const count = counts.get(key) ?? 0;
      if (count < LIMIT) counts.set(key, count + delta);
      return { success: count < LIMIT };
    },
  };
  vi.spyOn(console, "error").mockImplementation(() => undefined);
});
afterEach(() => {
  restore();
  vi.restoreAllMocks();
});

let lastKey = 0;
const from = (visitor: string | undefined, count = 1) => Array.from({ length: count }, () => ({ keyHash: `k${lastKey++}`, visitor }));

test("of one network as many as its limit; what others begin meanwhile is not its fault", async () => {
  const newcomers = new Newcomers("p@weur", limit);
  const refusedCounts: number[] = [];
  for (let n = 0; n < LIMIT + 2; n++) refusedCounts.push((await newcomers.tooMany(from("a"))).size);
  expect(refusedCounts).toEqual([...Array.from({ length: LIMIT }, () => 0), 1, 1]);
  const [items, others] = [from("a", 3), from("b", 3)];
  expect([...(await newcomers.tooMany([...items, ...others]))]).toEqual(items.map(({ keyHash }) => keyHash));
});

test("the limit is asked once for all that come together from one network, by the ring's name, and not for those without an address", async () => {
  const newcomers = new Newcomers("p@weur", limit);
  await newcomers.tooMany([...from("a", 3), ...from("b"), ...from("a", 2), ...from(undefined, 7)]);
  expect(asked).toEqual([
    { key: "p@weur/a", delta: 5 },
    { key: "p@weur/b", delta: 1 },
  ]);
  await newcomers.tooMany([]);
  expect(asked).toHaveLength(2);
});

test.each<[string, () => Promise<RateLimitOutcome>]>([
  ["breaks", () => Promise.reject(new Error("away"))],
  ["never answers", () => new Promise(() => undefined)],
])("where the limit %s everybody is let in, and it is said", async (_, answer) => {
  const newcomers = new Newcomers("p@weur", { limit: answer });
  const tooMany = newcomers.tooMany(from("a", 3));
  await clock.pass(RATE_LIMIT_ANSWER_MS + 1);
  expect((await tooMany).size).toBe(0);
  expect(vi.mocked(console.error).mock.calls.join()).toContain("new-sessions-uncounted");
});

test("without a limit nobody's network counts, and the ring's own bound holds: so many at once, and then so many a second", async () => {
  const newcomers = new Newcomers("p@weur", undefined);
  const atOnce = NEW_SESSIONS_AT_ONCE + NEW_SESSIONS_PER_SECOND / 4; // and a quarter of a second's, as every bucket here has
  const refused = await newcomers.tooMany(from("a", atOnce + 50));
  expect(refused.size).toBe(50);
  await clock.pass(2_000);
  expect((await newcomers.tooMany(from("b", 3 * NEW_SESSIONS_PER_SECOND))).size).toBe(NEW_SESSIONS_PER_SECOND);
});

test("who is refused for its network takes no turn of the ring's", async () => {
  const newcomers = new Newcomers("p@weur", { limit: async ({ key }) => ({ success: !key.endsWith("/a") }) });
  for (let n = 0; n < 50; n++) await newcomers.tooMany(from("a", 1_000));
  expect((await newcomers.tooMany(from("b", NEW_SESSIONS_AT_ONCE))).size).toBe(0);
});

test("a session that is over is known for a while, twice as long at most", () => {
  const lately = new Lately();
  lately.add("a", 1_000);
  lately.add("b", 1_000 + LATELY_MS - 1);
  const known = (nowMs: number): boolean[] => ["a", "b", "c"].map((keyHash) => lately.has(keyHash, nowMs));
  expect(known(1_000 + LATELY_MS)).toEqual([true, true, false]);
  expect(known(1_000 + 2 * LATELY_MS - 1)).toEqual([false, true, false]);
  expect(known(1_000 + 3 * LATELY_MS)).toEqual([false, false, false]);
  lately.add("a", 10 * LATELY_MS);
  expect([lately.has("a", 11 * LATELY_MS - 1), lately.has("a", 12 * LATELY_MS)]).toEqual([true, false]);
});

test("no more are remembered than fit: half of them are forgotten, the older ones", () => {
  const lately = new Lately();
  for (let n = 0; n < 3 * LATELY_MAX; n++) lately.add(`k${n}`, 1);
  const known = Array.from({ length: 3 * LATELY_MAX }, (_, n) => n).filter((n) => lately.has(`k${n}`, 2));
  expect(known.length).toBeGreaterThan(LATELY_MAX / 2);
  expect(known.length).toBeLessThanOrEqual(LATELY_MAX);
  expect(known.at(0)).toBe(3 * LATELY_MAX - known.length);
});
