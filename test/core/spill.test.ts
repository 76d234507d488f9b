// Spill and failback: what a region keeps falls at once, and comes back after a hold-down, on a ramp.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { keyPoint } from "../../src/core/hash.ts";
import { FULL_SHARE, shareAt, type SharePlan } from "../../src/core/share.ts";
import { decodeSnapshot, type Snapshot, type SnapshotOrigin } from "../../src/core/snapshot.ts";
import { availableShare, comesHome, keeps, nextKept, type SpillPolicy } from "../../src/core/spill.ts";

const origin = (more: Partial<SnapshotOrigin> = {}): SnapshotOrigin => ({
  id: "a", url: "https://a.example.com", weight: 1, salt: 0, backup: false, lifecycle: "active", closed: false, health: "healthy", ejectedUntilMs: 0, share: FULL_SHARE, ...more,
});
const flat = (share: number): SharePlan => ({ from: share, to: share, startAtMs: 0, endAtMs: 0 });
const snapshot = (origins: readonly Partial<SnapshotOrigin>[], kept = FULL_SHARE, region = "weur"): Snapshot => ({
  format: 1, placement: "v1", pool: "p", region, generation: 1, epoch: 1, configRevision: 1, writtenAtMs: 0, virtualNodes: 16, hintsVersion: 0, kept,
  origins: origins.map((more, n) => origin({ id: `o${n}`, ...more })),
});

const DOWN = { health: "down" } as const;
const EJECTED = { health: "ejected", ejectedUntilMs: 2000 } as const;

describe("the available part of a region", () => {
  test.each<[what: string, origins: Partial<SnapshotOrigin>[], nowMs: number, available: number]>([
    ["all well", [{}, {}], 0, 1],
    ["one of four down", [{}, {}, {}, DOWN], 0, 0.75],
    ["by weight", [{ weight: 3 }, { weight: 1, ...DOWN }], 0, 0.75],
    ["ejected", [{}, EJECTED], 1999, 0.5],
    ["until then", [{}, EJECTED], 2000, 1],
    ["draining counts as lost", [{}, { lifecycle: "draining" }], 0, 0.5],
    ["drained too, until it is out of the fleet", [{}, { lifecycle: "drained", closed: true }], 0, 0.5],
    ["who is about to join is not missed", [{}, { lifecycle: "joining" }], 0, 1],
    ["whether well or not", [{}, { lifecycle: "joining", ...DOWN }], 0, 1],
    ["a share that grows is no loss", [{ share: flat(0) }, { share: flat(0.1) }], 0, 1],
    ["a backup is none of it", [{}, { backup: true, ...DOWN }], 0, 1],
    ["and makes up for nothing", [DOWN, { backup: true }], 0, 0],
    ["nor does who has no weight", [{ weight: 0 }, DOWN], 0, 0],
    ["all down", [DOWN, DOWN], 0, 0],
    ["a region of nobody misses nobody", [], 0, 1],
    ["nor one of joiners", [{ lifecycle: "joining" }], 0, 1],
  ])("%s", (_, origins, nowMs, available) => {
    expect(availableShare(snapshot(origins), nowMs)).toBe(available);
  });
});

describe("the keys that a region keeps", () => {
  const lots = Array.from({ length: 10_000 }, (_, n) => keyPoint(`session-${n}`).lot);
  const keptOf = (share: number, region = "weur"): number[] => lots.filter((lot) => keeps(snapshot([], flat(share), region), lot, 0));

  test("are its share of all keys; none at 0, all at 1", () => {
    expect([keptOf(0).length, keptOf(1).length]).toEqual([0, 10_000]);
    expect(keptOf(0.7).length / 10_000).toBeCloseTo(0.7, 1);
  });

  test("only grow with the share", () => {
    let before = new Set<number>();
    for (const share of [0.1, 0.3, 0.35, 0.7, 0.99]) {
      const now = new Set(keptOf(share));
      expect(before.difference(now)).toEqual(new Set());
      expect(now.size).toBeGreaterThan(before.size);
      before = now;
    }
  });

  test("are others in each region", () => {
    const [weur, enam] = [new Set(keptOf(0.5)), new Set(keptOf(0.5, "enam"))];
    expect(weur.intersection(enam).size / 10_000).toBeCloseTo(0.25, 1);
  });

  test("follow the clock along a ramp", () => {
    const ramp = snapshot([], { from: 0, to: 1, startAtMs: 1000, endAtMs: 2000 });
    const parts = [999, 1250, 1500, 2000].map((nowMs) => lots.filter((lot) => keeps(ramp, lot, nowMs)).length / 10_000);
    expect(parts.map((part) => part.toFixed(1))).toEqual(["0.0", "0.3", "0.5", "1.0"]);
  });

  test.each<[what: string, failback: "sessions" | "new", home: Snapshot, come: boolean]>([
    ["come home where sessions do", "sessions", snapshot([{}]), true],
    ["stay where only new ones do", "new", snapshot([{}]), false],
    ["stay while nobody is there", "sessions", snapshot([DOWN]), false],
    ["stay while only a backup is", "sessions", snapshot([DOWN, { backup: true }]), false],
    ["come to a region of which a part is well, and which keeps them", "sessions", snapshot([{}, DOWN]), true],
    ["stay while home does not keep them", "sessions", snapshot([{}], flat(0)), false],
  ])("%s", (_, failback, home, come) => {
    expect(comesHome(failback, home, 7, 0)).toBe(come);
  });
});

