// Shares: a plan read from the clock, and who is let in by it.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fraction, keyPoint } from "../../src/core/hash.ts";
import { admits, FULL_SHARE, partsOf, shareAt, type Partaker, type SharePlan } from "../../src/core/share.ts";
import { decodeSnapshot, viewOf, type RegionView } from "../../src/core/snapshot.ts";

const ramp: SharePlan = { from: 0.1, to: 1, startAtMs: 1000, endAtMs: 2000 };
const drop: SharePlan = { from: 1, to: 0, startAtMs: 1000, endAtMs: 1000 };
const fall: SharePlan = { from: 0.9, to: 0.4, startAtMs: 1000, endAtMs: 3000 };
const NOW_MS = 1_763_700_000_000;
const ahead: SharePlan = { from: 0, to: 1, startAtMs: NOW_MS + 120_000, endAtMs: NOW_MS + 150_000 };

test.each<[plan: SharePlan, nowMs: number, share: number]>([
  [ramp, -1, 0.1],
  [ramp, 999, 0.1],
  [ramp, 1000, 0.1],
  [ramp, 1500, 0.55],
  [ramp, 1999, 0.9991],
  [ramp, 2000, 1],
  [ramp, 2001, 1],
  [drop, 999, 1],
  [drop, 1000, 0],
  [{ from: -1, to: 3, startAtMs: 0, endAtMs: 4 }, -1, 0],
  [{ from: -1, to: 3, startAtMs: 0, endAtMs: 4 }, 1, 0],
  [{ from: -1, to: 3, startAtMs: 0, endAtMs: 4 }, 2, 1],
  [{ from: -1, to: 3, startAtMs: 0, endAtMs: 4 }, 4, 1],
  [{ from: 0.2, to: 0.7, startAtMs: 9, endAtMs: 3 }, 5, 0.2],
  [{ from: 0.2, to: 0.7, startAtMs: 9, endAtMs: 3 }, 9, 0.7],
  [FULL_SHARE, 0, 1],
  // Starts in the future: a joiner's share is 0 until everybody can know of the plan.
  [ahead, NOW_MS, 0],
  [ahead, ahead.startAtMs - 1, 0],
  [ahead, ahead.startAtMs, 0],
  [ahead, ahead.startAtMs + 7500, 0.25],
  [ahead, ahead.endAtMs - 1, 29_999 / 30_000],
  // Is over, long ago too.
  [ahead, ahead.endAtMs, 1],
  [ahead, NOW_MS * 2, 1],
  [ahead, Infinity, 1],
  [ahead, -Infinity, 0],
  // Falls.
  [fall, 999, 0.9],
  [fall, 2000, 0.65],
  [fall, 3000, 0.4],
  // Has no length: what it leads to counts at that moment.
  [{ from: 0.3, to: 0.6, startAtMs: 5, endAtMs: 5 }, 4, 0.3],
  [{ from: 0.3, to: 0.6, startAtMs: 5, endAtMs: 5 }, 5, 0.6],
  [{ from: 0.3, to: 0.6, startAtMs: 0, endAtMs: 0 }, -1, 0.3],
  // What is no number lets nobody in, and does not spread.
  [{ ...ramp, from: Number.NaN }, 0, 0],
  [{ ...ramp, from: Number.NaN }, 1500, 0],
  [{ ...ramp, from: Number.NaN }, 2000, 1],
  [{ ...ramp, to: Number.NaN }, 999, 0.1],
  [{ ...ramp, to: Number.NaN }, 2000, 0],
  [{ ...ramp, endAtMs: Number.NaN }, 1500, 0],
  [ramp, Number.NaN, 0],
  [{ from: Infinity, to: -Infinity, startAtMs: 0, endAtMs: 9 }, -1, 1],
  [{ from: Infinity, to: -Infinity, startAtMs: 0, endAtMs: 9 }, 9, 0],
])("the share of %j at %i is %d", (plan, nowMs, share) => {
  expect(shareAt(plan, nowMs)).toBeCloseTo(share, 10);
});

const share = fc.double({ min: 0, max: 1, noNaN: true });
const lot = fc.integer({ min: 0, max: 0xffffffff });

test("who is let in at one share is let in at every larger one", () => {
  fc.assert(
    fc.property(lot, fc.string(), share, share, (lot, id, a, b) => {
      const [smaller, larger] = [Math.min(a, b), Math.max(a, b)];
      if (admits(lot, id, smaller)) expect(admits(lot, id, larger)).toBe(true);
    }),
  );
});

