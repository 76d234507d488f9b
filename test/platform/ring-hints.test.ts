// The published table of hints: all pins while they are few; past the bound the newest, and that it is not all.

import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { expect, test, vi } from "vitest";
import { decodeHints } from "../../src/core/snapshot.ts";
import { HINTS_MAX, ORDERS_MAX } from "../../src/platform/limits.ts";
import { RingState } from "../../src/platform/ring-state.ts";
import { RingStore } from "../../src/platform/ring-store.ts";
import { DEFAULT_POLICY } from "../support/pool-policy.ts";

function startRing(db: DatabaseSync): RingState {
  const exec = (query: string, ...values: SQLInputValue[]): object[] =>
    values.length === 0 && !query.startsWith("SELECT") ? (db.exec(query), []) : db.prepare(query).all(...values);
  const origins = ["o1", "o2"].map((id) => ({ id, region: "weur", url: `https://${id}.example.com`, weight: 1, salt: 0, backup: false }));
  const pool = {
    ...DEFAULT_POLICY,
    id: "p",
    virtualNodes: 8,
    balance: "ring",
    stickiness: "prefer",
    hold: true,
    affinity: "on",
    rollout: 1,
    origins,
  };
  const settings = { dev: false, config: { configRevision: 1, regions: { weur: { secondary: [] } }, pools: { p: pool }, routes: [] } };
  return new RingState(settings as never, { pool: "p", region: "weur", generation: 1 }, new RingStore({ exec } as never));
}

const HOUR_MS = 3_600_000;
const keyHash = (n: number): string => n.toString(16).padStart(32, "0");

function order(ring: RingState, n: number, fence = n + 1): void {
  ring.order({ keyHash: keyHash(n), position: n, lot: n, keyed: true }, { origin: "o2", region: "weur", fence }, Date.now() + HOUR_MS);
}

/** A session that was moved, and so is not where the ring says. */
function pin(ring: RingState, n: number): void {
  const row = { keyHash: keyHash(n), position: n, lot: n, keyed: true, origin: "o2", region: "weur", fence: n + 1, epoch: 1 };
  ring.reconcilePins([{ ...row, reason: "next", movedFrom: "o1" }]);
}

test("10,000 hints are all; one more, and the oldest is not listed, and the table says that it is not all", () => {
  expect(HINTS_MAX).toBe(10_000);
  const ring = startRing(new DatabaseSync(":memory:"));
  for (let n = HINTS_MAX - 1; n >= 0; n--) pin(ring, n);
  expect([ring.hints().entries.length, ring.hints().complete]).toEqual([HINTS_MAX, true]);
  pin(ring, HINTS_MAX);
  const cut = ring.hints();
  expect([cut.entries.length, cut.complete]).toEqual([HINTS_MAX, false]);
  const listed = new Set(cut.entries.map((entry) => entry.keyHash));
  expect([listed.has(keyHash(0)), listed.has(keyHash(1)), listed.has(keyHash(HINTS_MAX))]).toEqual([false, true, true]);
  expect(cut.entries.map((entry) => entry.keyHash)).toEqual([...listed].toSorted());
  // The old session is at its place all the same: whoever asks is told.
  expect(ring.pinOf(keyHash(0))).toMatchObject({ origin: "o2" });
  ring.dropPins([keyHash(7)]);
  expect([ring.hints().entries.length, ring.hints().complete]).toEqual([HINTS_MAX, true]);
});

test("one order more than a ring keeps, and the oldest is forgotten, which is told; a renewed one is not old", () => {
  const told = vi.spyOn(console, "error").mockImplementation(() => undefined);
  const ring = startRing(new DatabaseSync(":memory:"));
  for (let n = 0; n < ORDERS_MAX; n++) order(ring, n);
  order(ring, 0); // renewed
  expect([ring.orderCount, told.mock.calls.length]).toEqual([ORDERS_MAX, 0]);
  order(ring, ORDERS_MAX);
  expect([ring.orderCount, ring.isOrdered(keyHash(0)), ring.isOrdered(keyHash(1)), ring.pinOf(keyHash(1))]).toEqual([
    ORDERS_MAX,
    true,
    false,
    undefined,
  ]);
  expect(told.mock.calls.join()).toContain("orders-full");
  expect(ORDERS_MAX).toBeLessThan(HINTS_MAX / 1.5); // visitors who choose their keys must not fill the table for all
  told.mockRestore();
});

test("each change of a place is a new version of the hints, read back as it was; renewing an order is none", () => {
  const ring = startRing(new DatabaseSync(":memory:"));
  const versions = [ring.view.snapshot.hintsVersion];
  const note = (): void => void versions.push(ring.view.snapshot.hintsVersion);
  order(ring, 1);
  note();
  order(ring, 1); // renewed
  note();
  order(ring, 1, 99);
  note();
  ring.endOrder(keyHash(1), 98); // an older word
  note();
  ring.endOrder(keyHash(1), 99);
  note();
  expect(versions.map((version) => version - (versions[0] ?? 0))).toEqual([0, 1, 1, 2, 2, 3]);
  order(ring, 2);
  const hints = ring.hints();
  expect(decodeHints(JSON.parse(JSON.stringify(hints)))).toEqual(hints);
  expect(hints.version).toBe(ring.view.snapshot.hintsVersion);
});

test("orders are on disk, and end when their time is over", () => {
  const db = new DatabaseSync(":memory:");
  order(startRing(db), 1);
  const ring = startRing(db);
  expect([ring.isOrdered(keyHash(1)), ring.pinOf(keyHash(1))?.origin]).toEqual([true, "o2"]);
  ring.sweepOrders(Date.now() + HOUR_MS - 1_000);
  expect(ring.isOrdered(keyHash(1))).toBe(true);
  ring.sweepOrders(Date.now() + HOUR_MS + 1_000);
  expect([ring.isOrdered(keyHash(1)), ring.pinOf(keyHash(1))]).toEqual([false, undefined]);
  expect(startRing(db).hints().entries).toEqual([]);
});
