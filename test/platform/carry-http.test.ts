// What breaks in the router itself is told as its own, and not to the origin's disadvantage. (Everything else of carrying is tested with real
// origins: test/e2e/carrying.test.ts.)

import { afterEach, expect, test, vi } from "vitest";
import { keyPoint } from "../../src/core/hash.ts";
import { carryPlain } from "../../src/platform/carry-http.ts";
import type { Outcomes } from "../../src/platform/outcomes.ts";

afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

test("a fault of the router's is counted as such beside the origin's, asks nobody and repeats nothing", async () => {
  vi.useFakeTimers({ now: 1_800_000_000_000 });
  vi.spyOn(console, "error").mockImplementation(() => undefined);
  const told: Record<string, Outcomes>[] = [];
  const ring = {
    published: () => Promise.reject(new Error("away")),
    verdict: () => Promise.reject(new Error("away")),
    outcomes: async (counts: Record<string, Outcomes>) => void told.push(structuredClone(counts)),
  };
  const fetched = vi.fn(() => Promise.reject(new Error("Network connection lost.")));
  vi.stubGlobal("fetch", fetched);
  const env = { AFFINITY: { get: () => Promise.reject(new Error("KV is down")) }, RING: { idFromName: (name: string) => name, get: () => ring } };
  const background: Promise<unknown>[] = [];
  const settings = { dev: false, access: new Map(), config: { configRevision: 1, regions: { weur: { secondary: [] } } } };
  const platform = { env, settings, ctx: { waitUntil: (work: Promise<unknown>) => void background.push(work) } };
  const origins = [{ id: "o1", region: "weur", url: "http://o1", weight: 1, salt: 0, backup: false }];
  const policy = { balance: "ring", stickiness: "prefer", hold: true, affinity: "on", rollout: 1, virtualNodes: 8, horizonMs: 120_000 };
  const plain = (headers: () => object) => ({
    request: new Request("http://router/x", { method: "POST" }),
    requestId: "r",
    headers,
    target: "/x",
    route: { exact: false, replay: { bodyBytes: 0 }, deadlines: {}, retry: { idempotencyKey: false } },
    pool: { id: "carried", origins, ...policy },
    home: "weur",
    key: "k",
    point: keyPoint("k"),
    draw: undefined,
    keyHash: async () => "hash",
    claim: undefined,
    remembered: false,
  });
  const broken = plain(() => {
    throw new Error("ours");
  });
  await expect(carryPlain(platform as never, broken as never)).rejects.toThrow("ours");
  expect([fetched.mock.calls.length, background.length]).toEqual([0, 0]);
  expect(await carryPlain(platform as never, plain(() => ({})) as never)).toMatchObject({ kind: "failed", why: "unreachable", attempts: 1 });
  await vi.advanceTimersByTimeAsync(1_000);
  expect(told).toMatchObject([{ o1: { ours: 1, "origin-fault": 1, ok: 0 } }]);
});
