// The ring: weighted virtual nodes on a circle of 32-bit positions. Immutable, made whole and swapped in.
// A point is the hash of (index, separator, origin id, separator, salt): index first, so that "1"+"1a" and "11"+"a" differ.
// Points that collide are ordered by origin id, so that the order of a listing never decides anything.

import { hashText } from "./hash.ts";

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
  /** Points of the circle, ascending. */
  readonly points: Uint32Array;
  readonly owners: Uint16Array | Uint32Array;
  /** For each of 2^prefixBits equal slices of the circle, the index of the first point in or after it. */
  readonly prefix: Uint32Array;
  readonly prefixBits: number;
}

const SEPARATOR = "\u0000";

/** Builds a ring with `virtualNodes` points for each unit of weight (at least one for a member of any weight). */
export function buildRing(members: readonly RingMember[], virtualNodes: number): Ring {
  const sorted = members.filter((member) => member.weight > 0).toSorted((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  const entries: { point: number; owner: number }[] = [];
  sorted.forEach((member, owner) => {
    const count = Math.max(1, Math.round(member.weight * virtualNodes));
    for (let index = 0; index < count; index++) {
      entries.push({ point: hashText(`${index}${SEPARATOR}${member.id}${SEPARATOR}${member.salt}`, 0), owner });
    }
  });
  // Owners are numbered in the order of their ids, so that this is also the order by id.
  entries.sort((a, b) => a.point - b.point || a.owner - b.owner);

  const points = Uint32Array.from(entries, (entry) => entry.point);
  const owners = sorted.length > 0xffff ? new Uint32Array(entries.length) : new Uint16Array(entries.length);
  entries.forEach((entry, index) => (owners[index] = entry.owner));
  const prefixBits = Math.min(20, Math.max(0, Math.ceil(Math.log2(entries.length + 1))));
  return { ids: sorted.map((member) => member.id), points, owners, prefix: prefixIndex(points, prefixBits), prefixBits };
}

/** The owner of a position: the first origin clockwise, the position itself included. `undefined` on an empty ring. */
export function ownerOf(ring: Ring, position: number): string | undefined {
  const index = ring.points.length === 0 ? undefined : ring.owners[firstAtOrAfter(ring, position)];
  return index === undefined ? undefined : ring.ids[index];
}

/** The walk of a position: each origin once, owner first, then who would be next. Lazy: most callers take one. */
export function* walk(ring: Ring, position: number): Generator<string, void, undefined> {
  const length = ring.points.length;
  if (length === 0) return;
  const seen = new Set<number>();
  const start = firstAtOrAfter(ring, position);
  for (let step = 0; step < length && seen.size < ring.ids.length; step++) {
    const owner = ring.owners[(start + step) % length] ?? 0;
    if (seen.has(owner)) continue;
    seen.add(owner);
    const id = ring.ids[owner];
    if (id !== undefined) yield id;
  }
}

function firstAtOrAfter(ring: Ring, position: number): number {
  const { points, prefix, prefixBits } = ring;
  let index = prefix[prefixBits === 0 ? 0 : position >>> (32 - prefixBits)] ?? 0;
  while (index < points.length && (points[index] ?? 0) < position) index++;
  return index === points.length ? 0 : index;
}

function prefixIndex(points: Uint32Array, prefixBits: number): Uint32Array {
  const slices = 2 ** prefixBits;
  const width = 2 ** (32 - prefixBits);
  const prefix = new Uint32Array(slices);
  let index = 0;
  for (let slice = 0; slice < slices; slice++) {
    while (index < points.length && (points[index] ?? 0) < slice * width) index++;
    prefix[slice] = index;
  }
  return prefix;
}