test("share 0 lets nobody in, share 1 everybody", () => {
  fc.assert(
    fc.property(lot, fc.string(), (lot, id) => {
      expect([admits(lot, id, 0), admits(lot, id, 1)]).toEqual([false, true]);
    }),
  );
});

test("nor does share 0 let in the one key whose number is 0", () => {
  const none = 445_169_633;
  expect(fraction(none, "origin/weur-1")).toBe(0);
  expect([admits(none, "origin/weur-1", 0), admits(none, "origin/weur-1", Number.MIN_VALUE)]).toEqual([false, true]);
  expect(admits(none, "origin/weur-1", Number.NaN)).toBe(false);
});

test("a share of 0.3 lets in three keys of ten, at each origin others", () => {
  const lots = Array.from({ length: 10_000 }, (_, n) => Math.imul(n, 0x9e3779b1) >>> 0);
  const first = lots.filter((lot) => admits(lot, "weur-1", 0.3));
  expect(first.length).toBeGreaterThan(2800);
  expect(first.length).toBeLessThan(3200);
  const both = first.filter((lot) => admits(lot, "weur-2", 0.3)).length;
  expect(both).toBeGreaterThan(700); // 0.3 × 0.3 of 10,000
  expect(both).toBeLessThan(1100);
});

test("a share is between 0 and 1, whatever the plan and the time", () => {
  const number = fc.double();
  fc.assert(
    fc.property(fc.record({ from: number, to: number, startAtMs: number, endAtMs: number }), number, (plan, nowMs) => {
      const share = shareAt(plan, nowMs);
      expect(share >= 0 && share <= 1).toBe(true);
    }),
    { numRuns: 500 },
  );
});

test("a ramp up never goes down on the way, a ramp down never up", () => {
  const time = fc.integer({ min: -10, max: 5000 });
  fc.assert(
    fc.property(share, share, fc.nat(3000), fc.nat(3000), time, time, (from, to, startAtMs, lengthMs, one, other) => {
      const plan = { from, to, startAtMs, endAtMs: startAtMs + lengthMs };
      const [earlier, later] = [shareAt(plan, Math.min(one, other)), shareAt(plan, Math.max(one, other))];
      // A millionth of a millionth: a line drawn in doubles.
      if (from <= to) expect(later - earlier).toBeGreaterThanOrEqual(-1e-12);
      else expect(later - earlier).toBeLessThanOrEqual(1e-12);
    }),
  );
});

test("whom a share lets in does not depend on where the key stands on the ring", () => {
  // 16,000 keys in 16 parts of the circle; of the 1,000 of each, 300 are expected: 5 standard deviations of the two counts are 92.
  const admitted = new Float64Array(16);
  for (let n = 0; n < 16_000; n++) {
    const { position, lot } = keyPoint(`session-${n}`);
    const part = position >>> 28;
    if (admits(lot, "origin/weur-1", 0.3)) admitted[part] = (admitted[part] ?? 0) + 1;
  }
  for (const count of admitted) expect(Math.abs(count - 300)).toBeLessThan(92);
});

test("two holders of one snapshot let in the same keys at every moment of a ramp", () => {
  const origin = (id: string, share: SharePlan) => ({
    id, url: `https://${id}.example.com`, weight: 1, salt: 3, backup: false, lifecycle: "active", closed: false, health: "healthy", ejectedUntilMs: 0, share,
  });
  const ramps = [{ from: 0.1, to: 1, startAtMs: NOW_MS, endAtMs: NOW_MS + 30_000 }, { from: 1 / 3, to: 0.7, startAtMs: NOW_MS + 0.1, endAtMs: NOW_MS + 7001 }];
  const text = JSON.stringify({
    format: 1, pool: "collab", region: "weur", generation: 1, epoch: 5, configRevision: 1, writtenAtMs: NOW_MS, virtualNodes: 16, hintsVersion: 0,
    origins: ramps.map((plan, n) => origin(`weur-${n}`, plan)),
  });
  const holder = (): RegionView => {
    const snapshot = decodeSnapshot(JSON.parse(text));
    if (!snapshot) throw new Error("no snapshot");
    return viewOf(snapshot);
  };
  /** Who of 500 keys is let in by each origin, and by plans as they were written. */
  const letIn = (plans: ReadonlyMap<string, SharePlan>, nowMs: number): boolean[] =>
    [...plans].flatMap(([id, plan]) => Array.from({ length: 500 }, (_, n) => admits(keyPoint(`session-${n}`).lot, `origin/${id}`, shareAt(plan, nowMs))));
  const plansOf = ({ byId }: RegionView): Map<string, SharePlan> => new Map([...byId].map(([id, { share }]) => [id, share]));
  const written = new Map(ramps.map((plan, n) => [`weur-${n}`, plan]));
  const [one, other] = [holder(), holder()];
  let before: boolean[] = [];
  for (const afterMs of [-1, 0, 1, 500, 6999, 7001, 15_000, 29_999, 30_000]) {
    const now = letIn(plansOf(one), NOW_MS + afterMs);
    expect(letIn(plansOf(other), NOW_MS + afterMs)).toEqual(now);
    expect(letIn(written, NOW_MS + afterMs)).toEqual(now);
    expect(before.filter((was, n) => was && !now[n])).toEqual([]); // a growing share only lets in
    before = now;
  }
});

