// Placement, seen from outside: whoever knows the salts that a ring tells can say where each key goes, and where a seed is set nobody can.

import { expect, test } from "vitest";
import { parseDictionary } from "structured-headers";
import { keyPoint, type KeyPoint } from "../../src/core/hash.ts";
import { buildRing, ownerOf } from "../../src/core/ring.ts";
import { saltsOf } from "../../src/core/salts.ts";
import { pointOf, secretOf } from "../../src/core/secret-point.ts";
import { startStack, type RingView, type Stack } from "../support/stack.ts";

const SEED = "only this deployment knows it";
const KEYS = Array.from({ length: 40 }, (_, n) => `doc-${n}`);

/** Where each key is served, by the router's own word and by the origin's. */
async function servedBy(stack: Stack): Promise<string[]> {
  return Promise.all(
    KEYS.map(async (key) => {
      const response = await stack.fetch("/whoami", { headers: { "x-session-id": key } });
      const said = parseDictionary(response.headers.get("limpet") ?? "").get("origin")?.[0];
      const { id } = (await response.json()) as { id: string };
      expect(said).toBe(id);
      return id;
    }),
  );
}

/** Where they belong, by the ring that the admin API tells. */
async function predicted(stack: Stack, pointFor: (key: string) => KeyPoint): Promise<(string | undefined)[]> {
  const { origins } = await stack.admin<RingView>("rings/collab/enam");
  const ring = buildRing(
    origins.map(({ id, salt }) => ({ id, salt, weight: 1 })),
    256,
  );
  return KEYS.map((key) => ownerOf(ring, pointFor(key).position));
}

async function withStack(change: (pool: object) => object, check: (stack: Stack) => Promise<void>): Promise<void> {
  const ids = ["weur-1", "enam-1", "enam-2", "enam-3"];
  const routes = [{ path: "/whoami", pool: "collab", session: [{ header: "x-session-id" }], home: "enam" }];
  const stack = await startStack((config) => ({ ...config, routes, pools: { collab: change(config.pools.collab) } }), ids);
  try {
    await check(stack);
  } finally {
    await stack.stop();
  }
}

test("a key goes to the owner on the ring of the salts that were found for the fleet", async () => {
  await withStack(
    (pool) => pool,
    async (stack) => {
      const { origins } = await stack.admin<RingView>("rings/collab/enam");
      const canonical = saltsOf(
        origins.map(({ id }) => ({ id, weight: 1 })),
        256,
      );
      expect(new Map(origins.map(({ id, salt }) => [id, salt]))).toEqual(canonical);
      const served = await servedBy(stack);
      expect(served).toEqual(await predicted(stack, keyPoint));
      expect(new Set(served).size).toBe(3);
    },
  );
});

test("with a seed it goes where only the seed tells", async () => {
  await withStack(
    (pool) => ({ ...pool, seed: SEED }),
    async (stack) => {
      const served = await servedBy(stack);
      expect(served).toEqual(await predicted(stack, (key) => pointOf(key, secretOf(SEED))));
      expect(served).not.toEqual(await predicted(stack, keyPoint));
    },
  );
});
