// What operators, origins, regions and the configuration order of a ring's origins, one against the other: one epoch and one row in the journal for each
// order, none for the same again, and everything of it there after an eviction.

import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { OrderAnswer } from "../../src/platform/ring-operators.ts";
import { NAMES, patch, put, REMOVE, startRing, url } from "./member-world.ts";

beforeEach(() => void vi.useFakeTimers({ now: 1_800_000_000_000 }));
afterEach(() => void vi.useRealTimers());

type Ring = ReturnType<typeof startRing>;
const fresh = (): DatabaseSync => new DatabaseSync(":memory:");

/** Takes a ring through the rest of its drains. */
function finish(ring: Ring): void {
  for (let step = 0; step < 4; step++) {
    vi.advanceTimersByTime(70_000);
    ring.drains.advance(Date.now());
  }
}

test("each order is one epoch and one row, and the same again is neither", () => {
  const { operators, epoch, journal } = startRing(fresh());
  const orders: [what: string, order: () => OrderAnswer][] = [
    ["drain", () => operators.drain("a", "ann", {}, {})],
    ["another mode", () => operators.drain("a", "bob", { mode: "finish", deadlineMs: 5_000 }, {})],
    ["undrain", () => operators.undrain("a", "ann", {})],
    ["put", () => operators.member("c", put("c"), "ann", {})],
    ["patch", () => operators.member("c", patch({ weight: 2 }), "ann", {})],
    ["remove", () => operators.member("c", REMOVE, "ann", {})],
    ["lease", () => operators.lease("pod-1", { url: url("pod-1"), weight: 1 }, "pods", {})],
    ["a lease's drain", () => operators.drain("pod-1", "pods", {}, { registers: true })],
    ["a lease's undrain", () => operators.undrain("pod-1", "pods", { registers: true })],
  ];
  for (const [what, order] of orders) {
    const [before, seq] = [epoch(), journal.lastSeq];
    expect([what, order().kind, epoch() - before, journal.lastSeq - seq]).toEqual([what, "done", 1, 1]);
    expect([what, order().kind, epoch() - before, journal.lastSeq - seq]).toEqual([what, "done", 1, 1]);
  }
});

test("an order counts only at the epoch that it names, whoever else has ordered meanwhile", () => {
  const { operators, epoch, journal } = startRing(fresh());
  const ifMatch = [`"1.${epoch()}"`];
  expect(operators.drain("a", "ann", {}, { ifMatch }).kind).toBe("done");
  const seq = journal.lastSeq;
  const late = [
    operators.drain("b", "bob", {}, { ifMatch }),
    operators.undrain("a", "bob", { ifMatch }),
    operators.member("c", put("c"), "bob", { ifMatch }),
    operators.lease("c", { url: url("c"), weight: 1 }, "bob", { ifMatch: [] }),
  ];
  expect(late).toEqual(late.map(() => ({ kind: "changed", etag: `"1.${epoch()}"` })));
  expect(journal.lastSeq).toBe(seq);
  expect(operators.drain("b", "bob", {}, { ifMatch: ['"0.0"', `"1.${epoch()}"`] }).kind).toBe("done");
});

