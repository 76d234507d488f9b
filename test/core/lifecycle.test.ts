// Three layers merged into one picture, and which configuration a ring takes.

import { describe, expect, test } from "vitest";
import { advanceDrain, drainedFromMs, judgeConfig, mergeLayers, type ConfigVerdict, type ConfiguredOrigin, type DrainOrder, type DrainPolicy } from "../../src/core/lifecycle.ts";

const configured = (id: string): ConfiguredOrigin => ({ id, url: `https://${id}.example.com`, weight: 2, salt: 5, backup: false });
const ordered: DrainOrder = { orderedAtMs: 1, closedAtMs: undefined, publishedAtMs: undefined, drainedAtMs: undefined };
const closed: DrainOrder = { ...ordered, closedAtMs: 2 };
const published: DrainOrder = { ...closed, publishedAtMs: 3 };
const drained: DrainOrder = { ...published, drainedAtMs: 4 };

const POLICY: DrainPolicy = { horizonMs: 120_000, drain: { deadlineMs: 60_000, graceMs: 30_000 } };

const one = (drain: DrainOrder | undefined, down: boolean): unknown => {
  const [origin] = mergeLayers({ configured: [configured("a")], drains: new Map(drain && [["a", drain]]), down: new Set(down ? ["a"] : []) });
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
  const layers = { drains: new Map(), down: new Set<string>() };
  for (const listing of [["b", "a", "c"], ["c", "b", "a"]]) {
    expect(mergeLayers({ ...layers, configured: listing.map(configured) }).map(({ id }) => id)).toEqual(["a", "b", "c"]);
  }
});

test("what an operator ordered and what was seen of an origin that is not configured counts for nothing", () => {
  const origins = mergeLayers({ configured: [configured("a")], drains: new Map([["gone", ordered]]), down: new Set(["gone"]) });
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
  type Row = readonly [nowMs: number, empty: boolean, published: boolean, after: Partial<DrainOrder>];
  test.each<[what: string, rows: readonly Row[]]>([
    ["when its sessions are gone, KV has its closing epoch, and the horizon and the grace have passed", [
      [2_000, false, true, {}],
      [9_000, true, false, { closedAtMs: 9_000 }],
      [9_500, true, false, {}],
      [10_000, true, true, { publishedAtMs: 10_000 }],
      [159_999, true, true, {}],
      [160_000, true, true, { drainedAtMs: 160_000 }],
      [999_999, true, true, {}],
    ]],
    ["at its deadline, with sessions left; but its process ends only when none is", [
      [60_999, false, false, {}],
      [61_000, false, false, { closedAtMs: 61_000 }],
      [61_001, false, true, { publishedAtMs: 61_001 }],
      [300_000, false, true, {}],
      [300_001, true, true, { drainedAtMs: 300_001 }],
    ]],
    ["one step at a time", [
      [500_000, true, true, { closedAtMs: 500_000 }],
      [500_000, true, true, { publishedAtMs: 500_000 }],
      [500_000, true, true, {}],
    ]],
  ])("%s", (_, rows) => {
    let drain: DrainOrder = { ...ordered, orderedAtMs: 1_000 };
    for (const [nowMs, empty, published, after] of rows) {
      const next = advanceDrain(drain, { nowMs, empty, published }, POLICY);
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
