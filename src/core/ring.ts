// The ring: weighted virtual nodes on a circle of 32-bit positions. Immutable, made whole and swapped in.
// A point is the hash of (index, separator, origin id, separator, salt): index first, so that "1"+"1a" and "11"+"a" differ.
// Points that collide are ordered by origin id, so that the order of a listing never decides anything.

import { hashCounting, wordsOf } from "./hash.ts";

/** What of this file, hash.ts and salts.ts every holder of a ring must have alike. A change of any of them is another version. */
export const PLACEMENT = "v1" as const;

/** Positions on the circle. */
export const CIRCLE = 2 ** 32;

/** What a ring is made of: a logical id, never an address. */
export interface RingMember {
  readonly id: string;
  /** Relative share of the circle; fractions allowed; 0 gives no point at all. */
  readonly weight: number;
  readonly salt: number;
}

export interface Ring {
  /** Origin ids, sorted; `owners` indexes them. */
  readonly ids: readonly string[];
  /** Points of the circle, ascending. A point owns the positions after the one before it, up to and including itself. */
  readonly points: Uint32Array;
  readonly owners: Uint16Array | Uint32Array;
  /** For each of 2^prefixBits equal slices of the circle, the index of the first point in or after it. */
  readonly prefix: Uint32Array;
  readonly prefixBits: number;
}

/** Builds a ring with `virtualNodes` points for each unit of weight (at least one for a member of any weight). */
export function buildRing(members: readonly RingMember[], virtualNodes: number): Ring {
  // Owners are numbered in the order of their ids, and take their places in it: equal points are then in the order of the ids.
  const sorted = members.filter((member) => member.weight > 0).toSorted((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  const listed = sorted.map(({ id, salt, weight }) => pointsOf(id, salt, pointCount(weight, virtualNodes)));
  const size = listed.reduce((sum, points) => sum + points.length, 0);
  // Hashes are spread evenly, so there are two to four points in each of so many slices.
  const prefixBits = Math.min(PREFIX_BITS_MAX, Math.max(1, Math.ceil(Math.log2(size + 1)) - 2));
  const shift = 32 - prefixBits;
  const next = sliceStarts(listed, shift);
  const points = new Uint32Array(size);
  const owners = sorted.length > 0xffff ? new Uint32Array(size) : new Uint16Array(size);
  listed.forEach((added, owner) => place({ points, owners, next, shift }, added, owner));
  // A slice that is full goes on where the following one begins.
  const prefix = new Uint32Array(next.length);
  prefix.set(next.subarray(0, -1), 1);
  return { ids: sorted.map(({ id }) => id), points, owners, prefix, prefixBits };
}

/** How many points a member of some weight has. */
export function pointCount(weight: number, virtualNodes: number): number {
  return Math.max(1, Math.round(weight * virtualNodes));
}

/** Where a member's points stand, in the order of their index: the definition of a virtual node. */
export function pointsOf(id: string, salt: number, count: number): Uint32Array {
  const points = new Uint32Array(count);
  const rest = `${SEPARATOR}${id}${SEPARATOR}${salt}`;
  // Indices of equal length share all of the text but the digits, which are counted up where they stand.
  for (let first = 0, digits = 1; first < count; first = 10 ** digits++) {
    const text = encoder.encode(`${first}${rest}`);
    hashCounting(wordsOf(text), text.length, digits, points.subarray(first, 10 ** digits));
  }
  return points;
}

/** The owner of a position: the first origin clockwise, the position itself included. `undefined` on an empty ring. */
export function ownerOf(ring: Ring, position: number): string | undefined {
  const index = ring.owners[firstAtOrAfter(ring, position)];
  return index === undefined ? undefined : ring.ids[index];
}

/** The walk of a position: each origin once, owner first, then who would be next. Lazy: most callers take one. */
export function* walk(ring: Ring, position: number): Generator<string, void, undefined> {
  const { points, owners, ids } = ring;
  const start = firstAtOrAfter(ring, position);
  const seen = new Set<number>();
  for (let step = 0; step < points.length && seen.size < ids.length; step++) {
    const at = start + step;
    const owner = owners[at < points.length ? at : at - points.length] ?? 0;
    if (seen.has(owner)) continue;
    seen.add(owner);
    const id = ids[owner];
    if (id !== undefined) yield id;
  }
}

/** How much of the circle each origin owns, in positions (of `CIRCLE`), in the order of `ids`: exact. */
export function arcsOf({ ids, points, owners }: Ring): Float64Array {
  const arcs = new Float64Array(ids.length);
  let before = points.at(-1) ?? 0;
  for (let index = 0; index < points.length; index++) {
    const point = points[index] ?? 0;
    const owner = owners[index] ?? 0;
    const shadowed = index > 0 && point === before; // an equal point of a smaller id owns it all
    if (!shadowed) arcs[owner] = (arcs[owner] ?? 0) + clockwise(before, point);
    before = point;
  }
  return arcs;
}

/** Positions from one (excluded) clockwise to another (included); from a position to itself it is the whole circle. */
export function clockwise(from: number, to: number): number {
  return ((to - from - 1) >>> 0) + 1;
}

/** The index of the first point at or after a position, around the circle; 0 on an empty ring. */
export function firstAtOrAfter(ring: Ring, position: number): number {
  const { points, prefix, prefixBits } = ring;
  let index = prefix[position >>> (32 - prefixBits)] ?? 0;
  while (index < points.length && (points[index] ?? 0) < position) index++;
  return index === points.length ? 0 : index;
}

const encoder = new TextEncoder();
const SEPARATOR = "\u0000";
/** More slices than that cost more memory than they save steps. */
const PREFIX_BITS_MAX = 20;

/** A ring that is being filled: of each slice the first places, in order. */
interface Places extends Pick<Ring, "points" | "owners"> {
  /** For each slice where its next point goes. */
  readonly next: Uint32Array;
  readonly shift: number;
}

/** For each slice the number of points before it. */
function sliceStarts(listed: readonly Uint32Array[], shift: number): Uint32Array {
  const starts = new Uint32Array(2 ** (32 - shift));
  for (const points of listed) countSlices(starts, points, shift);
  let before = 0;
  for (let slice = 0; slice < starts.length; slice++) {
    const count = starts[slice] ?? 0;
    starts[slice] = before;
    before += count;
  }
  return starts;
}

function countSlices(counts: Uint32Array, points: Uint32Array, shift: number): void {
  for (let n = 0; n < points.length; n++) {
    const slice = (points[n] ?? 0) >>> shift;
    counts[slice] = (counts[slice] ?? 0) + 1;
  }
}

/** Puts each of an owner's points into its slice, behind those that are not larger. What stands before the slice never is. */
function place({ points, owners, next, shift }: Places, added: Uint32Array, owner: number): void {
  for (let n = 0; n < added.length; n++) {
    const point = added[n] ?? 0;
    const slice = point >>> shift;
    let index = next[slice] ?? 0;
    next[slice] = index + 1;
    for (; index > 0 && (points[index - 1] ?? 0) > point; index--) {
      points[index] = points[index - 1] ?? 0;
      owners[index] = owners[index - 1] ?? 0;
    }
    points[index] = point;
    owners[index] = owner;
  }
}
