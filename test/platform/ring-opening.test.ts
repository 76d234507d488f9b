// Sessions that no origin has accepted yet, as a ring keeps them: they count for the bound, and leave no trace.

import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { beforeEach, expect, test } from "vitest";
import type { LiveRow } from "../../src/platform/ring-table.ts";
import { RingState } from "../../src/platform/ring-state.ts";
import { RingStore } from "../../src/platform/ring-store.ts";
import { RingTables } from "../../src/platform/ring-tables.ts";
import { DEFAULT_POLICY } from "../support/pool-policy.ts";

let db: DatabaseSync;
let ring: RingState;

beforeEach(() => {
  db = new DatabaseSync(":memory:");
  ring = startRing();
});

function startRing(): RingState {
  const exec = (query: string, ...values: SQLInputValue[]): object[] =>
    values.length === 0 && !query.startsWith("SELECT") ? (db.exec(query), []) : db.prepare(query).all(...values);
  const origins = ["o1", "o2"].map((id) => ({ id, region: "weur", url: `https://${id}.example.com`, weight: 1, salt: 0, backup: false }));
  const pool = {
    ...DEFAULT_POLICY,
    id: "p",
    carriers: 1,
    virtualNodes: 8,
    balance: "least-connections",
    stickiness: "prefer",
    hold: true,
    affinity: "on",
    rollout: 1,
    origins,
  };
  const settings = { dev: false, config: { configRevision: 1, regions: { weur: { secondary: [] } }, pools: { p: pool }, routes: [] } };
  return new RingState(settings as never, { pool: "p", region: "weur", generation: 1 }, new RingStore({ exec } as never));
}

/** Placed by load: nobody would find it without a pin. */
function begin(keyHash: string, opening: boolean, fence = 1): LiveRow {
  const row: LiveRow = { keyHash, position: 1, lot: 1, keyed: true, origin: "o1", region: "weur", fence, epoch: 1, reason: "balance", opening };
  ring.live.set(row);
  ring.reconcilePins([row]);
  return row;
}
const pinsOnDisk = (): unknown[] => db.prepare("SELECT key_hash, fence FROM pins").all();

test("until an origin has accepted it a session has no pin, in memory, on disk or published, whatever becomes of the ring meanwhile", () => {
  const { hintsVersion } = ring.view.snapshot;
  begin("a", true);
  ring.commit();
  expect([ring.pinOf("a"), pinsOnDisk(), ring.hints().entries, ring.view.snapshot.hintsVersion]).toEqual([undefined, [], [], hintsVersion]);
  expect([ring.loadOf("o1"), ring.live.size, ring.live.openingCount(), ring.live.openingCount("o1")]).toEqual([1, 1, 1, 1]);
  ring.accept(["a", "unknown"]);
  expect([ring.pinOf("a")?.origin, pinsOnDisk().length, ring.hints().entries.length]).toEqual(["o1", 1, 1]);
  expect([ring.loadOf("o1"), ring.live.openingCount(), ring.live.openingCount("o1")]).toEqual([1, 0, 0]);
  ring.accept(["a"]);
  expect(ring.view.snapshot.hintsVersion).toBe(hintsVersion + 1);
});

test("one that is refused leaves nothing, not even that it was there", () => {
  const { hintsVersion } = ring.view.snapshot;
  ring.end([begin("a", true)]);
  expect([ring.live.size, ring.loadOf("o1"), ring.live.openingCount("o1"), ring.view.snapshot.hintsVersion]).toEqual([0, 0, 0, hintsVersion]);
  expect(ring.isNew("a")).toBe(true);
});

test("nor does it take a pin away that was kept for those who come back", () => {
  ring.remove(begin("a", false, 7)); // its carrier was lost
  expect(ring.pinOf("a")?.fence).toBe(7);
  ring.end([begin("a", true, 9)]); // somebody whom the origin does not know
  expect([ring.pinOf("a")?.fence, pinsOnDisk()]).toEqual([7, [{ key_hash: "a", fence: 7 }]]);
  ring.end([begin("a", false, 11)]);
  expect(ring.pinOf("a")).toBeUndefined();
});

test("a session is new when nothing is known of it: not while it is live or opened, nor kept by a pin or an order, nor when it has just ended", () => {
  expect(ring.isNew("a")).toBe(true);
  begin("a", true);
  expect(ring.isNew("a")).toBe(false);
  ring.accept(["a"]);
  const [row] = ring.live.rows();
  if (row) ring.end([row]);
  expect([ring.live.size, ring.pinOf("a"), ring.isNew("a")]).toEqual([0, undefined, false]);
  ring.order({ keyHash: "b", position: 1, lot: 1, keyed: true }, { origin: "o2", region: "weur", fence: 3 }, Date.now() + 60_000);
  expect(ring.isNew("b")).toBe(false);
});

test("a carrier's table says who was accepted, but not of those of whom it was told, or who ended, while it was being read", async () => {
  const table = Promise.withResolvers<object>();
  const stub = { table: () => table.promise };
  const env = { CARRIER: { idFromName: (name: string) => name, get: () => stub } };
  const placing = { moving: new Map(), release: async () => undefined };
  const tables = new RingTables(env as never, ring, placing as never, () => []);
  const written = (row: LiveRow, opening: boolean): object => ({ ...row, connections: 1, opening });
  const rows = [
    written(begin("accepted, unheard", true), false),
    written(begin("still opening", true), true),
    written({ ...begin("ended and begun anew", true, 9), fence: 3 }, false),
    written({ ...begin("accepted meanwhile", true) }, true),
  ];
  ring.live.delete("accepted meanwhile"); // this life does not know it yet
  begin("lost with its carrier", false);
  begin("opened at a lost carrier", true);
  const reading = tables.read(0);
  tables.accepted(["accepted meanwhile"]);
  tables.ended([{ keyHash: "ended and begun anew", fence: 3 }]);
  table.resolve({ rows, asking: ["ended and begun anew"] });
  await reading;
  const opening = ring.live.rows((row) => row.opening === true).map(({ keyHash }) => keyHash);
  expect(opening.toSorted()).toEqual(["ended and begun anew", "still opening"]);
  expect(ring.live.get("lost with its carrier")).toBeUndefined();
  expect([ring.isNew("lost with its carrier"), ring.isNew("opened at a lost carrier")]).toEqual([false, true]);
});

test("a ring that has lived before knows that it has", () => {
  expect([ring.isReborn, startRing().isReborn]).toEqual([false, true]);
});
