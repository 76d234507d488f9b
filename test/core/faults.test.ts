// Faults that were found in admired code, each looked for here once, in one place; most have more tests beside their own code. Two more need
// real servers: stack traces told to visitors (test/e2e/admin-alone.test.ts, "a ring object that fails while it is ordered something") and the repetition of what is not
// idempotent (test/e2e/http.test.ts, "a POST that may have reached the dead origin").

import { expect, test } from "vitest";
import { pick, type Balance } from "../../src/core/balance.ts";
import { capacityOf } from "../../src/core/capacity.ts";
import { parseConfig } from "../../src/core/config.ts";
import { decide } from "../../src/core/decide.ts";
import { keyPoint } from "../../src/core/hash.ts";
import { advanceDrain, drainedFromMs, newDrain, type DrainOrder } from "../../src/core/drain.ts";
import { buildRing, ownerOf, pointsOf, walk } from "../../src/core/ring.ts";
import { FULL_SHARE } from "../../src/core/share.ts";
import type { Situation } from "../../src/core/situation.ts";
import { viewOf, type RegionView, type SnapshotOrigin } from "../../src/core/snapshot.ts";

const KEYS = Array.from({ length: 2000 }, (_, n) => keyPoint(`session-${n}`));
const members = (...ids: string[]) => ids.map((id) => ({ id, weight: 1, salt: 0 }));
const origin = (id: string, more: Partial<SnapshotOrigin> = {}): SnapshotOrigin => ({
  id, url: `https://${id}.example.com`, weight: 1, salt: 0, backup: false, lifecycle: "active", closed: false, health: "healthy", ejectedUntilMs: 0, share: FULL_SHARE, ...more,
});
const region = (origins: readonly SnapshotOrigin[]): RegionView =>
  viewOf({ format: 1, placement: "v1", pool: "p", region: "weur", generation: 1, epoch: 1, configRevision: 1, writtenAtMs: 0, virtualNodes: 32, hintsVersion: 0, kept: FULL_SHARE, origins });
const asked = (view: RegionView, more: Partial<Situation> = {}): Situation => ({
  key: KEYS[0] ?? keyPoint(""), keyed: true, regions: [view], excluded: new Set(), nowMs: 1000, balance: { kind: "ring" },
  policy: { stickiness: "prefer", hold: true, affinity: "on", rollout: 1 }, ...more,
});
const placed = (situation: Situation): string => {
  const decision = decide(situation);
  return decision.kind === "routed" ? decision.origin.id : decision.why;
};

test("1: what is hashed is never ambiguous: index, id and salt cannot run into each other", () => {
  const shared = (a: Uint32Array, b: Uint32Array): number => [...a].filter((point) => b.includes(point)).length;
  expect([shared(pointsOf("1a", 0, 64), pointsOf("a", 0, 64)), shared(pointsOf("a", 11, 64), pointsOf("a1", 1, 64))]).toEqual([0, 0]);
});

test("2: placement does not depend on the order of a listing", () => {
  const fleet = ["a", "b", "c", "d"].map((id) => origin(id));
  const [one, other] = [region(fleet), region(fleet.toReversed())];
  for (const key of KEYS) expect(placed(asked(one, { key }))).toBe(placed(asked(other, { key })));
});

test("3: choosing ends when nobody is available, for every policy", () => {
  const nobody = region(["a", "b", "c"].map((id) => origin(id, { lifecycle: "drained" })));
  const balances: Balance[] = [
    { kind: "ring" }, { kind: "bounded-ring", factor: 1.1, total: 9, loadOf: () => 9 }, { kind: "least-connections", loadOf: () => 0, draw: 0 },
    { kind: "round-robin", turn: 7 }, { kind: "random", draw: 0.5 },
  ];
  expect(balances.map((balance) => placed(asked(nobody, { balance })))).toEqual(balances.map(() => "no-origin"));
  expect([...walk(buildRing([], 256), 7)]).toEqual([]);
});

