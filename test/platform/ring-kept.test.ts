// What a region keeps, as its ring object does: on disk, told in its snapshot, and never so that plain requests and the live session of one key are
// at two origins.

import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { lossOf } from "../../src/core/availability.ts";
import { decide } from "../../src/core/decide.ts";
import { keyPoint } from "../../src/core/hash.ts";
import { newDrain } from "../../src/core/drain.ts";
import { shareAt } from "../../src/core/share.ts";
import { RingState } from "../../src/platform/ring-state.ts";
import { RingStore } from "../../src/platform/ring-store.ts";
import type { LiveRow } from "../../src/platform/ring-table.ts";
import { Upkeep } from "../../src/platform/ring-upkeep.ts";
import { DEFAULT_POLICY } from "../support/pool-policy.ts";

const S = 1_000;
const START_MS = 1_800_000_000_000;
const ORIGINS = ["weur-1", "weur-2", "weur-b", "enam-1", "enam-2"].map((id) => ({
  id,
  region: id.slice(0, 4),
  url: `https://${id}.example.com`,
  weight: 1,
  salt: 0,
  backup: id.endsWith("b"),
}));

function startRing(region: string, db = new DatabaseSync(":memory:"), more: object = {}, origins = ORIGINS): RingState {
  const exec = (query: string, ...values: SQLInputValue[]): object[] =>
    values.length === 0 && !query.startsWith("SELECT") ? (db.exec(query), []) : db.prepare(query).all(...values);
  const policy = { ...DEFAULT_POLICY, balance: "ring", stickiness: "prefer", hold: true, affinity: "on", rollout: 1, failback: "sessions" };
  const spill = { overprovisioning: 1.4, holdDownMs: 30 * S, horizonMs: 20 * S, slowStart: { windowMs: 40 * S } };
  const pool = { id: "p", ...policy, virtualNodes: 8, ...spill, origins, ...more };
  const regions = { weur: { secondary: ["enam"] }, enam: { secondary: ["weur"] } };
  const settings = { dev: false, config: { configRevision: 1, regions, pools: { p: pool }, routes: [] } };
  return new RingState(settings as never, { pool: "p", region, generation: 1 }, new RingStore({ exec } as never));
}

const keptNow = ({ view }: RingState): number => shareAt(view.snapshot.kept, Date.now());

beforeEach(() => void vi.useFakeTimers({ now: START_MS }));
afterEach(() => void vi.useRealTimers());

test("a loss is in the very epoch that tells of it; what comes back waits, and the object's own end delays nothing", () => {
  const db = new DatabaseSync(":memory:");
  let ring = startRing("weur", db);
  expect([keptNow(ring), ring.kept.dueAtMs]).toEqual([1, Infinity]);
  const { epoch } = ring.view.snapshot;
  ring.layers.observe((observed) => observed.setDown("weur-1", true, Date.now()));
  expect([ring.view.snapshot.epoch, keptNow(ring)]).toEqual([epoch + 1, 0.7]);
  ring.layers.observe((observed) => observed.setDown("weur-1", false, Date.now()));
  expect([keptNow(ring), ring.kept.dueAtMs - Date.now()]).toEqual([0.7, 70 * S]);
  vi.advanceTimersByTime(30 * S);
  ring = startRing("weur", db);
  expect(keptNow(ring)).toBe(0.7);
  vi.advanceTimersByTime(20 * S);
  expect(keptNow(ring)).toBeCloseTo(0.85, 10);
  vi.advanceTimersByTime(20 * S);
  ring.keptIsDue();
  expect([keptNow(ring), ring.kept.dueAtMs]).toEqual([1, Infinity]);
  const over = ring.view.snapshot.epoch;
  ring.keptIsDue();
  expect(ring.view.snapshot.epoch).toBe(over); // nothing is new
});

test("what comes back while a share grows has its own turn, when that is due", () => {
  const ring = startRing("weur");
  for (const id of ["weur-1", "weur-2"]) ring.layers.observe((observed) => observed.setDown(id, true, Date.now()));
  ring.layers.observe((observed) => observed.setDown("weur-1", false, Date.now()));
  vi.advanceTimersByTime(40 * S);
  ring.layers.observe((observed) => observed.setDown("weur-2", false, Date.now()));
  vi.advanceTimersByTime(30 * S);
  expect([keptNow(ring), Date.now() >= ring.kept.dueAtMs]).toEqual([0.7, true]);
  ring.keptIsDue();
  vi.advanceTimersByTime(70 * S);
  expect(keptNow(ring)).toBe(1);
});

