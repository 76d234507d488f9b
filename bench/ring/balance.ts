// How evenly each ring spreads, and how much moves when its fleet changes: what can be counted or computed, not timed.
// Limpet's figures are exact arcs of the circle; the others' are counted over keys, which is what their users get: their hash of keys included.

import { decide } from "../../src/core/decide.ts";
import { keyPoint } from "../../src/core/hash.ts";
import { differenceOf, settle } from "../../src/core/move.ts";
import { arcsOf, buildRing, CIRCLE, type RingMember } from "../../src/core/ring.ts";
import type { Row } from "../rows.ts";
import { CONTESTANTS, joined, LIMPET, salted, type Contender } from "./contestants.ts";
import { snapshotView } from "./fleet.ts";
import { sessionKeys } from "./keys.ts";

const VIRTUAL_NODES = 256;
const FLEETS = 20;
const BOUND_FACTOR = 1.05;
const SESSIONS = 20_000;
const SIZES = [2, 5, 10, 20, 50, 100];
const idsOf = (fleet: number): string[] => Array.from({ length: 10 }, (_, n) => `f${fleet}-o${n + 1}`);

export function balanceRows(progress: (text: string) => void): Row[] {
  const keys = sessionKeys(100_000);
  const rows: Row[] = [];
  for (const { name } of CONTESTANTS) {
    progress(`How evenly ${name} spreads: 20 fleets of 10 …`);
    rows.push(...(name === LIMPET.name ? limpetRows() : counted(name, keys)));
  }
  return [...rows, ...boundedRows()];
}

function row(contestant: string, metric: string, value: number, unit: string, further: Readonly<Record<string, string | number>> = {}): Row {
  return { bench: "ring", contestant, metric, value, unit, ...further };
}

function limpetRows(): Row[] {
  const fleets = Array.from({ length: FLEETS }, (_, n) => joined(idsOf(n + 1), VIRTUAL_NODES));
  const without = (fleet: readonly RingMember[]): RingMember[][] => fleet.map((leaver) => fleet.filter((each) => each !== leaver));
  const name = LIMPET.name;
  const [fleet = []] = fleets;
  const [first] = fleet;
  const view = (members: readonly RingMember[]) => settle(snapshotView(members, VIRTUAL_NODES), 0);
  const leave = differenceOf(view(fleet), view(fleet.slice(1)));
  const join = differenceOf(view(fleet.slice(0, -1)), view(fleet));
  const reweight = differenceOf(view(fleet), view(fleet.map((each) => (each === first ? { ...each, weight: 2 } : each))));
  const heirs = fleets.map((members) => {
    const { origins, movedShare } = differenceOf(view(members), view(members.slice(1)));
    return Math.max(...origins.map(({ gained }) => gained)) / movedShare;
  });
  return [
    row(name, "peakToMean", Math.max(...fleets.map(peakToMean)), "ratio", { fleets: FLEETS }),
    row(name, "peakToMeanAfterLeave", Math.max(...fleets.flatMap(without).map(peakToMean)), "ratio", { fleets: FLEETS, leavers: 10 }),
    row(name, "movedShareLeave", leave.movedShare, "share"),
    row(name, "optimumShareLeave", leave.optimumShare, "share"),
    row(name, "movedShareJoin", join.movedShare, "share"),
    row(name, "optimumShareJoin", join.optimumShare, "share"),
    row(name, "movedShareReweight", reweight.movedShare, "share"),
    row(name, "optimumShareReweight", reweight.optimumShare, "share"),
    row(name, "largestHeirShare", mean(heirs), "share", { fleets: FLEETS, bound: "none" }),
    ...SIZES.flatMap((size) => sizeRows(name, size)),
  ];
}

/** Other sizes of fleet, with their canonical salts and with none. */
function sizeRows(name: string, size: number): Row[] {
  const fleet = salted(
    Array.from({ length: size }, (_, n) => `o-${n + 1}`),
    VIRTUAL_NODES,
  );
  const unsalted = fleet.map((member) => ({ ...member, salt: 0 }));
  return [
    row(name, "peakToMeanBySize", peakToMean(fleet), "ratio", { origins: size, salts: "searched" }),
    row(name, "peakToMeanBySize", peakToMean(unsalted), "ratio", { origins: size, salts: "all 0" }),
  ];
}

function peakToMean(fleet: readonly RingMember[]): number {
  return (Math.max(...arcsOf(buildRing(fleet, VIRTUAL_NODES))) * fleet.length) / CIRCLE;
}

