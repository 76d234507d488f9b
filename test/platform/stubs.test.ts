// Addresses of objects: where each is made, and how long the platform tries for it.

import { expect, test } from "vitest";
import { carrierStub, ringStub } from "../../src/platform/stubs.ts";

const config = { regions: { weur: { hint: "weur", jurisdiction: "eu" }, enam: { hint: "enam" } } } as never;

/** A namespace as the platform has it, and in `jurisdictions` what it was restricted to. */
function played(dev = false) {
  const got: object[] = [];
  const namespace = (restricted?: string): object => ({
    jurisdiction: (to: string) => {
      if (dev) throw new Error("no jurisdictions here");
      return namespace(to);
    },
    idFromName: (name: string) => ({ name, restricted }),
    get: (id: object, options: object) => (got.push({ ...id, ...options }), {}),
  });
  return { got, env: { RING: namespace(), CARRIER: namespace(), ...(dev && { LIMPET_DEV: "1" }) } as never };
}

test("a region's objects are in its jurisdiction, those of others in none; the platform's retries are bounded", () => {
  const { got, env } = played();
  ringStub(env, config, "p", "weur");
  carrierStub(env, config, { pool: "p", region: "weur", generation: 1 }, 3);
  ringStub(env, config, "p", "enam");
  const retry = { maxRetries: 1, timeoutMs: 2000 };
  expect(got).toEqual([
    { name: "v1:p@weur#g1", restricted: "eu", retry, locationHint: "weur" },
    { name: "v1:p@weur#g1/3", restricted: "eu", retry, locationHint: "weur" },
    { name: "v1:p@enam#g1", restricted: undefined, retry, locationHint: "enam" },
  ]);
});

test("dev has no jurisdictions", () => {
  const { got, env } = played(true);
  ringStub(env, config, "p", "weur");
  expect(got).toMatchObject([{ name: "v1:p@weur#g1", restricted: undefined }]);
});
