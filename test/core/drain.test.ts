// A drain: its steps, its terms, and who may order it and take it back.

import { describe, expect, test } from "vitest";
import { advanceDrain, drainedFromMs, newDrain, orderDrain, undrainFault, type DrainOrder, type DrainPolicy, type DrainWish } from "../../src/core/drain.ts";

const POLICY: DrainPolicy = { horizonMs: 120_000, drain: { deadlineMs: 60_000, graceMs: 30_000 } };

test("a drained origin's process may end one horizon and the grace after the closing epoch was published", () => {
  expect(drainedFromMs(1000, POLICY)).toBe(151_000);
});

describe("a drain goes on", () => {
  type Row = readonly [nowMs: number, empty: boolean, epochs: readonly [ring: number, kv: number], after: Partial<DrainOrder>];
  test.each<[what: string, rows: readonly Row[]]>([
    ["when its sessions are gone, KV has its closing epoch, and the horizon and the grace have passed", [
      [2_000, false, [5, 5], {}],
      [9_000, true, [5, 5], { closedAtMs: 9_000, closedEpoch: 6 }],
      [9_500, true, [6, 5], {}],
      [10_000, true, [6, 6], { publishedAtMs: 10_000 }],
      [159_999, true, [6, 6], {}],
      [160_000, true, [6, 6], { drainedAtMs: 160_000 }],
      [999_999, true, [7, 7], {}],
    ]],
    ["at its deadline, with sessions left; but its process ends only when none is", [
      [60_999, false, [5, 5], {}],
      [61_000, false, [5, 5], { closedAtMs: 61_000, closedEpoch: 6 }],
      [61_001, false, [6, 6], { publishedAtMs: 61_001 }],
      [300_000, false, [6, 6], {}],
      [300_001, true, [6, 6], { drainedAtMs: 300_001 }],
    ]],
    ["not by what KV had of the epochs before it, however many were made since", [
      [9_000, true, [5, 4], { closedAtMs: 9_000, closedEpoch: 6 }],
      [9_001, true, [6, 4], {}],
      [9_002, true, [8, 5], {}],
      [9_003, true, [8, 7], { publishedAtMs: 9_003 }], // epoch 6 never stood there alone: a later one says the same
    ]],
    ["one step at a time", [
      [500_000, true, [5, 99], { closedAtMs: 500_000, closedEpoch: 6 }],
      [500_000, true, [6, 99], { publishedAtMs: 500_000 }],
      [500_000, true, [6, 99], {}],
    ]],
    ["and waits for sessions that came back to it, though it is published", [
      [9_000, true, [5, 5], { closedAtMs: 9_000, closedEpoch: 6 }],
      [9_001, false, [6, 6], { publishedAtMs: 9_001 }],
      [999_999, false, [6, 6], {}],
      [999_999, true, [6, 6], { drainedAtMs: 999_999 }],
    ]],
  ])("%s", (_, rows) => {
    let drain: DrainOrder = { ...newDrain(1_000) };
    for (const [nowMs, empty, [epoch, publishedEpoch], after] of rows) {
      const next = advanceDrain(drain, { nowMs, empty, epoch, publishedEpoch }, POLICY);
      expect(next, `at ${nowMs}`).toEqual(Object.keys(after).length === 0 ? undefined : { ...drain, ...after });
      drain = next ?? drain;
    }
  });
});

