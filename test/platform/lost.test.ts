// A ring object or a carrier object is lost at any moment: at every crossing between objects (calls and their answers, writes to disk, alarms, KV,
// requests to origins), one fault a run, all of them; and several of them at random, with messages that take their time. LIMPET_MODEL_RUNS and
// LIMPET_MODEL_SEED make more of the latter.

import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { stubSockets } from "./carried/globals.ts";
import { describe as describeFault, faultsOf, outcomeOf, seeded } from "./lost/judge.ts";
import { LostWorld, ringName } from "./lost/lost-world.ts";
import { SCENARIOS, type Scenario } from "./lost/scenarios.ts";

vi.mock("cloudflare:workers", () => ({
  DurableObject: class {
    readonly ctx: unknown;
    readonly env: unknown;

    constructor(ctx: unknown, env: unknown) {
      this.ctx = ctx;
      this.env = env;
    }
  },
}));

const RUNS = Number(process.env["LIMPET_MODEL_RUNS"] ?? 150);
const SEED = Number(process.env["LIMPET_MODEL_SEED"] ?? Date.now() % 2 ** 31);
/** After the last of several losses, each of which may have put off what the others left. */
const SLOW_SETTLES_MS = 8_000;
const TIMEOUT_MS = 120_000 + RUNS * 500;

