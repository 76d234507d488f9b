// Names that outlive a deploy.

import fc from "fast-check";
import { expect, test } from "vitest";
import { keyPoint } from "../../src/core/hash.ts";
import { carrierObjectName, hintsKvKey, parseCarrierObjectName, parseRingObjectName, ringObjectName, sliceOf, snapshotKvKey } from "../../src/core/names.ts";

const id = fc.stringMatching(/^[a-z0-9-]{1,32}$/);
const ring = fc.record({ pool: id, region: id, generation: fc.integer({ min: 1, max: 999_999_999 }) });

test("every ring and carrier is found again in its name", () => {
  fc.assert(
    fc.property(ring, fc.nat(9999), (ring, slice) => {
      expect(parseRingObjectName(ringObjectName(ring))).toEqual(ring);
      expect(parseCarrierObjectName(carrierObjectName({ ring, slice }))).toEqual({ ring, slice });
    }),
  );
});

test("no name is a ring's and a carrier's at once", () => {
  fc.assert(
    fc.property(ring, fc.nat(9999), (ring, slice) => {
      expect(parseCarrierObjectName(ringObjectName(ring))).toBeUndefined();
      expect(parseRingObjectName(carrierObjectName({ ring, slice }))).toBeUndefined();
    }),
  );
});

test.each([
  undefined,
  "",
  "v1:control",
  "v2:collab@weur#g1",
  "collab@weur#g1",
  "v1:collab@weur",
  "v1:collab@weur#g0",
  "v1:collab@weur#g01",
  "v1:collab@weur#g1 ",
  "v1:collab@weur#g1\n",
  "v1:@weur#g1",
  "v1:collab@#g1",
  "v1:Collab@weur#g1",
  "v1:col/lab@weur#g1",
  "v1:a@b@c#g1",
  `v1:${"a".repeat(33)}@weur#g1`,
  "v1:collab@weur#g1/",
  "v1:collab@weur#g1/-1",
  "v1:collab@weur#g1/00",
  "v1:collab@weur#g1/10000",
  "v1:collab@weur#g1/0/0",
  "v1:collab@weur#g1/0\n",
])("%j names neither a ring nor a carrier", (name) => {
  expect(parseRingObjectName(name)).toBeUndefined();
  expect(parseCarrierObjectName(name)).toBeUndefined();
});

test("KV keys of two rings differ, and are within KV's 512 bytes", () => {
  const longest = "a".repeat(32);
  expect(snapshotKvKey("a", "b")).not.toBe(hintsKvKey("a", "b"));
  for (const key of [snapshotKvKey(longest, longest), hintsKvKey(longest, longest)]) expect(key.length).toBeLessThanOrEqual(512);
});

test("every key has one carrier, and the carriers share the keys", () => {
  const slices = Array.from({ length: 4000 }, (_, n) => sliceOf(keyPoint(`session-${n}`).lot, 4));
  for (const slice of [0, 1, 2, 3]) expect(slices.filter((each) => each === slice).length).toBeGreaterThan(900);
  expect(sliceOf(0xffffffff, 64)).toBe(63);
  expect(sliceOf(0xffffffff, 1)).toBe(0);
});