test("a drain's terms, its orderer and its steps outlive an eviction at every one of them, and a change of the pool's terms", () => {
  const db = fresh();
  let ring = startRing(db);
  ring.operators.drain("a", "ann", { mode: "finish", deadlineMs: 100_000 }, {});
  const status = (): unknown => {
    const origin = ring.operators.origin("a");
    return [origin?.state, origin?.drain?.by, origin?.drain?.mode, origin?.drain?.closesAtMs];
  };
  const terms = ["ann", "finish", Date.now() + 100_000];
  const seen: unknown[] = [];
  const ref = { keyHash: "k", position: 1, lot: 1, keyed: true };
  for (const [step, leaves] of [false, false, true, true, true, true].entries()) {
    ring = startRing(db, NAMES, { configRevision: 2 + step, pool: { drain: { mode: "move", deadlineMs: 1, graceMs: 1_000 } } });
    if (!leaves) ring.state.live.set({ ...ref, origin: "a", region: "weur", fence: 1, epoch: 1, reason: "owner" });
    ring.drains.advance(Date.now());
    expect(status()).toEqual([expect.any(String), ...terms]);
    seen.push([ring.operators.origin("a")?.state, ring.state.view.byId.get("a")?.closed, ring.state.view.byId.get("a")?.finishUntilMs]);
    vi.advanceTimersByTime(20_000);
  }
  const open = ["draining", false, terms[2]];
  const closed = ["draining", true, undefined];
  expect(seen).toEqual([open, open, closed, closed, ["drained", true, undefined], ["drained", true, undefined]]);
  expect(ring.noted()).toEqual(
    ["config", "drain ann a", "config", "config", "config", "closed limpet a", "config", "config", "drained limpet a", "config"].map((row) =>
      row === "config" ? "config config" : row,
    ),
  );
});

test("at its deadline a drain closes with the sessions that are left, and says so", () => {
  const { state, operators, drains, journal } = startRing(fresh());
  operators.drain("a", "ann", { mode: "finish", deadlineMs: 5_000 }, {});
  state.live.set({ keyHash: "k", position: 1, lot: 1, keyed: true, origin: "a", region: "weur", fence: 1, epoch: 1, reason: "owner" });
  const closed = (): unknown => [state.view.byId.get("a")?.closed, state.view.byId.get("a")?.finishUntilMs];
  vi.advanceTimersByTime(4_999);
  drains.advance(Date.now());
  expect(closed()).toEqual([false, 1_800_000_005_000]);
  vi.advanceTimersByTime(1);
  drains.advance(Date.now());
  expect(closed()).toEqual([true, undefined]);
  expect(journal.after(0, 100).at(-1)).toMatchObject({ what: "closed", who: "limpet", origin: "a", why: "its deadline has passed, with 1 sessions" });
});

test("what its region or itself has drained is not taken back by others, and what an operator has drained by none of them", () => {
  const { state, operators, drains } = startRing(fresh());
  const isDraining = (): boolean => state.view.byId.get("a")?.lifecycle === "draining";
  drains.order("a", "region");
  drains.undo("a", "origin");
  expect(operators.undrain("a", "pods", { registers: true })).toMatchObject({ kind: "conflict", why: expect.stringContaining("its region") });
  expect(isDraining()).toBe(true);
  operators.drain("a", "ann", {}, {});
  drains.undo("a", "region");
  expect([isDraining(), operators.undrain("a", "ann", {}).kind, isDraining()]).toEqual([true, "done", false]);
});

test("drain against a configuration's change: who is dropped is drained and gone, who is back before that stays, and nobody loses an operator's drain", () => {
  const db = fresh();
  startRing(db).operators.drain("b", "ann", {}, {});
  const dropped = startRing(db, ["c"], { configRevision: 2 });
  expect(dropped.shown()).toEqual(["a 1 draining", "b 1 draining", "c 1 joining"]);
  const back = startRing(db, ["a", "b", "c"], { configRevision: 3 });
  expect(back.shown()).toEqual(["a 1 active", "b 1 draining", "c 1 joining"]);
  const again = startRing(db, ["c"], { configRevision: 4 });
  finish(again);
  expect(again.shown()).toEqual(["c 1 joining"]);
  expect(again.operators.origin("a")?.state).toBe("gone");
  expect(startRing(db, ["a", "b", "c"], { configRevision: 5 }).shown()).toEqual(["a 1 joining", "b 1 joining", "c 1 joining"]);
  expect(again.noted()).toEqual([
    "config config",
    "drain ann b",
    "config config",
    "remove config a",
    "remove config b",
    "config config",
    "stay config a",
    "stay config b",
    "config config",
    "remove config a",
    "remove config b",
    "closed limpet b",
    "closed limpet a",
    "gone limpet b",
    "gone limpet a",
    "config config",
    "join config b",
    "join config a",
  ]);
});