test("a region that is alone keeps everybody, whoever is lost", () => {
  const alone = startRing(
    "weur",
    undefined,
    {},
    ORIGINS.filter(({ region }) => region === "weur"),
  );
  for (const id of ["weur-1", "weur-2"]) alone.layers.observe((observed) => observed.setDown(id, true, Date.now()));
  expect([keptNow(alone), alone.kept.dueAtMs]).toEqual([1, Infinity]);
});

test("a session that stays where its key is not kept, because nobody abroad takes it, is pinned before somebody does", () => {
  const origins = ORIGINS.filter(({ backup }) => !backup);
  const [weur, enam] = [startRing("weur", undefined, {}, origins), startRing("enam", undefined, {}, origins)];
  for (const id of ["enam-1", "enam-2"]) enam.layers.observe((observed) => observed.setDown(id, true, Date.now()));
  weur.takeNeighbour(enam.view.snapshot);
  const keys = Array.from({ length: 40 }, (_, n) => `doc-${n}`);
  for (const key of keys) join(weur, key);
  weur.layers.setDrain("weur-1", newDrain(Date.now()));
  for (const id of ["enam-1", "enam-2"]) enam.layers.observe((observed) => observed.setDown(id, false, Date.now()));
  vi.advanceTimersByTime(70 * S); // abroad they are taken again from here on
  const spilled = keys.filter((key) => plainRequest(weur, enam, key, false) !== weur.live.get(key)?.origin);
  expect(spilled.length).toBeGreaterThan(0); // without the hints they would be at two origins
  for (const key of keys) expect(plainRequest(weur, enam, key)).toBe(weur.live.get(key)?.origin);
});

type Event =
  | { readonly what: "down" | "up" | "drain" | "close" | "undrain"; readonly origin: string }
  | { readonly what: "hear" | "join" | "tick" | "lost" | "back" }
  | { readonly what: "wait"; readonly ms: number };

const anyEvent: fc.Arbitrary<Event> = fc.oneof(
  fc.record({ what: fc.constantFrom("down", "up", "drain", "close", "undrain"), origin: fc.constantFrom(...ORIGINS.map(({ id }) => id)) }),
  fc.record({ what: fc.constantFrom("hear", "join", "join", "tick", "lost", "back") }),
  fc.record({ what: fc.constant("wait"), ms: fc.oneof(fc.nat(60 * S), fc.constant(90 * S)) }),
) as fc.Arbitrary<Event>;

test("whatever happens to two regions, plain requests go to the origin of their key's live session", () => {
  fc.assert(
    fc.property(fc.array(anyEvent, { minLength: 15, maxLength: 40 }), fc.boolean(), fc.boolean(), (events, hold, backups) => {
      vi.setSystemTime(START_MS);
      const start = (region: string): RingState =>
        startRing(region, undefined, { hold }, backups ? ORIGINS : ORIGINS.slice(0, 2).concat(ORIGINS.slice(3)));
      const rings = { weur: start("weur"), enam: start("enam") };
      const { weur, enam } = rings;
      let joined = 0;
      for (const event of events) {
        if (event.what === "join") for (let n = 0; n < 5; n++) join(weur, `doc-${joined++}`);
        else if (event.what === "hear") weur.takeNeighbour(enam.view.snapshot);
        else if (event.what === "wait") vi.setSystemTime(Date.now() + event.ms);
        else if (event.what === "lost" || event.what === "back")
          for (const id of ["enam-1", "enam-2"]) enam.layers.observe((observed) => observed.setDown(id, event.what === "lost", Date.now()));
        else if ("origin" in event) change(rings[event.origin.slice(0, 4) as "weur" | "enam"], event);
        if (event.what === "tick") for (const ring of [weur, enam]) if (Date.now() >= ring.kept.dueAtMs) ring.keptIsDue();
        leaveLost(weur);
        for (const { keyHash, origin, region } of weur.live.rows()) {
          if (lossOf(rings[region as "weur" | "enam"].view.byId.get(origin), Date.now(), NOBODY)) continue; // its ring has not heard of it yet, or nobody takes it
          expect(plainRequest(weur, enam, keyHash)).toBe(origin);
        }
      }
    }),
    { numRuns: 400 },
  );
});

