// The home region: nearest, drawn, fixed or remembered; never by chance.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../src/core/config.ts";
import type { Config, Region } from "../../src/core/config-types.ts";
import { homeRegion, nearest, poolRegions, regionOrder, rendezvous, type VisitorPlace } from "../../src/core/home.ts";

const origin = (region: string) => ({ id: `${region}-1`, region, url: `http://${region}-1.example.com` });

/** `wide` is in three regions, `far` in one that is not the default. */
function config(home: string): Config {
  const parsed = parseConfig(
    {
      defaultRegion: "weur",
      regions: { weur: { secondary: ["oc", "enam"] }, enam: { secondary: ["weur"] }, apac: {}, oc: {} },
      pools: { wide: { origins: ["weur", "enam", "apac"].map(origin) }, far: { origins: [origin("apac")] } },
      routes: [
        { path: "/wide/:id", pool: "wide", session: [{ path: "id" }, { issue: true }], home },
        { path: "/far/:id", pool: "far", session: [{ path: "id" }, { issue: true }], home: "visitor" },
      ],
    },
    { dev: true },
  );
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  return parsed.config;
}

function homeOf(config: Config, lot: number, place: VisitorPlace, remembered?: string): string {
  const [route] = config.routes;
  if (!route) throw new Error("no route");
  return homeRegion(config, route, lot, () => place, remembered);
}

const NEW_YORK = { latitude: 40.7, longitude: -74, continent: "NA" };
const PARIS = { latitude: 48.9, longitude: 2.4, continent: "EU" };

describe('home: "visitor"', () => {
  const visitor = config("visitor");
  test.each<[what: string, place: VisitorPlace, remembered: string | undefined, home: string]>([
    ["by coordinates", NEW_YORK, undefined, "enam"],
    ["by coordinates, whatever continent is said", { ...PARIS, continent: "NA" }, undefined, "weur"],
    ["across the date line", { latitude: 20, longitude: -179 }, undefined, "apac"],
    ["at the pole of all coordinates", { latitude: 0, longitude: 0 }, undefined, "weur"],
    ["by the continent alone", { continent: "SA" }, undefined, "enam"],
    ["by the continent when the coordinates are half", { latitude: 40.7, continent: "AS" }, undefined, "apac"],
    ["by the continent when they are no numbers", { latitude: Number.NaN, longitude: 0, continent: "AS" }, undefined, "apac"],
    ["by the continent when they are infinite", { latitude: 0, longitude: Infinity, continent: "AS" }, undefined, "apac"],
    ["by the continent when there is no such place", { latitude: 90.1, longitude: 0, continent: "AS" }, undefined, "apac"],
    ["at the edge of what there is", { latitude: -90, longitude: 180, continent: "EU" }, undefined, "apac"],
    ["the default when nothing is known", {}, undefined, "weur"],
    ["the default on an unknown continent", { continent: "XX" }, undefined, "weur"],
    ["the default on a continent of a hostile name", { continent: "constructor" }, undefined, "weur"],
    ["remembered, wherever the visitor is now", NEW_YORK, "apac", "apac"],
    ["not remembered where the pool has no origins", NEW_YORK, "oc", "enam"],
    ["not remembered where there is no such region", NEW_YORK, "__proto__", "enam"],
  ])("%s", (_, place, remembered, home) => {
    expect(homeOf(visitor, 7, place, remembered)).toBe(home);
  });

  test("is a region of the pool, for visitors of whom nothing is known too", () => {
    const [, far] = visitor.routes;
    expect(far && homeRegion(visitor, far, 7, () => ({}), undefined)).toBe("apac");
  });
});

test('home: "session" is the key\'s, wherever the visitor is and whatever is remembered', () => {
  const session = config("session");
  const homes = new Set<string>();
  for (let lot = 0; lot < 200; lot++) {
    const home = homeOf(session, lot, NEW_YORK, "apac");
    expect(home).toBe(homeOf(session, lot, PARIS));
    homes.add(home);
  }
  expect([...homes].toSorted()).toEqual(["apac", "enam", "weur"]);
});

test("a fixed home is that region", () => {
  expect(homeOf(config("enam"), 7, PARIS, "apac")).toBe("enam");
});

