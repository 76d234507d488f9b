// The hash that placement version v1 is built on. These vectors are published; a change of one bit moves every session of every user.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fraction, hashText, keyPoint, LOT_SEED, murmur3, POSITION_SEED } from "../../src/core/hash.ts";

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
