// Quarantine: which deaths count against a session, how many it may have, for how long it is kept from the others, and what a restart knows of it.

import { beforeEach, expect, test } from "vitest";
import { BLAMED_MAX, BLAMED_WITHIN_MS } from "../../src/platform/limits.ts";
import { Quarantine } from "../../src/platform/ring-quarantine.ts";
import type { Quarantined, RingStore } from "../../src/platform/ring-store.ts";
import type { LiveRow } from "../../src/platform/ring-table.ts";

const T0 = 1_800_000_000_000;
const WINDOW_MS = 600_000;
const BUDGET = { deaths: 3, windowMs: WINDOW_MS };

let disk: Map<string, Quarantined>;
let quarantine: Quarantine;
let nextFence = 1;

function start(budget = BUDGET): Quarantine {
  const store: Pick<RingStore, "quarantined" | "setQuarantine"> = {
    quarantined: () => new Map(disk),
    setQuarantine: (keyHash, quarantined) => void (quarantined === undefined ? disk.delete(keyHash) : disk.set(keyHash, quarantined)),
  };
  return new Quarantine(() => budget, store as RingStore);
}
function row(keyHash: string, rehomedAtMs: number | undefined): LiveRow {
  return { keyHash, position: 1, lot: 1, keyed: true, origin: "o1", region: "weur", fence: nextFence++, epoch: 1, reason: "next", rehomedAtMs };
}
/** Its origin dies at this time, so long after it came there; `null`: it came otherwise. */
const dies = (atMs: number, afterMs: number | null = 1_000, keyHash = "k", othersFell = false): boolean =>
  quarantine.blame([row(keyHash, afterMs === null ? undefined : atMs - afterMs)], atMs, () => othersFell).length > 0;
const holds = (keyHash: string, nowMs: number): boolean => quarantine.of(keyHash, nowMs) !== undefined;

beforeEach(() => {
  disk = new Map();
  quarantine = start();
});

test.each([
  // deaths: [at ms, after its arrival ms] → whether the last is one too many
  [
    "two within the window",
    [
      [0, 0],
      [1_000, 0],
    ],
    false,
  ],
  [
    "three within the window",
    [
      [0, 0],
      [1_000, 0],
      [2_000, 0],
    ],
    true,
  ],
  [
    "the third when the first is just forgotten",
    [
      [0, 0],
      [1_000, 0],
      [WINDOW_MS, 0],
    ],
    false,
  ],
  [
    "the third a moment before that",
    [
      [0, 0],
      [1_000, 0],
      [WINDOW_MS - 1, 0],
    ],
    true,
  ],
  [
    "a death at the last moment that counts",
    [
      [0, 0],
      [1_000, 0],
      [2_000, BLAMED_WITHIN_MS],
    ],
    true,
  ],
  [
    "a death a moment later",
    [
      [0, 0],
      [1_000, 0],
      [2_000, BLAMED_WITHIN_MS + 1],
    ],
    false,
  ],
  [
    "of those that do not count any number",
    [
      [0, 40_000],
      [1, 40_000],
      [2, 40_000],
      [3, 40_000],
    ],
    false,
  ],
  [
    "of sessions that came by plan, or as new, none",
    [
      [0, null],
      [1, null],
      [2, null],
      [3, null],
    ],
    false,
  ],
] as const)("%s", (_, deaths, isTooMany) => {
  const blamed = deaths.map(([atMs, afterMs]) => dies(T0 + atMs, afterMs));
  expect(blamed.at(-1)).toBe(isTooMany);
  expect(blamed.slice(0, -1)).not.toContain(true);
  expect(disk.has("k")).toBe(isTooMany);
});

test("a budget of one has no second chance", () => {
  quarantine = start({ deaths: 1, windowMs: WINDOW_MS });
  expect(dies(T0)).toBe(true);
});

test("it is held for the window, begins anew after it, and is off the disk then", () => {
  for (const atMs of [0, 1, 2]) dies(T0 + atMs);
  const endMs = T0 + 2 + WINDOW_MS;
  expect([holds("k", endMs - 1), quarantine.held(endMs - 1), holds("other", T0)]).toEqual([true, ["k"], false]);
  expect([holds("k", endMs), quarantine.held(endMs), disk.size]).toEqual([false, [], 0]);
  expect([dies(endMs + 1), dies(endMs + 2), dies(endMs + 3)]).toEqual([false, false, true]);
});

test("one death of a placement counts once, however often it is told", () => {
  const told = row("k", T0);
  for (let n = 0; n < 10; n++) expect(quarantine.blame([told], T0 + n, () => false)).toEqual([]);
  expect([dies(T0 + 10), dies(T0 + 11)]).toEqual([false, true]);
});

test("a death counts for nothing where the ring has lost more than the session can have taken", () => {
  expect([dies(T0, 0, "k", true), dies(T0, 0, "k", true), dies(T0, 0, "k", true), dies(T0, 0), dies(T0, 0)]).not.toContain(true);
  const asked: string[][] = [];
  quarantine.blame([row("k", T0)], T0, (seen) => asked.push([...seen]) > 0);
  expect(asked).toEqual([["o1"]]); // the origins that it has seen die itself are told apart
});

test("an operator's word ends it at once, and its deaths are forgotten", () => {
  for (const atMs of [0, 1, 2]) dies(T0 + atMs);
  expect([quarantine.lift("k"), holds("k", T0 + 3), quarantine.lift("k"), disk.size]).toEqual([true, false, false, 0]);
  expect([dies(T0 + 4), dies(T0 + 5), dies(T0 + 6)]).toEqual([false, false, true]);
});

test("a ring object that starts anew still holds it", () => {
  for (const atMs of [0, 1, 2]) dies(T0 + atMs);
  quarantine = start();
  expect([holds("k", T0 + 3), quarantine.held(T0 + 3)]).toEqual([true, ["k"]]);
});

test("deaths are each session's own, and only those out of budget are returned", () => {
  dies(T0, 0, "a");
  dies(T0, 0, "a");
  const blamed = quarantine.blame([row("a", T0), row("b", T0), row("c", undefined)], T0 + 1, () => false);
  expect(blamed.map(({ keyHash }) => keyHash)).toEqual(["a"]);
});

test("past the bound of what is remembered the session that died longest ago is forgotten", () => {
  for (const key of ["old", "young"]) for (let n = 0; n < 2; n++) dies(T0, 0, key);
  for (let n = 0; n < BLAMED_MAX - 1; n++) dies(T0, 0, `other-${n}`);
  expect([dies(T0, 0, "young"), dies(T0, 0, "old")]).toEqual([true, false]);
});