/** The same for a ring that can only be asked, key by key. */
function counted(name: string, keys: readonly string[]): Row[] {
  const { build } = CONTESTANTS.find((each) => each.name === name) ?? LIMPET;
  const one = (fleet: number): Contender =>
    idsOf(fleet)
      .slice(1)
      .reduce((ring, id) => ring.join(id), build(idsOf(fleet).slice(0, 1), VIRTUAL_NODES));
  const peaks: number[] = [];
  const peaksAfter: number[] = [];
  const heirs: number[] = [];
  for (let fleet = 1; fleet <= FLEETS; fleet++) {
    const loads = [...tally(one(fleet), keys).values()];
    peaks.push((Math.max(...loads) * loads.length) / keys.length);
    const [first = ""] = idsOf(fleet);
    const left = [...tally(one(fleet).leave(first), keys).values()];
    peaksAfter.push((Math.max(...left) * left.length) / keys.length);
    heirs.push(heirShare(one(fleet), first, keys));
  }
  const [leaver = "", ...others] = idsOf(1);
  const further = { keys: keys.length };
  const moves: Row[] = [];
  const told = (change: string, { moved, optimum }: { moved: number; optimum: number }): void => {
    moves.push(row(name, `movedShare${change}`, moved, "share", further), row(name, `optimumShare${change}`, optimum, "share", further));
  };
  told(
    "Leave",
    change(one(1), (ring) => ring.leave(leaver), keys),
  );
  told(
    "Join",
    change(build(others, VIRTUAL_NODES), (ring) => ring.join(leaver), keys),
  );
  const ring = one(1);
  if (ring.double)
    told(
      "Reweight",
      change(build(idsOf(1), VIRTUAL_NODES), (before) => before.double?.(leaver) ?? before, keys),
    );
  return [
    row(name, "peakToMean", Math.max(...peaks), "ratio", { ...further, fleets: FLEETS }),
    row(name, "peakToMeanAfterLeave", Math.max(...peaksAfter), "ratio", { ...further, fleets: FLEETS, leavers: 1 }),
    ...moves,
    row(name, "largestHeirShare", mean(heirs), "share", { ...further, fleets: FLEETS, bound: "none" }),
  ];
}

function tally(ring: Contender, keys: readonly string[]): Map<string, number> {
  const loads = new Map<string, number>();
  for (const key of keys) {
    const id = ring.ownerOf(key);
    loads.set(id, (loads.get(id) ?? 0) + 1);
  }
  return loads;
}

/** The share of the keys that moved, and the least that would have to for these loads. */
function change(ring: Contender, apply: (ring: Contender) => Contender, keys: readonly string[]): { moved: number; optimum: number } {
  const [before, loadsBefore] = [keys.map(ring.ownerOf), tally(ring, keys)];
  const after = apply(ring);
  const loadsAfter = tally(after, keys);
  const moved = keys.filter((key, index) => after.ownerOf(key) !== before[index]).length;
  const optimum = [...loadsBefore].reduce((sum, [id, load]) => sum + Math.max(0, load - (loadsAfter.get(id) ?? 0)), 0);
  return { moved: moved / keys.length, optimum: optimum / keys.length };
}

function heirShare(ring: Contender, leaver: string, keys: readonly string[]): number {
  const orphans = keys.filter((key) => ring.ownerOf(key) === leaver);
  return Math.max(...tally(ring.leave(leaver), orphans).values()) / orphans.length;
}

/** Bounded load on live sessions: one by one, as a ring object places them. */
function boundedRows(): Row[] {
  const keys = sessionKeys(SESSIONS);
  const runs = Array.from({ length: FLEETS }, (_, n) => boundedRun(joined(idsOf(n + 1), VIRTUAL_NODES), keys));
  const name = LIMPET.name;
  const further = { factor: BOUND_FACTOR, sessions: SESSIONS, fleets: FLEETS };
  return [
    row(name, "peakToMeanBounded", Math.max(...runs.map(({ peak }) => peak)), "ratio", further),
    row(name, "displacedShare", mean(runs.map(({ displacedShare }) => displacedShare)), "share", further),
    row(name, "largestHeirShare", mean(runs.map(({ heir }) => heir)), "share", { ...further, bound: BOUND_FACTOR }),
  ];
}

function boundedRun(fleet: readonly RingMember[], keys: readonly string[]): { peak: number; displacedShare: number; heir: number } {
  const placed = placeAll(fleet, keys);
  const [leaver] = fleet;
  // When one goes, its sessions are placed anew among those that stay; the others keep their places.
  const orphans = keys.filter((key) => placed.places.get(key) === leaver?.id);
  const stay = new Map([...placed.places].filter(([, id]) => id !== leaver?.id));
  const after = placeAll(fleet.slice(1), orphans, stay);
  const heirs = new Map<string, number>();
  for (const key of orphans) {
    const id = after.places.get(key) ?? "";
    heirs.set(id, (heirs.get(id) ?? 0) + 1);
  }
  return {
    peak: (Math.max(...placed.loads.values()) * fleet.length) / keys.length,
    displacedShare: placed.displaced / keys.length,
    heir: Math.max(...heirs.values()) / orphans.length,
  };
}

function placeAll(fleet: readonly RingMember[], keys: readonly string[], placed: ReadonlyMap<string, string> = new Map()) {
  const regions = [snapshotView(fleet, VIRTUAL_NODES)];
  const places = new Map(placed);
  const loads = new Map<string, number>(fleet.map(({ id }) => [id, 0]));
  for (const id of placed.values()) loads.set(id, (loads.get(id) ?? 0) + 1);
  const loadOf = (id: string): number => loads.get(id) ?? 0;
  let displaced = 0;
  for (const key of keys) {
    const decision = decide({
      key: keyPoint(key),
      keyed: true,
      regions,
      excluded: new Set(),
      policy: { stickiness: "prefer", hold: true, affinity: "on", rollout: 1 },
      balance: { kind: "bounded-ring", factor: BOUND_FACTOR, total: places.size, loadOf },
      nowMs: 1,
    });
    if (decision.kind === "refused") throw new Error("the bound refused a session");
    const { id } = decision.origin;
    if (decision.reason !== "owner") displaced++;
    places.set(key, id);
    loads.set(id, loadOf(id) + 1);
  }
  return { places, loads, displaced };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
