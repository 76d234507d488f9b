// `home: "first"`: the arbiter gives a session one home, once, and forgets it late; a Worker asks nobody twice, and goes on where nobody answers.

import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { firstHome } from "../../src/platform/first-home.ts";
import { FIRSTS_HELD_MAX, FIRSTS_MAX, KV_SEEN_MS } from "../../src/platform/limits.ts";
import { RingFirsts } from "../../src/platform/ring-firsts.ts";

const START_MS = 1_800_000_000_000;
const LIFE_MS = 86_400_000;
let poolNumber = 0;

beforeEach(() => void vi.useFakeTimers({ now: START_MS }));
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

function makeWorld(regions = ["weur", "enam", "apac"]) {
  const pool = { id: `f${poolNumber++}`, session: { maxLifeMs: LIFE_MS }, origins: regions.map((region) => ({ region })) };
  const all = ["weur", "enam", "apac"].map((id) => [id, { id }]);
  const config = { regions: Object.fromEntries(all) as object, pools: { [pool.id]: pool } };
  const kv = new Map<string, string>();
  const told = {
    put: vi.fn<(key: string, value: string, options: { expirationTtl: number }) => Promise<void>>(async (key, value) => void kv.set(key, value)),
    get: vi.fn<(key: string) => Promise<unknown>>(async (key) => JSON.parse(kv.get(key) ?? "null") as unknown),
  };
  const db = new DatabaseSync(":memory:");
  const exec = (query: string, ...values: SQLInputValue[]): object[] => db.prepare(query).all(...values);
  const limit = vi.fn<() => Promise<{ success: boolean }>>(async () => ({ success: true }));
  const env = { AFFINITY: told, NEW_SESSIONS: { limit } };
  const background: Promise<unknown>[] = [];
  const former = { asked: vi.fn<(item: object) => Promise<object>>(), regions: [] as string[] };
  const arbiter = (its = pool): RingFirsts =>
    new RingFirsts(
      { storage: { sql: { exec } }, waitUntil: (work: Promise<unknown>) => background.push(work) } as never,
      { ...env, RING: { idFromName: (name: string) => name, get: () => ({ first: former.asked }) } } as never,
      { config: { ...config, pools: { [pool.id]: its } }, name: { pool: pool.id, region: "apac", generation: 1 }, pool: its } as never,
      () => former.regions,
    );
  let firsts = arbiter();
  const stub = { first: vi.fn((item: Parameters<RingFirsts["homeOf"]>[0]) => firsts.homeOf(item, false)) };
  const platform = { env: { ...env, RING: { idFromName: (name: string) => name, get: () => stub } }, settings: { config, dev: false } };
  return {
    pool,
    kv,
    told,
    limit,
    db,
    stub,
    former,
    settled: () => Promise.all(background),
    evict: (its?: typeof pool) => (firsts = arbiter(its)),
    decide: (keyHash: string, nearest: string, isHere = false) => firsts.homeOf({ keyHash, nearest, visitor: "v", lot: 7 }, isHere),
    ask: (keyHash: string, nearest: string) => firstHome(platform as never, { pool: pool as never, keyHash, arbiter: "apac", nearest, lot: 7 }),
  };
}

const at = (region: string): object => ({ kind: "region", region });

test("of two who come together one is first, and everyone after them is told the same, by the object's next life too", async () => {
  const world = makeWorld();
  expect(await Promise.all([world.decide("k", "weur"), world.decide("k", "enam")])).toEqual([at("weur"), at("weur")]);
  world.evict();
  expect(await world.decide("k", "enam")).toEqual(at("weur"));
  expect(await world.decide("other", "enam")).toEqual(at("enam"));
  expect(world.limit).toHaveBeenCalledTimes(3); // of the two who came together both are new; of those who are known nobody is asked
  await world.settled();
  expect(world.told.put.mock.calls.map(([key, value, { expirationTtl }]) => [key, value, expirationTtl])).toEqual([
    [`first/${world.pool.id}/k`, '{"format":1,"region":"weur"}', 86_400],
    [`first/${world.pool.id}/other`, '{"format":1,"region":"enam"}', 86_400],
  ]);
});

test("a session that has a place at the arbiter's own region is at home there; an unknown region is nobody's home", async () => {
  const world = makeWorld();
  expect([await world.decide("placed", "weur", true), await world.decide("k", "mars")]).toEqual([at("apac"), at("apac")]);
});

test("whoever arbitrated before the pool's regions changed decides, and is asked once; while it is silent nothing is remembered", async () => {
  const world = makeWorld();
  world.former.regions.push("weur");
  world.former.asked.mockRejectedValueOnce(new Error("it is away"));
  expect(await world.decide("k", "weur")).toEqual(at("apac"));
  world.former.asked.mockResolvedValue(at("enam"));
  expect([await world.decide("k", "weur"), await world.decide("k", "weur")]).toEqual([at("enam"), at("enam")]);
  expect(world.former.asked.mock.calls).toEqual([1, 2].map(() => [{ keyHash: "k", nearest: "weur", visitor: "v", lot: 7, handedOn: true }]));
  expect(await world.decide("placed", "weur", true)).toEqual(at("apac"));
  world.former.asked.mockResolvedValue({ kind: "too-many-sessions" });
  expect(await world.decide("other", "weur")).toEqual({ kind: "too-many-sessions" });
});

