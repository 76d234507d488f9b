// What people read of a change before it holds, and that no secret is in it.

import { describe, expect, test } from "vitest";
import { changesBetween, KEPT_SEED, withoutSeeds, withSeedsOf } from "../../src/core/config-diff.ts";
import { placesOf } from "../../src/core/config-places.ts";

const origin = (id: string, weight = 1) => ({ id, region: "weur", url: `https://${id}.example.com`, weight });
const config = (pool: object, more: object = {}) => ({ configRevision: 1, pools: { web: pool }, ...more });

describe("changes", () => {
  test("of origins go by their ids, wherever they stand", () => {
    const before = config({ origins: [origin("a"), origin("b"), origin("c")] });
    const after = config({ origins: [origin("c"), origin("d"), origin("a", 2)] });
    expect(changesBetween(before, after)).toEqual([
      { path: "pools.web.origins.a.weight", what: "changed", before: 1, after: 2 },
      { path: "pools.web.origins.b", what: "removed", before: origin("b") },
      { path: "pools.web.origins.d", what: "added", after: origin("d") },
    ]);
    expect(changesBetween(before, config({ origins: before.pools.web && [origin("c"), origin("b"), origin("a")] }))).toEqual([]);
  });

  test("of a list without ids, or with one twice, go by place", () => {
    expect(changesBetween({ routes: [{ path: "/a" }] }, { routes: [{ path: "/a" }, { path: "/b" }] })).toEqual([{ path: "routes[1]", what: "added", after: { path: "/b" } }]);
    expect(changesBetween({ x: [{ id: "a" }, { id: "a" }] }, { x: [{ id: "a" }] })[0]?.what).toBeDefined();
  });

  test("never show a seed, be it new, gone, another, or in a pool that comes or goes", () => {
    const seed = "0123456789abcdef-secret";
    const all = [
      changesBetween(config({}), config({ seed })),
      changesBetween(config({ seed }), config({})),
      changesBetween(config({ seed }), config({ seed: `${seed}2` })),
      changesBetween({ pools: {} }, config({ seed })),
      changesBetween(config({ seed }), { pools: {} }),
    ];
    for (const changes of all) expect(JSON.stringify(changes)).not.toContain("secret");
    expect(all[2]).toEqual([{ path: "pools.web.seed", what: "changed", before: KEPT_SEED, after: KEPT_SEED }]);
  });
});

describe("seeds", () => {
  const seeded = config({ seed: "0123456789abcdef", origins: [] }, { routes: [{ path: "/*" }] });

  test("are left out of what is shown, and come back with what is sent", () => {
    const shown = withoutSeeds(seeded);
    expect(shown).toEqual(config({ seed: KEPT_SEED, origins: [] }, { routes: [{ path: "/*" }] }));
    expect(withSeedsOf(seeded, shown)).toEqual(seeded);
  });

  test("of another pool, or of none, are not taken", () => {
    const other = { pools: { live: { seed: KEPT_SEED } } };
    expect(withSeedsOf(seeded, other)).toEqual(other);
    expect(withSeedsOf(config({}), config({ seed: KEPT_SEED }))).toEqual(config({ seed: KEPT_SEED }));
  });

  test.each([null, 7, "x", [], { pools: null }, { pools: [] }, { pools: { web: null } }, JSON.parse('{"pools":{"__proto__":{"seed":"(kept)"}}}') as object])(
    "are no matter of what is no configuration: %j", (value) => {
      expect(JSON.stringify(withSeedsOf(seeded, value))).toBe(JSON.stringify(value));
    },
  );
});

test("every place that names a secret is told", () => {
  const raw = config({ headers: { "x-key": { secret: "KEY" } }, origins: [{ headers: { "x-key": { secret: "KEY" } } }] });
  expect(placesOf(raw, "KEY")).toEqual([["pools", "web", "headers", "x-key", "secret"], ["pools", "web", "origins", 0, "headers", "x-key", "secret"]]);
  expect(placesOf(raw, "OTHER")).toEqual([]);
});
