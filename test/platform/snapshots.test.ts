// Snapshots in a Worker's isolate, under a clock that is set by hand, a KV that lags or fails, and a ring object that may be silent.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { knownRing, type KnownRing } from "../../src/platform/snapshots.ts";
import type { Hints, Snapshot } from "../../src/core/snapshot.ts";

const HORIZON_MS = 120_000;
let poolNumber = 0;
let world: ReturnType<typeof makeWorld>;

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
    kv: undefined as Snapshot | "fails" | "rubbish" | undefined,
    kvHints: undefined as Hints | undefined,
    ring: undefined as Snapshot | undefined,
    kvReads: 0,
    ringAsks: 0,
  };
  const env = {
    AFFINITY: {
      get: async (key: string) => {
        state.kvReads++;
        if (state.kv === "fails") throw new Error("KV is down");
        if (state.kv === "rubbish") return { nonsense: true };
        return key.startsWith("ring/") ? (state.kv ?? null) : (state.kvHints ?? null);
      },
    },
    RING: {
      idFromName: (name: string) => name,
      get: () => ({
        published: async () => {
          state.ringAsks++;
          if (!state.ring) throw new Error("the ring object is away");
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

test.each(["fails", "rubbish"] as const)("with a KV that %s, the ring object serves, asked once in a while", async (kv) => {
  world.state.kv = kv;
  world.state.ring = world.snapshot(4);
  await seconds(60, (ring) => expect(ring.view.snapshot.epoch).toBe(4));
  expect(world.state.ringAsks).toBeLessThan(8);
});

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
