// Leases: origins that join by themselves, go on saying that they are there, and are down, then gone, when they do not.

import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { WantedLease } from "../../src/core/membership.ts";
import { LEASES_MAX } from "../../src/platform/limits.ts";
import { patch, put, REMOVE, startRing, url } from "./member-world.ts";

const TTL_MS = 30_000;
const GONE_MS = 600_000;

beforeEach(() => void vi.useFakeTimers({ now: 1_800_000_000_000 }));
afterEach(() => void vi.useRealTimers());

const fresh = (): DatabaseSync => new DatabaseSync(":memory:");

function start(db = fresh(), pool: object = {}) {
  const ring = startRing(db, ["a"], { pool });
  const lease = (id: string, more: Partial<WantedLease> = {}): unknown => {
    const before = ring.epoch();
    const answer = ring.operators.lease(id, { url: url(id), weight: 1, ...more }, "pods", {});
    return [answer.kind === "done" && answer.joined ? "joined" : answer.kind === "conflict" ? answer.why : answer.kind, ring.epoch() - before];
  };
  const pass = (ms: number): void => {
    vi.advanceTimersByTime(ms);
    ring.leases.run(Date.now());
  };
  /** Time passes, and some renew. */
  const live = (ms: number, ...ids: readonly string[]): void => {
    for (let leftMs = ms; leftMs > 0; leftMs -= TTL_MS / 2) {
      for (const id of ids) lease(id);
      pass(Math.min(leftMs, TTL_MS / 2));
    }
  };
  const states = (): string[] =>
    ["p", "q", "r"].flatMap((id) => {
      const origin = ring.operators.origin(id);
      return origin ? [`${id} ${origin.state} ${origin.health}`] : [];
    });
  return { ...ring, lease, pass, live, states };
}

test("a lease joins in one epoch; renewals make none, nor a row, nor a write", () => {
  const db = fresh();
  const { lease, pass, noted, operators } = start(db);
  expect(lease("p", { weight: 2 })).toEqual(["joined", 1]);
  const tables = (): unknown[] => ["meta", "members", "leases", "journal"].map((table) => db.prepare(`SELECT * FROM ${table}`).all());
  const before = tables();
  for (let n = 0; n < 10; n++) {
    pass(TTL_MS - 1);
    expect(lease("p", { weight: 2 })).toEqual(["done", 0]);
  }
  expect(tables()).toEqual(before);
  expect(noted()).toEqual(["config config", "join origin p"]);
  expect(operators.origin("p")?.lease).toEqual({ ttlMs: TTL_MS, instance: undefined, lapsedAtMs: undefined, expiresAtMs: Date.now() + TTL_MS });
});

describe("an origin that does not renew", () => {
  test("is down when its lease is over, back when it renews, and gone ten minutes after it was down", () => {
    const { lease, pass, live, states, leases, leaveLost, noted } = start();
    for (const id of ["p", "q", "r"]) lease(id);
    pass(TTL_MS - 1);
    expect(leases.nextDueAtMs(Date.now())).toBe(Date.now() + 1);
    lease("q");
    lease("r");
    pass(1);
    expect(states()).toEqual(["p joining down", "q joining healthy", "r joining healthy"]);
    expect(leaveLost).toHaveBeenCalledTimes(1);
    expect(lease("p")).toEqual(["done", 1]);
    expect(states()).toEqual(["p joining healthy", "q joining healthy", "r joining healthy"]);
    live(TTL_MS, "q", "r");
    expect(states()).toEqual(["p joining down", "q joining healthy", "r joining healthy"]);
    live(GONE_MS - 1, "q", "r");
    expect(states()).toEqual(["p joining down", "q joining healthy", "r joining healthy"]);
    live(1, "q", "r");
    expect(states()).toEqual(["p gone down", "q joining healthy", "r joining healthy"]);
    expect(lease("p")).toEqual(["joined", 1]);
    expect(noted()).toEqual([
      "config config",
      "join origin p",
      "join origin q",
      "join origin r",
      "lapse limpet p",
      "renewed origin p",
      "lapse limpet p",
      "gone limpet p",
      "join origin p",
    ]);
  });

  test("is not believed to be away while most others are late too, unless its own check fails", () => {
    const { lease, pass, states, state } = start();
    for (const id of ["p", "q", "r"]) lease(id);
    pass(TTL_MS);
    expect(states()).toEqual(["p joining healthy", "q joining healthy", "r joining healthy"]);
    state.layers.observe((observed) => observed.setDown("q", true, Date.now()));
    pass(1);
    expect(state.layers.leaseOf("q")?.lapsedAtMs).toBe(Date.now());
    lease("p");
    pass(1);
    expect(states()).toEqual(["p joining healthy", "q joining down", "r joining healthy"]); // one of three has renewed
    state.layers.observe((observed) => observed.setDown("q", false, Date.now()));
    lease("q");
    pass(1);
    expect(states()).toEqual(["p joining healthy", "q joining healthy", "r joining down"]); // two of three
  });

  test("has a whole lease again when the object starts, but what has lapsed stays so", () => {
    const db = fresh();
    const first = start(db);
    for (const id of ["p", "q", "r"]) first.lease(id);
    first.pass(TTL_MS - 1);
    first.lease("q");
    first.lease("r");
    first.pass(1);
    vi.advanceTimersByTime(TTL_MS - 1);
    const second = start(db);
    second.pass(TTL_MS - 1);
    expect(second.states()).toEqual(["p joining down", "q joining healthy", "r joining healthy"]);
    second.live(GONE_MS - 2 * TTL_MS + 1, "q", "r");
    expect(second.states()[0]).toBe("p joining down");
    second.live(1, "q", "r");
    expect(second.states()[0]).toBe("p gone down");
  });

  test("and is drained by plan finishes; drained, its lapse is nobody's loss", () => {
    const { lease, pass, states, operators, state } = start();
    for (const id of ["p", "q"]) lease(id);
    operators.drain("p", "pods", { mode: "finish", deadlineMs: 3_600_000 }, { registers: true });
    pass(TTL_MS - 1);
    lease("q");
    pass(2);
    expect(states()).toEqual(["p draining healthy", "q joining healthy"]);
    const drain = state.layers.drainOf("p");
    if (drain) state.layers.setDrain("p", { ...drain, closedAtMs: 1, closedEpoch: 2, publishedAtMs: 3, drainedAtMs: 4 });
    pass(1);
    expect(states()).toEqual(["p drained down", "q joining healthy"]);
  });
});

