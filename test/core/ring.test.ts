// The ring: who owns which key, and that nothing but membership, weights and salts decides it.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hashText, keyPoint } from "../../src/core/hash.ts";
import { arcsOf, buildRing, CIRCLE, clockwise, ownerOf, pointCount, walk, type Ring, type RingMember } from "../../src/core/ring.ts";

const VIRTUAL_NODES = 16;

const members = fc.uniqueArray(
  fc.record({ id: fc.stringMatching(/^[a-z0-9-]{1,8}$/), weight: fc.constantFrom(0.25, 1, 1, 2, 3.5), salt: fc.nat(31) }),
  { selector: (member) => member.id, minLength: 1, maxLength: 12 },
);
const position = fc.integer({ min: 0, max: 0xffffffff });

const member = (id: string, weight = 1, salt = 0): RingMember => ({ id, weight, salt });
const fleet = (...ids: string[]): RingMember[] => ids.map((id) => member(id));
const KEYS = Array.from({ length: 4000 }, (_, n) => keyPoint(`session-${n}`).position);
const owners = (ring: Ring): (string | undefined)[] => KEYS.map((key) => ownerOf(ring, key));

/** The definition, without an index: the points from the position on, then those from 0. */
function plainWalk(ring: Ring, from: number): string[] {
  const entries = Array.from(ring.points, (point, index) => ({ point, id: ring.ids[ring.owners[index] ?? -1] ?? "" }));
  const ids = [...entries.filter((entry) => entry.point >= from), ...entries.filter((entry) => entry.point < from)].map(({ id }) => id);
  return [...new Set(ids)];
}

/** A ring whose points are chosen, so that it can be read by eye: who owns which point. Its index is one slice, the whole circle. */
function byEye(...points: readonly (readonly [point: number, id: string])[]): Ring {
  const ids = [...new Set(points.map(([, id]) => id))].toSorted();
  const sorted = points.toSorted(([a, one], [b, other]) => a - b || (one < other ? -1 : 1));
  return { ids, points: Uint32Array.from(sorted, ([point]) => point), owners: Uint16Array.from(sorted, ([, id]) => ids.indexOf(id)), prefix: new Uint32Array(1), prefixBits: 0 };
}

describe("a ring read by eye", () => {
  const ring = byEye([100, "b"], [200, "a"], [300, "b"], [400, "c"], [4_000_000_000, "a"]);

  test.each<[from: number, order: string]>([
    [0, "b a c"],
    [100, "b a c"],
    [101, "a b c"],
    [200, "a b c"],
    [201, "b c a"],
    [300, "b c a"],
    [301, "c a b"],
    [400, "c a b"],
    [401, "a b c"], // from 4,000,000,000 over 0 to 100
    [4_000_000_000, "a b c"],
    [4_000_000_001, "b a c"],
    [0xffffffff, "b a c"],
  ])("from %i the walk is %s", (from, order) => {
    expect([...walk(ring, from)].join(" ")).toBe(order);
    expect(ownerOf(ring, from)).toBe(order[0]);
  });

  test("and its arcs are the differences of its points, the first one reaching back over 0", () => {
    expect(ring.ids).toEqual(["a", "b", "c"]);
    expect([...arcsOf(ring)]).toEqual([100 + (4_000_000_000 - 400), 100 + (CIRCLE - 4_000_000_000) + 100, 100]);
  });
});

