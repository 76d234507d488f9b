// Snapshots in a Worker's isolate, under a clock that is set by hand, a KV that lags or fails, and a ring object that may be silent.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { knownRing, type KnownRing } from "../../src/platform/snapshots.ts";
import type { Hints, Snapshot } from "../../src/core/snapshot.ts";

const HORIZON_MS = 120_000;
let poolNumber = 0;
let world: ReturnType<typeof makeWorld>;

/** What KV may hold that is no snapshot of this code's. */
const RUBBISH = {
  rubbish: () => ({ nonsense: true }),
  "a text": () => "snapshot",
  nothing: () => null,
  "a newer format": (good: Snapshot) => ({ ...good, format: 2 }),
  "an unknown placement": (good: Snapshot) => ({ ...good, placement: "v9" }),
  "another pool's": (good: Snapshot) => ({ ...good, pool: "other" }),
  "another region's": (good: Snapshot) => ({ ...good, region: "enam" }),
  "an origin without a weight": (good: Snapshot) => ({ ...good, origins: [{ id: "o1", url: "http://o1" }] }),
  "a ring too large for memory": (good: Snapshot) => ({ ...good, virtualNodes: 1e9, origins: [{ ...originOf("o1") }] }),
} as const;
type Rubbish = keyof typeof RUBBISH;

const originOf = (id: string) => ({
  id,
  url: `http://${id}`,
  weight: 1,
  salt: 0,
  backup: false,
  lifecycle: "active",
  closed: false,
  health: "healthy",
  ejectedUntilMs: 0,
  share: { from: 1, to: 1, startAtMs: 0, endAtMs: 0 },
});

/** A KV, a ring object and an isolate's request, with everything that is asked counted. */
function makeWorld() {
  const pool = {
    id: `p${poolNumber++}`,
    horizonMs: HORIZON_MS,
    virtualNodes: 8,
    origins: [{ id: "o1", region: "weur", url: "http://o1", weight: 1, salt: 0, backup: false }],
  };
  const snapshot = (epoch: number, hintsVersion = 0): Snapshot => ({
    format: 1,
    placement: "v1",
    pool: pool.id,
    region: "weur",
    generation: 1,
    epoch,
    configRevision: 1,
    writtenAtMs: 0,
    virtualNodes: 8,
    hintsVersion,
    kept: { from: 1, to: 1, startAtMs: 0, endAtMs: 0 },
    origins: [],
  });
  const hints = (version: number): Hints => ({
    format: 1,
    complete: true,
    pool: pool.id,
    region: "weur",
    version,
    entries: [{ keyHash: `k${version}`, origin: "o1", region: "weur", fence: version }],
  });
  const state = {
    kv: undefined as Snapshot | Rubbish | "fails" | "hangs" | undefined,
    kvHints: undefined as Hints | undefined,
    ring: undefined as Snapshot | "hangs" | undefined,
    kvReads: 0,
    ringAsks: 0,
  };
  const env = {
    AFFINITY: {
      get: async (key: string) => {
        state.kvReads++;
        if (state.kv === "fails") throw new Error("KV is down");
        if (state.kv === "hangs") return new Promise(() => undefined);
        if (typeof state.kv === "string") return RUBBISH[state.kv](snapshot(7));
        return key.startsWith("ring/") ? (state.kv ?? null) : (state.kvHints ?? null);
      },
    },
    RING: {
      idFromName: (name: string) => name,
      get: () => ({
        published: async () => {
          state.ringAsks++;
          if (state.ring === "hangs") return new Promise(() => undefined);
          if (!state.ring) throw Object.assign(new Error("Durable Object is overloaded."), { overloaded: true });
          return { snapshot: state.ring, hints: hints(state.ring.hintsVersion) };
        },
      }),
    },
  };
  const background: Promise<unknown>[] = [];
  const ctx = { waitUntil: (work: Promise<unknown>) => void background.push(work) };
  const settings = { dev: false, config: { configRevision: 1, regions: { weur: {} } } };
  const ask = async (): Promise<KnownRing> => {
    const ring = await knownRing({ env, ctx, settings } as never, pool as never, "weur");
    await Promise.all(background.splice(0));
    return ring;
  };
  return { state, snapshot, hints, ask };
}

