// Which configuration an object goes by, from life to life: the larger revision, of two equal ones what was applied, and in dev the bundle once it
// was changed.

import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { AppliedConfig } from "../../src/core/applied-config.ts";
import { ConfigStore } from "../../src/platform/config-store.ts";
import { CodeSettings, type Env } from "../../src/platform/env.ts";
import { HeldSettings } from "../../src/platform/held-settings.ts";

let db: DatabaseSync;
beforeEach(() => {
  db = new DatabaseSync(":memory:");
  vi.spyOn(console, "error").mockImplementation(() => undefined);
});
afterEach(() => void vi.restoreAllMocks());

const raw = (configRevision: number, idleMs: number, pool = "web") => ({
  configRevision,
  defaultRegion: "weur",
  regions: { weur: {} },
  pools: { [pool]: { session: { idleMs, maxLifeMs: 86_400_000 }, origins: [{ id: "a", region: "weur", url: "https://a.example.com" }] } },
  routes: [{ path: "/*", pool, session: [{ cookie: "sid" }], home: "weur" }],
});

/** A start of the object, on the disk that there is. */
function start(bundle: object, dev = false): HeldSettings {
  const exec = (query: string, ...values: SQLInputValue[]): object[] =>
    values.length === 0 && !query.startsWith("SELECT") ? (db.exec(query), []) : db.prepare(query).all(...values);
  const env = { LIMPET_SECRET: "s".repeat(32), ...(dev && { LIMPET_DEV: "1" }) } as Env;
  return new HeldSettings(new CodeSettings(bundle), env, { pool: "web", region: "weur" }, new ConfigStore({ exec } as never));
}

const applied = (revision: number, config: object, over = 0): AppliedConfig => ({
  format: 1,
  revision,
  text: JSON.stringify(config),
  over,
  retired: [],
});
const shown = (held: HeldSettings): unknown => [held.status.revision, held.status.source, held.config.pools["web"]?.session.idleMs];

describe("in production", () => {
  test.each([
    [5, 6, [6, "applied", 6_000]],
    [5, 5, [5, "applied", 6_000]],
    [6, 5, [6, "bundle", 5_000]],
  ])("beside a bundle of revision %i one that was applied with %i: %j", (bundled, revision, expected) => {
    const bundle = raw(bundled, 5_000);
    const held = start(bundle);
    expect(held.apply(applied(revision, raw(revision, 6_000)))).toBe(expected[1] === "applied");
    expect(shown(held)).toEqual(expected);
    expect(shown(start(bundle))).toEqual(expected); // and in its next life
  });

  test("a deploy of an older bundle takes nothing back, one of a newer revision holds", () => {
    start(raw(5, 5_000)).apply(applied(7, raw(7, 7_000)));
    expect(shown(start(raw(4, 4_000)))).toEqual([7, "applied", 7_000]);
    expect(shown(start(raw(8, 8_000)))).toEqual([8, "bundle", 8_000]);
  });

  test("what is not newer is not taken", () => {
    const held = start(raw(1, 1_000));
    expect(held.apply(applied(3, raw(3, 3_000)))).toBe(true);
    expect(held.apply(applied(3, raw(3, 9_000)))).toBe(false);
    expect(held.apply(applied(2, raw(2, 9_000)))).toBe(false);
    expect(shown(held)).toEqual([3, "applied", 3_000]);
  });

  test("one that this code cannot read changes nothing, and is told", () => {
    const held = start(raw(1, 1_000));
    held.apply(applied(2, raw(2, 2_000)));
    expect(held.apply(applied(3, { ...raw(3, 3_000), later: true }))).toBe(false);
    expect(shown(held)).toEqual([2, "applied", 2_000]);
    expect(held.status.unreadable).toMatchObject({ revision: 3, why: expect.stringContaining("later") });
    expect(shown(start(raw(1, 1_000)))).toEqual([2, "applied", 2_000]);
  });

  test("one on the disk that an older version cannot read leaves it with its bundle", () => {
    start(raw(1, 1_000)).apply(applied(2, raw(2, 2_000)));
    db.exec("UPDATE configs SET text = '{\"later\":1}' WHERE name = 'applied'");
    const held = start(raw(1, 1_000));
    expect(shown(held)).toEqual([1, "bundle", 1_000]);
    expect(held.status.unreadable?.revision).toBe(2);
  });
});

