// The hash that placement version v1 is built on. These vectors are published; a change of one bit moves every session of every user.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Region } from "../../src/core/config-types.ts";
import { fraction, hashText, hashWords, keyPoint, LOT_SEED, murmur3, POSITION_SEED, wordsOf } from "../../src/core/hash.ts";
import { rendezvous } from "../../src/core/home.ts";

describe("MurmurHash3_x86_32", () => {
  // Vectors: I. Boyd (Stack Overflow 14747343), Wikipedia "MurmurHash". Each length of the tail, each sign of the blocks.
  test.each<[bytes: number[], seed: number, hash: number]>([
    [[], 0, 0],
    [[], 1, 0x514e28b7],
    [[], 0xffffffff, 0x81f16f39],
    [[0xff, 0xff, 0xff, 0xff], 0, 0x76293b50],
    [[0x21, 0x43, 0x65, 0x87], 0, 0xf55b516b],
    [[0x21, 0x43, 0x65, 0x87], 0x5082edee, 0x2362f9de],
    [[0x21, 0x43, 0x65], 0, 0x7e4a8634],
    [[0x21, 0x43], 0, 0xa0f7b07a],
    [[0x21], 0, 0x72661cf4],
    [[0, 0, 0, 0], 0, 0x2362f9de],
    [[0, 0, 0], 0, 0x85f0b427],
    [[0, 0], 0, 0x30f4c306],
    [[0], 0, 0x514e28b7],
  ])("bytes %j with seed %i", (bytes, seed, hash) => {
    expect(murmur3(Uint8Array.from(bytes), seed)).toBe(hash);
  });

  test.each<[text: string, seed: number, hash: number]>([
    ["test", 0, 0xba6bd213],
    ["test", 0x9747b28c, 0x704b81dc],
    ["Hello, world!", 0, 0xc0363e43],
    ["Hello, world!", 0x9747b28c, 0x24884cba],
    ["The quick brown fox jumps over the lazy dog", 0, 0x2e4ff723],
    ["The quick brown fox jumps over the lazy dog", 0x9747b28c, 0x2fa826cd],
    ["aaaa", 0x9747b28c, 0x5a97808a],
    ["abcd", 0x9747b28c, 0xf0478627],
    ["abc", 0x9747b28c, 0xc84a62dd],
    ["ab", 0x9747b28c, 0x74875592],
    ["a", 0x9747b28c, 0x7fa09ea6],
    ["a".repeat(256), 0x9747b28c, 0x37405bdc],
    ["ππππππππ", 0x9747b28c, 0xd58063c1],
  ])("the UTF-8 of %j with seed %i", (text, seed, hash) => {
    expect(hashText(text, seed)).toBe(hash);
  });

  test("SMHasher's verification value covers all lengths up to 255 and all their seeds", () => {
    const hashes = new DataView(new ArrayBuffer(256 * 4));
    for (let n = 0; n < 256; n++) {
      hashes.setUint32(n * 4, murmur3(Uint8Array.from({ length: n }, (_, i) => i), 256 - n), true);
    }
    expect(murmur3(new Uint8Array(hashes.buffer), 0)).toBe(0xb0f57ee3);
  });

  test("every hash is an unsigned number of 32 bits", () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.integer(), (bytes, seed) => {
        const hash = murmur3(bytes, seed);
        expect(hash).toBe(hash >>> 0);
      }),
    );
  });

  test.each<[bytes: number[], words: number[]]>([
    [[], []],
    [[0x01], [0x01]],
    [[0x01, 0x02, 0x03], [0x030201]],
    [[0x01, 0x02, 0x03, 0x84], [0x84030201 | 0]],
    [[0x01, 0x02, 0x03, 0x04, 0xff], [0x04030201, 0xff]],
  ])("bytes %j are words with the first byte lowest, filled up with zeros", (bytes, words) => {
    expect([...wordsOf(Uint8Array.from(bytes))]).toEqual(words);
  });

  test("of words is that of their bytes, and a zero at the end counts", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 24 }), fc.integer(), fc.nat(3), (bytes, seed, before) => {
        const words = wordsOf(bytes);
        expect(hashWords(words, bytes.length, seed)).toBe(murmur3(bytes, seed));
        expect(murmur3(Uint8Array.from([...bytes, 0]), seed)).not.toBe(murmur3(bytes, seed));
        // A view into a larger buffer is its own bytes.
        expect(wordsOf(Uint8Array.from([...Array(before).fill(9), ...bytes]).subarray(before))).toEqual(words);
      }),
    );
  });
});

