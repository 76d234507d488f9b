// Hashing: where a key and a virtual node stand on the ring, and which lot a key has drawn.
// MurmurHash3 x86 32-bit over UTF-8 bytes (public domain, published vectors). Placement v1 is built on it: a change of one bit here
// moves every session of every user, so the vectors in test/core/hash.test.ts never change.
// ASCII texts, nearly all there are, are read where they lie; any other text is encoded first. Both give the same hash.

const encoder = new TextEncoder();

/** Seeds of the two hashes of a session key; part of placement v1. */
export const POSITION_SEED = 0;
export const LOT_SEED = 0x9e3779b9;

/** A session key as the decision sees it: two 32-bit numbers. The key itself stays with those who route bytes. */
export interface KeyPoint {
  /** Where the key stands on the ring. */
  readonly position: number;
  /** A second, independent draw: admission by share, rendezvous over regions, the slice of carriers. */
  readonly lot: number;
}

/** The two hashes of a session key. (A pool with a secret seed has others: secret-point.ts.) */
export function keyPoint(key: string): KeyPoint {
  return { position: hashText(key, POSITION_SEED), lot: hashText(key, LOT_SEED) };
}

/** A key's own number in [0, 1) for a name (an origin, a region): independent of where either stands on the ring. */
export function fraction(lot: number, name: string): number {
  return hashText(name, lot) / 2 ** 32;
}

/** Hash of a string's UTF-8 bytes; unsigned 32 bits. */
export function hashText(text: string, seed: number): number {
  const hash = hashAscii(text, seed);
  return hash === NOT_ASCII ? murmur3(encoder.encode(text), seed) : hash;
}

/** MurmurHash3_x86_32 (Austin Appleby, public domain); unsigned 32 bits. */
export function murmur3(bytes: Uint8Array, seed: number): number {
  return hashWords(wordsOf(bytes), bytes.length, seed);
}

/** Bytes as words of 32 bits, the first byte lowest, whatever the machine; the last word is filled up with zeros. */
export function wordsOf(bytes: Uint8Array): Int32Array {
  const words = new Int32Array((bytes.length + 3) >>> 2);
  for (let i = 0; i < bytes.length; i++) words[i >>> 2] = (words[i >>> 2] ?? 0) | ((bytes[i] ?? 0) << ((i & 3) * 8));
  return words;
}

/** The same hash of bytes that are words already; `length` counts the bytes. */
export function hashWords(words: Int32Array, length: number, seed: number): number {
  const blocks = length >>> 2;
  let h = seed | 0;
  for (let i = 0; i < blocks; i++) h = mix(h, words[i] ?? 0);
  if ((length & 3) !== 0) h ^= scramble(words[blocks] ?? 0);
  return finalise(h ^ length);
}

/**
 * `hashWords` (seed 0) of a text that begins with a decimal number of `digits` digits, of the same text with the next number, and so on: one
 * hash for each place of `hashes`. The words are counted up on the way. All written out in one loop: every fresh isolate runs it tens of
 * thousands of times before it is compiled, where each call would cost as much as the hash.
 */
export function hashCounting(words: Int32Array, length: number, digits: number, hashes: Uint32Array): void {
  const blocks = length >>> 2;
  const tail = (length & 3) !== 0;
  const word = (digits - 1) >>> 2;
  const shift = ((digits - 1) & 3) * 8;
  for (let n = 0; n < hashes.length; n++) {
    let h = 0;
    for (let i = 0; i < blocks; i++) {
      const product = Math.imul(words[i] ?? 0, 0xcc9e2d51);
      h ^= Math.imul((product << 15) | (product >>> 17), 0x1b873593);
      h = (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
    }
    if (tail) {
      const product = Math.imul(words[blocks] ?? 0, 0xcc9e2d51);
      h ^= Math.imul((product << 15) | (product >>> 17), 0x1b873593);
    }
    h ^= length;
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    hashes[n] = h ^ (h >>> 16);
    const text = words[word] ?? 0;
    if (((text >>> shift) & 0xff) === NINE) carry(words, digits);
    else words[word] = text + (1 << shift);
  }
}

const NINE = 0x39;

/** The next decimal number where the last digit is a nine. */
function carry(words: Int32Array, digits: number): void {
  for (let at = digits - 1; at >= 0; at--) {
    const word = at >>> 2;
    const shift = (at & 3) * 8;
    const text = words[word] ?? 0;
    if (((text >>> shift) & 0xff) !== NINE) {
      words[word] = text + (1 << shift);
      return;
    }
    words[word] = text - (9 << shift);
  }
}

const NOT_ASCII = -1;

/** The same over the characters of a text that is all ASCII, where each is its own byte; else `NOT_ASCII`. */
function hashAscii(text: string, seed: number): number {
  const { length } = text;
  const blocksEnd = length & ~3;
  let h = seed | 0;
  let seen = 0;
  for (let i = 0; i < blocksEnd; i += 4) {
    const a = text.charCodeAt(i);
    const b = text.charCodeAt(i + 1);
    const c = text.charCodeAt(i + 2);
    const d = text.charCodeAt(i + 3);
    seen |= a | b | c | d;
    h = mix(h, a | (b << 8) | (c << 16) | (d << 24));
  }
  let tail = 0;
  for (let i = length - 1; i >= blocksEnd; i--) {
    const code = text.charCodeAt(i);
    seen |= code;
    tail = (tail << 8) | code;
  }
  if (seen > 0x7f) return NOT_ASCII;
  if (length !== blocksEnd) h ^= scramble(tail);
  return finalise(h ^ length);
}

function mix(hash: number, block: number): number {
  const h = hash ^ scramble(block);
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}

function scramble(block: number): number {
  const product = Math.imul(block, 0xcc9e2d51);
  return Math.imul((product << 15) | (product >>> 17), 0x1b873593);
}

function finalise(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
