// The search for salts: the best of 32 and the same everywhere, and nobody's points move but the joiner's.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { arcsOf, buildRing, CIRCLE, pointCount, pointsOf, type Ring, type RingMember } from "../../src/core/ring.ts";
import { SALTS_TRIED, saltsOf, SEARCH_POINTS_MAX, withSalts, type Unsalted } from "../../src/core/salts.ts";

const origin = (id: string, weight = 1, salt?: number): Unsalted => ({ id, weight, ...(salt === undefined ? {} : { salt }) });
const fleet = (name: string, count: number): Unsalted[] => Array.from({ length: count }, (_, n) => origin(`${name}-${n + 1}`));
const byId = (one: { readonly id: string }, other: { readonly id: string }): number => (one.id < other.id ? -1 : 1);

/** The fleet with the salts that it gets. */
function salted(origins: readonly Unsalted[], virtualNodes: number): RingMember[] {
  const salts = saltsOf(origins, virtualNodes);
  return origins.map((each) => ({ ...each, salt: salts.get(each.id) ?? -1 }));
}

/** The definition: part of the circle for each point, of the origin that has most; those with less than an eighth of the most points do not count. */
function busiest(members: readonly RingMember[], virtualNodes: number): number {
  const ring = buildRing(members, virtualNodes);
  const points = ring.ids.map((id) => pointCount(members.find((each) => each.id === id)?.weight ?? 0, virtualNodes));
  const least = Math.max(...points) / 8;
  return Math.max(...Array.from(arcsOf(ring), (arc, index) => ((points[index] ?? 0) < least ? 0 : arc / (points[index] ?? 0))));
}

/** The definition: every ring is built that there could be, and the first of the best is taken. */
function bestOf(members: readonly RingMember[], joiner: Unsalted, virtualNodes: number): number {
  const weight = joiner.weight > 0 ? joiner.weight : 1;
  const found = Array.from({ length: SALTS_TRIED }, (_, salt) => busiest([...members, { ...joiner, weight, salt }], virtualNodes));
  return found.indexOf(Math.min(...found));
}

function bestOfAll(origins: readonly Unsalted[], virtualNodes: number): Map<string, number> {
  const members = origins.flatMap(({ salt, ...each }) => (salt === undefined ? [] : [{ ...each, salt }]));
  for (const joiner of origins.filter(({ salt }) => salt === undefined).toSorted(byId)) members.push({ ...joiner, salt: bestOf(members, joiner, virtualNodes) });
  return new Map(members.map(({ id, salt }) => [id, salt]));
}

const peak = (members: readonly RingMember[]): number => Math.max(...arcsOf(buildRing(members, 256))) / (CIRCLE / members.length);
const entries = ({ points, owners, ids }: Ring): string[] => Array.from(points, (point, index) => `${point} ${ids[owners[index] ?? -1]}`);

const weight = fc.constantFrom(0, 0.01, 0.25, 1, 1, 1, 2, 3.5);
const anyOrigin = fc.record({ id: fc.stringMatching(/^[a-z0-9-]{1,6}$/), weight, salt: fc.option(fc.oneof(fc.nat(31), fc.constant(0xffffffff)), { nil: undefined, freq: 1 }) });
const anyFleet = fc.uniqueArray(anyOrigin, { selector: ({ id }) => id, maxLength: 7 });
const points = fc.constantFrom(1, 4, 16);