describe("the walk", () => {
  test("names each origin once, owner first, and ends", () => {
    fc.assert(
      fc.property(members, position, (fleet, at) => {
        const ring = buildRing(fleet, VIRTUAL_NODES);
        const order = [...walk(ring, at)];
        expect(order.toSorted()).toEqual(fleet.map(({ id }) => id).toSorted());
        expect(order[0]).toBe(ownerOf(ring, at));
      }),
    );
  });

  test("is the order of the points, whatever the index makes of it", () => {
    fc.assert(
      fc.property(members, position, fc.constantFrom(1, 3, 16), fc.nat(), (fleet, at, virtualNodes, pick) => {
        const ring = buildRing(fleet, virtualNodes);
        const point = ring.points[pick % ring.points.length] ?? 0;
        for (const from of [at, point, (point + 1) >>> 0, (point - 1) >>> 0, 0, 0xffffffff]) {
          expect([...walk(ring, from)]).toEqual(plainWalk(ring, from));
        }
      }),
    );
  });

  test("of an empty ring is empty, and nobody owns anything", () => {
    for (const ring of [buildRing([], 256), buildRing([member("a", 0)], 256)]) {
      expect([...walk(ring, 7)]).toEqual([]);
      expect(ownerOf(ring, 7)).toBeUndefined();
    }
  });

  test("of one origin, even of one point, names that origin from everywhere", () => {
    for (const virtualNodes of [1, 2, 256]) {
      const ring = buildRing(fleet("only"), virtualNodes);
      for (const at of [0, 1, 2 ** 31, 0xffffffff]) expect([...walk(ring, at)]).toEqual(["only"]);
    }
  });

  test("is lazy: of 10,000 origins, to take one looks at one point, and to take three at as many as it takes to meet three", () => {
    const ring = buildRing(Array.from({ length: 10_000 }, (_, n) => member(`o-${n}`)), 4);
    let looks = 0;
    const owners = new Proxy(ring.owners, { get: (target, name) => ((looks += typeof name === "string" && /^\d+$/.test(name) ? 1 : 0), Reflect.get(target, name, target)) });
    const watched: Ring = { ...ring, owners };
    for (const at of [0, 2 ** 31, 0xffffffff]) {
      looks = 0;
      for (const _ of walk(watched, at)) break;
      expect(looks).toBe(1);
      const steps = walk(watched, at);
      const three = new Set([1, 2, 3].map(() => steps.next().value));
      expect([three.size, looks < 10]).toEqual([3, true]);
    }
  });

  test("and the owner of 10,000 origins, each once, at 256 points each", () => {
    const ring = buildRing(Array.from({ length: 10_000 }, (_, n) => member(`o-${n}`)), 256);
    expect(ring.points).toHaveLength(2_560_000);
    const order = [...walk(ring, 2 ** 31)];
    expect([order.length, new Set(order).size, order[0]]).toEqual([10_000, 10_000, ownerOf(ring, 2 ** 31)]);
    for (const at of KEYS.slice(0, 12)) {
      const first = ring.points.findIndex((point) => point >= at);
      expect(ownerOf(ring, at)).toBe(ring.ids[ring.owners[Math.max(0, first)] ?? -1]);
    }
  });

  test("begins at the position itself, and goes on behind the last point at the first", () => {
    const ring = buildRing(fleet("a", "b", "c"), 1);
    const [first = 0, second = 0, third = 0] = ring.points;
    const at = (index: number): string | undefined => ring.ids[ring.owners[index] ?? -1];
    expect([first, first + 1, second, third, third + 1].map((from) => ownerOf(ring, from))).toEqual([at(0), at(1), at(1), at(2), at(0)]);
  });

  test("finds a point that stands exactly where a slice of its index begins", () => {
    const ring = buildRing(fleet("o-112076", "b"), 512); // 1,024 points, so 2^9 slices of 2^23 positions
    const point = 374 * 2 ** 23;
    expect([ring.prefixBits, ring.points.includes(point), ownerOf(ring, point), ownerOf(ring, point + 1)]).toEqual([9, true, "o-112076", "b"]);
  });
});