test("4: an origin that is removed is gone, and only its keys have moved", () => {
  const [before, after] = [buildRing(members("a", "b", "c"), 64), buildRing(members("a", "c"), 64)];
  for (const { position } of KEYS) {
    const was = ownerOf(before, position);
    expect(ownerOf(after, position)).toBe(was === "b" ? [...walk(before, position)][1] : was);
  }
});

test.each([[[3, 2, 1]], [[1, 2, 3]], [[2, 3, 1]], [[9, 1, 5]]])("5: the least loaded of %j is found anew each time", (loads) => {
  const candidates = loads.map((_, n) => ({ id: `o${n}`, weight: 1, share: 1 }));
  const choose = (): string | undefined => pick(candidates, { kind: "least-connections", loadOf: (id) => loads[Number(id.slice(1))] ?? 0, draw: 0.5 });
  expect([choose(), choose()]).toEqual([`o${loads.indexOf(1)}`, `o${loads.indexOf(1)}`]);
});

test("6: the bound is exclusive: one below capacity is taken, at capacity and above it not", () => {
  const view = region(["a", "b", "c"].map((id) => origin(id)));
  const owner = placed(asked(view));
  const capacity = capacityOf(1.25, 30, 1 / 3);
  const at = (load: number): string => placed(asked(view, { balance: { kind: "bounded-ring", factor: 1.25, total: 30, loadOf: (id) => (id === owner ? load : 0) } }));
  expect([at(capacity - 1) === owner, at(capacity) === owner, at(capacity + 1) === owner]).toEqual([true, false, false]);
});

test("7: a fleet that starts all at once shuts nobody out", () => {
  const starting = { from: 0, to: 1, startAtMs: 5000, endAtMs: 9000 };
  const view = region(["a", "b", "c"].map((id) => origin(id, { share: starting })));
  for (const key of KEYS.slice(0, 200)) {
    expect(["a", "b", "c"]).toContain(placed(asked(view, { key })));
    expect(["a", "b", "c"]).toContain(placed(asked(view, { key, balance: { kind: "bounded-ring", factor: 1.1, total: 0, loadOf: () => 0 } })));
  }
});

test("8: chance is never asked where there is a key, and is data where there is none", () => {
  const view = region(["a", "b", "c"].map((id) => origin(id)));
  const draw = (n: number) => KEYS[n] ?? keyPoint("");
  expect(new Set(KEYS.slice(0, 50).map((_, n) => placed(asked(view, { draw: draw(n) })))).size).toBe(1);
  expect([0.1, 0.5, 0.9].map((draw) => placed(asked(view, { balance: { kind: "random", draw } })))).toEqual(["a", "b", "c"]);
});

test("9: when a drain is over is said in one place, and is what the drain goes by", () => {
  const policy = { horizonMs: 1000, drain: { deadlineMs: 60_000, graceMs: 500 } };
  const published: DrainOrder = { ...newDrain(0), closedAtMs: 1, closedEpoch: 2, publishedAtMs: 10 };
  const overAtMs = drainedFromMs(10, policy);
  const at = (nowMs: number): number | undefined => advanceDrain(published, { empty: true, epoch: 2, publishedEpoch: 2, nowMs }, policy)?.drainedAtMs;
  expect([at(overAtMs - 1), at(overAtMs)]).toEqual([undefined, overAtMs]);
});

test("10: what was given to a configuration or a ring may be changed afterwards, and changes nothing", () => {
  const input = { defaultRegion: "weur", regions: { weur: { secondary: [] as string[] } }, pools: { p: { origins: [{ id: "a", region: "weur", url: "http://a.example.com" }] } }, routes: [{ path: "/*", pool: "p" }] };
  const parsed = parseConfig(input, { dev: true });
  const listing = members("a", "b");
  const ring = buildRing(listing, 32);
  const before = [JSON.stringify(parsed), JSON.stringify(ring)];
  input.pools.p.origins.push({ id: "b", region: "weur", url: "http://b.example.com" });
  input.regions.weur.secondary.push("nowhere");
  listing.reverse().pop();
  expect([JSON.stringify(parsed), JSON.stringify(ring)]).toEqual(before);
});
