// Moves as a ring object makes them: at the pace, the idlest first, a few at a time; after a loss at once; and whatever a carrier does, nothing
// is left waiting, moving or counted as coming.

import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { GROUP_MAX, HALT_MS, MOVING_CONNECTIONS_MAX, NO_PROGRESS_MS, QUIET_MAX_MS, WEIGH_MS } from "../../src/platform/limits.ts";
import type { MoveOrder } from "../../src/platform/ring-moves.ts";
import { CLOSE_DEADLINE_MS, MovesWorld, SLICES, type Spec } from "./moves-world.ts";

const RUNS = Number(process.env["LIMPET_MODEL_RUNS"] ?? 100);
const SEED = Number(process.env["LIMPET_MODEL_SEED"] ?? Date.now() % 2 ** 31);

const DRAIN: MoveOrder = { why: "drain", excluded: new Set(["o0"]) };
const LOST: MoveOrder = { why: "lost", excluded: new Set(["o0"]) };
/** The longest that a planned `leave` is waited for: its parts, and a margin. */
const LEAVE_LIMIT_MS = QUIET_MAX_MS + CLOSE_DEADLINE_MS + 1_000;

let world: MovesWorld;
let restore: () => void;

function begin(perSecond: number, specs: readonly Spec[]): void {
  world = new MovesWorld(perSecond, specs);
  restore = world.clock.install();
}
const sessions = (count: number, spec: Partial<Spec> = {}): Spec[] =>
  Array.from({ length: count }, (_, n) => ({ connections: 1, frames: n, slice: 0, ...spec }));
const carrier = () => {
  const [first] = world.carriers;
  if (!first) throw new Error("there is no carrier");
  return first;
};

beforeEach(() => {
  vi.spyOn(console, "log").mockImplementation(() => undefined);
  vi.spyOn(console, "error").mockImplementation(() => undefined);
});
afterEach(() => {
  restore();
  vi.restoreAllMocks();
});

/** Nothing is left over. */
function expectRest(): void {
  expect([world.moves.waitingCount, world.moving.size, world.coming.size]).toEqual([0, 0, 0]);
}

test("the idlest go first, each when its tokens are good", async () => {
  begin(
    8,
    [5, 0, 3, 9, 1].map((frames) => ({ connections: 1, frames, slice: 0 })),
  );
  const moved = world.moves.move(world.rows(), DRAIN);
  await world.clock.pass(30_000);
  expect(await moved).toBe(0);
  // Two of eight a second at once; then one each 125 ms. Who goes together waits for the last of them.
  const left = world.phases.filter(({ what }) => what === "leave").map(({ keyHash, atMs }) => [keyHash, atMs - world.startMs - WEIGH_MS]);
  expect(left).toEqual(["k1", "k4", "k2", "k0", "k3"].map((key) => [key, 375]));
  expect(world.rows("o1")).toHaveLength(5);
  expectRest();
});

test("who has waited and need not go any more stays, and takes nothing along", async () => {
  begin(1, sessions(3));
  let isDraining = true;
  const moved = world.moves.move(world.rows(), { ...DRAIN, still: () => isDraining });
  await world.clock.pass(WEIGH_MS + 100);
  expect(world.moves.waitingCount).toBe(2); // one had its token at once
  isDraining = false;
  await world.clock.pass(10_000);
  expect([await moved, world.rows().length]).toEqual([0, 2]);
  expectRest();
});

test("a destination that is lost while sessions wait for its tokens gets none of them", async () => {
  begin(4, sessions(2));
  const moved = world.moves.move(world.rows(), DRAIN);
  await world.clock.pass(WEIGH_MS + 100);
  world.becomes("o1", { health: "down" });
  await world.clock.pass(10_000);
  await moved;
  expect(world.phases).toEqual([]);
  expect(world.released).toHaveLength(2); // their choice is given back
  expectRest();
});