describe("what decides the ring", () => {
  test("the order of a listing never does", () => {
    fc.assert(
      fc.property(
        members.chain((fleet) => fc.tuple(fc.constant(fleet), fc.shuffledSubarray(fleet, { minLength: fleet.length }))),
        ([fleet, shuffled]) => {
          expect(buildRing(shuffled, VIRTUAL_NODES)).toEqual(buildRing(fleet, VIRTUAL_NODES));
        },
      ),
    );
  });

  test("nor does it change the listing", () => {
    const listing = Object.freeze(fleet("b", "a"));
    buildRing(listing, VIRTUAL_NODES);
    expect(listing.map(({ id }) => id)).toEqual(["b", "a"]);
  });

  test("nor do later changes of the listing, or of its members, change the ring", () => {
    const listing = [{ ...member("a") }, { ...member("b", 2, 3) }, { ...member("c") }];
    const ring = buildRing(listing, VIRTUAL_NODES);
    const [before, owner] = [structuredClone(ring), owners(ring)];
    for (const each of listing) Object.assign(each, { id: "z", weight: 9, salt: 9 });
    listing.reverse().pop();
    listing.push(member("d"));
    expect(ring).toEqual(before);
    expect(owners(ring)).toEqual(owner);
  });

  test("when an origin leaves, only its own keys move, and each to the next of its walk", () => {
    fc.assert(
      fc.property(members, fc.nat(), fc.array(position, { minLength: 50, maxLength: 50 }), (fleet, pick, keys) => {
        const leaver = fleet[pick % fleet.length];
        const [before, after] = [buildRing(fleet, VIRTUAL_NODES), buildRing(fleet.filter((each) => each !== leaver), VIRTUAL_NODES)];
        for (const key of keys) expect([...walk(after, key)]).toEqual([...walk(before, key)].filter((id) => id !== leaver?.id));
      }),
    );
  });

  test("when an origin joins, it only takes: each walk is as before, with the joiner put in", () => {
    fc.assert(
      fc.property(members, fc.nat(), fc.array(position, { minLength: 20, maxLength: 20 }), (fleet, pick, keys) => {
        const joiner = fleet[pick % fleet.length];
        const [before, after] = [buildRing(fleet.filter((each) => each !== joiner), VIRTUAL_NODES), buildRing(fleet, VIRTUAL_NODES)];
        for (const key of keys) {
          expect([ownerOf(before, key), joiner?.id]).toContain(ownerOf(after, key));
          expect([...walk(after, key)].filter((id) => id !== joiner?.id)).toEqual([...walk(before, key)]);
        }
      }),
    );
  });

  test("when an origin is re-weighted, it only takes if it grows and only gives if it shrinks, and the others' order stays", () => {
    fc.assert(
      fc.property(members, fc.nat(), fc.constantFrom(0.1, 0.5, 0.9, 1.1, 2, 7.3), fc.array(position, { minLength: 20, maxLength: 20 }), (fleet, pick, factor, keys) => {
        const chosen = fleet[pick % fleet.length];
        const before = buildRing(fleet, VIRTUAL_NODES);
        const after = buildRing(fleet.map((each) => (each === chosen ? { ...each, weight: each.weight * factor } : each)), VIRTUAL_NODES);
        const [less, more] = factor > 1 ? [before, after] : [after, before];
        for (const key of keys) {
          if (ownerOf(less, key) === chosen?.id) expect(ownerOf(more, key)).toBe(chosen?.id);
          else expect([ownerOf(less, key), chosen?.id]).toContain(ownerOf(more, key));
          const others = (ring: Ring): string[] => [...walk(ring, key)].filter((id) => id !== chosen?.id);
          expect(others(after)).toEqual(others(before));
        }
      }),
    );
  });

  test("a new salt moves only what its origin has or gets", () => {
    const [before, after] = [owners(buildRing([...fleet("a", "b"), member("c", 1, 0)], 64)), owners(buildRing([...fleet("a", "b"), member("c", 1, 9)], 64))];
    const moved = KEYS.flatMap((_, n) => (before[n] === after[n] ? [] : [[before[n], after[n]]]));
    expect(moved.length).toBeGreaterThan(0);
    for (const pair of moved) expect(pair).toContain("c");
  });

  test.each<[weight: number, points: number]>([[0, 0], [-1, 0], [Number.NaN, 0], [0.0001, 1], [1 / 256, 1], [1.49 / 256, 1], [1.5 / 256, 2], [1 / 3, 85], [0.5, 128], [1, 256], [1.001, 256], [1.1, 282], [2.5, 640], [100, 25_600]])(
    "weight %d of 256 virtual nodes is %i points",
    (weight, points) => {
      expect(buildRing([member("a", weight)], 256).points).toHaveLength(points);
      if (points > 0) expect(pointCount(weight, 256)).toBe(points);
    },
  );

  test("fractions of a weight count: 0.3 and 0.1 divide the keys as 3 and 1 do, to the points that they have", () => {
    const divided = (heavy: number, light: number, virtualNodes: number): unknown => buildRing([member("heavy", heavy), member("light", light)], virtualNodes);
    expect(divided(0.3, 0.1, 1000)).toEqual(divided(3, 1, 100));
  });

  test("shares of the keys follow the weights", () => {
    const shares = new Map<string | undefined, number>();
    for (const owner of owners(buildRing([member("small"), member("big", 3), member("none", 0)], 256))) shares.set(owner, (shares.get(owner) ?? 0) + 1 / KEYS.length);
    expect(shares.get("small")).toBeCloseTo(0.25, 1);
    expect(shares.get("big")).toBeCloseTo(0.75, 1);
    expect(shares.has("none")).toBe(false);
  });

  test("a point is the hash of its index, the id and the salt, with U+0000 between them", () => {
    for (const [id, salt] of [["weur-1", 0], ["a", 0xffffffff], ["Zürich 🐚", 7]] as const) {
      const points = Array.from({ length: 1100 }, (_, index) => hashText(`${index}\u0000${id}\u0000${salt}`, 0));
      expect([...buildRing([member(id, 1, salt)], 1100).points]).toEqual(points.toSorted((a, b) => a - b));
    }
  });

  test("index, id and salt cannot be mistaken for each other", () => {
    const points = (id: string, salt: number): Set<number> => new Set(buildRing([member(id, 1, salt)], 32).points);
    // Joined without a separator, 1 + "1a" would be 11 + "a", and "a" + 11 would be "a1" + 1.
    for (const [one, other] of [[points("1a", 0), points("a", 0)], [points("a", 11), points("a1", 1)]] as const) {
      expect([...one].filter((point) => other.has(point))).toEqual([]);
    }
  });

  test("of two origins with a point in common, the smaller id has it", () => {
    const [smaller, larger] = ["o-46855", "o-147560"].toSorted() as [string, string];
    for (const listing of [fleet(smaller, larger), fleet(larger, smaller)]) {
      const ring = buildRing(listing, 1);
      expect([...ring.points]).toEqual([659826481, 659826481]);
      expect([...walk(ring, 659826481)]).toEqual([smaller, larger]);
      expect([...walk(ring, 659826482)]).toEqual([smaller, larger]);
    }
  });
});

