// Membership in a ring object: one epoch for each change, on disk before anybody hears of it, and kept whatever a deploy brings.

import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { newDrain } from "../../src/core/drain.ts";
import { ownerOf } from "../../src/core/ring.ts";
import type { MemberChange } from "../../src/platform/ring-members.ts";
import { patch, put, REMOVE, startRing, url } from "./member-world.ts";

test("each change is one epoch, which is announced; the same order again is none", () => {
  const { order, shown, announce } = startRing(new DatabaseSync(":memory:"));
  const steps: [string, MemberChange, unknown[]][] = [
    ["c", put("c"), ["joined", 1]],
    ["c", put("c"), ["done", 0]],
    ["c", patch({ weight: 3 }), ["done", 1]],
    ["c", patch({ weight: 3 }), ["done", 0]],
    ["a", patch({ weight: 2 }), ["done", 1]],
    ["a", put("a", { weight: 2 }), ["done", 0]],
    ["a", put("a"), ["done", 1]],
    ["c", REMOVE, ["done", 1]],
    ["c", REMOVE, ["done", 0]],
    ["c", patch({ weight: 4 }), ["done", 1]],
    ["x", patch({ weight: 4 }), ["unknown", 0]],
    ["x", REMOVE, ["unknown", 0]],
    ["e", put("c"), ["conflict", 0]],
  ];
  for (const [id, change, outcome] of steps) expect([id, change.kind, order(id, change)]).toEqual([id, change.kind, outcome]);
  expect(announce).toHaveBeenCalledTimes(steps.filter(([, , [, epochs]]) => epochs === 1).length);
  expect(shown()).toEqual(["a 1 active", "b 1 active", "c 4 draining"]);
});

test("after an eviction, and after a deploy, everything is as operators ordered it", () => {
  const db = new DatabaseSync(":memory:");
  const first = startRing(db);
  first.order("c", put("c", { salt: 9 }));
  first.order("a", patch({ weight: 2 }));
  first.order("b", REMOVE);
  const seen = first.state.view.snapshot;
  expect(startRing(db).state.view.snapshot).toEqual({ ...seen, writtenAtMs: expect.any(Number) as number });
  const deployed = startRing(db, ["a", "b", "d"], { configRevision: 2 });
  expect(deployed.shown()).toEqual(["a 2 active", "b 1 draining", "c 1 joining", "d 1 joining"]); // neither has answered a check yet
  expect(deployed.state.view.byId.get("c")?.salt).toBe(9);
  // What was only changed is drained and goes with the configuration, and is as that says if it is back before; what joined by itself stays by itself.
  expect(startRing(db, ["d"], { configRevision: 3 }).shown()).toEqual(["a 2 draining", "b 1 draining", "c 1 joining", "d 1 joining"]);
  expect(startRing(db, ["a", "b", "d"], { configRevision: 4 }).shown()).toEqual(["a 1 active", "b 1 active", "c 1 joining", "d 1 joining"]);
});

test("one that joined and is configured later keeps its points, and is the configuration's again once it is put as that says", () => {
  const db = new DatabaseSync(":memory:");
  const first = startRing(db);
  first.order("c", put("c", { salt: 9, weight: 2 }));
  const deployed = startRing(db, ["a", "b", "c"], { configRevision: 2 });
  expect(deployed.shown()).toEqual(["a 1 active", "b 1 active", "c 2 joining"]);
  deployed.order("c", put("c"));
  expect(deployed.state.layers.memberOrder("c")).toBeUndefined();
  expect(deployed.state.view.byId.get("c")?.salt).toBe(9);
});

test("no session is moved to a joiner before it has answered", () => {
  const { order, placing, announce } = startRing(new DatabaseSync(":memory:"));
  announce.mockImplementation(() => expect(placing.pace.doubt).toHaveBeenCalledWith("new", expect.any(Number)));
  order("new", put("new"));
  order("new", put("new", { weight: 2 }));
  expect([announce, placing.pace.doubt, placing.ownVerdict].map(({ mock }) => mock.calls.length)).toEqual([2, 1, 1]);
});