const NOBODY: ReadonlySet<string> = new Set();

function change(ring: RingState, { what, origin }: Extract<Event, { origin: string }>): void {
  const drain = ring.layers.drainOf(origin);
  if (what === "down" || what === "up") ring.layers.observe((observed) => observed.setDown(origin, what === "down", Date.now()));
  else if (what === "drain" && !drain) ring.layers.setDrain(origin, newDrain(Date.now()));
  else if (what === "close" && drain) ring.layers.setDrain(origin, { ...drain, closedAtMs: Date.now(), closedEpoch: ring.view.snapshot.epoch + 1 });
  else if (what === "undrain" && drain) ring.layers.setDrain(origin, undefined);
}

/** As the ring object places: on its own knowledge. */
function join(ring: RingState, key: string, from?: string): void {
  const point = keyPoint(key);
  const pin = from === undefined ? ring.pinOf(key) : undefined;
  const excluded = from === undefined ? NOBODY : new Set([from]);
  const situation = { key: point, keyed: true, excluded, balance: { kind: "ring" }, policy: ring.pool, nowMs: Date.now() } as const;
  const decision = decide({ ...situation, regions: ring.views(), pin });
  if (decision.kind === "refused" || (from !== undefined && decision.reason === "panic")) return;
  const { origin, region, epoch, reason } = decision;
  const moved = from === undefined ? {} : { movedFrom: from };
  ring.live.set({ keyHash: key, ...point, keyed: true, origin: origin.id, region, epoch, reason, fence: ring.fence(), ...moved });
  ring.reconcilePins(ring.live.rows((row) => row.keyHash === key));
}

function leaveLost(ring: RingState): void {
  for (const { keyHash, origin, region } of ring.live.rows()) {
    if (lossOf(ring.viewOfRegion(region)?.byId.get(origin), Date.now(), NOBODY)) join(ring, keyHash, origin);
  }
}

/** As a Worker decides on both rings' newest snapshots and the home ring's hints. */
function plainRequest(home: RingState, other: RingState, key: string, hinted = true): string | undefined {
  const hint = hinted ? home.hints().entries.find(({ keyHash }) => keyHash === key) : undefined;
  const situation = { key: keyPoint(key), keyed: true, excluded: NOBODY, balance: { kind: "ring" }, policy: home.pool, nowMs: Date.now() } as const;
  const decision = decide({ ...situation, regions: [home.view, other.view], pin: hint });
  return decision.kind === "routed" ? decision.origin.id : undefined;
}

test("a region that is taken out is one epoch, outlives its object, and gives back only what it took", () => {
  const db = new DatabaseSync(":memory:");
  let ring = startRing("weur", db);
  ring.layers.setDrain("weur-1", newDrain(Date.now()));
  const { epoch } = ring.view.snapshot;
  vi.advanceTimersByTime(1);
  expect([ring.regionDown.down(Date.now()), ring.regionDown.down(Date.now())]).toEqual([true, false]);
  expect([ring.view.snapshot.epoch, keptNow(ring)]).toEqual([epoch + 1, 0]);
  ring = startRing("weur", db);
  expect([ring.regionDown.isDown, ring.view.snapshot.origins.map(({ lifecycle }) => lifecycle)]).toEqual([
    true,
    ["draining", "draining", "draining"],
  ]);
  // An operator's own word on one of them since is not the region's any more.
  ring.layers.setDrain("weur-2", undefined);
  ring.regionDown.follow(Date.now());
  expect(ring.layers.drainOf("weur-2")).toBeUndefined();
  vi.advanceTimersByTime(1);
  ring.layers.setDrain("weur-2", newDrain(Date.now()));
  expect([ring.regionDown.up(), ring.regionDown.up(), ring.regionDown.isDown]).toEqual([true, false, false]);
  expect([...ring.layers.drains().keys()].toSorted()).toEqual(["weur-1", "weur-2"]);
  expect(startRing("weur", db).regionDown.isDown).toBe(false);
});