describe("the arcs", () => {
  test("of any ring are the whole circle together, in whole positions", () => {
    fc.assert(
      fc.property(members, fc.constantFrom(1, 3, 16), (fleet, virtualNodes) => {
        const ring = buildRing(fleet, virtualNodes);
        const arcs = arcsOf(ring);
        expect(arcs).toHaveLength(fleet.length);
        expect(arcs.reduce((sum, arc) => sum + arc, 0)).toBe(CIRCLE);
        for (const arc of arcs) expect(Number.isInteger(arc) && arc >= 0).toBe(true);
      }),
    );
  });

  test("are what counting every position gives, points in common and neighbours among them", () => {
    const MOST = 60;
    const points = fc.array(fc.tuple(fc.nat(MOST), fc.constantFrom("a", "b", "c", "d")), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(points, (points) => {
        const ring = byEye(...points);
        const counted = new Map(ring.ids.map((id) => [id, 0]));
        const count = (from: number, positions: number): void => {
          // The definition: the nearest point at or after, around the circle; of equal ones the smallest id.
          const [first] = points.toSorted(([a, one], [b, other]) => ((a - from) >>> 0) - ((b - from) >>> 0) || (one < other ? -1 : 1));
          counted.set(first?.[1] ?? "", (counted.get(first?.[1] ?? "") ?? 0) + positions);
          expect(ownerOf(ring, from)).toBe(first?.[1]);
        };
        for (let from = 0; from <= MOST; from++) count(from, 1);
        count(MOST + 1, CIRCLE - MOST - 1); // behind all points, every position has the same owner
        expect([...arcsOf(ring)]).toEqual(ring.ids.map((id) => counted.get(id)));
      }),
    );
  });

  test.each<[what: string, ring: Ring, arcs: number[]]>([
    ["of no point are none", buildRing([], 256), []],
    ["of one point are the whole circle", byEye([7, "a"]), [CIRCLE]],
    ["of one point at 0 are the whole circle", byEye([0, "a"]), [CIRCLE]],
    ["of one point at the end are the whole circle", byEye([0xffffffff, "a"]), [CIRCLE]],
    ["of points that all stand together are the smallest id's", byEye([7, "b"], [7, "a"], [7, "c"]), [CIRCLE, 0, 0]],
    ["of neighbours is one position", byEye([7, "a"], [8, "b"]), [CIRCLE - 1, 1]],
    ["of neighbours across 0 is one position", byEye([0xffffffff, "a"], [0, "b"]), [CIRCLE - 1, 1]],
    ["of a point in common are the smaller id's, and the larger has what else it has", byEye([10, "a"], [10, "b"], [30, "b"], [60, "c"]), [CIRCLE - 50, 20, 30]],
    ["of a point in common at the end too", byEye([10, "a"], [60, "b"], [60, "c"]), [CIRCLE - 50, 50, 0]],
  ])("%s", (_, ring, arcs) => {
    expect([...arcsOf(ring)]).toEqual(arcs);
  });

  test("of two origins with a point in common are the smaller id's", () => {
    expect([...arcsOf(buildRing(fleet("o-46855", "o-147560"), 1))]).toEqual([CIRCLE, 0]); // "o-147560" is the smaller one
  });

  test("say what the keys do", () => {
    const ring = buildRing([member("a"), member("b", 2), member("c", 0.5)], 16);
    const counts = owners(ring);
    for (const [index, arc] of arcsOf(ring).entries()) {
      const [expected, got] = [(arc / CIRCLE) * KEYS.length, counts.filter((owner) => owner === ring.ids[index]).length];
      expect(Math.abs(got - expected)).toBeLessThan(5 * Math.sqrt(KEYS.length / 4)); // 5 standard deviations at most
    }
  });
});