test("a loss does not wait for a plan: those that wait for tokens leave at once, and are not moved twice", async () => {
  begin(2, sessions(6));
  const planned = world.moves.move(world.rows(), DRAIN);
  await world.clock.pass(WEIGH_MS + 50);
  const before = world.phases.length;
  const lost = world.moves.move(world.rows(), LOST);
  await world.clock.pass(0);
  const dropped = world.phases.slice(before).filter(({ what, planned: isPlanned }) => what === "leave" && !isPlanned);
  expect(dropped.length).toBe(world.rows().filter(({ keyHash }) => world.of(keyHash).every((phase) => !phase.planned)).length);
  await world.clock.pass(60_000);
  await Promise.all([planned, lost]);
  for (const { keyHash } of world.live.rows()) expect(world.of(keyHash).map(({ what }) => what)).toEqual(["leave", "enter"]);
  expectRest();
});

test("a carrier that never says that it has left is not waited for any longer than leaving may take", async () => {
  begin(1_000, sessions(1));
  carrier().silent.add("leave");
  const moved = world.moves.move(world.rows(), DRAIN);
  await world.clock.pass(20_000);
  await moved;
  expect(world.timesOf("k0")).toEqual([
    ["leave", 0],
    ["enter", LEAVE_LIMIT_MS],
  ]);
  expectRest();
});

test("of a carrier that does not say whether they have arrived the table is read, and they are where they were sent", async () => {
  begin(1_000, sessions(2));
  carrier().silent.add("enter");
  const moved = world.moves.move(world.rows(), DRAIN);
  await world.clock.pass(20_000);
  await moved;
  expect([world.unread, world.rows("o1").length]).toEqual([[0], 2]);
  expectRest();
});

test("who is not there any more has ended; where they could not arrive no planned move goes for a while", async () => {
  begin(1_000, sessions(3));
  carrier().absent.add("k0");
  carrier().failed.add("k1");
  const moved = world.moves.move(world.rows(), DRAIN);
  await world.clock.pass(WEIGH_MS + 100);
  await moved;
  expect([world.live.get("k0"), world.dropped, world.rows("o1").map(({ keyHash }) => keyHash)]).toEqual([undefined, ["k0"], ["k1", "k2"]]);
  expect([world.pace.isHalted("o1", Date.now()), world.pace.isHalted("o1", Date.now() + HALT_MS)]).toEqual([true, false]);
  expectRest();
});

test("who ends while leaving is brought nowhere, and its next place is told", async () => {
  begin(1_000, sessions(1));
  const moved = world.moves.move(world.rows(), DRAIN);
  await world.clock.pass(5);
  world.live.delete("k0");
  await world.clock.pass(5_000);
  await moved;
  expect([world.of("k0").map(({ what }) => what), world.released.length]).toEqual([["leave"], 1]);
  expectRest();
});

test("where nobody gets tokens a plan gives up after a while, says how many stay, and they are served where they are", async () => {
  begin(10, sessions(4));
  world.pace.halt("o1", world.startMs + 60_000);
  const moved = world.moves.move(world.rows(), DRAIN);
  await world.clock.pass(NO_PROGRESS_MS + 1_000);
  expect([await moved, world.phases, world.rows().length]).toEqual([4, [], 4]);
  expectRest();
});

test("of one carrier only so many are between two origins, however fast the pace, and the rest follow", async () => {
  begin(10_000, sessions(3 * MOVING_CONNECTIONS_MAX));
  Object.assign(carrier(), { leaveMs: 1_000, enterMs: 1_000 });
  const moved = world.moves.move(world.rows(), DRAIN);
  await world.clock.pass(60_000);
  expect([await moved, world.rows("o1").length, carrier().mostBetween]).toEqual([0, 3 * MOVING_CONNECTIONS_MAX, MOVING_CONNECTIONS_MAX]);
  expectRest();
});

test("sessions whose origins keep dying are expelled after a loss, not moved; the others are", async () => {
  begin(1_000, sessions(2));
  world.doomed.add("k0");
  const lost = world.moves.move(world.rows(), LOST);
  await world.clock.pass(5_000);
  await lost;
  expect([world.of("k0").map(({ what }) => what), world.of("k1").map(({ what }) => what)]).toEqual([
    ["leave", "expel"],
    ["leave", "enter"],
  ]);
  expectRest();
});

