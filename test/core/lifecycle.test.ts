// Three layers merged into one picture, and which configuration a ring takes.

import { describe, expect, test } from "vitest";
import { newDrain, type DrainOrder } from "../../src/core/drain.ts";
import { judgeConfig, mergeLayers, type ConfigVerdict, type ConfiguredOrigin } from "../../src/core/lifecycle.ts";

const configured = (id: string): ConfiguredOrigin => ({ id, url: `https://${id}.example.com`, weight: 2, salt: 5, backup: false });
const ordered = newDrain(1);
const closed: DrainOrder = { ...ordered, closedAtMs: 2, closedEpoch: 7 };
const published: DrainOrder = { ...closed, publishedAtMs: 3 };
const drained: DrainOrder = { ...published, drainedAtMs: 4 };

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

test("a drain that lets sessions finish says until when, as long as it is open; an id that was another's says since when it is not", () => {
  const finish = newDrain(1_000, { mode: "finish", deadlineMs: 500, by: "ann" });
  const until = (drain: DrainOrder): unknown => mergeLayers({ configured: [configured("a")], members: new Map(), drains: new Map([["a", drain]]), down: new Set() })[0]?.finishUntilMs;
  expect([finish, { ...finish, closedAtMs: 1_200 }, newDrain(1_000, { mode: "move", deadlineMs: 500, by: "ann" })].map(until)).toEqual([1_500, undefined, undefined]);
  const born = mergeLayers({ configured: ["a", "b"].map(configured), members: new Map(), drains: new Map(), down: new Set(), born: new Map([["b", 77]]) });
  expect(born.map(({ bornFence }) => bornFence)).toEqual([undefined, 77]);
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