test.each<[from: number, to: number, positions: number]>([
  [0, 1, 1],
  [0, 0xffffffff, CIRCLE - 1],
  [0xffffffff, 0, 1],
  [1, 0, CIRCLE - 1],
  [0xffffffff, 0xfffffffe, CIRCLE - 1],
  [2 ** 31, 0, 2 ** 31],
  [100, 300, 200],
  [300, 100, CIRCLE - 200],
  [0, 0, CIRCLE],
  [5, 5, CIRCLE],
  [0xffffffff, 0xffffffff, CIRCLE],
])("clockwise from %i to %i it is %i positions", (from, to, positions) => {
  expect(clockwise(from, to)).toBe(positions);
});

// Placement version v1. These change only with a new placement version, which moves every session of every user.
// To record them anew: GOLDEN=print vitest run --config test/vitest.config.ts test/core/ring.test.ts
describe("placement v1", () => {
  const FLEET = [member("weur-1"), member("weur-2", 1, 7), member("weur-3", 2), member("enam-1", 0.5, 31)];
  const NAMES = ["doc-1", "doc-2", "doc-3", "a", "Zürich 🐚", "x".repeat(64)];

  const RECORDED: { readonly walks: Readonly<Record<string, string>>; readonly digest: number } = {
    walks: {
      "doc-1": "weur-3 weur-2 weur-1 enam-1",
      "doc-2": "weur-1 weur-3 enam-1 weur-2",
      "doc-3": "weur-1 enam-1 weur-3 weur-2",
      a: "weur-1 weur-3 enam-1 weur-2",
      "Zürich 🐚": "weur-1 weur-2 weur-3 enam-1",
      ["x".repeat(64)]: "weur-2 weur-1 weur-3 enam-1",
    },
    /** Of the walks of 10,000 keys. */
    digest: 3927931915,
  };

  function record(): typeof RECORDED {
    const ring = buildRing(FLEET, 256);
    const many = Array.from({ length: 10_000 }, (_, n) => [...walk(ring, keyPoint(`session-${n}`).position)].join(","));
    return {
      walks: Object.fromEntries(NAMES.map((name) => [name, [...walk(ring, keyPoint(name).position)].join(" ")])),
      digest: hashText(many.join("\n"), 0),
    };
  }

  test("places every key where it always did", () => {
    if (process.env["GOLDEN"] === "print") console.log(JSON.stringify(record(), null, 2));
    expect(record()).toEqual(RECORDED);
  });
});