test("who is too many gets no home, and the next one may", async () => {
  const world = makeWorld();
  world.limit.mockResolvedValueOnce({ success: false });
  expect([await world.decide("k", "weur"), await world.decide("k", "enam")]).toEqual([{ kind: "too-many-sessions" }, at("enam")]);
});

test("when its region leaves the pool the next visitor is first", async () => {
  const world = makeWorld();
  await world.decide("k", "weur");
  world.evict({ ...world.pool, origins: [{ region: "enam" }, { region: "apac" }] });
  expect(await world.decide("k", "enam")).toEqual(at("enam"));
});

test("KV is told anew when it should know and somebody asks, and after a failure at the next question", async () => {
  const world = makeWorld();
  vi.spyOn(console, "error").mockImplementation(() => undefined);
  world.told.put.mockRejectedValueOnce(new Error("KV is away"));
  for (const waitMs of [0, 1, KV_SEEN_MS - 1, 1]) {
    vi.advanceTimersByTime(waitMs);
    await world.decide("k", "weur");
    await world.settled();
  }
  expect(world.told.put).toHaveBeenCalledTimes(3); // failed, again, and not before 90 s later
});

test("three lives after the last question it is forgotten, and of too many the one asked for longest ago", async () => {
  const world = makeWorld();
  const error = vi.spyOn(console, "error").mockImplementation(() => undefined);
  await world.decide("old", "weur");
  await world.decide("asked", "weur");
  vi.advanceTimersByTime(2 * LIFE_MS);
  await world.decide("asked", "enam");
  vi.advanceTimersByTime(2 * LIFE_MS);
  await world.decide("new", "weur");
  expect([await world.decide("old", "enam"), await world.decide("asked", "enam")]).toEqual([at("enam"), at("weur")]);
  const add = world.db.prepare("INSERT INTO firsts VALUES (?, 'weur', ?, ?)");
  world.db.exec("BEGIN");
  for (let n = 3; n < FIRSTS_MAX; n++) add.run(`k${n}`, Date.now() + n, Date.now());
  world.db.exec("COMMIT");
  world.evict();
  await world.decide("one more", "weur");
  expect(world.db.prepare("SELECT COUNT(*) AS count FROM firsts").get()).toEqual({ count: FIRSTS_MAX });
  expect(error.mock.calls.join()).toContain("firsts-full");
});

test("a Worker asks KV, then the arbiter, and then nobody for as long as KV would have it", async () => {
  const world = makeWorld();
  expect(await world.ask("k", "weur")).toEqual(at("weur"));
  expect(await world.ask("k", "enam")).toEqual(at("weur"));
  expect([world.told.get.mock.calls.length, world.stub.first.mock.calls.length]).toEqual([1, 1]);
  vi.advanceTimersByTime(LIFE_MS);
  expect(await world.ask("k", "enam")).toEqual(at("weur"));
  expect([world.told.get.mock.calls.length, world.stub.first.mock.calls.length]).toEqual([2, 1]); // KV knew
});

test.each([
  ["is stale", async () => null],
  ["fails", async () => Promise.reject(new Error("KV is away"))],
  ["has rubbish", async () => ({ format: 2, region: "enam" })],
  ["has a region that the pool has not", async () => ({ format: 1, region: "mars" })],
])("where KV %s the arbiter has the word", async (_, get) => {
  const world = makeWorld();
  await world.decide("k", "weur");
  world.told.get.mockImplementation(get);
  expect(await world.ask("k", "enam")).toEqual(at("weur"));
});

test("where nobody answers it is the arbiter's region, for this time, and nobody is asked again at once", async () => {
  const world = makeWorld();
  vi.spyOn(console, "error").mockImplementation(() => undefined);
  world.stub.first.mockImplementation(() => new Promise(() => undefined));
  const asked = world.ask("k", "weur");
  await vi.advanceTimersByTimeAsync(2_000);
  expect([await asked, await world.ask("k", "weur")]).toEqual([at("apac"), at("apac")]);
  expect(world.stub.first).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(1_000);
  world.stub.first.mockResolvedValue({ kind: "region", region: "enam" });
  expect(await world.ask("k", "weur")).toEqual(at("enam"));
});

test("an isolate remembers as many as it may, and forgets the one that was used longest ago", async () => {
  const world = makeWorld();
  world.stub.first.mockImplementation(async () => ({ kind: "region", region: "weur" }));
  for (let n = 0; n < FIRSTS_HELD_MAX; n++) await world.ask(`k${n}`, "weur");
  await world.ask("k0", "weur"); // used
  await world.ask("one more", "weur");
  const askedOf = async (keyHash: string): Promise<boolean> => {
    const { length } = world.told.get.mock.calls;
    await world.ask(keyHash, "weur");
    return world.told.get.mock.calls.length > length;
  };
  expect([await askedOf("k0"), await askedOf("k1")]).toEqual([false, true]);
});
