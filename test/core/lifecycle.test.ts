// Three layers merged into one picture, and which configuration a ring takes.

import { describe, expect, test } from "vitest";
import { advanceDrain, drainedFromMs, judgeConfig, mergeLayers, type ConfigVerdict, type ConfiguredOrigin, type DrainOrder, type DrainPolicy } from "../../src/core/lifecycle.ts";

const configured = (id: string): ConfiguredOrigin => ({ id, url: `https://${id}.example.com`, weight: 2, salt: 5, backup: false });
const ordered: DrainOrder = { orderedAtMs: 1, closedAtMs: undefined, closedEpoch: undefined, publishedAtMs: undefined, drainedAtMs: undefined };
const closed: DrainOrder = { ...ordered, closedAtMs: 2, closedEpoch: 7 };
const published: DrainOrder = { ...closed, publishedAtMs: 3 };
const drained: DrainOrder = { ...published, drainedAtMs: 4 };

const POLICY: DrainPolicy = { horizonMs: 120_000, drain: { deadlineMs: 60_000, graceMs: 30_000 } };

const one = (drain: DrainOrder | undefined, down: boolean): unknown => {
  const [origin] = mergeLayers({ configured: [configured("a")], members: new Map(), drains: new Map(drain && [["a", drain]]), down: new Set(down ? ["a"] : []) });
  return [origin?.lifecycle, origin?.closed, origin?.health];
};

describe("an origin's way through a drain, with its health beside it", () => {
  test.each<[event: string, drain: DrainOrder | undefined, down: boolean, after: [string, boolean, string]]>([
    ["configured", undefined, false, ["active", false, "healthy"]],
    ["found down", undefined, true, ["active", false, "down"]],
    ["drain ordered", ordered, false, ["draining", false, "healthy"]],
    ["down while draining", ordered, true, ["draining", false, "down"]],
    ["closing epoch", closed, false, ["draining", true, "healthy"]],
    ["closing epoch published", published, false, ["draining", true, "healthy"]],
    ["nothing reaches it any more", drained, false, ["drained", true, "healthy"]],
    ["its process ended", drained, true, ["drained", true, "down"]],
    ["undrained", undefined, false, ["active", false, "healthy"]],
  ])("%s", (_, drain, down, after) => {
    expect(one(drain, down)).toEqual(after);
  });
});

test("the origins come sorted by id, however they are listed", () => {
  const layers = { members: new Map(), drains: new Map(), down: new Set<string>() };
  for (const listing of [["b", "a", "c"], ["c", "b", "a"]]) {
    expect(mergeLayers({ ...layers, configured: listing.map(configured) }).map(({ id }) => id)).toEqual(["a", "b", "c"]);
  }
});

test("what an operator ordered and what was seen of an origin that is not configured counts for nothing", () => {
  const origins = mergeLayers({ configured: [configured("a")], members: new Map(), drains: new Map([["gone", ordered]]), down: new Set(["gone"]) });
  expect(origins).toEqual([
    {
      id: "a", url: "https://a.example.com", weight: 2, salt: 5, backup: false, lifecycle: "active", closed: false,
      health: "healthy", ejectedUntilMs: 0, share: { from: 1, to: 1, startAtMs: 0, endAtMs: 0 },
    },
  ]);
});

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
    let drain: DrainOrder = { ...ordered, orderedAtMs: 1_000 };
    for (const [nowMs, empty, [epoch, publishedEpoch], after] of rows) {
      const next = advanceDrain(drain, { nowMs, empty, epoch, publishedEpoch }, POLICY);
      expect(next, `at ${nowMs}`).toEqual(Object.keys(after).length === 0 ? undefined : { ...drain, ...after });
      drain = next ?? drain;
    }
  });
});

describe("what a ring does with a configuration", () => {
  const at = (revision: number, content: string) => ({ revision, content });
  test.each<[what: string, stored: ReturnType<typeof at> | undefined, given: ReturnType<typeof at>, deployed: ConfigVerdict, dev: ConfigVerdict]>([
    ["the first", undefined, at(1, "A"), "take", "take"],
    ["the same again", at(2, "A"), at(2, "A"), "same", "same"],
    ["a larger revision", at(2, "A"), at(3, "B"), "take", "take"],
    ["a larger revision, nothing else new", at(2, "A"), at(3, "A"), "take", "take"],
    ["a smaller revision", at(2, "B"), at(1, "A"), "older", "take"],
    ["a smaller revision of the same content", at(2, "A"), at(1, "A"), "older", "take"],
    ["an equal revision with other content", at(2, "A"), at(2, "B"), "conflict", "take"],
  ])("%s", (_, stored, given, deployed, dev) => {
    expect([judgeConfig(stored, given, false), judgeConfig(stored, given, true)]).toEqual([deployed, dev]);
  });
});