test("whoever joins a region that is out is drained, under the name of one that has left too", () => {
  const db = new DatabaseSync(":memory:");
  const ring = startRing("weur", db);
  ring.regionDown.down(Date.now());
  const order = { url: "https://weur-1.example.com", weight: 1, salt: 0, backup: false, leavingAtMs: 1, goneAtMs: undefined, leftBy: "origin" };
  ring.layers.setGone("weur-1", order, Date.now());
  ring.regionDown.follow(Date.now());
  ring.layers.setMember("weur-1", { ...order, leavingAtMs: undefined, leftBy: undefined }, {});
  startRing("weur", db).regionDown.follow(Date.now()); // though the object is another since
  expect(startRing("weur", db).layers.drainOf("weur-1")?.by).toBe("region");
});

test("whoever leaves a region that is out of service and joins it again is drained too", () => {
  const ring = startRing("weur", new DatabaseSync(":memory:"));
  const order = {
    url: "https://weur-3.example.com",
    weight: 1,
    salt: 0,
    backup: false,
    leavingAtMs: undefined,
    goneAtMs: undefined,
    leftBy: undefined,
  };
  ring.regionDown.down(Date.now());
  ring.layers.setGone("weur-3", { ...order, leavingAtMs: Date.now(), leftBy: "ann" }, Date.now());
  expect(ring.regionDown.follow(Date.now())).toEqual([]);
  ring.layers.setMember("weur-3", order, {});
  expect(ring.regionDown.follow(Date.now())).toEqual(["weur-3"]);
  expect(ring.view.byId.get("weur-3")?.lifecycle).toBe("draining");
  const { epoch } = ring.view.snapshot;
  expect([ring.regionDown.follow(Date.now()), ring.view.snapshot.epoch]).toEqual([[], epoch]);
  ring.regionDown.up();
  expect([...ring.layers.drains().keys()]).toEqual([]);
});

test("a session that comes home comes once: while its owner takes less than its share yet, it stays where it is served", () => {
  const ring = startRing("weur", undefined, { overprovisioning: 10 });
  const moved: string[][] = [];
  const move = async (rows: readonly LiveRow[]): Promise<number> => (moved.push(rows.map(({ keyHash }) => keyHash)), 0);
  const upkeep = new Upkeep(ring, { move } as never, { complete: true } as never, async (work) => work);
  const points = Array.from({ length: 40 }, (_, n) => ({ keyHash: `k${n}`, ...keyPoint(`k${n}`) }));
  const ownerOf = (key: { position: number; lot: number }): string | undefined => ring.ringPlaceOf(key);
  const [mine, others] = [points.filter((key) => ownerOf(key) === "weur-1"), points.filter((key) => ownerOf(key) === "weur-2")];
  expect(Math.min(mine.length, others.length)).toBeGreaterThan(5);
  for (const id of ["weur-1", "weur-2", "weur-b"]) ring.layers.observe((observed) => observed.setDown(id, true, Date.now()));
  for (const key of points) ring.live.set({ ...key, keyed: true, origin: "enam-1", region: "enam", fence: 1, epoch: 1, reason: "failover" });
  ring.layers.observe((observed) => observed.setDown("weur-2", false, Date.now()));
  vi.advanceTimersByTime(50 * S);
  ring.layers.observe((observed) => {
    observed.setDown("weur-1", false, Date.now());
    observed.restart("weur-1", ring.view.snapshot.origins, Date.now());
  });
  vi.advanceTimersByTime(25 * S); // the region keeps all of its keys again; weur-1 takes some of its own
  ring.keptIsDue();
  upkeep.run(Date.now());
  const home = new Set(moved.flat());
  expect(others.filter(({ keyHash }) => !home.has(keyHash))).toEqual([]);
  const waiting = mine.filter(({ keyHash }) => !home.has(keyHash));
  expect(waiting.length).toBeGreaterThan(0);
  expect(mine.filter((key) => home.has(key.keyHash) && ownerOf(key) !== "weur-1")).toEqual([]);
  vi.advanceTimersByTime(40 * S);
  upkeep.run(Date.now());
  expect(new Set(moved.at(-1))).toEqual(new Set(points.map(({ keyHash }) => keyHash))); // the move is played: nobody has left in truth
});