beforeEach(() => {
  stubSockets(() => 1);
  vi.spyOn(console, "log").mockImplementation(() => undefined);
  vi.spyOn(console, "error").mockImplementation(() => undefined);
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

for (const [name, scenario] of Object.entries(SCENARIOS)) {
  test(
    `${name}: whichever object is lost at whichever moment`,
    async () => {
      const undisturbed = await outcomeOf(scenario, []);
      expect(undisturbed.wrong).toEqual([]);
      const failed: string[] = [];
      for (const fault of faultsOf(undisturbed.crossings)) {
        const { wrong } = await outcomeOf(scenario, [fault]);
        if (wrong.length > 0) failed.push(`${describeFault(fault, undisturbed.crossings)}: ${wrong.join("; ")}`);
      }
      expect(failed).toEqual([]);
    },
    TIMEOUT_MS,
  );
}

test("a drain that lets sessions finish moves nobody before its deadline, at home and abroad, and everybody then", async () => {
  for (const name of ["a drain that lets sessions finish", "a drain abroad that lets sessions finish"]) {
    const scenario = SCENARIOS[name];
    if (!scenario) throw new Error(name);
    const world = new LostWorld(scenario);
    const restore = world.clock.install();
    try {
      await world.begin();
      await scenario.prepare?.(world);
      const owners = (): string[] => world.sessions().map((session) => world.ownerOf(session));
      const before = owners();
      const beganAtMs = world.clock.nowMs;
      const id = await world.ask(Promise.resolve(scenario.act(world)));
      const region = String(id).split("-")[0] ?? "";
      while (world.clock.nowMs - beganAtMs < 1_400) {
        await world.clock.pass(50);
        expect([name, owners()]).toEqual([name, before]);
      }
      const waits = await world.ask(world.ring(region).origin(String(id)));
      expect([waits?.state, waits?.serving, waits?.drain?.mode]).toEqual(["draining", false, "finish"]);
      await world.until("all have gone", () => !owners().includes(String(id)), 2_000);
      await world.clock.pass(3_500);
      expect((await world.ask(world.ring(region).origin(String(id))))?.state).toBe("drained");
    } finally {
      restore();
      world.close();
    }
  }
});

test("when a carrier is lost and nobody comes back, the counts are exact within its alarm's five seconds", async () => {
  const scenario: Scenario = {
    origins: ["weur-0", "weur-1"],
    sessions: [2, 2, 1, 1],
    gone: true,
    act: () => undefined,
    lastsMs: 5_500,
    settlesMs: 5_300,
  };
  const { crossings } = await outcomeOf(scenario, []);
  const ofCarriers = faultsOf(crossings).filter(({ crossing, victim }) => crossings[crossing - 1]?.[victim]?.includes("/"));
  expect(ofCarriers.length).toBeGreaterThan(0);
  for (const fault of ofCarriers) expect((await outcomeOf(scenario, [fault])).wrong, describeFault(fault, crossings)).toEqual([]);
});

test("a carrier's new life whose table comes too late is asked again", async () => {
  let slow = false;
  const world = new LostWorld({ origins: ["weur-0", "weur-1"], sessions: [1, 1, 1, 1], gone: true, underWayMs: () => (slow ? 1_000 : 1) });
  const restore = world.clock.install();
  try {
    await world.begin();
    world.objects.objects.get(world.carrierOf(0))?.life?.die();
    slow = true;
    await world.clock.pass(8_000);
    slow = false;
    await world.clock.pass(2_000);
    expect(await world.ask(world.ring().status())).toMatchObject({ sessions: 2, connections: 2 });
  } finally {
    restore();
    world.close();
  }
});

test("a carrier that was lost before a new ring object had heard of it is noticed all the same", async () => {
  const world = new LostWorld({ origins: ["weur-0", "weur-1"], sessions: [1, 1, 1, 1], gone: true });
  const restore = world.clock.install();
  try {
    await world.begin();
    world.objects.objects.get(ringName("weur"))?.life?.die();
    await world.ask(world.ring().status());
    world.objects.objects.get(world.carrierOf(0))?.life?.die();
    await world.clock.pass(5_300);
    expect(await world.ask(world.ring().status())).toMatchObject({ sessions: 2, connections: 2 });
  } finally {
    restore();
    world.close();
  }
});

test("who comes back while the new life's table is on its way stays known", async () => {
  let underWayMs = 1;
  const world = new LostWorld({ origins: ["weur-0", "weur-1"], sessions: [1, 1, 1, 1], gone: true, underWayMs: () => underWayMs });
  const restore = world.clock.install();
  try {
    await world.begin();
    const { objects } = world;
    objects.counting = true;
    objects.objects.get(world.carrierOf(0))?.life?.die();
    await world.clock.pass(100);
    world.join(0);
    while (!objects.crossings.some(({ what }) => what === "table")) await world.clock.pass(1);
    underWayMs = 500; // its answer
    await world.clock.pass(2);
    underWayMs = 1;
    world.join(2);
    await world.clock.pass(1_000);
    expect(await world.ask(world.ring().status())).toMatchObject({ sessions: 4, connections: 4 });
  } finally {
    restore();
    world.close();
  }
});

test("a carrier's new life whose clock is behind that of the last is heard", async () => {
  const world = new LostWorld({ origins: ["weur-0", "weur-1"], sessions: [1, 1, 1, 1] });
  const restore = world.clock.install();
  try {
    await world.begin();
    world.clock.nowMs -= 2_000;
    world.objects.objects.get(world.carrierOf(0))?.life?.die();
    await world.clock.pass(5_000);
    expect(world.sessions().map((session) => world.legsOpen(session).length)).toEqual([1, 1, 1, 1]);
    world.leave(0);
    await world.clock.pass(1_000);
    expect(await world.ask(world.ring().status())).toMatchObject({ sessions: 3, connections: 3 });
  } finally {
    restore();
    world.close();
  }
});

test("a session that a carrier has taken abroad alone is counted there", async () => {
  const world = new LostWorld({ origins: ["weur-0", "enam-0"], sessions: [1], pool: { holdDownMs: 60_000 } });
  const restore = world.clock.install();
  try {
    await world.begin();
    world.origin("weur-0").dies("close");
    await world.until("it is abroad", () => {
      world.objects.objects.get(ringName("weur"))?.life?.die();
      return world.ownerOf(0) === "enam-0";
    });
    await world.clock.pass(3_000);
    expect((await world.ask(world.ring("enam").origin("enam-0")))?.sessions).toBe(1);
  } finally {
    restore();
    world.close();
  }
});

test("of a session that was placed abroad twice at a time, the placement that is not taken ends alone", async () => {
  const world = new LostWorld({ origins: ["weur-0", "enam-0"], sessions: [] });
  const restore = world.clock.install();
  try {
    await world.begin();
    const abroad = world.ring("enam");
    const { keyHash, ...ref } = world.refOf(0);
    const guests = [1, 2].map((fence) => ({ keyHash, ...ref, homeRegion: "weur", excluded: [], fence }));
    await world.ask(abroad.guest(guests));
    await world.ask(abroad.guestsEnded([{ keyHash, fence: 2 }]));
    expect((await world.ask(abroad.origin("enam-0")))?.sessions).toBe(1);
  } finally {
    restore();
    world.close();
  }
});

test(
  "several objects are lost, and messages take their time",
  async () => {
    const names = Object.keys(SCENARIOS);
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...names),
        fc.nat(),
        fc.constantFrom(1, 8, 40),
        fc.array(fc.nat(), { minLength: 1, maxLength: 3 }),
        async (name, seed, atMostMs, picks) => {
          const scenario = SCENARIOS[name];
          if (!scenario) throw new Error(name);
          const slow = () => {
            const random = seeded(seed);
            return { ...scenario, settlesMs: SLOW_SETTLES_MS, underWayMs: () => Math.floor(random() * atMostMs) };
          };
          const { crossings, wrong } = await outcomeOf(slow(), []);
          expect(wrong, "undisturbed").toEqual([]);
          const faults = faultsOf(crossings);
          const plan = picks.flatMap((pick) => faults[pick % faults.length] ?? []);
          expect((await outcomeOf(slow(), plan)).wrong, plan.map((fault) => describeFault(fault, crossings)).join("\n")).toEqual([]);
        },
      ),
      { numRuns: RUNS, seed: SEED },
    );
  },
  TIMEOUT_MS,
);