test("who leaves is drained first, and gone with the epoch in which it is; nothing else of it is remembered", () => {
  const db = new DatabaseSync(":memory:");
  const { state, order, shown, leaveLost } = startRing(db);
  order("b", REMOVE);
  expect(leaveLost).toHaveBeenCalledTimes(1);
  state.layers.observe((observed) => observed.setDown("b", true, Date.now()));
  const { epoch } = state.view.snapshot;
  state.layers.setDrain("b", { ...newDrain(1), closedAtMs: 2, closedEpoch: epoch, publishedAtMs: 3, drainedAtMs: 4 });
  expect([shown(), state.view.snapshot.epoch]).toEqual([["a 1 active"], epoch + 1]);
  expect([state.layers.drainOf("b"), db.prepare("SELECT * FROM down").all()]).toEqual([undefined, []]);
  expect(startRing(db).shown()).toEqual(["a 1 active"]);
  expect(order("b", REMOVE)).toEqual(["done", 0]);
  expect(order("b", put("b"))).toEqual(["joined", 1]);
  expect(startRing(db).shown()).toEqual(["a 1 active", "b 1 joining"]);
});

test("an operator's drain and a removal are two orders: a PUT ends the removal alone", () => {
  const { state, order, shown } = startRing(new DatabaseSync(":memory:"));
  state.layers.setDrain("a", newDrain(1));
  expect(order("a", put("a", { weight: 2 }))).toEqual(["done", 1]);
  expect(shown()).toEqual(["a 2 draining", "b 1 active"]);
  order("a", REMOVE);
  expect(order("a", put("a", { weight: 2 }))).toEqual(["done", 1]);
  expect(shown()).toEqual(["a 2 active", "b 1 active"]);
});

test("live sessions that a joiner would own are pinned where they are, before anybody hears of it", () => {
  const { state, order, announce } = startRing(new DatabaseSync(":memory:"));
  const positions = Array.from({ length: 50 }, (_, n) => n * 80_000_000);
  for (const [n, position] of positions.entries()) {
    const origin = ownerOf(state.view.ring, position) ?? "";
    const ref = { keyHash: `k${n}`, position, lot: n, keyed: true };
    state.live.set({ ...ref, origin, region: "weur", fence: 1, epoch: 1, reason: "owner", movedFrom: undefined });
  }
  const pinned: string[] = [];
  announce.mockImplementation(() => pinned.push(...state.pinnedKeys()));
  order("c", put("c", { weight: 2 }));
  expect(pinned).toEqual([]); // it takes nobody yet, wherever its points are
  const share = { from: 0, to: 1, startAtMs: Date.now() + 1_000, endAtMs: Date.now() + 2_000 };
  state.layers.observe((observed) => observed.change("c", { joining: undefined, share }));
  announce();
  const taken = positions.flatMap((position, n) => (ownerOf(state.view.ring, position) === "c" ? [`k${n}`] : []));
  expect(taken.length).toBeGreaterThan(5);
  expect(pinned).toEqual(taken);
});

test("live sessions are taken to their origin's new address until they are there; of a neighbour's only when it has said so itself", async () => {
  const { state, order, move, upkeep } = startRing(new DatabaseSync(":memory:"));
  const row = { position: 1, lot: 1, keyed: true, fence: 1, epoch: 1, reason: "owner", movedFrom: undefined } as const;
  const here = { ...row, keyHash: "here", origin: "a", region: "weur", url: url("a") };
  state.live.set(here);
  state.live.set({ ...row, keyHash: "there", origin: "e", region: "enam", url: url("e") });
  state.live.set({ ...row, keyHash: "told by an older carrier", origin: "b", region: "weur" });
  const moved = (): unknown => {
    upkeep.followAddresses();
    return (move.mock.calls.splice(0) as unknown as [{ keyHash: string }[], { to: string }][]).map(([rows, { to }]) => [
      rows.map(({ keyHash }) => keyHash),
      to,
    ]);
  };
  expect(moved()).toEqual([]);
  for (const id of ["a", "b"]) order(id, patch({ weight: 2 }));
  expect([moved(), upkeep.nextDueAtMs(0)]).toEqual([[], Infinity]);
  order("b", patch({ url: url("of-nobody") }));
  order("a", patch({ url: url("new") }));
  expect([moved(), moved()]).toEqual([[[["here"], "a"]], []]); // one move of them at a time
  await new Promise((resolve) => setTimeout(resolve));
  expect(moved()).toEqual([[["here"], "a"]]);
  expect(upkeep.nextDueAtMs(0)).toBeLessThan(Infinity);
  state.live.set({ ...here, url: url("new") });
  expect(moved()).toEqual([]);
  const snapshot = state.viewOfRegion("enam")?.snapshot;
  const origins = snapshot?.origins.map((origin) => ({ ...origin, url: url("newer") })) ?? [];
  if (snapshot) state.takeNeighbour({ ...snapshot, epoch: 5, origins });
  expect(moved()).toEqual([[["there"], "e"]]);
});
