// Salts: which of several possible sets of points an origin gets, so that the ring is even. Part of placement v1.
// An origin that joins takes the salt that leaves the busiest origin least above the mean; nobody else's points move. A fleet without
// salts joins one by one in the order of its ids, so that everyone who knows the fleet finds the same ones. A salt, once found, is data:
// it stays with the origin while the fleet around it changes.

import { arcsOf, buildRing, clockwise, firstAtOrAfter, pointCount, pointsOf, type Ring, type RingMember } from "./ring.ts";

/** Salts tried for a joiner: 0 to 31. */
export const SALTS_TRIED = 32;

/**
 * The points that may be looked at to find the salts of those who join at once: 110 origins with 256 points each. Where it would take more
 * all of them get salt 0, since whoever starts is held up meanwhile.
 */
export const SEARCH_POINTS_MAX = 2_500_000;

/** An origin whose salt may be yet to find. */
export interface Unsalted extends Omit<RingMember, "salt"> {
  readonly salt?: number | undefined;
}

/** The origins of a region, each with its salt. Backup origins are a ring of their own. */
export function withSalts<T extends Unsalted & { readonly backup: boolean }>(
  origins: readonly T[],
  virtualNodes: number,
): (Omit<T, "salt"> & { readonly salt: number })[] {
  const [primaries, backups] = [false, true].map((backup) =>
    saltsOf(
      origins.filter((origin) => origin.backup === backup),
      virtualNodes,
    ),
  );
  return origins.map((origin) => ({ ...origin, salt: (origin.backup ? backups : primaries)?.get(origin.id) ?? 0 }));
}

/** The salts of a fleet by id: those that are given stand, the others are searched in the order of their ids. */
export function saltsOf(fleet: readonly Unsalted[], virtualNodes: number): ReadonlyMap<string, number> {
  const salts = new Map(fleet.flatMap(({ id, salt }) => (salt === undefined ? [] : [[id, salt] as const])));
  const members: RingMember[] = fleet.flatMap((each) => (each.salt === undefined ? [] : [{ ...each, salt: each.salt }]));
  const joiners = fleet.filter(({ salt }) => salt === undefined).toSorted((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  const searched = searchPoints(fleet, joiners, virtualNodes) <= SEARCH_POINTS_MAX;
  for (const joiner of joiners) {
    const salt = searched ? bestSalt(buildRing(members, virtualNodes), members, joiner, virtualNodes) : 0;
    salts.set(joiner.id, salt);
    members.push({ ...joiner, salt });
  }
  return salts;
}

/** Each joiner's points once for each salt, and those of a ring that grows to its full size once for each joiner. */
function searchPoints(fleet: readonly Unsalted[], joiners: readonly Unsalted[], virtualNodes: number): number {
  const pointsOfAll = (some: readonly Unsalted[]): number => some.reduce((sum, each) => sum + joinerPoints(each, virtualNodes), 0);
  return SALTS_TRIED * pointsOfAll(joiners) + (joiners.length * pointsOfAll(fleet)) / 2;
}

/** One that joins with no weight, to be given some later, is placed as if it had one. */
function joinerPoints({ weight }: Pick<RingMember, "weight">, virtualNodes: number): number {
  return pointCount(weight > 0 ? weight : 1, virtualNodes);
}

/** The salt that leaves the busiest origin, weights considered, the smallest part of the circle; of equals the smallest salt. */
function bestSalt(ring: Ring, members: readonly RingMember[], joiner: Omit<RingMember, "salt">, virtualNodes: number): number {
  const arcs = arcsOf(ring);
  const countOf = new Map(members.map(({ id, weight }) => [id, pointCount(weight, virtualNodes)]));
  const counts = ring.ids.map((id) => countOf.get(id) ?? 1);
  const count = joinerPoints(joiner, virtualNodes);
  const counted = counts.reduce((most, points) => Math.max(most, points), count) / SMALL;
  let best = { salt: 0, busiest: Infinity };
  for (let salt = 0; salt < SALTS_TRIED; salt++) {
    const { left, taken } = arcsAfterJoin(ring, arcs, joiner.id, pointsOf(joiner.id, salt, count).sort());
    let busiest = count < counted ? 0 : taken / count;
    for (let owner = 0; owner < counts.length; owner++) {
      const points = counts[owner] ?? 0;
      if (points >= counted) busiest = Math.max(busiest, (left[owner] ?? 0) / points);
    }
    if (busiest < best.busiest) best = { salt, busiest };
  }
  return best.salt;
}

/** An origin with so many times fewer points than the largest does not count as the busiest: few points are uneven wherever they stand. */
const SMALL = 8;

/** What the joiner's points take, and what that leaves to the others: exact, without building the ring that it would be. */
function arcsAfterJoin(ring: Ring, arcs: Float64Array, joiner: string, points: Uint32Array): { left: Float64Array; taken: number } {
  const left = arcs.slice();
  let taken = 0;
  let previous = points.at(-1) ?? 0;
  for (const [index, point] of points.entries()) {
    if (index > 0 && point === previous) continue;
    const own = clockwise(previous, point);
    previous = point;
    const next = firstAtOrAfter(ring, point);
    const loser = ring.owners[next];
    if (loser === undefined) {
      taken += own; // an empty ring: there is nobody to take from
      continue;
    }
    if (ring.points[next] === point && (ring.ids[loser] ?? "") < joiner) continue; // an equal point belongs to the smaller id
    const before = ring.points[next === 0 ? ring.points.length - 1 : next - 1] ?? 0;
    const arc = Math.min(own, clockwise(before, point));
    taken += arc;
    left[loser] = (left[loser] ?? 0) - arc;
  }
  return { left, taken };
}