describe("the salt of a joiner", () => {
  test("is the best of 32, as building each of the rings says, weights and given salts considered", () => {
    expect(SALTS_TRIED).toBe(32);
    fc.assert(
      fc.property(anyFleet, points, (origins, virtualNodes) => {
        expect(saltsOf(origins, virtualNodes)).toEqual(bestOfAll(origins, virtualNodes));
      }),
      { numRuns: 60 },
    );
  });

  // Origins with a point in common: o-54047 with salt 29 and o-6259 with 23, o-30488 with 12 and o-44435 with 11; the smaller id has it.
  test.each<[member: string, its: number, joiner: string, best: number, what: string]>([
    ["o-6259", 23, "o-54047", 29, "the joiner's point falls on another's and wins, and is best so"],
    ["o-54047", 29, "o-6259", 23, "the joiner's point falls on another's and loses, and is best so"],
    ["o-44435", 11, "o-30488", 16, "a point that falls on another's and wins would look better if it had lost"],
    ["o-30488", 12, "o-44435", 22, "a point that falls on another's and loses would look better if it had won"],
  ])("into %s with %i, that of %s is %i: %s", (member, its, joiner, best) => {
    expect(bestOf([{ id: member, weight: 1, salt: its }], origin(joiner), 2)).toBe(best);
    expect(saltsOf([origin(member, 1, its), origin(joiner)], 2).get(joiner)).toBe(best);
  });

  test.each<[joiner: string, salt: number, best: number]>([["o-17092", 21, 21], ["o-9172", 1, 10]])("of %s, two of whose points are the same with %i, is %i: an arc is taken once", (joiner, salt, best) => {
    expect(new Set(pointsOf(joiner, salt, 1024)).size).toBe(1023);
    expect(bestOf([{ id: "z", weight: 1, salt: 0 }], origin(joiner), 1024)).toBe(best);
    expect(saltsOf([origin("z", 1, 0), origin(joiner)], 1024).get(joiner)).toBe(best);
  });

  test("is the smallest of those that are equally good", () => {
    expect(saltsOf([origin("alone")], 256)).toEqual(new Map([["alone", 0]])); // whichever it has, it has the whole circle
    expect(saltsOf([origin("a", 0), origin("b", 0)], 256)).toEqual(new Map([["a", 0], ["b", 0]])); // nor has either of these the other beside it
  });

  test("changes nobody else's points", () => {
    fc.assert(
      fc.property(anyFleet, points, fc.nat(), (origins, virtualNodes, pick) => {
        const before = salted(origins, virtualNodes);
        const joiner = origin("~joiner", (pick % 3) + 1);
        const after = salted([...before, joiner], virtualNodes);
        expect(after.filter(({ id }) => id !== "~joiner")).toEqual(before);
        expect(entries(buildRing(after, virtualNodes)).filter((entry) => !entry.endsWith(" ~joiner"))).toEqual(entries(buildRing(before, virtualNodes)));
      }),
      { numRuns: 40 },
    );
  });

  test("is searched in a large fleet too", () => {
    const members = fleet("weur", 384).map((each) => ({ ...each, salt: 0 }));
    expect(saltsOf([...members, origin("weur-x")], 4).get("weur-x")).toBe(bestOf(members, origin("weur-x"), 4));
    expect(bestOf(members, origin("weur-x"), 4)).toBeGreaterThan(0);
  });

  test("is by the large origins alone: one with few points, badly placed, does not decide it", () => {
    // Its three points have three times their part of the circle. A search that counted it would only take from it.
    const members = [...salted(fleet("weur", 9), 256), { id: "tiny", weight: 0.01, salt: 214 }];
    const [ring, joiner] = [buildRing(members, 256), origin("weur-y")];
    expect((arcsOf(ring)[ring.ids.indexOf("tiny")] ?? 0) / (CIRCLE / ring.points.length) / 3).toBeGreaterThan(3);
    const salt = saltsOf([...members, joiner], 256).get("weur-y") ?? -1;
    expect(salt).toBe(bestOf(members, joiner, 256));
    expect(peak([...members.filter(({ id }) => id !== "tiny"), { ...joiner, salt }])).toBeLessThan(1.04);
  });

  test("without a weight is the one that it would have with weight 1, and nobody else's salt is another for it", () => {
    const others = fleet("weur", 5);
    const zero = saltsOf([...others, origin("weur-3a", 0)], 64);
    expect(zero.get("weur-3a")).toBe(saltsOf([...others.slice(0, 3), origin("weur-3a")], 64).get("weur-3a"));
    expect(others.map(({ id }) => zero.get(id))).toEqual(others.map(({ id }) => saltsOf(others, 64).get(id)));
    expect(saltsOf([origin("a", 0)], 64)).toEqual(new Map([["a", 0]]));
  });
});