describe("parts", () => {
  const partaker = (weight: number, share = 1): Partaker => ({ weight, share });
  test.each<[what: string, partakers: Partaker[], parts: number[]]>([
    ["of nobody are none", [], []],
    ["of one is all", [partaker(0.1)], [1]],
    ["are by weight", [partaker(1), partaker(3)], [0.25, 0.75]],
    ["are by weight × share", [partaker(1, 0.5), partaker(1), partaker(2, 0.25)], [0.25, 0.5, 0.25]],
    ["of those who have a share, while another has none", [partaker(1, 0), partaker(1, 0.1), partaker(3, 0.1)], [0, 0.25, 0.75]],
    ["are by weight while all shares are 0: nobody is shut out", [partaker(1, 0), partaker(3, 0)], [0.25, 0.75]],
    ["of weight 0 are 0, whatever its share", [partaker(0), partaker(2, 0.5)], [0, 1]],
    ["are by weight where only those without a weight have a share", [partaker(0, 1), partaker(2, 0)], [0, 1]],
    ["are 0 where nobody has a weight", [partaker(0), partaker(0, 0.5)], [0, 0]],
    ["of weights below 0 are 0", [partaker(-1), partaker(1)], [0, 1]],
    ["of weights that are no numbers are 0", [partaker(Number.NaN), partaker(1)], [0, 1]],
    ["of endless weights are 0", [partaker(Infinity), partaker(-Infinity), partaker(1)], [0, 0, 1]],
    ["are 0 where no weight can be used", [partaker(Number.NaN), partaker(-1), partaker(Infinity)], [0, 0, 0]],
    ["of shares beyond 1 are as of 1", [partaker(1, 7), partaker(1, 1)], [0.5, 0.5]],
    ["of shares below 0 or that are no numbers are 0", [partaker(1, -1), partaker(1, Number.NaN), partaker(1, 0.1)], [0, 0, 1]],
  ])("%s", (_, partakers, parts) => {
    const got = partsOf(partakers);
    expect(got).toHaveLength(parts.length);
    for (const [index, part] of got.entries()) expect(part).toBeCloseTo(parts[index] ?? Number.NaN, 12);
  });

  test("are 1 together where there is any weight, else 0", () => {
    const odd = fc.oneof({ weight: 6, arbitrary: fc.double({ min: 0, max: 100, noNaN: true }) }, { weight: 1, arbitrary: fc.constantFrom(0, -1, 0.1, 1 / 3, Number.NaN, Infinity) });
    const partakers = fc.array(fc.record({ weight: odd, share: fc.constantFrom(0, 0.1, 1 / 3, 1, 1) }), { maxLength: 20 });
    fc.assert(
      fc.property(partakers, (partakers) => {
        const parts = partsOf(partakers);
        const whole = parts.reduce((sum, part) => sum + part, 0);
        expect(whole).toBeCloseTo(partakers.some(({ weight }) => weight > 0 && weight < Infinity) ? 1 : 0, 12);
        for (const part of parts) expect(part >= 0 && part <= 1).toBe(true);
      }),
    );
  });

  test("change nothing of who takes part", () => {
    const partakers = Object.freeze([partaker(1, 0.5), partaker(2)].map((each) => Object.freeze(each)));
    expect(partsOf(partakers)).toEqual(partsOf(partakers));
  });
});