beforeEach(() => {
  vi.useFakeTimers({ now: 1_800_000_000_000, toFake: ["Date"] });
  vi.spyOn(console, "error").mockImplementation(() => undefined);
  world = makeWorld();
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** One request a second. */
async function seconds(count: number, look: (ring: KnownRing, second: number) => void = () => undefined): Promise<void> {
  for (let second = 0; second < count; second++) {
    vi.advanceTimersByTime(1_000);
    look(await world.ask(), second);
  }
}

test("a known ring costs no read for an eighth of the horizon, and then one in the background", async () => {
  world.state.kv = world.snapshot(1);
  await world.ask();
  await seconds(14);
  expect([world.state.kvReads, world.state.ringAsks]).toEqual([1, 0]);
  await seconds(2);
  expect([world.state.kvReads, world.state.ringAsks]).toEqual([2, 0]);
});

test("hints that never match the snapshot confirm nothing: the ring object is asked within half of the horizon", async () => {
  world.state.kv = world.snapshot(1);
  await world.ask();
  world.state.kv = world.snapshot(2, 7);
  world.state.kvHints = world.hints(8);
  world.state.ring = world.snapshot(3, 8);
  await seconds(HORIZON_MS / 2_000 + 2);
  expect(world.state.ringAsks).toBeGreaterThan(0);
  const ring = await world.ask();
  expect([ring.view.snapshot.epoch, [...ring.hints.keys()]]).toEqual([3, ["k8"]]);
});

test("a KV that lags behind what is held confirms nothing either, and never takes it back", async () => {
  world.state.ring = world.snapshot(100);
  await world.ask();
  world.state.kv = world.snapshot(50);
  world.state.ring = world.snapshot(200);
  const epochs: number[] = [];
  await seconds(HORIZON_MS / 2_000 + 2, (ring) => epochs.push(ring.view.snapshot.epoch));
  expect(epochs).toEqual(epochs.toSorted((a, b) => a - b));
  expect([epochs[0], epochs.at(-1)]).toEqual([100, 200]);
});

test.each(["fails", ...(Object.keys(RUBBISH) as Rubbish[])] as const)(
  "with a KV that gives %s, the ring object serves, asked once in a while",
  async (kv) => {
    world.state.kv = kv;
    world.state.ring = world.snapshot(4);
    expect((await world.ask()).layer).toBe("ring");
    await seconds(60, (ring) => expect(ring.view.snapshot.epoch).toBe(4));
    expect(world.state.ringAsks).toBeLessThan(8);
  },
);

test("with neither, the last known ring serves, and a failure is not repeated by each request", async () => {
  world.state.kv = world.snapshot(9);
  await world.ask();
  world.state.kv = "fails";
  vi.advanceTimersByTime(HORIZON_MS);
  const asked = world.state.ringAsks;
  for (let n = 0; n < 50; n++) expect((await world.ask()).view.snapshot.epoch).toBe(9);
  expect(world.state.ringAsks - asked).toBeLessThan(3);
});

test("with neither, and nothing known, the configuration serves: epoch 0, everyone believed healthy", async () => {
  world.state.kv = "fails";
  for (let n = 0; n < 50; n++) {
    const { view } = await world.ask();
    expect([view.snapshot.epoch, view.snapshot.origins.map((origin) => [origin.id, origin.health])]).toEqual([0, [["o1", "healthy"]]]);
  }
  expect(world.state.ringAsks).toBeLessThan(3);
});

test("a background read that was cut off does not stop the ones after it", async () => {
  world.state.kv = world.snapshot(1);
  await world.ask();
  await seconds(HORIZON_MS / 1_000);
  expect(world.state.kvReads).toBeGreaterThan(5);
});

test("who answered is told: KV first, memory after, KV again past a quarter of the horizon, the ring object where KV fails", async () => {
  const layers: string[] = [];
  const ask = async (afterMs: number): Promise<void> => {
    vi.advanceTimersByTime(afterMs);
    layers.push((await world.ask()).layer);
  };
  world.state.kv = world.snapshot(1);
  await ask(0);
  await ask(1_000);
  await ask(HORIZON_MS / 4 + 1);
  world.state.kv = "fails";
  world.state.ring = world.snapshot(2);
  await ask(HORIZON_MS / 4 + 1);
  await ask(1_000);
  expect(layers).toEqual(["kv", "memory", "kv", "ring", "memory"]);
});

test("with neither and nothing known, the configuration is told as the layer, until somebody answers", async () => {
  world.state.kv = "fails";
  expect((await world.ask()).layer).toBe("config");
  expect((await world.ask()).layer).toBe("config"); // nobody is asked again at once
  expect(world.state.kvReads).toBe(1);
  vi.advanceTimersByTime(1_000);
  world.state.ring = world.snapshot(3);
  const ring = await world.ask();
  expect([ring.layer, ring.view.snapshot.epoch]).toEqual(["ring", 3]);
});

test("a ring object that knows less than what is held takes nothing back", async () => {
  world.state.kv = world.snapshot(9, 4);
  world.state.kvHints = world.hints(4);
  await world.ask();
  world.state.kv = "fails";
  for (const older of [world.snapshot(8, 5), world.snapshot(9, 3)]) {
    world.state.ring = older;
    vi.advanceTimersByTime(HORIZON_MS / 4 + 1);
    const ring = await world.ask();
    expect([ring.view.snapshot.epoch, [...ring.hints.keys()]]).toEqual([9, ["k4"]]);
  }
});

test("a KV that hangs is waited for as long as two seconds, then the ring object has the word", async () => {
  vi.useFakeTimers({ now: 1_800_000_000_000 });
  world.state.kv = "hangs";
  world.state.ring = world.snapshot(4);
  const asked = world.ask();
  await vi.advanceTimersByTimeAsync(1_999);
  expect(world.state.ringAsks).toBe(0);
  await vi.advanceTimersByTimeAsync(1);
  expect((await asked).layer).toBe("ring");
});

test("a ring object that hangs as well is waited for as long as four, once; meanwhile and after, what is known serves", async () => {
  vi.useFakeTimers({ now: 1_800_000_000_000 });
  world.state.kv = world.snapshot(9);
  await world.ask();
  world.state.kv = "hangs";
  world.state.ring = "hangs";
  await vi.advanceTimersByTimeAsync(HORIZON_MS);
  const asked = world.ask();
  await vi.advanceTimersByTimeAsync(6_000);
  expect((await asked).view.snapshot.epoch).toBe(9);
  for (let n = 0; n < 50; n++) expect((await world.ask()).view.snapshot.epoch).toBe(9);
  expect([world.state.kvReads, world.state.ringAsks]).toEqual([2, 1]);
});

test("an overloaded ring object behind a failing KV is asked once a second, not by every request", async () => {
  world.state.kv = "fails";
  for (let second = 0; second < 10; second++) {
    for (let n = 0; n < 100; n++) await world.ask();
    vi.advanceTimersByTime(1_000);
  }
  expect(world.state.ringAsks).toBeLessThanOrEqual(10);
});

test("a KV that is a minute behind never brings back an older ring, and what the ring object told is served within the horizon", async () => {
  const written: { atMs: number; snapshot: Snapshot }[] = [];
  const startMs = Date.now();
  let newest = world.snapshot(1);
  written.push({ atMs: startMs - 60_000, snapshot: newest });
  let epoch = 0;
  for (let second = 0; second < 600; second++) {
    if (second % 50 === 0) {
      newest = world.snapshot(newest.epoch + 1);
      written.push({ atMs: Date.now(), snapshot: newest });
    }
    world.state.kv = written.findLast(({ atMs }) => atMs <= Date.now() - 60_000)?.snapshot;
    world.state.ring = newest;
    const served = (await world.ask()).view.snapshot.epoch;
    expect(served).toBeGreaterThanOrEqual(epoch);
    epoch = served;
    // Whatever was true a horizon ago is known.
    const due = written.findLast(({ atMs }) => atMs <= Date.now() - HORIZON_MS)?.snapshot.epoch ?? 0;
    expect(served).toBeGreaterThanOrEqual(due);
    vi.advanceTimersByTime(1_000);
  }
  expect(epoch).toBeGreaterThan(8);
});

test("the table of hints is read only when the snapshot says that it changed", async () => {
  const reads = async (epoch: number, hintsVersion: number): Promise<number> => {
    const before = world.state.kvReads;
    world.state.kv = world.snapshot(epoch, hintsVersion);
    world.state.kvHints = world.hints(hintsVersion);
    vi.advanceTimersByTime(HORIZON_MS / 4 + 1);
    const ring = await world.ask();
    expect([ring.view.snapshot.epoch, [...ring.hints.keys()]]).toEqual([epoch, hintsVersion === 0 ? [] : [`k${hintsVersion}`]]);
    return world.state.kvReads - before;
  };
  expect(await reads(1, 0)).toBe(1); // there are none
  expect(await reads(2, 7)).toBe(2);
  expect(await reads(3, 7)).toBe(1);
  expect(await reads(3, 8)).toBe(2);
  expect(await reads(3, 8)).toBe(1);
  expect(world.state.ringAsks).toBe(0);
});
