// Policies without a ring: who is next by load, by turn and by chance.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pick, type Candidate } from "../../src/core/balance.ts";

/** "a", "b" and so on with these weights, all shares full. */
const weighing = (...weights: number[]): Candidate[] => weights.map((weight, n) => ({ id: String.fromCharCode(0x61 + n), weight, share: 1 }));
const sharing = (...shares: number[]): Candidate[] => shares.map((share, n) => ({ id: String.fromCharCode(0x61 + n), weight: 1, share }));
const byTurn = (candidates: readonly Candidate[], turn: number) => pick(candidates, { kind: "round-robin", turn });
const byChance = (candidates: readonly Candidate[], draw: number) => pick(candidates, { kind: "random", draw });
const byLoad = (candidates: readonly Candidate[], loads: readonly number[], draw = 0) =>
  pick(candidates, { kind: "least-connections", draw, loadOf: (id) => loads[id.charCodeAt(0) - 0x61] ?? 0 });

/** Who takes each of so many turns. */
const turns = (candidates: readonly Candidate[], first: number, count: number): string[] =>
  Array.from({ length: count }, (_, n) => byTurn(candidates, first + n) ?? "nobody");
const countsOf = (taken: readonly string[]): Record<string, number> => Object.fromEntries(Object.entries(Object.groupBy(taken, (id) => id)).map(([id, all]) => [id, all?.length ?? 0]));
/** The longest run of turns that each takes without a break. */
function runsOf(taken: readonly string[]): Record<string, number> {
  const longest: Record<string, number> = {};
  let run = 0;
  for (const [n, id] of taken.entries()) {
    run = id === taken[n - 1] ? run + 1 : 1;
    longest[id] = Math.max(longest[id] ?? 0, run);
  }
  return longest;
}

const STARTS = [0, 1, 997, 123_456, 1e9, 2 ** 40];

describe("round robin", () => {
  test.each([1, 2, 3, 7, 10])("with equal weights each of %i has one turn a round, in the order of the ids", (count) => {
    const equal = weighing(...Array.from({ length: count }, () => 1));
    const round = equal.map(({ id }) => id);
    for (const start of STARTS) {
      const first = start - (start % count);
      expect(turns(equal, first, count * 50), `from ${first}`).toEqual(Array.from({ length: 50 }, () => round).flat());
    }
  });

  test.each<[what: string, candidates: Candidate[], parts: Record<string, number>]>([
    ["3 : 1", weighing(3, 1), { a: 3 / 4, b: 1 / 4 }],
    ["1 : 3", weighing(1, 3), { a: 1 / 4, b: 3 / 4 }],
    ["1 : ½ : ¼", weighing(1, 0.5, 0.25), { a: 4 / 7, b: 2 / 7, c: 1 / 7 }],
    ["5 : 3 : 2 : 2", weighing(5, 3, 2, 2), { a: 5 / 12, b: 3 / 12, c: 2 / 12, d: 2 / 12 }],
    ["a share of a half", sharing(0.5, 1), { a: 1 / 3, b: 2 / 3 }],
    ["1 : 99", weighing(1, 99), { a: 0.01, b: 0.99 }],
  ])("weighted %s each has the turns of its part, within three of a thousand, and no longer a run than that explains", (_, candidates, parts) => {
    for (const start of STARTS) {
      const taken = turns(candidates, start, 1000);
      const [counts, runs] = [countsOf(taken), runsOf(taken)];
      for (const [id, part] of Object.entries(parts)) {
        expect(Math.abs((counts[id] ?? 0) - 1000 * part), `${id} from ${start}: ${counts[id]}`).toBeLessThanOrEqual(3);
        // Between two turns of the others there are part ÷ (1 − part) of its own, evenly; twice that, and one more, is still no heap.
        expect(runs[id], `${id} from ${start}`).toBeLessThanOrEqual(Math.ceil(part / (1 - part)) * 2 + 1);
      }
    }
  });

  test("nobody waits much longer than the part says", () => {
    for (const start of STARTS) {
      const taken = turns(weighing(1, 0.5, 0.25), start, 1000);
      for (const [id, part] of [["a", 4 / 7], ["b", 2 / 7], ["c", 1 / 7]] as const) {
        const at = taken.flatMap((each, n) => (each === id ? [n] : []));
        expect(Math.max(...at.slice(1).map((turn, n) => turn - (at[n] ?? 0))), `${id} from ${start}`).toBeLessThanOrEqual(2 / part + 2);
      }
    }
  });

  test("the weightless and those without a share have no turn", () => {
    expect(new Set(turns(weighing(0, 1, 0, 1), 0, 100))).toEqual(new Set(["b", "d"]));
    expect(turns(sharing(0, 1, 1), 0, 4)).toEqual(["b", "c", "b", "c"]);
  });
});