/** Well: 100 %. Held down 30 s, or the horizon of 20 s where that is longer; then a ramp of 40 s. */
const POLICY: SpillPolicy = { overprovisioning: 1.4, holdDownMs: 30_000, horizonMs: 20_000, rampMs: 40_000 };
const S = 1000;

/** At so many seconds so much is available. The share that is kept then, and at later seconds if nothing more happens. */
type Event = readonly [atSeconds: number, available: number, now: number, later?: Readonly<Record<number, number>>];

describe("what a region keeps, event by event", () => {
  test.each<[what: string, policy: Partial<SpillPolicy>, events: readonly Event[]]>([
    ["a loss that the others can bear is none", {}, [
      [0, 1, 1],
      [10, 0.8, 1, { 1000: 1 }],
      [20, 1, 1, { 1000: 1 }],
    ]],
    ["a loss beyond that falls at once", {}, [
      [10, 0.5, 0.7, { 11: 0.7, 1000: 0.7 }],
      [11, 0.25, 0.35, { 1000: 0.35 }],
      [12, 0, 0, { 1000: 0 }],
    ]],
    ["what comes back waits for the hold-down, then ramps", {}, [
      [0, 0.5, 0.7],
      [100, 1, 0.7, { 129: 0.7, 130: 0.7, 150: 0.85, 160: 0.925, 170: 1, 1000: 1 }],
    ]],
    ["and for the horizon where that is longer", { horizonMs: 120_000 }, [
      [0, 0.5, 0.7],
      [100, 1, 0.7, { 219: 0.7, 220: 0.7, 240: 0.85, 260: 1 }],
    ]],
    ["without a hold-down still for the horizon", { holdDownMs: 0 }, [
      [0, 0.5, 0.7],
      [100, 1, 0.7, { 120: 0.7, 140: 0.85, 160: 1 }],
    ]],
    ["without a ramp all comes at once, then", { rampMs: 0 }, [
      [0, 0.5, 0.7],
      [100, 1, 0.7, { 129: 0.7, 130: 1 }],
    ]],
    ["told again, nothing starts anew", {}, [
      [0, 0.5, 0.7],
      [100, 1, 0.7, { 150: 0.85 }],
      [110, 1, 0.7, { 150: 0.85 }],
      [150, 1, 0.85, { 160: 0.925, 170: 1 }],
      [169, 1, 0.9925, { 170: 1 }],
      [170, 1, 1, { 1000: 1 }],
    ]],
    ["a loss in the hold-down, below the present share: falls, and what comes back then is held down itself", {}, [
      [0, 0.5, 0.7],
      [100, 1, 0.7],
      [110, 0.25, 0.35, { 150: 0.35, 1000: 0.35 }],
      [120, 0.5, 0.35, { 149: 0.35, 150: 0.35, 170: 0.525, 190: 0.7, 1000: 0.7 }],
    ]],
    ["a loss in the hold-down, above it: those that stayed are not delayed", {}, [
      [0, 0, 0],
      [100, 1, 0, { 130: 0, 150: 0.5, 170: 1 }],
      [110, 0.5, 0, { 130: 0, 150: 0.35, 170: 0.7, 1000: 0.7 }],
    ]],
    ["a loss on the ramp, below the present share: falls at once and stays", {}, [
      [0, 0, 0],
      [100, 1, 0],
      [160, 0.25, 0.35, { 161: 0.35, 1000: 0.35 }],
    ]],
    ["a loss on the ramp, above it: goes on from there to less", {}, [
      [0, 0, 0],
      [100, 1, 0],
      [150, 0.5, 0.5, { 160: 0.6, 170: 0.7, 1000: 0.7 }],
    ]],
    ["a loss on the ramp down to just what is kept: stays", {}, [
      [0, 0, 0],
      [100, 1, 0],
      [158, 0.5, 0.7, { 160: 0.7, 1000: 0.7 }],
    ]],
    ["more that comes back in the hold-down waits until the ramp is over, and is held down itself", {}, [
      [0, 0, 0],
      [100, 0.25, 0, { 130: 0, 150: 0.175, 170: 0.35, 1000: 0.35 }],
      [110, 1, 0, { 170: 0.35, 1000: 0.35 }],
      [150, 1, 0.175, { 170: 0.35 }],
      [170, 1, 0.35, { 199: 0.35, 200: 0.35, 220: 0.675, 240: 1 }],
    ]],
    ["a second loss while a rise is under way, and its recovery, delay nothing of the first", {}, [
      [0, 0, 0],
      [100, 0.75, 0, { 150: 0.5, 170: 1 }],
      [120, 0.5, 0, { 150: 0.35, 170: 0.7 }],
      [125, 0.75, 0, { 150: 0.35, 170: 0.7 }],
      [170, 0.75, 0.7, { 200: 0.7, 220: 0.85, 240: 1 }],
    ]],
    ["total loss, and all of it back", {}, [
      [0, 0, 0, { 1000: 0 }],
      [50, 1, 0, { 79: 0, 80: 0, 90: 0.25, 100: 0.5, 110: 0.75, 120: 1 }],
    ]],
    ["total loss again and again: home is home only when it has been well for long enough", {}, [
      [0, 0, 0],
      [10, 1, 0],
      [39, 0, 0, { 1000: 0 }],
      [41, 1, 0, { 70: 0, 71: 0, 91: 0.5, 111: 1 }],
    ]],
    ["availability that is more than all, or less than none", {}, [
      [0, 7, 1],
      [1, -1, 0, { 1000: 0 }],
    ]],
  ])("%s", (_, more, events) => {
    let plan = FULL_SHARE;
    for (const [at, available, now, later = {}] of events) {
      plan = nextKept(plan, available, { ...POLICY, ...more }, at * S);
      expect(shareAt(plan, at * S), `at ${at} s`).toBeCloseTo(now, 10);
      for (const [second, share] of Object.entries(later)) expect(shareAt(plan, Number(second) * S), `after ${at} s, at ${second} s`).toBeCloseTo(share, 10);
    }
  });

  test("an origin that flaps every few seconds neither starves its region nor moves keys to and fro", () => {
    // One of two, for 20 minutes: the region keeps what the other can bear, and no key moves but in the first fall.
    let plan = FULL_SHARE;
    const shares = new Set<number>();
    for (let second = 0; second < 1200; second++) {
      plan = nextKept(plan, second % 20 < 10 ? 0.5 : 1, POLICY, second * S);
      shares.add(shareAt(plan, second * S));
    }
    expect([...shares]).toEqual([0.7]);
    // When it has settled, all comes back: one hold-down and one ramp after the last fall at 1190.
    for (let second = 1200; second <= 1300; second++) plan = nextKept(plan, 1, POLICY, second * S);
    expect(shareAt(plan, 1300 * S)).toBe(1);
  });

  test("one that flaps slower than the hold-down moves keys home once a hold-down at most", () => {
    let plan = FULL_SHARE;
    let rises = 0;
    let before = 1;
    let rising = false;
    for (let second = 0; second < 1200; second++) {
      plan = nextKept(plan, second % 100 < 20 ? 0.5 : 1, POLICY, second * S);
      const now = shareAt(plan, second * S);
      if (now > before && !rising) rises++;
      rising = now > before;
      before = now;
      expect(now).toBeGreaterThanOrEqual(0.7);
    }
    expect(rises).toBe(12); // one in each of twelve periods of 100 s
  });

  test("while nothing changes, no new plan is made: the ring object publishes nothing", () => {
    for (const [available, seconds] of [[1, 300], [0.5, 300], [0, 300]] as const) {
      let plan = nextKept(FULL_SHARE, available, POLICY, 0);
      for (let second = 1; second < seconds; second++) {
        const next = nextKept(plan, available, POLICY, second * S);
        expect(next).toBe(plan);
        plan = next;
      }
    }
  });

  test("one recovery is at most three plans: the rise, and the flat share that it ends in", () => {
    let plan = nextKept(FULL_SHARE, 0, POLICY, 0);
    const plans = new Set([plan]);
    for (let second = 1; second < 300; second++) plans.add((plan = nextKept(plan, 0.5, POLICY, second * S)));
    expect([...plans]).toEqual([flat(0), { from: 0, to: 0.7, startAtMs: 31_000, endAtMs: 71_000 }, flat(0.7)]);
  });
});