describe("the salts of a fleet", () => {
  test("are the same in whatever order it is listed", () => {
    fc.assert(
      fc.property(anyFleet.chain((origins) => fc.tuple(fc.constant(origins), fc.shuffledSubarray(origins, { minLength: origins.length }))), points, ([origins, shuffled], virtualNodes) => {
        const salts = saltsOf(origins, virtualNodes);
        expect(salts.size).toBe(origins.length);
        for (const [id, salt] of saltsOf(shuffled, virtualNodes)) expect(salt).toBe(salts.get(id));
      }),
    );
  });

  test("stand where they are given, whatever they are, and none is left out", () => {
    fc.assert(
      fc.property(anyFleet, points, (origins, virtualNodes) => {
        const salts = saltsOf(origins, virtualNodes);
        for (const { id, salt } of origins) {
          if (salt !== undefined) expect(salts.get(id)).toBe(salt);
          else expect(salts.get(id)).toSatisfy((found: number) => Number.isInteger(found) && found >= 0 && found < SALTS_TRIED);
        }
      }),
    );
  });

  test("are those that its origins get who join one by one, in the order of their ids", () => {
    const origins = [...fleet("weur", 6), origin("enam-1", 2), origin("apac-1", 0.5)].toSorted(byId);
    const joined: RingMember[] = [];
    for (const joiner of origins) joined.push({ ...joiner, salt: saltsOf([...joined, joiner], 64).get(joiner.id) ?? -1 });
    expect(salted(origins, 64)).toEqual(joined);
  });

  test("are data: found once and given back, they stay, though the fleet is another one then", () => {
    const found = salted(fleet("weur", 6), 64);
    expect(salted(found, 64)).toEqual(found);
    expect(salted(found.slice(2), 64)).toEqual(found.slice(2));
  });

  // 32 salts for each joiner's points, and half of the ring for each joiner: 40 × (32 × 4 + ½ × 40 × 4) points for each virtual node.
  test("are searched while few enough points are looked at, and 0 where there would be more; given ones stand even so", () => {
    expect(SEARCH_POINTS_MAX).toBe(2_500_000);
    const wide = fleet("weur", 40).map((each) => ({ ...each, weight: 4 }));
    expect(new Set(saltsOf(wide, 300).values()).size).toBeGreaterThan(8); // 2,496,000
    const more = saltsOf([...wide, origin("given", 1, 7)], 301); // 2,510,340
    expect([...more].filter(([, salt]) => salt !== 0)).toEqual([["given", 7]]);
    expect(more.size).toBe(41);
  });

  test("of nobody are none", () => {
    expect(saltsOf([], 256)).toEqual(new Map());
  });

  test("change nothing of the listing", () => {
    const listing = Object.freeze([origin("b"), origin("a", 1, 3)].map((each) => Object.freeze(each)));
    saltsOf(listing, 16);
    expect(listing).toEqual([origin("b"), origin("a", 1, 3)]);
  });
});

describe("the salts of primaries and backups", () => {
  const named = (id: string, backup: boolean, salt?: number) => ({ ...origin(id, 1, salt), backup, url: `https://${id}.example.com` });

  test("are searched apart, because backups are a ring of their own", () => {
    const [primaries, backups] = [["c", "a", "b"].map((id) => named(id, false)), ["b2", "a2"].map((id) => named(id, true))];
    const both = withSalts([...backups, ...primaries], 64);
    expect(both.filter(({ backup }) => !backup)).toEqual(withSalts(primaries, 64));
    expect(both.filter(({ backup }) => backup)).toEqual(withSalts(backups, 64));
    for (const each of both) expect(each.salt).toBe(saltsOf(each.backup ? backups : primaries, 64).get(each.id));
  });

  test("come with each origin as it is, in the order of the listing", () => {
    const origins = [named("b", true), named("c", false, 9), named("a", false)];
    expect(withSalts(origins, 64)).toEqual([{ ...named("b", true), salt: 0 }, named("c", false, 9), { ...named("a", false), salt: saltsOf([origin("a"), origin("c", 1, 9)], 64).get("a") }]);
    expect(origins[0]).toEqual(named("b", true)); // the listing is as it was
  });
});

describe("what the search is for", () => {
  test.each(["weur", "enam", "collab", "k", "server"])("ten equal origins called %s-1 to -10: the busiest has at most 1.04 of the mean", (name) => {
    const members = salted(fleet(name, 10), 256);
    expect(peak(members)).toBeLessThanOrEqual(1.04);
    expect(peak(members)).toBeLessThan(peak(members.map((each) => ({ ...each, salt: 0 }))));
  });
});

// Part of placement v1, as in ring.test.ts: a fleet without salts in its configuration has these. To record them anew:
// GOLDEN=print vitest run --config test/vitest.config.ts test/core/salts.test.ts
describe("placement v1", () => {
  const WEIGHTS = [1, 2, 0.5, 3, 0.05, 1, 0, 1.5];
  const WEIGHTED = WEIGHTS.map((weight, n) => origin(`enam-${n + 1}`, weight));

  const RECORDED: Readonly<Record<"equal" | "weighted", Readonly<Record<string, number>>>> = {
    equal: { "weur-1": 0, "weur-10": 31, "weur-2": 28, "weur-3": 2, "weur-4": 0, "weur-5": 24, "weur-6": 25, "weur-7": 28, "weur-8": 4, "weur-9": 23 },
    weighted: { "enam-1": 0, "enam-2": 19, "enam-3": 26, "enam-4": 27, "enam-5": 0, "enam-6": 27, "enam-7": 15, "enam-8": 6 },
  };

  function record(): typeof RECORDED {
    return { equal: Object.fromEntries(saltsOf(fleet("weur", 10), 256)), weighted: Object.fromEntries(saltsOf(WEIGHTED, 256)) };
  }

  test("finds the salts that it always did", () => {
    if (process.env["GOLDEN"] === "print") console.log(JSON.stringify(record(), null, 2));
    expect(record()).toEqual(RECORDED);
  });
});
