// Key points under a secret seed: SipHash-2-4 as published, and that nobody without the seed can tell where a key stands.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { keyPoint, type KeyPoint } from "../../src/core/hash.ts";
import { arcsOf, buildRing, CIRCLE, ownerOf } from "../../src/core/ring.ts";
import { pointOf, secretOf } from "../../src/core/secret-point.ts";

const SEED = "f3a1c7d2e4b59a60718293a4b5c6d7e8";
const SECRET = secretOf(SEED);
const KEYS = Array.from({ length: 5000 }, (_, n) => `session-${n}`);
const RING = buildRing(Array.from({ length: 10 }, (_, n) => ({ id: `weur-${n}`, weight: 1, salt: 0 })), 256);

describe("SipHash-2-4", () => {
  // Vectors: J.-P. Aumasson, D. J. Bernstein, reference implementation (vectors.h); that of 15 bytes stands in the paper, appendix A.
  // Key 00 01 … 0f, message 00 01 … of some length. The messages are ASCII, so that they can be written as texts.
  const KEY = Uint32Array.of(0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c);
  const message = (length: number): string => String.fromCharCode(...Array.from({ length }, (_, n) => n));
  const hex = ({ position, lot }: KeyPoint): string => [position, lot].map((word) => word.toString(16).padStart(8, "0")).join("");

  test.each<[length: number, hash: string]>([
    [0, "726fdb47dd0e0e31"],
    [1, "74f839c593dc67fd"],
    [7, "ab0200f58b01d137"],
    [8, "93f5f5799a932462"],
    [15, "a129ca6149be45e5"],
    [16, "3f2acc7f57c29bdb"],
    [31, "32d892fad841c342"],
    [63, "958a324ceb064572"],
  ])("of %i bytes: the position is the high word, the lot the low one", (length, hash) => {
    expect(hex(pointOf(message(length), KEY))).toBe(hash);
  });
});

describe("a pool without a seed", () => {
  test("has the public points", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (key) => {
        expect(pointOf(key, undefined)).toEqual(keyPoint(key));
      }),
    );
  });
});

describe("a seed", () => {
  test("gives the same points every time it is read, and leaves its secret as it is", () => {
    const before = Uint32Array.from(SECRET);
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (key) => {
        const point = pointOf(key, SECRET);
        expect(point).toEqual(pointOf(key, secretOf(SEED)));
        for (const word of [point.position, point.lot]) expect(word).toBe(word >>> 0);
      }),
    );
    expect(SECRET).toEqual(before);
  });

  test("of any length and of any characters is a secret of 128 bits, and none of another seed", () => {
    const seeds = ["a", "b", "c", ...[0, 1, 2, 7, 8, 9, 15, 16, 17, 255, 256, 10_000].map((length) => "s".repeat(length)), "Zürich 🐚", "Zürich 🐌", `${SEED} `, ` ${SEED}`, SEED.toUpperCase(), SEED];
    const secrets = seeds.map((seed) => [...secretOf(seed)]);
    for (const words of secrets) expect([words.length, new Set(words).size]).toEqual([4, 4]);
    expect(new Set(secrets.map((words) => words.join())).size).toBe(seeds.length);
    // Nor has any word of one come from another's: all words differ.
    expect(new Set(secrets.flat()).size).toBe(seeds.length * 4);
  });

  test("that differs in one character gives nearly all keys another place", () => {
    const other = secretOf(`${SEED.slice(0, -1)}9`);
    const stayed = KEYS.filter((key) => ownerOf(RING, pointOf(key, SECRET).position) === ownerOf(RING, pointOf(key, other).position));
    expect(KEYS.filter((key) => pointOf(key, SECRET).position === pointOf(key, other).position)).toEqual([]);
    expect(Math.abs(stayed.length - KEYS.length / 10)).toBeLessThan(110); // by chance one in ten keeps its origin; 5 standard deviations
  });
});

