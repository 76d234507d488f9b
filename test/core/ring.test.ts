// The ring: who owns which key, and that nothing but membership, weights and salts decides it.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hashText, keyPoint } from "../../src/core/hash.ts";
import { buildRing, ownerOf, walk, type Ring, type RingMember } from "../../src/core/ring.ts";

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

  test("begins at the position itself, and goes on behind the last point at the first", () => {
    const ring = buildRing(fleet("a", "b", "c"), 1);
    const [first = 0, second = 0, third = 0] = ring.points;
    const at = (index: number): string | undefined => ring.ids[ring.owners[index] ?? -1];
    expect([first, first + 1, second, third, third + 1].map((from) => ownerOf(ring, from))).toEqual([at(0), at(1), at(1), at(2), at(0)]);
  });

  test("finds a point that stands exactly where a slice of its index begins", () => {
    const ring = buildRing(fleet("o-112076", "b"), 128); // 256 points, so 2^9 slices of 2^23 positions
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

  test("when an origin leaves, only its own keys move, and each to the next of its walk", () => {
    fc.assert(
      fc.property(members, fc.nat(), fc.array(position, { minLength: 50, maxLength: 50 }), (fleet, pick, keys) => {
        const leaver = fleet[pick % fleet.length];
        const [before, after] = [buildRing(fleet, VIRTUAL_NODES), buildRing(fleet.filter((each) => each !== leaver), VIRTUAL_NODES)];
        for (const key of keys) expect([...walk(after, key)]).toEqual([...walk(before, key)].filter((id) => id !== leaver?.id));
      }),
    );
  });

  test("when an origin joins or grows, it only takes", () => {
    fc.assert(
      fc.property(members, fc.nat(), fc.array(position, { minLength: 50, maxLength: 50 }), (fleet, pick, keys) => {
        const grower = fleet[pick % fleet.length];
        const before = buildRing(fleet, VIRTUAL_NODES);
        const after = buildRing(fleet.map((each) => (each === grower ? { ...each, weight: each.weight + 1 } : each)), VIRTUAL_NODES);
        for (const key of keys) expect([ownerOf(before, key), grower?.id]).toContain(ownerOf(after, key));
      }),
    );
  });

  test("a new salt moves only what its origin has or gets", () => {
    const [before, after] = [owners(buildRing([...fleet("a", "b"), member("c", 1, 0)], 64)), owners(buildRing([...fleet("a", "b"), member("c", 1, 9)], 64))];
    const moved = KEYS.flatMap((_, n) => (before[n] === after[n] ? [] : [[before[n], after[n]]]));
    expect(moved.length).toBeGreaterThan(0);
    for (const pair of moved) expect(pair).toContain("c");
  });

  test.each<[weight: number, points: number]>([[0, 0], [-1, 0], [Number.NaN, 0], [0.0001, 1], [0.5, 128], [1, 256], [2.5, 640]])(
    "weight %d of 256 virtual nodes is %i points",
    (weight, points) => expect(buildRing([member("a", weight)], 256).points).toHaveLength(points),
  );

  test("shares of the keys follow the weights", () => {
    const shares = new Map<string | undefined, number>();
    for (const owner of owners(buildRing([member("small"), member("big", 3), member("none", 0)], 256))) shares.set(owner, (shares.get(owner) ?? 0) + 1 / KEYS.length);
    expect(shares.get("small")).toBeCloseTo(0.25, 1);
    expect(shares.get("big")).toBeCloseTo(0.75, 1);
    expect(shares.has("none")).toBe(false);
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
