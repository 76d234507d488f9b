// What a change would move: exact over all keys there can be, and the same as deciding each of them before and after.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decide } from "../../src/core/decide.ts";
import { keyPoint, type KeyPoint } from "../../src/core/hash.ts";
import { differenceOf, settle, takerOf, type Difference } from "../../src/core/move.ts";
import { arcsOf, CIRCLE, type Ring } from "../../src/core/ring.ts";
import { FULL_SHARE, type SharePlan } from "../../src/core/share.ts";
import { viewOf, type RegionView, type Snapshot, type SnapshotOrigin } from "../../src/core/snapshot.ts";

const NOW_MS = 1_000_000;

const origin = (id: string, more: Partial<SnapshotOrigin> = {}): SnapshotOrigin => ({
  id, url: `https://${id}.example.com`, weight: 1, salt: 0, backup: false, lifecycle: "active", closed: false, health: "healthy", ejectedUntilMs: 0, share: FULL_SHARE, ...more,
});
const flat = (share: number): SharePlan => ({ from: share, to: share, startAtMs: 0, endAtMs: 0 });

function view(origins: readonly SnapshotOrigin[], kept: SharePlan = FULL_SHARE): RegionView {
  const snapshot: Snapshot = { format: 1, placement: "v1", pool: "p", region: "weur", generation: 1, epoch: 3, configRevision: 1, writtenAtMs: 0, virtualNodes: 16, hintsVersion: 0, kept, origins };
  return viewOf(snapshot);
}

const difference = (before: RegionView, after: RegionView): Difference => differenceOf(settle(before, NOW_MS), settle(after, NOW_MS));
const change = (difference: Difference, id: string) => difference.origins.find((each) => each.id === id);
const arcShare = (ring: Ring, id: string): number => (arcsOf(ring)[ring.ids.indexOf(id)] ?? 0) / CIRCLE;

/** One of the weights, salts and states that an origin may have. Shares are 0 or 1, so that everybody takes all of its keys or none. */
const anyOrigin = fc.record({
  weight: fc.constantFrom(0, 0.25, 1, 1, 2),
  salt: fc.nat(3),
  backup: fc.constantFrom(false, false, false, true),
  lifecycle: fc.constantFrom("active" as const, "active" as const, "active" as const, "joining" as const, "draining" as const, "drained" as const),
  health: fc.constantFrom("healthy" as const, "healthy" as const, "healthy" as const, "ejected" as const, "down" as const),
  ejectedUntilMs: fc.constantFrom(NOW_MS - 1, NOW_MS, NOW_MS + 1),
  share: fc.constantFrom(flat(1), flat(1), flat(0)),
});
const IDS = ["a", "b", "c", "d", "e", "f"];
const anyOrigins = fc.array(anyOrigin, { maxLength: IDS.length }).map((list) => list.map((each, n) => origin(IDS[n] ?? "", each)));
/** A fleet before and after up to two changes of anything. */
const anyChange = fc.tuple(anyOrigins, fc.array(fc.tuple(fc.nat(5), anyOrigin), { maxLength: 2 }), fc.subarray(IDS, { maxLength: 1 })).map(([before, changes, leavers]) => {
  const after = new Map(before.map((each) => [each.id, each]));
  for (const [n, each] of changes) after.set(IDS[n] ?? "", origin(IDS[n] ?? "", each));
  for (const id of leavers) after.delete(id);
  return [before, [...after.values()]] as const;
});

/** Whom the decision names for a key that has no other region to go to; `undefined` where only a panic would name anybody. */
function decided(region: RegionView, key: KeyPoint): string | undefined {
  const policy = { stickiness: "prefer", hold: true, affinity: "on", rollout: 1 } as const;
  const decision = decide({ key, keyed: true, regions: [region], excluded: new Set(), policy, balance: { kind: "ring" }, nowMs: NOW_MS });
  return decision.kind === "routed" && decision.reason !== "panic" ? decision.origin.id : undefined;
}

