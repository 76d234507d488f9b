// A pool's regions, or their weights, change while sessions are live: each session has one owner at every moment, by whichever configuration its
// visitors' Workers go, in whichever order the rings hear of it, whoever is lost meanwhile. LIMPET_MODEL_RUNS and LIMPET_MODEL_SEED make more of the model.

import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Config } from "../../src/core/config-types.ts";
import { hintsKvKey } from "../../src/core/names.ts";
import type { Hints } from "../../src/core/snapshot.ts";
import { stubSockets } from "./carried/globals.ts";
import { homeOf, HomesWorld, HORIZON_MS, refOf, ringName, type Regions } from "./homes-world.ts";
import { seeded } from "./lost/judge.ts";

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
const ONE: Regions = { weur: 1 };
const TWO: Regions = { weur: 1, enam: 1 };
const SESSIONS = Array.from({ length: 12 }, (_, n) => n);

beforeEach(() => {
  stubSockets(() => 1);
  vi.spyOn(console, "log").mockImplementation(() => undefined);
  vi.spyOn(console, "error").mockImplementation(() => undefined);
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

async function play(world: HomesWorld, script: (world: HomesWorld) => Promise<void>): Promise<void> {
  const restore = world.clock.install();
  const random = Math.random;
  Math.random = seeded(1);
  try {
    await script(world);
    expect([...world.violations, ...world.objects.faults]).toEqual([]);
  } finally {
    Math.random = random;
    restore();
    world.close();
  }
}

/** One of the sessions whose home another configuration changes, and one whose home it does not. */
function moved(before: Config, after: Config, from = "weur", to = "enam"): number {
  const session = SESSIONS.find((each) => homeOf(before, each) === from && homeOf(after, each) === to);
  if (session === undefined) throw new Error("no session moves so");
  return session;
}

const regionAt = (world: HomesWorld, session: number): string | undefined => world.ownerOf(session).split("-")[0];

test.each<[string, Regions, Regions]>([
  ["is added", ONE, TWO],
  ["has another weight", { weur: 1, enam: 0.001 }, { weur: 0.001, enam: 1 }],
])("when a region %s, a live session stays where it is, and whoever joins it finds it there", (_, first, second) =>
  play(new HomesWorld(first), async (world) => {
    const old = world.bundle;
    const session = moved(old, world.configOf(2, second));
    const visitor = await world.arrive(session, old);
    const owner = world.ownerOf(session);
    expect(regionAt(world, session)).toBe("weur");
    const next = await world.apply(2, second);
    const other = await world.arrive(session, next);
    expect([other.status, other.hops, visitor.closed]).toEqual([101, 1, undefined]);
    expect(world.legsOpen(session).map(({ origin }) => origin)).toEqual([owner, owner]);
    visitor.leave();
    other.leave();
    await world.clock.pass(1_000);
    const later = await world.arrive(session, next);
    expect([later.status, later.hops, regionAt(world, session)]).toEqual([101, 0, "enam"]);
    const byOld = await world.arrive(session, old);
    expect([byOld.status, byOld.hops, regionAt(world, session)]).toEqual([101, 1, "enam"]);
  }),
);

test("a region that leaves the pool gives up its origins, not its sessions, and its ring is empty when they have ended", () =>
  play(new HomesWorld(TWO), async (world) => {
    const old = world.bundle;
    const session = SESSIONS.find((each) => homeOf(old, each) === "enam") ?? 0;
    const visitor = await world.arrive(session, old);
    const next = await world.apply(2, ONE);
    await world.clock.pass(5_000);
    expect([visitor.closed, regionAt(world, session)]).toEqual([undefined, "weur"]);
    const other = await world.arrive(session, next);
    expect([other.status, other.hops, world.legsOpen(session).length]).toEqual([101, 1, 2]);
    expect((await world.ask(world.ring("enam").status())).origins).toEqual([]);
    expect(await world.ask(world.ring("enam").isEmpty())).toBe(false);
    visitor.leave();
    other.leave();
    await world.clock.pass(2_000);
    expect(await world.ask(world.ring("enam").isEmpty())).toBe(true);
    expect([(await world.arrive(session, next)).hops, regionAt(world, session)]).toEqual([0, "weur"]);
  }));

test("nobody joins a ring that its pool has left, and who had joined leaves with it", () =>
  play(new HomesWorld(TWO), async (world) => {
    await world.ask(world.ring("enam").status());
    const put = (id: string) =>
      world.ask(world.ring("enam").member(id, { kind: "put", origin: { url: `http://${id}`, weight: 1, backup: false } } as never, "ann"));
    expect((await put("apac-0")).kind).toBe("done");
    await world.apply(2, ONE);
    await world.clock.pass(5_000);
    expect((await world.ask(world.ring("enam").status())).origins).toEqual([]);
    expect((await put("apac-1")).kind).toBe("conflict");
  }));

test("what is rolled back is another change: who is live stays, and who comes finds them", () =>
  play(new HomesWorld(ONE), async (world) => {
    const old = world.bundle;
    const next = await world.apply(2, TWO);
    await world.clock.pass(3 * HORIZON_MS); // its origins take everybody
    const session = moved(old, next);
    const visitor = await world.arrive(session, next);
    expect(regionAt(world, session)).toBe("enam");
    const back = await world.apply(3, ONE);
    await world.clock.pass(5_000);
    const other = await world.arrive(session, back);
    expect([other.status, other.hops, visitor.closed, world.legsOpen(session).length]).toEqual([101, 1, undefined, 2]);
  }));

test.each([
  ["prefer", 101],
  ["strict", 503],
])("where the former home is silent, %s answers %i", (stickiness, status) =>
  play(new HomesWorld(ONE, { pool: { stickiness } }), async (world) => {
    const old = world.bundle;
    const next = await world.apply(2, TWO);
    const session = moved(old, next);
    const hangs = vi.spyOn(Object.getPrototypeOf(world.life("weur")?.methods) as { given: () => Promise<unknown> }, "given");
    hangs.mockImplementation(() => new Promise(() => undefined));
    expect((await world.arrive(session, next)).status).toBe(status);
    hangs.mockRestore();
    if (status === 101) return;
    await world.clock.pass(6_000);
    expect((await world.arrive(session, next)).status).toBe(101);
  }),
);

test("who was sent on is not sent on again", () =>
  play(new HomesWorld(ONE), async (world) => {
    const old = world.bundle;
    const next = await world.apply(2, TWO);
    const session = moved(old, next);
    const item = { ...refOf(session), drawn: true, excluded: [], opening: true };
    const envelope = { version: 1, slice: session % 2, incarnation: "000000000000001-x" };
    await world.ask(world.ring("weur").given([refOf(session).keyHash], "enam"));
    const asked = (seq: number, sentOn?: true) => world.ask(world.ring("weur").place({ ...envelope, seq }, [{ ...item, sentOn }]));
    expect(await asked(1)).toMatchObject([{ kind: "elsewhere", region: "enam" }]);
    expect(await asked(2, true)).toMatchObject([{ kind: "refused", why: "no-origin" }]);
    expect(await world.ask(world.ring("weur").place({ ...envelope, seq: 3 }, [{ ...item, drawn: undefined }]))).toMatchObject([{ kind: "placed" }]); // an older Worker cannot be sent on
  }));

test("of two rings that ask each other for one session, one has it", () =>
  play(new HomesWorld(ONE), async (world) => {
    const old = world.bundle;
    const next = await world.apply(2, TWO);
    const session = moved(old, next);
    const item = { ...refOf(session), drawn: true, excluded: [], opening: true };
    const envelope = { version: 1, slice: session % 2, incarnation: "000000000000001-x", seq: 1 };
    const both = await world.ask(Promise.all(["weur", "enam"].map((region) => world.ring(region).place(envelope, [item]))));
    expect(both.flat()).toMatchObject([{ kind: "elsewhere", region: "enam" }, { kind: "placed" }]);
  }));

test("what is given away is placed by a larger fence, though that ring's clock is behind", () =>
  play(new HomesWorld(ONE), async (world) => {
    const next = await world.apply(2, TWO);
    const session = moved(world.bundle, next);
    const ref = { ...refOf(session), drawn: true, excluded: [] };
    const [envelope, fence] = [{ version: 1, slice: session % 2, incarnation: "000000000000001-x" }, (Date.now() + 60_000) * 256];
    await world.ask(world.ring("weur").place({ ...envelope, seq: 1 }, [{ ...ref, live: { origin: "weur-0", region: "weur", fence } }]));
    await world.ask(world.ring("weur").ended({ ...envelope, seq: 2 }, [{ keyHash: ref.keyHash, fence }]));
    const [answer] = await world.ask(world.ring("enam").place({ ...envelope, seq: 1 }, [{ ...ref, opening: true }]));
    expect(answer?.kind === "placed" && answer.placement.fence > fence).toBe(true);
  }));

test("who is being placed is given to nobody", () =>
  play(new HomesWorld(TWO), async (world) => {
    const session = SESSIONS.find((each) => homeOf(world.bundle, each) === "weur") ?? 0;
    for (const region of ["weur", "enam"]) await world.ask(world.ring(region).status());
    await world.ask(world.ring("weur").regionDown("ann"));
    const envelope = { version: 1, slice: session % 2, incarnation: "000000000000001-x", seq: 1 };
    const placed = world.ring("weur").place(envelope, [{ ...refOf(session), drawn: true, excluded: [], opening: true }]);
    await world.clock.pass(3); // another region is asked to take it
    expect(await world.ask(world.ring("weur").given([refOf(session).keyHash], "enam"))).toEqual([{ kind: "here" }]);
    expect(await world.ask(placed)).toMatchObject([{ kind: "placed", placement: { region: "enam" } }]);
  }));

test("what was given stays given when the ring object is lost, for two horizons", () =>
  play(new HomesWorld(ONE), async (world) => {
    const old = world.bundle;
    const session = moved(old, world.configOf(2, TWO));
    await world.arrive(99, old);
    await world.ask(world.tell("enam", 2, TWO)); // weur has not heard of it yet
    expect((await world.arrive(session, world.configOf(2, TWO))).hops).toBe(0);
    world.life("weur")?.die();
    expect([(await world.arrive(session, old)).hops, regionAt(world, session)]).toEqual([1, "enam"]);
  }));

test("plain requests go to where the session is live, within a horizon, until it is over there", () =>
  play(new HomesWorld(ONE), async (world) => {
    const old = world.bundle;
    const session = moved(old, world.configOf(2, TWO));
    const visitor = await world.arrive(session, old);
    await world.apply(2, TWO);
    await world.clock.pass(HORIZON_MS);
    const { keyHash } = refOf(session);
    const hint = () =>
      (JSON.parse(world.objects.kv.get(hintsKvKey("live", "enam")) ?? "{}") as Partial<Hints>).entries?.find((each) => each.keyHash === keyHash)
        ?.origin;
    const found = async () => {
      const decision = await world.ask(world.ring("enam").find({ ...refOf(session), excluded: [] }));
      return decision.kind === "routed" ? decision.origin.id : decision.why;
    };
    const owner = world.ownerOf(session);
    expect([hint(), await found()]).toEqual([owner, owner]);
    world.life("enam")?.die();
    expect(await found()).toBe(owner);
    await world.clock.pass(70_000 - HORIZON_MS - 15_000); // longer than pins are kept for nobody
    if (visitor.closed === undefined) expect([hint(), await found()]).toEqual([owner, owner]);
    visitor.leave();
    await world.clock.pass(2 * HORIZON_MS);
    expect(hint()).toBeUndefined();
    expect((await found()).startsWith("enam")).toBe(true);
  }));

const SETS: readonly Regions[] = [ONE, TWO, { weur: 1, enam: 3 }, { weur: 1, enam: 1, apac: 1 }, { enam: 1 }, { weur: 1, apac: 2 }];

type Event =
  | { readonly kind: "come"; readonly session: number; readonly worker: number }
  | { readonly kind: "rush"; readonly session: number }
  | { readonly kind: "leave"; readonly nth: number }
  | { readonly kind: "lose"; readonly region: number }
  | { readonly kind: "change"; readonly set: number; readonly order: number };

const event = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("come" as const), session: fc.constantFrom(2, 3), worker: fc.nat(1) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("rush" as const), session: fc.constantFrom(2, 3) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("leave" as const), nth: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("lose" as const), region: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("change" as const), set: fc.nat(SETS.length - 1), order: fc.nat(5) }) },
);