test("an operator who removes what the configuration has dropped keeps it away, though it is written again", () => {
  const db = fresh();
  startRing(db);
  const dropped = startRing(db, ["b"], { configRevision: 2 });
  expect([dropped.order("a", REMOVE), dropped.order("a", REMOVE)]).toEqual([
    ["done", 1],
    ["done", 0],
  ]);
  expect(startRing(db, ["a", "b"], { configRevision: 3 }).shown()).toEqual(["a 1 draining", "b 1 active"]);
});

test("an id that comes back with another address is another origin: nothing of the first one counts, though the ring is evicted in between", () => {
  const pin = { keyHash: "k", position: 1, lot: 1, keyed: true };
  interface Way {
    readonly what: string;
    readonly leave: (db: DatabaseSync) => Ring;
    /** As the ring starts then, and how `b` comes back to it. */
    readonly names: readonly string[];
    readonly configRevision: number;
    readonly back: (ring: Ring, at: string) => unknown;
  }
  const dropped = (db: DatabaseSync): Ring => (startRing(db), startRing(db, ["a"], { configRevision: 2 }));
  const removed = (db: DatabaseSync): Ring => (startRing(db).order("b", REMOVE), startRing(db));
  const ways: Way[] = [
    { what: "by a PUT", leave: removed, names: NAMES, configRevision: 1, back: (ring, at) => ring.order("b", put("b", { url: at })) },
    { what: "by the configuration", leave: dropped, names: NAMES, configRevision: 3, back: () => undefined },
    {
      what: "by a lease",
      leave: dropped,
      names: ["a"],
      configRevision: 2,
      back: (ring, at) => ring.operators.lease("b", { url: at, weight: 1 }, "pods", {}),
    },
  ];
  for (const { what, leave, names, configRevision, back } of ways) {
    for (const at of [url("b"), url("another")]) {
      const db = fresh();
      const first = leave(db);
      finish(first);
      expect([what, first.operators.origin("b")?.state]).toEqual([what, "gone"]);
      const fence = first.state.fence();
      first.state.order(pin, { origin: "b", region: "weur", fence }, Date.now() + 600_000);
      const then = startRing(db, names, { configRevision, urls: configRevision === 3 ? { b: at } : {} });
      back(then, at);
      const isAnother = at !== url("b");
      const { bornFence } = then.state.view.byId.get("b") ?? {};
      expect([what, bornFence !== undefined && bornFence > fence]).toEqual([what, isAnother]);
      expect([what, then.state.pinOf("k")?.origin]).toEqual([what, isAnother ? undefined : "b"]);
      expect(startRing(db, names, { configRevision: 1 }).state.view.byId.get("b")?.bornFence).toBe(bornFence);
    }
  }
});

test("of what people ordered as much is kept as of what the ring does by itself, however much there is of the other", () => {
  const { journal } = startRing(fresh());
  journal.note({ what: "drain", who: "ann", origin: "a" });
  for (let n = 0; n < 5_000; n++) journal.note({ what: "down", who: n % 2 === 0 ? "limpet" : "origin", origin: "a" });
  expect(journal.after(0, 10, true).map(({ who }) => who)).toEqual(["config", "ann"]);
  const all = journal.after(0, 10_000);
  expect([all.length <= 2_202, all.length >= 2_002, all.at(-1)?.seq]).toEqual([true, true, 5_002]);
  for (let n = 0; n < 3_000; n++) journal.note({ what: "drain", who: "ann", origin: "a" });
  expect(journal.after(0, 10_000, true).length).toBeLessThanOrEqual(2_200);
  expect(journal.after(0, 10_000).length).toBeGreaterThan(4_000);
});
