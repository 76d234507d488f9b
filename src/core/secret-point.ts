// Key points under a secret seed. MurmurHash3 keeps no secret: whoever knows the ring can compute keys that all fall on one origin, and
// pairs of keys that collide under every seed are known (Aumasson, Bernstein, 2012). SipHash-2-4 is made against that: without the seed
// nobody can tell where a key stands. It is slower, so only a pool that sets a seed pays for it. The ring itself stays as it is.

import siphash from "siphash";
import { keyPoint, type KeyPoint } from "./hash.ts";

/** A SipHash key: 128 bits. */
export type PointSecret = Uint32Array;

const encoder = new TextEncoder();

/** The SipHash key of a seed of any length: four words of its hashes under two fixed keys. */
export function secretOf(seed: string): PointSecret {
  const bytes = encoder.encode(seed);
  const [first, second] = [1, 2].map((n) => siphash.hash(Uint32Array.of(n, 0, 0, 0), bytes));
  return Uint32Array.of(first?.l ?? 0, first?.h ?? 0, second?.l ?? 0, second?.h ?? 0);
}

/** Where a key stands, and its lot: public, or under the secret of its pool. */
export function pointOf(key: string, secret: PointSecret | undefined): KeyPoint {
  if (!secret) return keyPoint(key);
  const { h, l } = siphash.hash(secret, encoder.encode(key));
  return { position: h >>> 0, lot: l >>> 0 };
}
