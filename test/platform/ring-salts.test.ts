// Salts in a ring object: found once, kept while the fleet around them changes, and never found anew by another version of the code.

import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { expect, test, vi } from "vitest";
import { saltsOf } from "../../src/core/salts.ts";
import { secretOf } from "../../src/core/secret-point.ts";
import { bootstrapView } from "../../src/core/snapshot.ts";
import { RingState } from "../../src/platform/ring-state.ts";
import { RingStore } from "../../src/platform/ring-store.ts";
import { DEFAULT_POLICY } from "../support/pool-policy.ts";

interface Written {
  readonly id: string;
  readonly weight?: number;
  readonly salt?: number;
  readonly backup?: boolean;
}

const VIRTUAL_NODES = 64;
const fleet = (...ids: string[]): Written[] => ids.map((id) => ({ id }));

/** A ring object's state on its database, as a start of the object makes it. */
function startRing(db: DatabaseSync, written: readonly Written[], configRevision: number, seed?: string): RingState {
  const exec = (query: string, ...values: SQLInputValue[]): object[] =>
    values.length === 0 && !query.startsWith("SELECT") ? (db.exec(query), []) : db.prepare(query).all(...values);
  const store = new RingStore({ exec } as never);
  const pool = { ...poolOf(written), ...(seed === undefined ? {} : { pointSecret: secretOf(seed) }) };
  const settings = { dev: false, config: { configRevision, regions: { weur: { secondary: [] } }, pools: { p: pool }, routes: [] } };
  return new RingState(settings as never, { pool: "p", region: "weur", generation: 1 }, store);
}

function poolOf(written: readonly Written[]) {
  const origins = written.map((origin) => ({ region: "weur", url: `https://${origin.id}.example.com`, weight: 1, backup: false, ...origin }));
  return { ...DEFAULT_POLICY, id: "p", virtualNodes: VIRTUAL_NODES, stickiness: "prefer", hold: true, affinity: "on", rollout: 1, origins } as const;
}

const saltsIn = (ring: RingState): Record<string, number> => Object.fromEntries(ring.view.snapshot.origins.map(({ id, salt }) => [id, salt]));
const canonical = (ids: readonly string[]): Record<string, number> =>
  Object.fromEntries(
    saltsOf(
      ids.map((id) => ({ id, weight: 1 })),
      VIRTUAL_NODES,
    ),
  );

test("a new ring has the canonical salts of its fleet, and so has whoever knows only the configuration", () => {
  const ids = ["weur-1", "weur-2", "weur-3", "weur-4"];
  const ring = startRing(new DatabaseSync(":memory:"), fleet(...ids), 1);
  expect(saltsIn(ring)).toEqual(canonical(ids));
  expect(new Set(Object.values(saltsIn(ring))).size).toBeGreaterThan(1); // it was a search
  expect(bootstrapView(poolOf(fleet(...ids)), "weur", 1).ring).toEqual(ring.view.ring);
});

test("a joiner gets the best salt beside those that stand, which nobody finds anew", () => {
  const db = new DatabaseSync(":memory:");
  const before = saltsIn(startRing(db, fleet("m", "n", "o"), 1));
  const joined = saltsIn(startRing(db, fleet("a", "m", "n", "o"), 2));
  expect(joined).toMatchObject(before);
  const standing = Object.entries(before).map(([id, salt]) => ({ id, weight: 1, salt }));
  expect(joined["a"]).toBe(saltsOf([...standing, { id: "a", weight: 1 }], VIRTUAL_NODES).get("a"));
  expect(joined).not.toEqual(canonical(["a", "m", "n", "o"])); // as it would be if all were searched again
  expect(saltsIn(startRing(db, fleet("a", "m", "n", "o"), 2))).toEqual(joined);
  expect(saltsIn(startRing(db, fleet("a", "n", "o"), 3))).toEqual({ m: 0, a: joined["a"], n: joined["n"], o: joined["o"] }); // who is dropped leaves the ring when it is drained
});