test("a pool's regions are those it has origins in; the order is home, then the secondaries among them", () => {
  const wide = config("visitor");
  expect(poolRegions(wide, "wide").map(({ id }) => id)).toEqual(["apac", "enam", "weur"]);
  expect(poolRegions(wide, "constructor")).toEqual([]);
  const pool = wide.pools["wide"];
  expect(pool && ["weur", "enam", "apac", "nowhere"].map((home) => regionOrder(wide, pool, home))).toEqual([["weur", "enam"], ["enam", "weur"], ["apac"], ["nowhere"]]);
});

describe("the rendezvous of a key with its region", () => {
  const region = (id: string, weight = 1): Region => ({ id, weight, secondary: [] });
  const regions = fc.uniqueArray(fc.record({ id: fc.stringMatching(/^[a-z]{1,6}$/), weight: fc.constantFrom(0.5, 1, 1, 2, 7) }), { selector: ({ id }) => id, minLength: 1, maxLength: 8 })
    .map((list) => list.map(({ id, weight }) => region(id, weight)));
  const lot = fc.integer({ min: 0, max: 0xffffffff });

  test("does not depend on the listing", () => {
    fc.assert(
      fc.property(regions, lot, (list, lot) => {
        expect(rendezvous(list.toReversed(), lot)).toBe(rendezvous(list, lot));
      }),
    );
  });

  test("when a region leaves, only its keys move; when one joins or grows, it only takes", () => {
    fc.assert(
      fc.property(regions, fc.nat(), lot, (list, pick, lot) => {
        const chosen = list[pick % list.length];
        const home = rendezvous(list, lot);
        if (home !== chosen?.id) expect(rendezvous(list.filter((each) => each !== chosen), lot)).toBe(home);
        const grown = list.map((each) => (each === chosen ? { ...each, weight: each.weight + 1 } : each));
        expect([home, chosen?.id]).toContain(rendezvous(grown, lot));
      }),
    );
  });

  test("follows the weights", () => {
    const counts = new Map<string | undefined, number>();
    const list = [region("one"), region("three", 3), region("none", 0)];
    for (let n = 0; n < 8000; n++) {
      const home = rendezvous(list, Math.imul(n, 0x9e3779b1) >>> 0);
      counts.set(home, (counts.get(home) ?? 0) + 1);
    }
    expect(new Set(counts.keys())).toEqual(new Set(["one", "three"]));
    expect(counts.get("one")).toBeGreaterThan(1800); // 2,000 ± 5 standard deviations of 39
    expect(counts.get("one")).toBeLessThan(2200);
  });

  test("is nowhere where no region has a weight", () => {
    expect([rendezvous([], 1), rendezvous([region("a", 0)], 1)]).toEqual([undefined, undefined]);
  });

  // Placement v1, as in ring.test.ts: these never change.
  test("is where it always was", () => {
    const list = [region("weur"), region("enam", 2), region("apac", 0.5)];
    expect([1, 2, 3, 0, 0xffffffff, 0x9e3779b9].map((lot) => rendezvous(list, lot))).toEqual(["weur", "apac", "enam", "enam", "enam", "enam"]);
  });
});

describe("the nearest region", () => {
  const at = (id: string, latitude?: number, longitude?: number): Region => ({ id, weight: 1, secondary: [], ...(latitude === undefined || longitude === undefined ? {} : { latitude, longitude }) });

  test("of two equally near is the one with the smaller id", () => {
    const list = [at("b", 10, 10), at("a", 10, 10)];
    expect([nearest(list, PARIS), nearest(list.toReversed(), PARIS)]).toEqual(["a", "a"]);
  });

  test("is nearest on the globe, where degrees of longitude shrink towards the poles", () => {
    expect(nearest([at("far-east", 70, 60), at("south", 45, 0)], { latitude: 70, longitude: 0 })).toBe("far-east");
  });

  test("is none that has no coordinates, and none at all when nothing is known", () => {
    expect([nearest([at("lost"), at("a", -80, -170)], PARIS), nearest([at("lost")], PARIS), nearest([], PARIS), nearest([at("a", 1, 1)], {})]).toEqual(["a", undefined, undefined, undefined]);
  });

  test("is always one of those asked, whatever is said of the visitor", () => {
    const list = [at("a", 0, 0), at("b", 50, 170), at("lost")];
    const number = fc.option(fc.double(), { nil: undefined });
    fc.assert(
      fc.property(number, number, fc.option(fc.constantFrom("EU", "AS", "", "toString"), { nil: undefined }), (latitude, longitude, continent) => {
        expect(["a", "b", undefined]).toContain(nearest(list, { latitude, longitude, continent }));
      }),
    );
  });
});