const anySpec = fc.record({ connections: fc.integer({ min: 1, max: 3 }), frames: fc.nat(100), slice: fc.nat(SLICES - 1) });
const anyEvent = fc.record({
  afterMs: fc.nat(1_500),
  do: fc.constantFrom("drain" as const, "lose" as const, "end" as const, "kill" as const, "revive" as const),
  which: fc.nat(150),
});
const anyManner = fc.record({
  leaveMs: fc.nat(3_000),
  enterMs: fc.nat(5_000),
  silent: fc.subarray(["leave" as const, "enter" as const, "weigh" as const], { maxLength: 1 }),
});
const anyPace = fc.constantFrom(5, 50, 200, 1_000);

test("whatever happens meanwhile: the pace and the bounds hold, nobody is in two moves at once, and nothing is left over", async () => {
  const promised = async (
    perSecond: number,
    specs: readonly Spec[],
    manner: typeof anyManner extends fc.Arbitrary<infer M> ? M : never,
    events: readonly (typeof anyEvent extends fc.Arbitrary<infer E> ? E : never)[],
  ): Promise<void> => {
    begin(perSecond, specs);
    for (const each of world.carriers.filter(Boolean)) {
      Object.assign(each, { leaveMs: manner.leaveMs, enterMs: manner.enterMs });
      for (const call of manner.silent) each.silent.add(call);
    }
    try {
      const work = [world.moves.move(world.rows(), DRAIN)];
      for (const event of events) {
        await world.clock.pass(event.afterMs);
        if (event.do === "drain") work.push(world.moves.move(world.rows(), DRAIN));
        else if (event.do === "lose") work.push(world.moves.move(world.rows(), LOST));
        else if (event.do === "end") world.live.delete(`k${event.which}`);
        else world.becomes("o1", { health: event.do === "kill" ? "down" : "healthy" });
      }
      await world.clock.pass(300_000);
      await Promise.all(work);
      expectRest();
      const isKnown = !manner.silent.includes("weigh"); // how many connections there are: of a carrier that does not say, one each
      const countOf = (spec: Spec | undefined): number => (isKnown ? (spec?.connections ?? 0) : 1);
      const most = Math.max(...specs.map(countOf));
      // A carrier that is not waited for any more may still be at it when the next ones leave.
      const isWaitedFor = manner.silent.length === 0 && manner.leaveMs < 2_000 && manner.enterMs < 2_000;
      for (const each of isWaitedFor ? world.carriers.filter(Boolean) : [])
        expect(each.mostBetween).toBeLessThan(MOVING_CONNECTIONS_MAX + GROUP_MAX * most);
      for (const keyHash of world.specs.keys()) {
        const phases = world.of(keyHash);
        expect(phases.map(({ what }) => what).join(" ")).toMatch(/^((leave enter|leave) ?)*$/);
        const fences = phases.filter(({ what }) => what === "enter").map(({ fence }) => fence);
        expect(fences).toEqual([...new Set(fences)].toSorted((a, b) => a - b));
      }
      if (events.length > 0) return;
      let connections = 0;
      for (const { what, keyHash, atMs } of world.phases) {
        if (what !== "leave") continue;
        connections += countOf(world.specs.get(keyHash));
        expect(connections).toBeLessThanOrEqual(Math.max(1, perSecond / 4) + ((atMs - world.startMs) * perSecond) / 1_000 + most);
      }
      const [waited] = await Promise.all(work); // who found no turn for too long is told of, and tried again later
      expect(world.rows("o1").length + (waited ?? 0)).toBe(specs.length);
    } finally {
      restore();
    }
  };
  const anyEvents = fc.oneof(fc.constant([]), fc.array(anyEvent, { maxLength: 12, size: "max" }));
  await fc.assert(fc.asyncProperty(anyPace, fc.array(anySpec, { minLength: 1, maxLength: 120, size: "max" }), anyManner, anyEvents, promised), {
    numRuns: RUNS,
    seed: SEED,
  });
});