describe("who may have a lease, and what it is told", () => {
  const says = (part: string): unknown => [expect.stringContaining(part), 0];

  test("nobody whom the configuration or an operator has put, or an operator has removed until that one says otherwise", () => {
    const { lease, order, operators, drains, pass } = start();
    expect(lease("a")).toEqual(says("configuration"));
    order("p", put("p"));
    expect(lease("p")).toEqual(says("put by an operator"));
    lease("q");
    order("q", REMOVE, "ann");
    expect(lease("q")).toEqual(says("removed by ann"));
    for (let step = 0; step < 4; step++) {
      pass(10_000);
      drains.advance(Date.now());
    }
    expect(operators.origin("q")?.state).toBe("gone");
    expect(lease("q")).toEqual(says("removed by ann"));
    expect(operators.undrain("q", "pods", { registers: true }).kind).toBe("done"); // which is no operator's word
    expect(lease("q")).toEqual(says("removed by ann"));
    expect(operators.undrain("q", "ann", {}).kind).toBe("done");
    expect(lease("q")).toEqual(["joined", 1]);
  });

  test("lease against delete: whoever comes last, the operator's word stands, and an undrain gives the lease back", () => {
    const { lease, order, operators, state, pass } = start();
    lease("p");
    expect([order("p", REMOVE, "ann"), order("p", REMOVE, "ann")]).toEqual([
      ["done", 1],
      ["done", 0],
    ]);
    expect(lease("p")).toEqual(says("removed by ann"));
    operators.undrain("p", "ann", {});
    expect([state.view.byId.get("p")?.lifecycle, lease("p")]).toEqual(["joining", ["done", 0]]);
    state.layers.observe((observed) => observed.setDown("p", true, Date.now()));
    pass(TTL_MS);
    pass(GONE_MS);
    expect(operators.origin("p")?.state).toBe("gone");
    expect(order("p", REMOVE, "bob")).toEqual(["done", 1]);
    expect(lease("p")).toEqual(says("removed by bob"));
  });

  test("one that leaves by an operator's order does not lapse meanwhile: it would be another who had it leave", () => {
    const { lease, order, state, pass, leases } = start();
    lease("p");
    order("p", REMOVE, "ann");
    state.layers.observe((observed) => observed.setDown("p", true, Date.now()));
    expect(leases.nextDueAtMs(Date.now())).toBe(Infinity);
    pass(TTL_MS);
    pass(GONE_MS);
    expect([state.layers.memberOrder("p")?.leftBy, state.view.byId.get("p")?.lifecycle]).toEqual(["ann", "draining"]);
  });

  test("an operator's PUT takes it over, and what an operator has changed stays until the origin says something new", () => {
    const { lease, order, state } = start();
    lease("p");
    expect(order("p", patch({ weight: 5 }))).toEqual(["done", 1]);
    expect([lease("p"), state.view.byId.get("p")?.weight]).toEqual([["done", 0], 5]);
    expect([lease("p", { weight: 3 }), state.view.byId.get("p")?.weight]).toEqual([["done", 1], 3]);
    expect(order("p", put("p", { weight: 3 }))).toEqual(["done", 1]);
    expect(lease("p")).toEqual(says("put by an operator"));
  });

  test("one instance at a time: another one at another address waits for the first one's lease", () => {
    const { lease, pass, state } = start();
    expect(lease("p", { instance: "one" })).toEqual(["joined", 1]);
    expect(lease("p", { instance: "two", url: url("two") })).toEqual(says("for 30 s more"));
    expect(lease("p", { instance: "one", url: url("moved") })).toEqual(["done", 1]);
    expect(lease("p", { instance: "two", url: url("moved") })).toEqual(["done", 0]); // restarted where it was
    state.layers.observe((observed) => observed.setDown("p", true, Date.now()));
    pass(TTL_MS);
    expect(lease("p", { instance: "three", url: url("three") })).toEqual(["done", 1]);
    expect(state.view.byId.get("p")).toMatchObject({ url: url("three"), health: "down" }); // its own check has not answered yet
  });

  test("a new instance rejoins after its own drain, not after an operator's; the old one does not", () => {
    const { lease, operators, drains, state } = start();
    const lifecycle = (): unknown => state.view.byId.get("p")?.lifecycle;
    lease("p", { instance: "one" });
    operators.drain("p", "pods", {}, { registers: true });
    expect([lease("p", { instance: "one" }), lifecycle()]).toEqual([["done", 0], "draining"]);
    expect([lease("p", { instance: "two" }), lifecycle()]).toEqual([["done", 1], "joining"]);
    drains.order("p", "origin");
    expect([lease("p"), lifecycle()]).toEqual([["done", 0], "draining"]); // it does not say that it is new
    expect([lease("p", { instance: "three" }), lifecycle()]).toEqual([["done", 1], "joining"]);
    operators.drain("p", "ann", {}, {});
    expect([lease("p", { instance: "four" }), lifecycle()]).toEqual([["done", 0], "draining"]);
  });

  test("so many, and no more, though they weigh nothing; and at one address one", () => {
    const { lease } = start();
    for (let n = 0; n < LEASES_MAX; n++) expect(lease(`p${n}`, { weight: 0 })).toEqual(["joined", 1]);
    expect(lease("more", { weight: 0 })).toEqual(says(`${LEASES_MAX} leases`));
    expect(lease("p7", { weight: 0 })).toEqual(["done", 0]);
    expect(lease("p7", { weight: 0, url: url("p8") })).toEqual(says("address"));
  });
});