describe("one change moves the optimum, and not one position more", () => {
  const FLEET = ["a", "b", "c", "d", "e"].map((id) => origin(id));
  const before = view(FLEET);
  const moved = (after: RegionView): Difference => {
    const result = difference(before, after);
    expect(result.movedShare).toBe(result.optimumShare);
    return result;
  };

  test("a join: what the joiner's arcs are", () => {
    const after = view([...FLEET, origin("x", { weight: 2, salt: 5 })]);
    const result = moved(after);
    expect(result.movedShare).toBe(arcShare(after.ring, "x"));
    expect(change(result, "x")).toEqual({ id: "x", before: 0, after: result.movedShare, gained: result.movedShare, lost: 0 });
    for (const id of "abcde") expect(change(result, id)).toMatchObject({ gained: 0, lost: arcShare(before.ring, id) - arcShare(after.ring, id) });
  });

  test("a leave: what the leaver's arcs were", () => {
    const after = view(FLEET.filter(({ id }) => id !== "c"));
    const result = moved(after);
    expect(result.movedShare).toBe(arcShare(before.ring, "c"));
    expect(change(result, "c")).toEqual({ id: "c", before: result.movedShare, after: 0, gained: 0, lost: result.movedShare });
    for (const id of "abde") expect(change(result, id)).toMatchObject({ lost: 0, gained: arcShare(after.ring, id) - arcShare(before.ring, id) });
  });

  test.each([0.1, 0.5, 0.9, 1.1, 2, 10])("a weight that is %d times as large", (weight) => {
    const after = view(FLEET.map((each) => (each.id === "c" ? origin("c", { weight }) : each)));
    expect(moved(after).movedShare).toBe(Math.abs(arcShare(after.ring, "c") - arcShare(before.ring, "c")));
  });

  test.each<[what: string, state: Partial<SnapshotOrigin>]>([
    ["a drain", { lifecycle: "draining" }],
    ["its end", { lifecycle: "drained", closed: true }],
    ["a death", { health: "down" }],
    ["an ejection that lasts", { health: "ejected", ejectedUntilMs: NOW_MS + 1 }],
    ["a share that goes to 0", { share: { from: 1, to: 0, startAtMs: NOW_MS + 1, endAtMs: NOW_MS + 2 } }],
  ])("%s: the origin's arcs go to the next of their walks, the ring stays", (_, state) => {
    const after = view(FLEET.map((each) => (each.id === "c" ? origin("c", state) : each)));
    expect(after.ring).toEqual(before.ring);
    const result = moved(after);
    expect(result.movedShare).toBe(arcShare(before.ring, "c"));
    expect(change(result, "c")).toEqual({ id: "c", before: result.movedShare, after: 0, gained: 0, lost: result.movedShare });
    expect(result.elsewhere).toEqual({ before: 0, after: 0, gained: 0, lost: 0 });
  });

  test.each<[what: string, state: Partial<SnapshotOrigin>]>([
    ["an ejection that is over", { health: "ejected", ejectedUntilMs: NOW_MS }],
    ["a share on its way up, however small it is now", { share: { from: 0, to: 0.1, startAtMs: NOW_MS + 1, endAtMs: NOW_MS + 2 } }],
    ["another address", { url: "https://elsewhere.example.com" }],
  ])("%s moves nothing once all is settled", (_, state) => {
    expect(moved(view(FLEET.map((each) => (each.id === "c" ? origin("c", state) : each)))).movedShare).toBe(0);
  });

  test("a new salt moves more than the optimum: nearly the same share, on other keys", () => {
    const { movedShare, optimumShare } = difference(before, view(FLEET.map((each) => (each.id === "c" ? origin("c", { salt: 1 }) : each))));
    expect(movedShare).toBeGreaterThan(2 * optimumShare);
  });

  test("any join, leave, re-weight, drain or recovery of one origin in any fleet", () => {
    const healthy = fc.array(fc.record({ weight: fc.constantFrom(0, 0.25, 1, 2), salt: fc.nat(3), lifecycle: fc.constantFrom("active" as const, "active" as const, "draining" as const) }), { maxLength: 5 });
    const state = fc.option(fc.record({ weight: fc.constantFrom(0, 0.1, 1, 3), lifecycle: fc.constantFrom("active" as const, "draining" as const) }), { nil: undefined });
    fc.assert(
      fc.property(healthy, state, state, (list, one, other) => {
        const rest = list.map((each, n) => origin(IDS[n] ?? "", each));
        const fleetWith = (state: Partial<SnapshotOrigin> | undefined): RegionView => view(state ? [...rest, origin("x", { ...state, salt: 5 })] : rest);
        const { movedShare, optimumShare } = difference(fleetWith(one), fleetWith(other));
        expect(movedShare).toBe(optimumShare);
      }),
    );
  });
});