test(
  "whatever comes in whichever order, a session has one owner",
  async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(SETS.length - 1),
        fc.array(fc.tuple(event, fc.constantFrom(0, 2, 15, 200, 700, 2_000)), { maxLength: 30 }),
        fc.nat(),
        async (first, events, seed) => {
          const random = seeded(seed);
          const start = SETS[first] ?? ONE;
          await play(new HomesWorld(start, { underWayMs: () => Math.floor(random() * 12) }), (world) => history(world, start, events));
        },
      ),
      { numRuns: RUNS, seed: SEED },
    );
  },
  120_000 + RUNS * 1_000,
);

/** One Worker has each configuration at once, the other two thirds of a horizon later; rings hear of it within a third. */
async function history(world: HomesWorld, start: Regions, events: readonly (readonly [Event, number])[]): Promise<void> {
  let changedAtMs = -Infinity;
  const workers: [Config, Config] = [world.bundle, world.bundle];
  for (const region of Object.keys(start)) await world.ask(world.ring(region).status());
  let revision = 1;
  const later = (ms: number, run: () => void): void => void setTimeout(run, ms);
  const told = new Set(Object.keys(start));
  for (const [each, waitMs] of events) {
    if (each.kind === "come") world.visit(each.session, workers[each.worker] ?? world.bundle);
    if (each.kind === "rush") for (const worker of workers) world.visit(each.session, worker);
    if (each.kind === "leave") world.visits[each.nth]?.leave();
    if (each.kind === "lose") world.objects.objects.get(ringName(["weur", "enam", "apac"][each.region] ?? ""))?.life?.die();
    if (each.kind === "change") {
      await world.clock.pass(Math.max(0, changedAtMs + HORIZON_MS - world.clock.nowMs)); // the one before has reached everybody
      changedAtMs = world.clock.nowMs;
      const regions = SETS[each.set] ?? ONE;
      const next = ++revision;
      workers[0] = world.configOf(next, regions);
      later((HORIZON_MS * 2) / 3, () => (workers[1] = world.configOf(next, regions)));
      for (const region of Object.keys(regions)) told.add(region);
      [...told].forEach((region, n) => {
        const tell = (): void => void world.tell(region, next, regions).catch(() => later(50, tell)); // the control object says it again
        later((((n + each.order) % 3) * HORIZON_MS) / 9, tell);
      });
    }
    await world.clock.pass(waitMs);
  }
  await world.clock.pass(6_000);
  expect(world.visits.filter(({ status }) => status === 0 || status === 421)).toEqual([]);
}