describe("an order to drain, one a row", () => {
  type Row = readonly [nowMs: number, by: string, wish: DrainWish, after: string];
  const shown = ({ by, mode, deadlineMs, orderedAtMs, closedAtMs }: DrainOrder): string => `${by} ${mode} ${deadlineMs} since ${orderedAtMs}${closedAtMs === undefined ? "" : " closed"}`;
  test.each<[what: string, rows: readonly Row[]]>([
    ["by an operator has the pool's terms, or its own; the same again, and who says nothing of terms, change nothing", [
      [1, "ann", {}, "ann move 60000 since 1"],
      [2, "ann", {}, "ann move 60000 since 1"],
      [3, "bob", { mode: "move" }, "ann move 60000 since 1"],
      [4, "bob", { mode: "finish" }, "ann finish 60000 since 4"],
      [5, "bob", { mode: "finish" }, "ann finish 60000 since 4"],
      [6, "ann", {}, "ann finish 60000 since 4"],
      [7, "ann", { deadlineMs: 10 }, "ann finish 10 since 7"],
      [8, "ann", { deadlineMs: 10, mode: "finish" }, "ann finish 10 since 7"],
    ]],
    ["by the origin is its region's once that is drained, then an operator's; and nobody's of less weight", [
      [1, "origin", {}, "origin move 60000 since 1"],
      [2, "register:pods", {}, "origin move 60000 since 1"],
      [3, "region", {}, "region move 60000 since 1"],
      [4, "origin", {}, "region move 60000 since 1"],
      [5, "register:pods", { mode: "finish", deadlineMs: 5 }, "region move 60000 since 1"],
      [6, "ann", {}, "ann move 60000 since 1"],
      [7, "region", {}, "ann move 60000 since 1"],
      [8, "origin", { mode: "finish" }, "ann move 60000 since 1"],
    ]],
    ["by the configuration is anybody's who orders it too", [
      [1, "config", {}, "config move 60000 since 1"],
      [2, "config", {}, "config move 60000 since 1"],
      [3, "origin", {}, "origin move 60000 since 1"],
    ]],
  ])("%s", (_, rows) => {
    let drain: DrainOrder | undefined;
    for (const [nowMs, by, wish, after] of rows) {
      const next = orderDrain(drain, wish, by, POLICY, nowMs);
      if (drain && shown(drain) === after) expect(next, `at ${nowMs}`).toBe(drain); // the very same: no epoch
      expect([nowMs, shown(next)]).toEqual([nowMs, after]);
      drain = next;
    }
  });

  test("past its closing epoch its terms stay", () => {
    const closed = { ...newDrain(1, { mode: "move", deadlineMs: 5, by: "origin" }), closedAtMs: 3, closedEpoch: 7 };
    expect(shown(orderDrain(closed, { mode: "finish", deadlineMs: 99 }, "ann", POLICY, 9))).toBe("ann move 5 since 1 closed");
  });

  test("keeps its terms when the pool's change, and those of an older version have the pool's deadline", () => {
    const drain = orderDrain(undefined, {}, "ann", { ...POLICY, drain: { ...POLICY.drain, mode: "finish" } }, 0);
    const facts = { empty: false, epoch: 1, publishedEpoch: 1 };
    const closes = (drain: DrainOrder, deadlineMs: number, nowMs: number): boolean => advanceDrain(drain, { ...facts, nowMs }, { ...POLICY, drain: { ...POLICY.drain, deadlineMs } }) !== undefined;
    expect([closes(drain, 5, 59_999), closes(drain, 5, 60_000), closes(newDrain(0), 5, 4), closes(newDrain(0), 5, 5)]).toEqual([false, true, false, true]);
  });
});

describe("a drain is taken back", () => {
  const by = (who: string): DrainOrder => newDrain(1, { mode: "move", deadlineMs: 5, by: who });
  test.each<[ordered: string, taken: string, leaving: boolean, may: boolean]>([
    ["ann", "bob", false, true],
    ["ann", "bob", true, true],
    ["origin", "ann", false, true],
    ["config", "ann", true, true],
    ["region", "region", false, true],
    ["region", "region", true, false],
    ["origin", "origin", false, true],
    ["origin", "origin", true, false],
    ["origin", "register:pods", false, true],
    ["register:pods", "register:pods", false, true],
    ["register:pods", "register:jobs", false, false],
    ["register:pods", "origin", false, false], // its process answers its checks until the end
    ["ann", "register:pods", false, false],
    ["ann", "register:ann", false, false],
    ["ann", "region", false, false],
    ["ann", "origin", false, false],
    ["region", "origin", false, false],
    ["", "register:pods", false, false], // of an older version
  ])("that %s ordered, by %s (leaving: %s): %s", (ordered, taken, leaving, may) => {
    expect(undrainFault(by(ordered), taken, leaving) === undefined).toBe(may);
  });
});
