// What a configuration's change does to members: one row an origin's state before, and what it is asked to become.

import { describe, expect, test } from "vitest";
import { configSteps } from "../../src/core/config-change.ts";
import { newDrain, type DrainOrder } from "../../src/core/drain.ts";
import type { ConfiguredOrigin, Lease, MemberOrder } from "../../src/core/lifecycle.ts";
import { UNCHANGED } from "../../src/core/membership.ts";

const written = (url = "https://a.example.com"): ConfiguredOrigin => ({ id: "a", url, weight: 1, salt: 5, backup: false });
const WHOLE: MemberOrder = { ...UNCHANGED, url: "https://a.example.com", weight: 2, salt: 5, backup: false };
const LEAVING: MemberOrder = { ...WHOLE, leavingAtMs: 1 };
const GONE: MemberOrder = { ...LEAVING, goneAtMs: 2 };
const LEASE: Lease = { url: "https://a.example.com", weight: 2, ttlMs: 1, instance: undefined, by: "pods", lapsedAtMs: undefined };
const drain = (by: string, more: Partial<DrainOrder> = {}): DrainOrder => ({ ...newDrain(1, { mode: "finish", deadlineMs: 9, by }), ...more });
const DRAINED = { closedAtMs: 2, closedEpoch: 3, publishedAtMs: 4, drainedAtMs: 5 };

interface Before {
  readonly order?: MemberOrder;
  readonly drain?: DrainOrder;
  readonly lease?: Lease;
}

const BESIDE: ConfiguredOrigin = { ...written("https://b.example.com"), id: "b" };

/** `undefined`: everything stays as it is. `beside`: who is written before and after. */
function after(before: Before, was: ConfiguredOrigin | undefined, is: ConfiguredOrigin | undefined, beside = [BESIDE]): unknown {
  const known = {
    configured: was ? [...beside, was] : beside,
    members: new Map(before.order && [["a", before.order]]),
    drains: new Map(before.drain && [["a", before.drain]]),
    leases: new Map(before.lease && [["a", before.lease]]),
  };
  const [step, more] = configSteps(known, is ? [...beside, is] : beside, { mode: "move", deadlineMs: 60 }, 100);
  expect(more).toBeUndefined();
  if (!step) return undefined;
  const { order, drain: drained, what, isAnother } = step;
  const state = order ? (order.goneAtMs === undefined ? (order.leavingAtMs === undefined ? "there" : "leaving") : "gone") : "as written";
  return [state, order?.leftBy, drained?.by, what, isAnother ?? false];
}

describe("an origin that the configuration drops", () => {
  test.each<[what: string, before: Before, after: unknown]>([
    ["is drained by it", {}, ["leaving", "config", "config", "remove", false]],
    ["and keeps the drain that it has", { drain: drain("ann") }, ["leaving", "config", "ann", "remove", false]],
    ["and is gone at once where that is through", { drain: drain("ann", DRAINED) }, ["gone", "config", undefined, "gone", false]],
    ["goes as an operator has changed it", { order: { ...UNCHANGED, weight: 7 } }, ["leaving", "config", "config", "remove", false]],
    ["stays where an operator has put it", { order: WHOLE }, undefined],
    ["and where an operator has it leave it is the configuration's now", { order: LEAVING, drain: drain("ann") }, ["leaving", "config", "config", undefined, false]],
    ["and where it is gone it may be written again", { order: GONE }, ["gone", "config", undefined, undefined, false]],
  ])("%s", (_, before, expected) => {
    expect(after(before, written(), undefined)).toEqual(expected);
  });

  test("is remembered as it was, to the salt", () => {
    const known = { configured: [written()], members: new Map([["a", { ...UNCHANGED, weight: 7 }]]), drains: new Map(), leases: new Map() };
    const [step] = configSteps(known, [], { mode: "finish", deadlineMs: 60 }, 100);
    expect(step?.order).toEqual({ url: "https://a.example.com", weight: 7, salt: 5, backup: false, leavingAtMs: 100, goneAtMs: undefined, leftBy: "config" });
    expect(step?.drain).toEqual(newDrain(100, { mode: "finish", deadlineMs: 60, by: "config" }));
  });
});

describe("an origin that a later configuration names", () => {
  const OTHER = written("https://other.example.com");
  const by = (leftBy: string): MemberOrder => ({ ...LEAVING, leftBy });
  const gone = (leftBy: string): MemberOrder => ({ ...GONE, leftBy });
  test.each<[what: string, before: Before, is: ConfiguredOrigin, after: unknown]>([
    ["stays, where a configuration had it leave", { order: by("config"), drain: drain("config") }, written(), ["as written", undefined, undefined, "stay", false]],
    ["and keeps a drain that was ordered beside", { order: by("config"), drain: drain("ann") }, written(), ["as written", undefined, "ann", "stay", false]],
    ["and is the same one at another address", { order: by("config"), drain: drain("config") }, OTHER, ["as written", undefined, undefined, "stay", false]],
    ["leaves all the same, where an operator has ordered it", { order: by("ann"), drain: drain("ann") }, written(), undefined],
    ["joins, where it was gone by a configuration", { order: gone("config") }, written(), ["as written", undefined, undefined, "join", false]],
    ["or with its lease", { order: gone("origin") }, written(), ["as written", undefined, undefined, "join", false]],
    ["and is another one at another address", { order: gone("config") }, OTHER, ["as written", undefined, undefined, "join", true]],
    ["stays gone, where an operator has removed it", { order: gone("ann") }, OTHER, undefined],
    ["or did so in an older version", { order: GONE }, OTHER, undefined],
    ["is as written, where it had a lease", { order: WHOLE, lease: LEASE, drain: drain("ann") }, OTHER, ["as written", undefined, "ann", "stay", false]],
    ["is as an operator has put it", { order: WHOLE }, OTHER, undefined],
  ])("%s", (_, before, is, expected) => {
    expect(after(before, undefined, is)).toEqual(expected);
  });
});

test("of an origin that no configuration names a part of an order speaks of nobody, all of one of it", () => {
  expect(after({ order: { ...UNCHANGED, weight: 7 } }, undefined, undefined)).toEqual(["as written", undefined, undefined, undefined, false]);
  for (const order of [WHOLE, LEAVING, GONE]) expect(after({ order }, undefined, undefined)).toBeUndefined();
});

describe("of a ring of which nobody is written any more", () => {
  test.each<[what: string, before: Before, was: ConfiguredOrigin | undefined, after: unknown]>([
    ["who was put leaves", { order: WHOLE }, undefined, ["leaving", "config", "config", "remove", false]],
    ["and who holds a lease", { order: WHOLE, lease: LEASE }, undefined, ["leaving", "config", "config", "remove", false]],
    ["and who was written and put", { order: WHOLE }, written(), ["leaving", "config", "config", "remove", false]],
    ["and who was drained is gone", { order: WHOLE, drain: drain("ann", DRAINED) }, undefined, ["gone", "config", undefined, "gone", false]],
    ["who leaves by an operator's order goes on leaving", { order: LEAVING, drain: drain("ann") }, undefined, undefined],
    ["and who is gone stays so", { order: GONE }, undefined, undefined],
  ])("%s", (_, before, was, expected) => {
    expect(after(before, was, undefined, [])).toEqual(expected);
  });
});