test("a lease that the configuration makes its own counts no more", () => {
  const db = fresh();
  start(db).lease("p", { weight: 4 });
  const named = startRing(db, ["a", "p"], { configRevision: 2 });
  expect(named.shown()).toEqual(["a 1 active", "p 1 joining"]);
  expect(named.operators.lease("p", { url: url("p"), weight: 4 }, "pods", {}).kind).toBe("conflict");
});

test("a configuration that changes nothing is planned to move nothing, though a lease has lapsed", () => {
  const { state, live, states, lease } = start();
  for (const id of ["p", "q"]) lease(id);
  for (const id of ["p", "q"]) state.layers.observe((observed) => observed.change(id, { joining: undefined }));
  live(2 * TTL_MS, "p");
  expect(states()).toEqual(["p active healthy", "q active down"]);
  const config = { ...state.config, configRevision: 2 };
  expect(state.planned({ config, dev: false })).toMatchObject({ movedShare: 0, optimumShare: 0 });
});

test("a ring of which nothing is written any more is joined by nobody", () => {
  const db = fresh();
  const { lease } = start(db);
  lease("p");
  const { operators, shown } = startRing(db, [], { configRevision: 2 });
  expect(shown()).toEqual(["a 1 draining", "p 1 draining"]);
  expect(operators.lease("q", { url: url("q"), weight: 1 }, "pods", {})).toMatchObject({
    kind: "conflict",
    why: expect.stringMatching(/nobody joins/) as string,
  });
});

test("a configuration that changes no origin moves nothing, whoever's lease has lapsed and whoever is down", () => {
  const { state, leases } = startRing(fresh());
  const planned = (): unknown => {
    const { movedShare, optimumShare } = state.planned({ config: { ...state.config, configRevision: 2 }, dev: false });
    return [movedShare, optimumShare];
  };
  leases.take("pod-1", { url: url("pod-1"), weight: 1, ttlMs: 1_000 }, "pods");
  leases.take("pod-2", { url: url("pod-2"), weight: 2 }, "pods");
  state.layers.observe((observed) => ["pod-1", "pod-2"].forEach((id) => observed.change(id, { joining: undefined })));
  expect(planned()).toEqual([0, 0]);
  vi.advanceTimersByTime(1_000);
  leases.run(Date.now());
  expect(state.view.byId.get("pod-1")?.health).toBe("down");
  expect(planned()).toEqual([0, 0]);
  state.layers.observe((observed) => observed.setDown("a", true, Date.now()));
  expect(planned()).toEqual([0, 0]);
});