describe("a ring read by eye", () => {
  const QUARTER = 2 ** 30;
  /** Four arcs of a quarter: a's, b's, a's, c's. What a listing says of their states is in `more`. */
  function quarters(more: Readonly<Record<string, Partial<SnapshotOrigin>>> = {}): RegionView {
    const ring = { ids: ["a", "b", "c"], points: Uint32Array.of(QUARTER - 1, 2 * QUARTER - 1, 3 * QUARTER - 1, CIRCLE - 1), owners: Uint16Array.of(0, 1, 0, 2), prefix: new Uint32Array(1), prefixBits: 0 };
    return { ...view(["a", "b", "c"].map((id) => origin(id, more[id]))), ring };
  }
  /** The same with d between: the later half of a's first quarter, and of c's, becomes its. */
  function withD(more: Readonly<Record<string, Partial<SnapshotOrigin>>> = {}): RegionView {
    const points = [QUARTER / 2 - 1, QUARTER - 1, 2 * QUARTER - 1, 3 * QUARTER - 1, 3.5 * QUARTER - 1, CIRCLE - 1];
    const ring = { ids: ["a", "b", "c", "d"], points: Uint32Array.from(points), owners: Uint16Array.of(0, 3, 1, 0, 2, 3), prefix: new Uint32Array(1), prefixBits: 0 };
    return { ...view(["a", "b", "c", "d"].map((id) => origin(id, more[id]))), ring };
  }
  const GONE = { lifecycle: "drained" } as const;

  test.each<[what: string, after: Readonly<Record<string, Partial<SnapshotOrigin>>>, shares: [a: number, b: number, c: number], moved: number]>([
    ["nothing", {}, [0.5, 0.25, 0.25], 0],
    ["the first two arcs' owners go: theirs fall to c, the next of both", { a: GONE, b: GONE }, [0, 0, 1], 0.75],
    ["the last arc's owner goes: its falls to a, behind 0", { c: GONE }, [0.75, 0.25, 0], 0.25],
    ["b and c go: both fall to a", { b: GONE, c: GONE }, [1, 0, 0], 0.5],
    ["a goes: one half of its to b, one to c", { a: GONE }, [0, 0.5, 0.5], 0.5],
  ])("%s", (_, after, shares, moved) => {
    const result = difference(quarters(), quarters(after));
    expect(result.origins.map((each) => each.after)).toEqual(shares);
    expect([result.movedShare, result.optimumShare]).toEqual([moved, moved]);
  });

  test("of a point in common the smaller id has the arc, and the other while that one is gone", () => {
    const ring = { ids: ["a", "b", "c"], points: Uint32Array.of(QUARTER - 1, QUARTER - 1, CIRCLE - 1), owners: Uint16Array.of(0, 1, 2), prefix: new Uint32Array(1), prefixBits: 0 };
    const result = difference({ ...quarters(), ring }, { ...quarters({ a: GONE }), ring });
    expect(result.origins.map(({ before, after }) => [before, after])).toEqual([[0.25, 0], [0, 0.25], [0.75, 0.75]]);
    expect(takerOf(settle({ ...quarters({ a: GONE }), ring }, NOW_MS), QUARTER - 1)).toBe("b");
  });

  test("who takes is asked by position, each point the last of its arc", () => {
    const settled = settle(quarters({ b: GONE }), NOW_MS);
    expect([0, QUARTER - 1, QUARTER, 2 * QUARTER - 1, 2 * QUARTER, 3 * QUARTER - 1, 3 * QUARTER, CIRCLE - 1].map((at) => takerOf(settled, at))).toEqual(["a", "a", "a", "a", "a", "a", "c", "c"]);
  });

  test("two changes at once: d joins as c goes", () => {
    const result = difference(quarters(), withD({ c: GONE }));
    // d takes an eighth of a's and all of c's quarter: half of it as its own, half as next of the walk.
    expect(result.origins).toEqual([
      { id: "a", before: 0.5, after: 0.375, gained: 0, lost: 0.125 },
      { id: "b", before: 0.25, after: 0.25, gained: 0, lost: 0 },
      { id: "c", before: 0.25, after: 0, gained: 0, lost: 0.25 },
      { id: "d", before: 0, after: 0.375, gained: 0.375, lost: 0 },
    ]);
    expect([result.movedShare, result.optimumShare]).toEqual([0.375, 0.375]);
  });

  test("two changes at once: a comes back as b goes", () => {
    const result = difference(quarters({ a: GONE }), quarters({ b: GONE }));
    // Before: b has the first half, c the second. After: a has three quarters, c one.
    expect(result.origins).toEqual([
      { id: "a", before: 0, after: 0.75, gained: 0.75, lost: 0 },
      { id: "b", before: 0.5, after: 0, gained: 0, lost: 0.5 },
      { id: "c", before: 0.5, after: 0.25, gained: 0, lost: 0.25 },
    ]);
    expect([result.movedShare, result.optimumShare]).toEqual([0.75, 0.75]);
  });

  test("two changes at once can move more than the optimum: what a gives to b, and gets from d, it need not have given", () => {
    const result = difference(withD({ b: GONE }), withD({ d: GONE }));
    expect(result.origins).toEqual([
      { id: "a", before: 0.625, after: 0.5, gained: 0.125, lost: 0.25 },
      { id: "b", before: 0, after: 0.375, gained: 0.375, lost: 0 },
      { id: "c", before: 0.125, after: 0.125, gained: 0, lost: 0 },
      { id: "d", before: 0.25, after: 0, gained: 0, lost: 0.25 },
    ]);
    expect([result.movedShare, result.optimumShare]).toEqual([0.5, 0.375]);
  });
});