test("a salt that is written stands, and one that is no longer written stays", () => {
  const db = new DatabaseSync(":memory:");
  expect(saltsIn(startRing(db, [{ id: "a", salt: 77 }, { id: "b" }], 1))["a"]).toBe(77);
  expect(saltsIn(startRing(db, fleet("a", "b"), 2))["a"]).toBe(77);
  expect(saltsIn(startRing(db, [{ id: "a", salt: 5 }, { id: "b" }], 3))["a"]).toBe(5);
});

/** What a ring object stored before salts were optional. */
function storeFormerly(db: DatabaseSync, ids: readonly string[]): void {
  startRing(db, [], 1); // the tables
  const origins = ids.map((id) => ({ id, url: `https://${id}.example.com`, weight: 1, salt: 0, backup: false }));
  const config = JSON.stringify({ revision: 1, content: JSON.stringify([VIRTUAL_NODES, origins]), virtualNodes: VIRTUAL_NODES, origins });
  db.prepare("UPDATE meta SET value = ? WHERE key = 'config'").run(config);
}

test("a ring that was stored when every salt was written, as 0, keeps those, and takes the same configuration for the same", () => {
  const db = new DatabaseSync(":memory:");
  storeFormerly(db, ["a", "b", "c"]);
  const again = startRing(db, fleet("a", "b", "c"), 1);
  const { epoch } = again.view.snapshot;
  expect(saltsIn(again)).toEqual({ a: 0, b: 0, c: 0 });
  expect(startRing(db, fleet("a", "b", "c"), 1).view.snapshot.epoch).toBe(epoch);
  expect(saltsIn(startRing(db, fleet("a", "b", "c", "d"), 2))).toMatchObject({ a: 0, b: 0, c: 0 });
});

test("a salt that is written as 0 is another configuration than one that is not written", () => {
  const conflicts = vi.spyOn(console, "error").mockImplementation(() => undefined);
  const db = new DatabaseSync(":memory:");
  const found = saltsIn(startRing(db, fleet("a", "b", "c"), 1));
  expect(found["b"]).not.toBe(0);
  expect(saltsIn(startRing(db, [{ id: "a" }, { id: "b", salt: 0 }, { id: "c" }], 1))).toEqual(found); // equal revision: refused, and shown
  expect(conflicts).toHaveBeenCalledWith(expect.stringContaining("config-conflict"));
  expect(saltsIn(startRing(db, [{ id: "a" }, { id: "b", salt: 0 }, { id: "c" }], 2))["b"]).toBe(0);
  conflicts.mockRestore();
});

test("an origin that becomes a backup, or is none any longer, gets the salt of its new ring", () => {
  const db = new DatabaseSync(":memory:");
  startRing(db, [...fleet("a", "b"), { id: "x", backup: true, salt: 99 }], 1);
  const primary = saltsIn(startRing(db, fleet("a", "b", "x"), 2));
  const standing = ["a", "b"].map((id) => ({ id, weight: 1, salt: primary[id] }));
  expect(primary["x"]).toBe(saltsOf([...standing, { id: "x", weight: 1 }], VIRTUAL_NODES).get("x"));
});

test("another seed is another configuration, which an equal revision may not bring", () => {
  const conflicts = vi.spyOn(console, "error").mockImplementation(() => undefined);
  const db = new DatabaseSync(":memory:");
  startRing(db, fleet("a"), 1, "the first seed of this pool");
  startRing(db, fleet("a"), 1, "the first seed of this pool");
  expect(conflicts).not.toHaveBeenCalled();
  startRing(db, fleet("a"), 1, "another seed of this pool");
  startRing(db, fleet("a"), 1);
  expect(conflicts).toHaveBeenCalledTimes(2);
  const stored = db.prepare("SELECT value FROM meta").all();
  expect(JSON.stringify(stored)).not.toContain("seed of this pool");
  conflicts.mockRestore();
});

test("backup origins are salted as a ring of their own", () => {
  const ring = startRing(new DatabaseSync(":memory:"), [...fleet("a", "b"), { id: "y", backup: true }, { id: "z", backup: true }], 1);
  expect(saltsIn(ring)).toEqual({ ...canonical(["a", "b"]), ...canonical(["y", "z"]) });
});