describe("after any sequence", () => {
  const anyPolicy = fc.record({
    overprovisioning: fc.double({ min: 1, max: 3, noNaN: true }), holdDownMs: fc.nat(60_000), horizonMs: fc.integer({ min: 1, max: 120_000 }), rampMs: fc.nat(60_000),
  });
  const anyEvents = fc.array(fc.record({ afterMs: fc.nat(80_000), available: fc.oneof(fc.constantFrom(0, 0.25, 0.5, 1), fc.double({ min: 0, max: 1, noNaN: true })) }), { maxLength: 20 });
  /** Half an ulp of a ramp's arithmetic. */
  const EPSILON = 1e-12;
  const later = [0, 1, 999, 10_000, 30_000, 60_000, 1e6, 1e9];

  /** Tells the plan, and the share before and after, of each event in turn. */
  function play(events: readonly { afterMs: number; available: number }[], policy: SpillPolicy, look: (facts: { plan: SharePlan; before: SharePlan; target: number; nowMs: number }) => void): void {
    let plan = FULL_SHARE;
    let nowMs = 1_800_000_000_000;
    for (const { afterMs, available } of events) {
      nowMs += afterMs;
      const before = plan;
      plan = nextKept(before, available, policy, nowMs);
      look({ plan, before, target: Math.min(1, policy.overprovisioning * available), nowMs });
    }
  }

  test("the share is between none and all, at most what is available can bear, and only grows until the next event", () => {
    fc.assert(
      fc.property(anyEvents, anyPolicy, (events, policy) => {
        play(events, policy, ({ plan, target, nowMs }) => {
          const shares = later.map((ms) => shareAt(plan, nowMs + ms));
          for (const share of shares) {
            expect(share).toBeGreaterThanOrEqual(0);
            expect(share).toBeLessThanOrEqual(target + EPSILON);
          }
          for (const [n, share] of shares.entries()) expect(share).toBeGreaterThanOrEqual((shares[n - 1] ?? 0) - EPSILON);
        });
      }),
      { numRuns: 500 },
    );
  });

  test("a fall is at once and no deeper than it must be; a rise never", () => {
    fc.assert(
      fc.property(anyEvents, anyPolicy, (events, policy) => {
        play(events, policy, ({ plan, before, target, nowMs }) => {
          expect(shareAt(plan, nowMs)).toBeCloseTo(Math.min(shareAt(before, nowMs), target), 10);
        });
      }),
      { numRuns: 500 },
    );
  });

  test("whatever has come back is all kept, two hold-downs and two ramps later", () => {
    fc.assert(
      fc.property(anyEvents, anyPolicy, (events, policy) => {
        const quietMs = Math.max(policy.holdDownMs, policy.horizonMs) + policy.rampMs + 1;
        const settled = [...events, ...[0, 1, 2].map((n) => ({ afterMs: n === 0 ? 0 : quietMs, available: 0.8 }))];
        let last = 0;
        let wanted = 0;
        play(settled, policy, ({ plan, target, nowMs }) => ([last, wanted] = [shareAt(plan, nowMs + quietMs), target]));
        expect(last).toBeCloseTo(wanted, 10);
      }),
      { numRuns: 500 },
    );
  });

  test("no rise begins sooner than the hold-down and the horizon after what came back", () => {
    fc.assert(
      fc.property(anyEvents, anyPolicy, (events, policy) => {
        play(events, policy, ({ plan, before, nowMs }) => {
          if (before.to > shareAt(before, nowMs) || plan.to <= shareAt(plan, nowMs)) return; // one is under way, or none begins
          const startAtMs = nowMs + Math.max(policy.holdDownMs, policy.horizonMs);
          expect([plan.startAtMs, plan.from]).toEqual([startAtMs, shareAt(before, nowMs)]);
        });
      }),
      { numRuns: 500 },
    );
  });

  test("the plan is one that a snapshot holds, unchanged by its way through JSON", () => {
    fc.assert(
      fc.property(anyEvents, anyPolicy, (events, policy) => {
        play(events, policy, ({ plan }) => {
          const written = snapshot([{}], plan);
          expect(decodeSnapshot(JSON.parse(JSON.stringify(written)))).toEqual(written);
        });
      }),
      { numRuns: 200 },
    );
  });
});