describe("those who are not of the ring", () => {
  const PAIR = [origin("a"), origin("b")];
  const gone = (list: readonly SnapshotOrigin[]): SnapshotOrigin[] => list.map((each) => ({ ...each, lifecycle: "drained" }));

  test("when all are gone, all goes elsewhere", () => {
    const ELSEWHERE = { before: 0, after: 1, gained: 1, lost: 0 };
    for (const after of [view([]), view(gone(PAIR)), view(PAIR.map((each) => ({ ...each, health: "down" as const }))), view(PAIR.map((each) => ({ ...each, weight: 0 })))]) {
      const result = difference(view(PAIR), after);
      expect(result).toMatchObject({ movedShare: 1, optimumShare: 1, elsewhere: ELSEWHERE });
      expect(result.origins.map(({ id, after, gained }) => [id, after, gained])).toEqual([["a", 0, 0], ["b", 0, 0]]);
      expect(takerOf(settle(after, NOW_MS), 7)).toBeUndefined();
    }
    expect(difference(view([]), view(PAIR))).toMatchObject({ movedShare: 1, optimumShare: 1, elsewhere: { before: 1, after: 0, gained: 0, lost: 1 } });
    expect(difference(view([]), view([]))).toEqual({ movedShare: 0, optimumShare: 0, elsewhere: { before: 1, after: 1, gained: 0, lost: 0 }, origins: [] });
  });

  test("backups step in when nobody else takes any, and only then, each with the arcs of their own ring", () => {
    const spares = [origin("s", { backup: true }), origin("t", { backup: true, weight: 2 })];
    const [before, half, none] = [view([...PAIR, ...spares]), view([...gone(PAIR.slice(0, 1)), ...PAIR.slice(1), ...spares]), view([...gone(PAIR), ...spares])];
    expect(difference(before, half).origins.filter(({ after }) => after > 0).map(({ id }) => id)).toEqual(["b"]);
    const result = difference(before, none);
    expect([result.movedShare, result.optimumShare, result.elsewhere.after]).toEqual([1, 1, 0]);
    for (const id of ["s", "t"]) expect(change(result, id)).toMatchObject({ before: 0, lost: 0, after: arcShare(before.backups, id), gained: arcShare(before.backups, id) });
    expect(difference(none, before)).toMatchObject({ movedShare: 1 });
    // A backup that is gone too is passed by as any other.
    expect(change(difference(before, view([...gone([...PAIR, ...spares.slice(0, 1)]), ...spares.slice(1)])), "t")).toMatchObject({ after: 1 });
    expect(difference(before, view(gone([...PAIR, ...spares])))).toMatchObject({ elsewhere: { after: 1 } });
  });

  test("while all shares are 0 they count for nothing, as in the decision: nobody is shut out", () => {
    const start = (share: SharePlan): SnapshotOrigin[] => [...PAIR.map((each) => ({ ...each, share })), origin("spare", { backup: true, share })];
    expect(difference(view(start(FULL_SHARE)), view(start(flat(0))))).toMatchObject({ movedShare: 0, elsewhere: { after: 0 } });
    const [one, other] = [settle(view([...start(flat(0)).slice(0, 1), origin("spare", { backup: true })]), NOW_MS), settle(view([...gone(PAIR), ...start(flat(0)).slice(2)]), NOW_MS)];
    expect([takerOf(one, 7), takerOf(other, 7)]).toEqual(["a", "spare"]);
  });

  test("every origin of either snapshot is listed once, by id, those of weight 0 too", () => {
    const before = [origin("c"), origin("zero", { weight: 0 }), origin("a", { backup: true })];
    const result = difference(view(before), view([origin("b"), origin("zero", { weight: 0 }), origin("c")]));
    expect(result.origins.map(({ id }) => id)).toEqual(["a", "b", "c", "zero"]);
    expect(change(result, "zero")).toEqual({ id: "zero", before: 0, after: 0, gained: 0, lost: 0 });
    expect(change(result, "a")).toEqual({ id: "a", before: 0, after: 0, gained: 0, lost: 0 });
  });
});