describe("a text is hashed as its UTF-8 bytes, whether it is read where it lies or encoded first", () => {
  const encoder = new TextEncoder();
  const ofBytes = (text: string, seed: number): number => murmur3(encoder.encode(text), seed);

  const anyText = fc.oneof(
    fc.string({ unit: "binary-ascii", maxLength: 40 }),
    fc.string({ unit: fc.integer({ min: 0, max: 0xff }).map((code) => String.fromCharCode(code)), maxLength: 40 }), // Latin-1
    fc.string({ unit: fc.constantFrom("a", "🐚", "👩‍💻", "é", "e\u0301"), maxLength: 20 }),
    fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)), maxLength: 40 }), // lone surrogates too
    fc.string({ unit: "binary", maxLength: 40 }),
  );
  test("any text, with any seed", () => {
    fc.assert(fc.property(anyText, fc.integer(), (text, seed) => hashText(text, seed) === ofBytes(text, seed)), { numRuns: 2000 });
  });

  // U+0080 has the lowest bit that ASCII has not; of U+0100 and U+8000 the low bytes alone would be ASCII.
  const ODD = ["\u0080", "é", "\u00ff", "\u0100", "€", "\u8000", "\ud800", "\udc00", "🐚"];
  test("one character that is not ASCII, at each place of texts of each length up to 40", () => {
    for (let length = 0; length < 40; length++) {
      for (let place = 0; place <= length; place++) {
        for (const odd of ODD) {
          const text = `${"k".repeat(place)}${odd}${"k".repeat(length - place)}`;
          if (hashText(text, LOT_SEED) !== ofBytes(text, LOT_SEED)) expect.fail(`${length} characters with ${JSON.stringify(odd)} at ${place}`);
        }
      }
    }
  });

  test("every character of ASCII, U+0000 and U+007F among them, at each place of a block", () => {
    for (let code = 0; code < 0x80; code++) {
      for (const before of ["", "a", "ab", "abc", "abcd"]) {
        for (const after of ["", "z", "zyxwv"]) {
          const text = `${before}${String.fromCharCode(code)}${after}`;
          expect(hashText(text, 7)).toBe(ofBytes(text, 7));
        }
      }
    }
  });

  test("a lone surrogate is the replacement character, as TextEncoder has it", () => {
    for (const lone of ["\ud800", "\udfff", "\udc00\ud800"]) expect(hashText(`a${lone}`, 0)).toBe(hashText(`a${"\ufffd".repeat(lone.length)}`, 0));
  });
});

test("the seeds of a session key's two hashes are part of placement v1", () => {
  expect([POSITION_SEED, LOT_SEED]).toEqual([0, 0x9e3779b9]);
  expect(keyPoint("doc-1")).toEqual({ position: 0xfec2ae0e, lot: 0xc4be4887 });
  expect(keyPoint("Zürich 🐚")).toEqual({ position: 0x8115ecba, lot: 0x91975d13 });
});

test("a fraction lies in [0, 1), is even, and does not follow from where the key stands", () => {
  const buckets = new Map<string, number>();
  for (let n = 0; n < 16_000; n++) {
    const { position, lot } = keyPoint(`key-${n}`);
    const draw = fraction(lot, "weur-1");
    expect(draw >= 0 && draw < 1).toBe(true);
    const bucket = `${Math.floor((position / 2 ** 32) * 4)}/${Math.floor(draw * 4)}`;
    buckets.set(bucket, (buckets.get(bucket) ?? 0) + 1);
  }
  // Sixteen cells of 1,000 expected; 5 standard deviations are 153.
  expect(buckets.size).toBe(16);
  for (const count of buckets.values()) expect(Math.abs(count - 1000)).toBeLessThan(153);
});