describe("without the seed nobody can aim", () => {
  /** How far the fullest or emptiest origin is off what its arcs say, in standard deviations. */
  function deviation(keys: readonly string[]): number {
    const arcs = arcsOf(RING);
    const counts = new Map<string | undefined, number>();
    for (const key of keys) {
      const owner = ownerOf(RING, pointOf(key, SECRET).position);
      counts.set(owner, (counts.get(owner) ?? 0) + 1);
    }
    return Math.max(
      ...RING.ids.map((id, index) => {
        const part = (arcs[index] ?? 0) / CIRCLE;
        return Math.abs((counts.get(id) ?? 0) - keys.length * part) / Math.sqrt(keys.length * part * (1 - part));
      }),
    );
  }

  test("keys that were searched to fall on one origin are spread over all", () => {
    const aimed = Array.from({ length: 40_000 }, (_, n) => `attack-${n}`).filter((key) => ownerOf(RING, keyPoint(key).position) === "weur-3");
    expect(aimed.length).toBeGreaterThan(3000);
    expect(deviation(aimed)).toBeLessThan(5);
  });

  test("so are keys that collide under every seed of MurmurHash3", () => {
    // Found by undoing its steps: the first four bytes differ so that after them only the highest bit of the state does, the last four so
    // that it no longer does. Either can stand in each of ten places: 1,024 keys that nothing but another hash tells apart.
    const EITHER = ["\u02c8\u011cal\u0790", "s\u78e7al-U"] as const;
    const keys = Array.from({ length: 1024 }, (_, n) => Array.from({ length: 10 }, (_, place) => EITHER[(n >> place) & 1]).join(""));
    expect(new Set(keys).size).toBe(1024);
    expect(new Set(keys.map((key) => Object.values(keyPoint(key)).join())).size).toBe(1);
    expect(new Set(keys.map((key) => Object.values(pointOf(key, SECRET)).join())).size).toBe(1024);
    expect(deviation(keys)).toBeLessThan(5);
  });

  test("and position and lot say nothing of each other", () => {
    const cells = new Float64Array(16);
    for (const key of KEYS) {
      const { position, lot } = pointOf(key, SECRET);
      const cell = Math.floor((position / CIRCLE) * 4) * 4 + Math.floor((lot / CIRCLE) * 4);
      cells[cell] = (cells[cell] ?? 0) + 1;
    }
    // Sixteen cells of 312 expected; 5 standard deviations are 86.
    for (const count of cells) expect(Math.abs(count - KEYS.length / 16)).toBeLessThan(86);
  });
});

// Part of placement v1, as in ring.test.ts. To record them anew:
// GOLDEN=print vitest run --config test/vitest.config.ts test/core/secret-point.test.ts
describe("placement v1 of a pool with a seed", () => {
  const NAMES = ["doc-1", "doc-2", "a", "", "Zürich 🐚", "x".repeat(64)];
  const RECORDED: { readonly secret: readonly number[]; readonly points: Readonly<Record<string, KeyPoint>> } = {
    // Checked against "openssl mac -macopt size:8 SIPHASH".
    secret: [789902697, 2838144717, 2662892513, 1699368426],
    points: {
      "doc-1": { position: 168565915, lot: 3617474441 },
      "doc-2": { position: 2933890848, lot: 1006711143 },
      "a": { position: 337886282, lot: 4067262170 },
      "": { position: 2179890467, lot: 85318235 },
      "Zürich 🐚": { position: 1816529331, lot: 4183642586 },
      ["x".repeat(64)]: { position: 3468115075, lot: 1658161257 },
    },
  };

  function record(): typeof RECORDED {
    return { secret: [...SECRET], points: Object.fromEntries(NAMES.map((name) => [name, pointOf(name, SECRET)])) };
  }

  test("puts every key where it always did", () => {
    if (process.env["GOLDEN"] === "print") console.log(JSON.stringify(record(), null, 2));
    expect(record()).toEqual(RECORDED);
  });
});