describe("the share that a region keeps", () => {
  const FLEET = ["a", "b", "c"].map((id) => origin(id));

  test.each<[before: number, after: number]>([[1, 0.75], [0.75, 1], [0.5, 0.25], [1, 0], [0, 1], [0.5, 0.5]])("from %d to %d: the difference moves, from or to everybody", (before, after) => {
    const [was, is] = [view(FLEET, flat(before)), view(FLEET, flat(after))];
    const result = difference(was, is);
    expect([result.movedShare, result.optimumShare]).toEqual([Math.abs(before - after), Math.abs(before - after)]);
    expect(result.elsewhere).toEqual({ before: 1 - before, after: 1 - after, gained: Math.max(0, before - after), lost: Math.max(0, after - before) });
    for (const { id, ...each } of result.origins) expect([each.before, each.after]).toEqual([before * arcShare(was.ring, id), after * arcShare(was.ring, id)]);
  });

  test("counts as it will be when its ramp is over", () => {
    const rising: SharePlan = { from: 0.25, to: 1, startAtMs: NOW_MS + 1, endAtMs: NOW_MS + 60_000 };
    expect(settle(view(FLEET, rising), NOW_MS).kept).toBe(1);
    expect(difference(view(FLEET), view(FLEET, rising))).toMatchObject({ movedShare: 0 });
  });

  test("and a drain at the same time: of the arc that moves, only what is kept both before and after goes within the region", () => {
    const before = view(FLEET);
    const result = difference(before, view(FLEET.map((each) => (each.id === "c" ? origin("c", { lifecycle: "draining" }) : each)), flat(0.75)));
    const arc = arcShare(before.ring, "c");
    expect(result.movedShare).toBeCloseTo(0.25 + 0.75 * arc, 12);
    expect(result.elsewhere).toMatchObject({ gained: 0.25, lost: 0 });
    expect(change(result, "c")).toMatchObject({ before: arc, after: 0, lost: arc });
    expect(result.origins.reduce((sum, { gained }) => sum + gained, 0)).toBeCloseTo(0.75 * arc, 12);
  });
});