test("one key's fractions for two names are independent", () => {
  let both = 0;
  for (let n = 0; n < 16_000; n++) {
    const { lot } = keyPoint(`key-${n}`);
    if (fraction(lot, "weur-1") < 0.5 && fraction(lot, "weur-2") < 0.5) both++;
  }
  expect(Math.abs(both - 4000)).toBeLessThan(275); // 5 standard deviations
});

/** Of pairs of draws in [0, 1): chi-square against an even spread over 16 cells, whose mean is 15 and standard deviation 5.5. */
function unevenness(draws: readonly (readonly [number, number])[]): number {
  const cells = new Float64Array(16);
  for (const [one, other] of draws) {
    const cell = Math.floor(one * 4) * 4 + Math.floor(other * 4);
    cells[cell] = (cells[cell] ?? 0) + 1;
  }
  const expected = draws.length / cells.length;
  return cells.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}
/** What one spread in ten thousand exceeds: ours are the same every time, so it is only met once. */
const UNEVEN = 45;

describe("position and lot are even and independent for short keys too", () => {
  const ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789-_ABCDEFGHIJ"; // 48 characters
  /** 10,000 texts of a length, or as many as there are. */
  const texts = (length: number): string[] =>
    Array.from({ length: Math.min(10_000, 48 ** length) }, (_, n) => Array.from({ length }, (_, place) => ALPHABET[Math.floor(n / 48 ** place) % 48]).join(""));
  test.each<[what: string, keys: readonly string[]]>([
    ["the numbers 0 to 9999", Array.from({ length: 10_000 }, (_, n) => `${n}`)],
    ["one character of those that have one", Array.from({ length: 10_000 }, (_, n) => String.fromCodePoint(0x20 + n))],
    ["two characters", texts(2)],
    ["three characters", texts(3)],
    ["four characters", texts(4)],
  ])("%s", (_, keys) => {
    expect(new Set(keys).size).toBe(keys.length);
    const points = keys.map(keyPoint);
    expect(unevenness(points.map(({ position, lot }) => [position / 2 ** 32, lot / 2 ** 32]))).toBeLessThan(UNEVEN);
    expect(unevenness(points.map(({ position, lot }) => [position / 2 ** 32, fraction(lot, "origin/weur-1")]))).toBeLessThan(UNEVEN);
  });
});

describe("one key's draws for names that begin differently", () => {
  const KEYS = Array.from({ length: 24_000 }, (_, n) => keyPoint(`session-${n}`));
  const NAMES = ["origin/weur", "spill/weur", "rollout/", "weur"] as const;
  const PAIRS = NAMES.flatMap((one, n) => NAMES.slice(n + 1).map((other) => [one, other] as const));

  test.each(PAIRS)("%s and %s are independent", (one, other) => {
    expect(unevenness(KEYS.map(({ lot }) => [fraction(lot, one), fraction(lot, other)]))).toBeLessThan(UNEVEN);
  });

  const region = (id: string): Region => ({ id, weight: 1, secondary: [] });
  const AT_HOME = KEYS.filter(({ lot }) => rendezvous([region("weur"), region("enam"), region("apac")], lot) === "weur");

  test.each(PAIRS.filter(([, other]) => other !== "weur"))("%s and %s are for the keys at home in weur too, which the draw for weur has chosen", (one, other) => {
    expect(Math.abs(AT_HOME.length - 8000)).toBeLessThan(365); // 5 standard deviations
    expect(unevenness(AT_HOME.map(({ lot }) => [fraction(lot, one), fraction(lot, other)]))).toBeLessThan(UNEVEN);
  });

  test("whereas the draw for a region itself is far from even for the keys at home there: no share may be drawn by it", () => {
    expect(unevenness(AT_HOME.map(({ lot }) => [fraction(lot, "weur"), fraction(lot, "rollout/")]))).toBeGreaterThan(20 * UNEVEN);
  });
});
