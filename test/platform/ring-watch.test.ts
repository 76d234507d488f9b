// What a ring object makes of what it observes, event by event: one epoch and one line of the journal each, on disk before anybody hears of it.

import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { READY } from "../../src/core/agent-words.ts";
import type { Told } from "../../src/core/ejection.ts";
import { newDrain } from "../../src/core/drain.ts";
import { ownerOf } from "../../src/core/ring.ts";
import { shareAt } from "../../src/core/share.ts";
import { Drains } from "../../src/platform/ring-drains.ts";
import type { Probed } from "../../src/platform/ring-health.ts";
import { RingState } from "../../src/platform/ring-state.ts";
import { RingStore } from "../../src/platform/ring-store.ts";
import { RingWatch } from "../../src/platform/ring-watch.ts";
import { Upkeep } from "../../src/platform/ring-upkeep.ts";

const START_MS = 1_800_000_000_000;
const S = 1_000;

beforeEach(() => {
  vi.useFakeTimers({ now: START_MS });
  vi.spyOn(console, "log").mockImplementation(() => undefined);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

function startRing(
  db: DatabaseSync,
  { ids = ["a", "b", "c"], configRevision = 1, hold = true }: { ids?: string[]; configRevision?: number; hold?: boolean } = {},
) {
  const exec = (query: string, ...values: SQLInputValue[]): object[] =>
    values.length === 0 && !query.startsWith("SELECT") ? (db.exec(query), []) : db.prepare(query).all(...values);
  const origins = ids.map((id) => ({ id, region: "weur", url: `https://${id}.example.com`, weight: 1, backup: false }));
  const policy = { balance: "ring", stickiness: "prefer", hold, affinity: "on", rollout: 1, panicShare: 0.5 };
  const times = {
    drain: { mode: "move", deadlineMs: 60 * S, graceMs: 0 },
    horizonMs: 20 * S,
    holdDownMs: 30 * S,
    slowStart: { windowMs: 40 * S },
    health: { rise: 1, fall: 1, timeoutMs: 1 * S },
  };
  const pool = { id: "p", virtualNodes: 64, ...policy, ...times, ejection: { faults: 5, baseMs: 30 * S, maxShare: 0.5 }, origins };
  const settings = { dev: false, config: { configRevision, regions: { weur: { secondary: [] } }, pools: { p: pool }, routes: [] } };
  const state = new RingState(settings as never, { pool: "p", region: "weur", generation: 1 }, new RingStore({ exec } as never));
  const notes: string[] = [];
  const moves = { move: vi.fn(async () => 0), evacuate: vi.fn(async () => undefined), expel: vi.fn() };
  const upkeep = new Upkeep(state, moves as never, { complete: true } as never, async (work) => work);
  const lookAt = vi.fn();
  const journal = { note: ({ what, who, origin }: { what: string; who: string; origin?: string }) => void notes.push(`${what} ${origin} ${who}`) };
  const tables = { completeWithGuests: true };
  const drained = new Drains({ state, upkeep, journal, tables, publisher: {}, announce: () => undefined } as never);
  const watch = new RingWatch({
    state,
    prober: { lookAt, sweep: async () => undefined } as never,
    journal: {
      note: ({ what, who, origin }: { what: string; who: string; origin?: string }) => void notes.push(`${what} ${origin} ${who}`),
    } as never,
    drain: (origin, drains) => (drains ? drained.order(origin, "origin") : drained.undo(origin, "origin")),
    leaveLost: () => upkeep.leaveLost(),
    announce: () => upkeep.followRing(),
    goOn: () => undefined,
  });
  const probed = (id: string, ok: boolean, more: Partial<Probed> = {}): void => {
    const before = state.view.byId.get(id)?.health === "down" ? "down" : "healthy";
    watch.probed(id, { ok, word: READY, beganAtMs: Date.now(), before, status: ok ? "healthy" : before, ...more });
  };
  /** `a` full, `b -` ejected, `c x` down; a share as it is now, in hundredths. */
  const shown = (): string =>
    state.view.snapshot.origins
      .map(
        ({ id, lifecycle, health, share }) =>
          `${id}${lifecycle === "active" ? "" : ` ${lifecycle}`} ${health === "healthy" ? Math.round(shareAt(share, Date.now()) * 100) : health}`,
      )
      .join(", ");
  const fell = (id: string): void => probed(id, false, { before: "healthy", status: "down" });
  const rose = (id: string): void => probed(id, true, { before: "down", status: "healthy" });
  return { state, watch, upkeep, notes, shown, probed, fell, rose, lookAt, moves, drained, epoch: () => state.view.snapshot.epoch };
}

const at = (seconds: number): unknown => vi.setSystemTime(START_MS + seconds * S);
const FAILING: Told = { ok: 0, errors: 9, unreached: 0, slow: 0, keys: [1, 2, 3], slowKeys: [] };

describe("event by event", () => {
  type Ring = ReturnType<typeof startRing>;
  type Row = readonly [atSeconds: number, event: string, act: (ring: Ring) => void, shown: string];
  test.each<[what: string, rows: readonly Row[]]>([
    [
      "the first fleet is there to be served by; one that dies and comes back waits for the hold-down, then starts slowly",
      [
        [0, "born", () => undefined, "a 100, b 100, c 100"],
        [1, "down", ({ fell }) => fell("a"), "a down, b 100, c 100"],
        [5, "its checks are well", ({ rose }) => rose("a"), "a 0, b 100, c 100"],
        [31, "the hold-down is over", () => undefined, "a 0, b 100, c 100"],
        [51, "on its way", () => undefined, "a 50, b 100, c 100"],
        [71, "full", () => undefined, "a 100, b 100, c 100"],
      ],
    ],
    [
      "one that falls on its way begins with nothing",
      [
        [0, "down", ({ fell }) => fell("a"), "a down, b 100, c 100"],
        [60, "back", ({ rose }) => rose("a"), "a 0, b 100, c 100"],
        [100, "on its way", () => undefined, "a 50, b 100, c 100"],
        [101, "down again", ({ fell }) => fell("a"), "a down, b 100, c 100"],
        [102, "back", ({ rose }) => rose("a"), "a 0, b 100, c 100"],
        [131, "the hold-down is over", () => undefined, "a 0, b 100, c 100"],
        [151, "on its way", () => undefined, "a 50, b 100, c 100"],
      ],
    ],
    [
      "where too few are left whoever comes back is full at once, and so is who is on the way",
      [
        [0, "two die", ({ fell }) => (fell("a"), fell("b")), "a down, b down, c 100"],
        [10, "one is back: a third is too little", ({ rose }) => rose("a"), "a 100, b down, c 100"],
        [20, "the other starts slowly", ({ rose }) => rose("b"), "a 100, b 0, c 100"],
        [21, "two die again", ({ fell }) => (fell("a"), fell("c")), "a down, b 0, c down"],
        [22, "one is back", ({ rose }) => rose("a"), "a 100, b 100, c down"],
      ],
    ],
    [
      "ejected, tried when its time is over, ejected for longer, and back",
      [
        [0, "errors", ({ watch }) => watch.told({ a: FAILING }), "a ejected, b 100, c 100"],
        [10, "its check is well: too early", ({ probed }) => probed("a", true), "a ejected, b 100, c 100"],
        [31, "tried: it fails", ({ probed }) => probed("a", false), "a ejected, b 100, c 100"],
        [90, "not yet", ({ probed }) => probed("a", true), "a ejected, b 100, c 100"],
        [92, "tried: well", ({ probed }) => probed("a", true), "a 0, b 100, c 100"],
        [132, "on its way", () => undefined, "a 50, b 100, c 100"],
      ],
    ],
    [
      "no more is ejected than the region can spare",
      [
        [0, "errors", ({ watch }) => watch.told({ a: FAILING }), "a ejected, b 100, c 100"],
        [1, "of another", ({ watch }) => watch.told({ b: FAILING }), "a ejected, b 100, c 100"],
        [2, "all at once", ({ watch }) => watch.told({ a: FAILING, b: FAILING, c: FAILING }), "a ejected, b 100, c 100"],
      ],
    ],
    [
      "what was told of the time before does not eject who has just come back",
      [
        [0, "down", ({ fell }) => fell("a"), "a down, b 100, c 100"],
        [60, "back", ({ rose }) => rose("a"), "a 0, b 100, c 100"],
        [61, "an isolate is late", ({ watch }) => watch.told({ a: FAILING }), "a 0, b 100, c 100"],
        [63, "that is new", ({ watch }) => watch.told({ a: FAILING }), "a ejected, b 100, c 100"],
      ],
    ],
    [
      "down while ejected is down, and comes back by its checks",
      [
        [0, "errors", ({ watch }) => watch.told({ a: FAILING }), "a ejected, b 100, c 100"],
        [5, "down", ({ fell }) => fell("a"), "a down, b 100, c 100"],
        [10, "well", ({ rose }) => rose("a"), "a 0, b 100, c 100"],
      ],
    ],
    [
      "its own share is reached at once downwards, on a ramp upwards",
      [
        [0, "40 %", ({ probed }) => probed("a", true, { word: { ...READY, share: 0.4 } }), "a 40, b 100, c 100"],
        [60, "all", ({ probed }) => probed("a", true), "a 40, b 100, c 100"],
        [100, "on its way", () => undefined, "a 70, b 100, c 100"],
      ],
    ],
  ])("%s", (_, rows) => {
    const ring = startRing(new DatabaseSync(":memory:"));
    for (const [seconds, event, act, shown] of rows) {
      at(seconds);
      act(ring);
      expect(ring.shown(), `${seconds} s: ${event}`).toBe(shown);
    }
  });
});

test("a joiner takes nothing before its first good check; each step is one epoch, and the journal has it", () => {
  const db = new DatabaseSync(":memory:");
  startRing(db);
  const ring = startRing(db, { ids: ["a", "b", "c", "d"], configRevision: 2 });
  expect(ring.shown()).toBe("a 100, b 100, c 100, d joining 0");
  const before = ring.epoch();
  ring.probed("d", false);
  expect(ring.epoch()).toBe(before);
  ring.probed("d", true);
  expect([ring.shown(), ring.epoch() - before, ring.notes]).toEqual(["a 100, b 100, c 100, d 0", 1, ["active d limpet"]]);
  ring.probed("d", true);
  expect(ring.epoch() - before).toBe(1); // nothing new
  at(40);
  expect(ring.shown()).toBe("a 100, b 100, c 100, d 50");
});

test("an eviction between any two events loses nothing", () => {
  const db = new DatabaseSync(":memory:");
  const again = (): ReturnType<typeof startRing> => startRing(db, { ids: ["a", "b", "c", "d", "e"], configRevision: 2 });
  startRing(db);
  again().probed("d", true);
  again().fell("a");
  again().watch.told({ b: FAILING });
  again().probed("c", true, { word: { ...READY, maintenance: true, share: 0.4 } });
  at(25);
  expect(again().shown()).toBe("a down, b ejected, c 40, d 13, e joining 0");
  expect(again().state.view.byId.get("c")?.maintenance).toBe(true);
  const last = again();
  expect(last.lookAt).toHaveBeenCalledWith("b", START_MS + 30 * S);
  at(31);
  last.probed("b", true);
  expect(last.notes).toEqual(["healthy b limpet"]);
});

test("an ejection ends for everybody a check, a horizon and a ramp after it might, where its ring object is gone", () => {
  const { watch, state } = startRing(new DatabaseSync(":memory:"));
  watch.told({ a: FAILING });
  expect(state.view.byId.get("a")?.ejectedUntilMs).toBe(START_MS + 30 * S + 1 * S + 20 * S + 40 * S);
});

describe("an origin's word on a drain", () => {
  const DRAIN = { word: { ...READY, drain: true } };
  test("is obeyed once, so that an operator's undrain holds; and taken back where it was its own", () => {
    const { probed, state, notes, drained } = startRing(new DatabaseSync(":memory:"));
    probed("a", true, DRAIN);
    expect(state.layers.drainOf("a")).toBeDefined();
    drained.undo("a", "ann"); // an operator
    probed("a", true, DRAIN);
    expect(state.layers.drainOf("a")).toBeUndefined();
    probed("a", true);
    probed("a", true, DRAIN);
    probed("a", true);
    expect([state.layers.drainOf("a"), notes]).toEqual([undefined, ["drain a origin", "undrain a ann", "drain a origin", "undrain a origin"]]);
  });

  test("does not take back an operator's", () => {
    const { probed, state } = startRing(new DatabaseSync(":memory:"));
    const ordered = newDrain(START_MS - 1, { mode: "move", deadlineMs: 60_000, by: "ann" });
    state.layers.setDrain("a", ordered);
    probed("a", true, DRAIN);
    probed("a", true);
    expect(state.layers.drainOf("a")).toEqual(ordered);
  });
});

describe("pins while shares are on their way", () => {
  /** Fifty live sessions, each where the ring has it. */
  function withSessions(ring: ReturnType<typeof startRing>): string[] {
    for (let n = 0; n < 50; n++) {
      const position = n * 80_000_000;
      const origin = ownerOf(ring.state.view.ring, position) ?? "";
      ring.state.live.set({
        keyHash: `k${n}`,
        position,
        lot: n * 7_919_777,
        keyed: true,
        origin,
        region: "weur",
        fence: 1,
        epoch: 1,
        reason: "owner",
      });
    }
    return ring.state.live.rows((row) => row.origin !== "a").map(({ keyHash }) => keyHash);
  }
  const theirs = (ring: ReturnType<typeof startRing>): string[] =>
    ring.state.live.rows(({ position }) => ownerOf(ring.state.view.ring, position) === "a").map(({ keyHash }) => keyHash);

  test("whoever is where the ring will not have them stays pinned from the epoch of the return on, until the ramp is over and after", () => {
    const ring = startRing(new DatabaseSync(":memory:"));
    withSessions(ring);
    ring.fell("a");
    // They have moved to the next of their walk.
    for (const row of ring.state.live.rows((each) => each.origin === "a")) ring.state.live.set({ ...row, origin: ring.state.ringPlaceOf(row) ?? "" });
    ring.state.reconcilePins(ring.state.live.rows());
    expect(ring.state.pinnedKeys()).toEqual([]); // the ring says so itself
    at(100);
    ring.rose("a");
    expect(ring.state.pinnedKeys().toSorted()).toEqual(theirs(ring).toSorted()); // before anybody goes by the plan
    ring.upkeep.run(Date.now());
    at(161);
    ring.upkeep.run(Date.now());
    expect(ring.state.pinnedKeys().toSorted()).toEqual(theirs(ring).toSorted());
  });

  test("whoever was placed there on the way is pinned only until the ramp is over: the clock is due then", () => {
    const ring = startRing(new DatabaseSync(":memory:"));
    ring.fell("a");
    at(100);
    ring.rose("a");
    ring.upkeep.followRing();
    withSessions(ring); // all at the owners that they will have
    ring.state.reconcilePins(ring.state.live.rows());
    expect(ring.state.pinnedKeys().length).toBeGreaterThanOrEqual(theirs(ring).length);
    expect(ring.upkeep.nextDueAtMs(Date.now())).toBe(START_MS + 160 * S);
    at(160);
    ring.upkeep.run(Date.now());
    expect(ring.state.pinnedKeys()).toEqual([]);
    expect(ring.upkeep.nextDueAtMs(Date.now())).toBe(Infinity);
  });

  test("hold: false: they follow while it grows, and once more when it is full", async () => {
    const ring = startRing(new DatabaseSync(":memory:"), { hold: false });
    withSessions(ring);
    ring.fell("a");
    for (const row of ring.state.live.rows((each) => each.origin === "a")) ring.state.live.set({ ...row, origin: ring.state.ringPlaceOf(row) ?? "" });
    at(100);
    ring.rose("a");
    const following = (): number => (ring.moves.move.mock.calls as unknown as [unknown[]][]).splice(0).reduce((sum, [rows]) => sum + rows.length, 0);
    const wanted = (): number => ring.state.live.rows((row) => ring.state.ringPlaceOf(row) !== row.origin).length;
    const tick = (): unknown => (ring.upkeep.run(Date.now()), wanted());
    await vi.advanceTimersByTimeAsync(0); // what was begun is done
    following();
    expect(tick()).toBe(0);
    await vi.advanceTimersByTimeAsync(0);
    at(140);
    expect(tick()).toBeGreaterThan(0);
    expect(following()).toBeGreaterThan(0);
    expect(ring.upkeep.nextDueAtMs(Date.now()) - Date.now()).toBeLessThanOrEqual(2 * S);
  });
});