describe("any change of any fleet", () => {
  const kept = fc.constantFrom(1, 1, 0.75, 0.7, 0.1, 0);

  test("what is had before, less what is lost, and what is gained, is what is had after; and all of it is 1", () => {
    fc.assert(
      fc.property(anyChange, kept, kept, ([before, after], keptBefore, keptAfter) => {
        const result = difference(view(before, flat(keptBefore)), view(after, flat(keptAfter)));
        const all = [result.elsewhere, ...result.origins];
        const sum = (part: "before" | "after" | "gained" | "lost"): number => all.reduce((sum, each) => sum + each[part], 0);
        for (const each of all) {
          expect(each.before - each.lost + each.gained).toBeCloseTo(each.after, 12);
          for (const share of [each.before, each.after, each.gained, each.lost]) expect(share >= 0 && share <= 1 + 1e-12).toBe(true);
        }
        expect(sum("before")).toBeCloseTo(1, 12);
        expect(sum("after")).toBeCloseTo(1, 12);
        expect(sum("gained")).toBeCloseTo(result.movedShare, 12);
        expect(sum("lost")).toBeCloseTo(result.movedShare, 12);
        expect(result.optimumShare).toBeLessThanOrEqual(result.movedShare + 1e-12);
        expect(result.origins.map(({ id }) => id)).toEqual([...new Set([...before, ...after].map(({ id }) => id))].toSorted());
      }),
      { numRuns: 300 },
    );
  });

  test("equal snapshots differ in nothing, however they are listed", () => {
    fc.assert(
      fc.property(anyOrigins, kept, (origins, keptShare) => {
        const result = difference(view(origins, flat(keptShare)), view(origins.toReversed(), flat(keptShare)));
        expect([result.movedShare, result.optimumShare]).toEqual([0, 0]);
        for (const each of [result.elsewhere, ...result.origins]) expect([each.gained, each.lost, each.after]).toEqual([0, 0, each.before]);
      }),
    );
  });

  test("there and back is the same, turned around", () => {
    fc.assert(
      fc.property(anyChange, kept, ([before, after], keptShare) => {
        const [one, other] = [view(before, flat(keptShare)), view(after)];
        const [there, back] = [difference(one, other), difference(other, one)];
        expect(back.movedShare).toBeCloseTo(there.movedShare, 12);
        for (const each of there.origins) expect(change(back, each.id)).toEqual({ id: each.id, before: each.after, after: each.before, gained: each.lost, lost: each.gained });
      }),
    );
  });

  const KEYS = Array.from({ length: 2000 }, (_, n) => keyPoint(`session-${n}`));
  const position = fc.integer({ min: 0, max: 0xffffffff });

  test("who takes a key is whom the decision names", () => {
    fc.assert(
      fc.property(anyOrigins, fc.array(position, { minLength: 20, maxLength: 20 }), fc.nat(), (origins, positions, lot) => {
        const region = view(origins);
        const settled = settle(region, NOW_MS);
        const points = [...region.ring.points.slice(0, 8), ...region.backups.points.slice(0, 4)].flatMap((point) => [point, (point + 1) >>> 0]);
        for (const at of [...positions, ...points, 0, 0xffffffff]) expect(takerOf(settled, at)).toBe(decided(region, { position: at, lot }));
      }),
      { numRuns: 400 },
    );
  });

  // The same 30 changes every time: what is random is only which keys there are. 5 standard deviations, and one key for those near 0.
  test("of 2,000 keys decided before and after, the moved share moves", () => {
    fc.assert(
      fc.property(anyChange, ([before, after]) => {
        const [was, is] = [view(before), view(after)];
        const { movedShare } = difference(was, is);
        const moved = KEYS.filter((key) => decided(was, key) !== decided(is, key)).length;
        expect(Math.abs(moved - movedShare * KEYS.length)).toBeLessThanOrEqual(5 * Math.sqrt(movedShare * (1 - movedShare) * KEYS.length) + 1);
        if (movedShare === 0 || movedShare === 1) expect(moved).toBe(movedShare * KEYS.length);
      }),
      { numRuns: 30, seed: 7 },
    );
  });

  test("with a share that is kept too, where what is not kept goes to the backups, else to another region", () => {
    const some = fc.constantFrom(1, 0.75, 0.7, 0.3, 0);
    const far = viewOf({ ...view([origin("far")]).snapshot, region: "enam" });
    const goes = (region: RegionView, key: KeyPoint): string => {
      const policy = { stickiness: "prefer", hold: true, affinity: "on", rollout: 1 } as const;
      const decision = decide({ key, keyed: true, regions: [region, far], excluded: new Set(), policy, balance: { kind: "ring" }, nowMs: NOW_MS });
      return decision.kind === "routed" ? decision.origin.id : "";
    };
    const few = KEYS.slice(0, 1000);
    fc.assert(
      fc.property(anyChange, some, some, ([before, after], keptBefore, keptAfter) => {
        const [was, is] = [view(before, flat(keptBefore)), view(after, flat(keptAfter))];
        const result = difference(was, is);
        const within5 = (count: number, share: number): void => {
          expect(Math.abs(count - share * few.length)).toBeLessThanOrEqual(5 * Math.sqrt(Math.max(0, share * (1 - share)) * few.length) + 1);
        };
        const [old, now] = [few.map((key) => goes(was, key)), few.map((key) => goes(is, key))];
        within5(old.filter((id, n) => id !== now[n]).length, result.movedShare);
        for (const { id, ...each } of [...result.origins, { id: "far", ...result.elsewhere }]) {
          within5(old.filter((it) => it === id).length, each.before);
          within5(now.filter((it) => it === id).length, each.after);
        }
      }),
      { numRuns: 15, seed: 7 },
    );
  });

  test("a region that loses an origin shows what its backup gets of it", () => {
    const fleet = [origin("a"), origin("b"), origin("s", { backup: true })];
    const before = view(fleet);
    const after = view(fleet.map((each) => (each.id === "a" ? origin("a", { health: "down" }) : each)), flat(0.75));
    const result = difference(before, after);
    expect(change(result, "s")).toMatchObject({ before: 0, after: 0.25, gained: 0.25 });
    expect(change(result, "b")?.after).toBe(0.75);
    expect(result.elsewhere).toMatchObject({ before: 0, after: 0 });
  });
});
