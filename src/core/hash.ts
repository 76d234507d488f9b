// Hashing: where a key and a virtual node stand on the ring, and which lot a key has drawn.
// MurmurHash3 x86 32-bit over UTF-8 bytes (public domain, published vectors). Placement version v1 is built on it:
// a change of one bit here moves every session of every user, so the vectors in test/core/hash.test.ts never change.

const encoder = new TextEncoder();

/** Seeds of the two hashes of a session key; part of placement version v1. */
export const POSITION_SEED = 0;
export const LOT_SEED = 0x9e3779b9;

/** A session key as the decision sees it: two 32-bit numbers. The key itself stays with those who route bytes. */
export interface KeyPoint {
  /** Where the key stands on the ring. */
  readonly position: number;
  /** A second, independent draw: admission by share, rendezvous over regions, the slice of carriers. */
  readonly lot: number;
}

/** The two hashes of a session key, in the namespace of its pool. */
export function keyPoint(key: string): KeyPoint {
  const bytes = encoder.encode(key);
  return { position: murmur3(bytes, POSITION_SEED), lot: murmur3(bytes, LOT_SEED) };
}

/** A key's own number in [0, 1) for a name (an origin, a region): independent of where either stands on the ring. */
export function fraction(lot: number, name: string): number {
  return murmur3(encoder.encode(name), lot) / 2 ** 32;
}

/** Hash of a string's UTF-8 bytes; unsigned 32 bits. */
export function hashText(text: string, seed: number): number {
  return murmur3(encoder.encode(text), seed);
}

/** MurmurHash3_x86_32 (Austin Appleby, public domain); unsigned 32 bits. */
export function murmur3(bytes: Uint8Array, seed: number): number {
  let h = seed | 0;
  const blocksEnd = bytes.length & ~3;
  for (let i = 0; i < blocksEnd; i += 4) {
    const k = byteAt(bytes, i) | (byteAt(bytes, i + 1) << 8) | (byteAt(bytes, i + 2) << 16) | (byteAt(bytes, i + 3) << 24);
    h ^= scramble(k);
    h = (h << 13) | (h >>> 19);
    h = (Math.imul(h, 5) + 0xe6546b64) | 0;
  }
  let tail = 0;
  for (let i = bytes.length - 1; i >= blocksEnd; i--) tail = (tail << 8) | byteAt(bytes, i);
  if (bytes.length !== blocksEnd) h ^= scramble(tail);
  return finalise(h ^ bytes.length);
}

function scramble(k: number): number {
  const product = Math.imul(k, 0xcc9e2d51);
  return Math.imul((product << 15) | (product >>> 17), 0x1b873593);
}

function finalise(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function byteAt(bytes: Uint8Array, index: number): number {
  return bytes[index] ?? 0;
}