describe("least connections", () => {
  test.each<[what: string, weights: number[], loads: number[], least: string]>([
    ["ascending", [1, 1, 1, 1], [1, 2, 3, 4], "a"],
    ["descending: whoever was the least loaded before is forgotten", [1, 1, 1, 1], [4, 3, 2, 1], "d"],
    ["shuffled", [1, 1, 1, 1], [3, 1, 4, 2], "b"],
    ["a tie, then one below it", [1, 1, 1, 1], [2, 2, 1, 3], "c"],
    ["one, then a tie above it", [1, 1, 1, 1], [1, 2, 2, 2], "a"],
    ["by weight: 6 of 4 is less than 2 of 1", [4, 1], [6, 2], "a"],
    ["and 8 of 4 the same: the draw says the first", [4, 1], [8, 2], "a"],
    ["and 9 of 4 more", [4, 1], [9, 2], "b"],
    ["a fraction of a weight", [0.5, 1], [1, 1.9], "b"],
    ["idle but weightless", [0, 1], [0, 99], "b"],
    ["all idle", [1, 1], [0, 0], "a"],
  ])("%s", (_, weights, loads, least) => {
    expect(byLoad(weighing(...weights), loads)).toBe(least);
  });

  test("equals share the draw by their weights, and nobody else has any of it", () => {
    const candidates = weighing(1, 2, 1, 1); // loads for their weights: 2, 2, 1½, 2 without c
    const taken = (loads: number[]) => countsOf(Array.from({ length: 400 }, (_, n) => byLoad(candidates, loads, (n + 0.5) / 400) ?? "nobody"));
    expect(taken([2, 4, 3, 2])).toEqual({ a: 100, b: 200, d: 100 });
    expect(taken([2, 4, 1, 2])).toEqual({ c: 400 });
  });

  test.each<[loads: number[], least: string]>([
    [[Number.NaN, 5, 6], "b"],
    [[7, Number.NaN, 6], "c"],
    [[7, Infinity, Number.NaN], "a"],
    [[Number.NaN, Number.NaN, Number.NaN], "a"],
    [[Infinity, Infinity, Infinity], "a"],
    [[1, -1, 0], "b"],
  ])("loads of %j: one that is no number keeps nobody out and lets nobody in", (loads, least) => {
    expect(byLoad(weighing(1, 1, 1), loads)).toBe(least);
  });

  test("is always one of the least loaded for its weight", () => {
    const drawn = fc.array(fc.tuple(fc.constantFrom(0, 0.5, 1, 2), fc.nat(6), fc.constantFrom(0, 0.5, 1)), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(drawn, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (drawn, draw) => {
        const candidates = drawn.map(([weight, , share], n) => ({ id: String.fromCharCode(0x61 + n), weight, share }));
        const id = byLoad(candidates, drawn.map(([, load]) => load), draw);
        const starting = drawn.every(([weight, , share]) => weight * share === 0);
        const sizes = drawn.map(([weight, , share]) => (starting ? weight : weight * share));
        const ratios = drawn.map(([, load], n) => ((sizes[n] ?? 0) > 0 ? load / (sizes[n] ?? 1) : Infinity));
        if (sizes.every((size) => size === 0)) expect(id).toBeUndefined();
        else expect(ratios[candidates.findIndex((each) => each.id === id)]).toBeCloseTo(Math.min(...ratios), 9);
      }),
      { numRuns: 500 },
    );
  });
});