describe("a pool that is dropped", () => {
  test("keeps its policy without its origins, in this life and the next", () => {
    const held = start(raw(1, 1_000));
    expect(held.apply(applied(2, raw(2, 2_000, "other")))).toBe(true);
    for (const each of [held, start(raw(1, 1_000))]) {
      expect(each.status).toMatchObject({ revision: 2, retired: true });
      expect(each.config.pools["web"]).toMatchObject({ session: { idleMs: 1_000 }, origins: [] });
      expect(Object.keys(each.config.pools).toSorted()).toEqual(["other", "web"]);
    }
  });

  test("by a deploy, too", () => {
    start(raw(1, 1_000));
    expect(start(raw(2, 2_000, "other")).config.pools["web"]).toMatchObject({ session: { idleMs: 1_000 }, origins: [] });
  });

  test("is there again when it is configured again", () => {
    const held = start(raw(1, 1_000));
    held.apply(applied(2, raw(2, 2_000, "other")));
    held.apply(applied(3, raw(3, 3_000)));
    expect(held.status.retired).toBeUndefined();
    expect(held.config.pools["web"]?.origins).toHaveLength(1);
  });
});

describe("a region that its pool has left", () => {
  const regions = { weur: { secondary: ["apac"] }, enam: {}, apac: {}, eu: { jurisdiction: "eu" } };
  const of = (revision: number, ...others: string[]) => ({
    ...raw(revision, 1_000),
    defaultRegion: "enam",
    regions,
    routes: [{ path: "/*", pool: "web", session: [{ path: "0" }] }],
    pools: { web: { origins: others.map((region) => ({ id: region, region, url: `https://${region}.example.com` })) } },
  });
  const withRoute = (config: ReturnType<typeof of>) => ({ ...config, routes: [{ path: "/:s", pool: "web", session: [{ path: "s" }] }] });

  test("is left for its secondary regions, or for whatever region of the same jurisdiction has the pool, in the next life too", () => {
    const held = start(withRoute(of(1, "weur", "apac")));
    expect(held.status.retired).toBeUndefined();
    for (const [revision, others, secondary] of [
      [2, ["enam", "apac"], ["apac"]],
      [3, ["enam", "eu"], ["enam"]],
    ] as const) {
      expect(held.apply(applied(revision, withRoute(of(revision, ...others))))).toBe(true);
      for (const each of [held, start(withRoute(of(1, "weur", "apac")))]) {
        expect([each.status.retired, each.config.regions["weur"]?.secondary]).toEqual([true, secondary]);
      }
    }
  });

  test("that is in no configuration any more is as it was last", () => {
    start(withRoute(of(1, "weur", "apac")));
    const { weur: _, ...left } = regions;
    const held = start({ ...withRoute(of(2, "enam", "apac")), regions: left });
    expect([held.status.retired, held.config.regions["weur"]?.secondary]).toEqual([true, ["apac"]]);
  });
});

test("in dev what was applied holds until the bundle is another, whatever its revision", () => {
  const bundle = raw(1, 1_000);
  const env = { LIMPET_DEV: "1" } as Env;
  const { hash } = new CodeSettings(bundle).bundle(env);
  expect(start(bundle, true).apply(applied(2, raw(2, 2_000), hash))).toBe(true);
  expect(shown(start(bundle, true))).toEqual([2, "applied", 2_000]);
  expect(shown(start(raw(1, 9_000), true))).toEqual([1, "bundle", 9_000]);
});