describe("random", () => {
  test.each<[weights: number[], draw: number, taken: string]>([
    [[1, 1], 0, "a"],
    [[1, 1], 0.4999999, "a"],
    [[1, 1], 0.5, "b"],
    [[1, 1], 1 - 2 ** -53, "b"],
    [[3, 1], 0.7499999, "a"],
    [[3, 1], 0.75, "b"],
    [[1, 0, 1], 0.5, "c"],
    [[0, 1], 0, "b"],
    [[1, 0], 1 - 2 ** -53, "a"],
    // What no draw should be is somebody even so.
    [[1, 1, 1], 1, "c"],
    [[1, 1, 0], 1, "b"],
    [[1, 1, 1], -1, "a"],
    [[0, 1, 1], -1, "b"],
    [[1, 1, 1], Number.NaN, "c"],
    [[1, 1, 1], Infinity, "c"],
  ])("weights %j: a draw of %d falls on %s", (weights, draw, taken) => {
    expect(byChance(weighing(...weights), draw)).toBe(taken);
  });

  test("a share that grows has that much less of the draws", () => {
    const taken = Array.from({ length: 1000 }, (_, n) => byChance(sharing(0.25, 1), (n + 0.5) / 1000) ?? "nobody");
    expect(countsOf(taken)).toEqual({ a: 200, b: 800 });
  });
});

describe("whatever the policy", () => {
  const BALANCES = [
    { kind: "round-robin", turn: 1 },
    { kind: "random", draw: 0.6 },
    { kind: "least-connections", draw: 0.6, loadOf: () => 1 },
  ] as const;

  test.each(BALANCES)("$kind: of nobody, and of those who have no weight, nobody", (balance) => {
    expect([pick([], balance), pick(weighing(0, 0), balance), pick(weighing(Number.NaN, -1, Infinity), balance)]).toEqual([undefined, undefined, undefined]);
  });

  test.each(BALANCES)("$kind: the only one is it", (balance) => {
    expect([pick(weighing(0.01), balance), pick(weighing(0, 7), balance)]).toEqual(["a", "b"]);
  });

  test.each(BALANCES)("$kind: all shares 0, a fleet that starts all at once: by weight", (balance) => {
    const started = weighing(3, 1, 2);
    expect(pick(started.map((each) => ({ ...each, share: 0 })), balance)).toBe(pick(started, balance));
  });

  test("somebody of a weight is taken whatever turn, load or draw there is", () => {
    const odd = fc.oneof(fc.double(), fc.constantFrom(Number.NaN, Infinity, -Infinity, -0, 2 ** 53));
    const anyBalance = fc.oneof(
      fc.record({ kind: fc.constant("round-robin" as const), turn: odd }),
      fc.record({ kind: fc.constant("random" as const), draw: odd }),
      fc.record({ kind: fc.constant("least-connections" as const), draw: odd, loadOf: fc.func(odd) }),
    );
    const candidates = fc.array(fc.tuple(fc.constantFrom(0, 0.5, 1, 3), fc.constantFrom(0, 0.5, 1)), { maxLength: 5 });
    fc.assert(
      fc.property(candidates, anyBalance, (drawn, balance) => {
        const all = drawn.map(([weight, share], n) => ({ id: `o${n}`, weight, share }));
        const shared = all.filter(({ weight, share }) => weight * share > 0);
        const open = shared.length > 0 ? shared : all.filter(({ weight }) => weight > 0);
        const taken = pick(all, balance);
        if (open.length === 0) expect(taken).toBeUndefined();
        else expect(open.map(({ id }) => id)).toContain(taken);
      }),
      { numRuns: 1000 },
    );
  });
});
