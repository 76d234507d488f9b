// When a Worker asks the ring object where a session is: a route that is exact, a connection that is spliced, and a table of hints that is not all. Its isolate knows one
// thing, the ring object another.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { keyPoint } from "../../src/core/hash.ts";
import type { FindItem } from "../../src/core/protocol.ts";
import type { Hints, Snapshot } from "../../src/core/snapshot.ts";
import { decideOn, type Decided } from "../../src/platform/decide-http.ts";

let poolNumber = 0;
let world: ReturnType<typeof makeWorld>;

const NOBODY: ReadonlySet<string> = new Set();
const FULL = { from: 1, to: 1, startAtMs: 0, endAtMs: 0 };

interface Wish {
  readonly exact?: boolean;
  readonly spliced?: boolean;
  readonly key?: string | undefined;
  readonly stickiness?: "prefer" | "strict";
}

/** A ring of o1 and o2 on KV, where everybody is at the walk's origin but the hinted; and a ring object that has everybody at o2, live. */
function makeWorld() {
  const poolId = `p${poolNumber++}`;
  const origin = (id: string) => ({ id, url: `http://${id}`, weight: 1, salt: 0, backup: false, lifecycle: "active", closed: false });
  const full = (id: string) => ({ ...origin(id), health: "healthy", ejectedUntilMs: 0, share: FULL }) as const;
  const snapshot = {
    format: 1,
    placement: "v1",
    pool: poolId,
    region: "weur",
    generation: 1,
    epoch: 5,
    configRevision: 1,
    writtenAtMs: 0,
    virtualNodes: 64,
    hintsVersion: 1,
    kept: FULL,
    origins: [full("o1"), full("o2")],
  } as Snapshot;
  const state = {
    complete: true,
    hinted: [] as string[],
    ring: "answers" as "answers" | "away" | "silent",
    finds: [] as FindItem[],
  };
  const hints = (): Hints => ({
    format: 1,
    pool: poolId,
    region: "weur",
    version: 1,
    complete: state.complete,
    entries: state.hinted.map((keyHash) => ({ keyHash, origin: "o1", region: "weur", fence: 9 })),
  });
  const env = {
    AFFINITY: { get: async (key: string) => (key.startsWith("ring/") ? snapshot : hints()) },
    RING: {
      idFromName: (name: string) => name,
      get: () => ({
        find: async (item: FindItem) => {
          state.finds.push(item);
          if (state.ring === "away") throw new Error("the ring object is away");
          if (state.ring === "silent") return new Promise(() => undefined);
          return { kind: "routed", origin: full("o2"), region: "weur", epoch: 6, fence: 11, reason: "owner", passed: [] };
        },
      }),
    },
  };
  const config = { configRevision: 1, regions: { weur: { secondary: [] } } };
  const ask = ({ exact = false, spliced = false, key = "k", stickiness = "prefer" }: Wish = {}, excluded = NOBODY): Promise<Decided> => {
    const pool = {
      id: poolId,
      horizonMs: 120_000,
      virtualNodes: 64,
      balance: "ring",
      boundFactor: 1.25,
      stickiness,
      hold: true,
      affinity: "on",
      rollout: 1,
      origins: snapshot.origins.map((each) => ({ ...each, region: "weur" })),
    };
    const plain = {
      requestId: "r",
      spliced,
      pool,
      home: "weur",
      point: keyPoint(key),
      draw: undefined,
      keyHash: async () => `hash-${key}`,
      claim: undefined,
      key: key === "" ? undefined : key,
      route: { exact },
      remembered: false,
    };
    const platform = { env, ctx: { waitUntil: () => undefined }, settings: { dev: false, config } };
    return decideOn(platform as never, plain as never, excluded, undefined);
  };
  return { state, ask };
}

beforeEach(() => {
  vi.useFakeTimers({ now: 1_800_000_000_000 });
  vi.spyOn(console, "error").mockImplementation(() => undefined);
  world = makeWorld();
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const told = ({ decision, layer }: Decided): unknown[] => [decision.kind === "routed" ? decision.origin.id : decision.why, layer];

/** A key that the isolate has at o1. */
async function atFirst(): Promise<string> {
  for (let n = 0; ; n++) if (told(await world.ask({ key: `k${n}` }))[0] === "o1") return `k${n}`;
}

test("a route that is not exact asks nobody; an exact one asks once a request, and is told the place of this moment", async () => {
  const key = await atFirst();
  expect(world.state.finds).toHaveLength(0);
  for (let n = 1; n <= 3; n++) {
    expect(told(await world.ask({ key, exact: true }))).toEqual(["o2", "ring"]);
    expect(world.state.finds).toHaveLength(n);
  }
  expect(told(await world.ask({ key }))).toEqual(["o1", "memory"]);
});

test("a spliced connection is one question, with or without an exact route; while the ring object is away it goes by the snapshot", async () => {
  const key = await atFirst();
  expect(told(await world.ask({ key, spliced: true }))).toEqual(["o2", "ring"]);
  expect(told(await world.ask({ key, spliced: true, exact: true }))).toEqual(["o2", "ring"]);
  expect(world.state.finds).toHaveLength(2);
  world.state.ring = "away";
  expect(told(await world.ask({ key, spliced: true }))).toEqual(["o1", "memory"]);
});

test("what names no session asks nobody", async () => {
  for (const wish of [{ exact: true }, { spliced: true }]) expect(told(await world.ask({ key: "", ...wish }))[1]).not.toBe("ring");
  expect(world.state.finds).toEqual([]);
});

test("origins that this request has failed to reach are told with the question", async () => {
  await world.ask({ exact: true }, new Set(["o1"]));
  expect(world.state.finds[0]).toMatchObject({ keyHash: "hash-k", excluded: ["o1"] });
  expect(JSON.stringify(world.state.finds)).not.toMatch(/"k"/); // never the key itself
});

test.each([
  ["away", 0],
  ["silent", 2_000],
] as const)("while the ring object is %s, `prefer` goes by the snapshot, and asks again in a second", async (ring, waitMs) => {
  const key = await atFirst();
  world.state.ring = ring;
  const first = world.ask({ key, exact: true });
  await vi.advanceTimersByTimeAsync(waitMs);
  expect(told(await first)).toEqual(["o1", "memory"]);
  for (let n = 0; n < 50; n++) expect(told(await world.ask({ key, exact: true }))).toEqual(["o1", "memory"]);
  expect(world.state.finds).toHaveLength(1); // fifty requests wait for nothing
  world.state.ring = "answers";
  await vi.advanceTimersByTimeAsync(1_000);
  expect(told(await world.ask({ key, exact: true }))).toEqual(["o2", "ring"]);
});

test("while the ring object is away, `strict` serves no session that must be exact, and any other", async () => {
  const key = await atFirst();
  world.state.ring = "away";
  for (let n = 0; n < 3; n++) expect(told(await world.ask({ key, exact: true, stickiness: "strict" }))).toEqual(["owner-lost", "memory"]);
  expect(told(await world.ask({ key, stickiness: "strict" }))).toEqual(["o1", "memory"]);
});

test("a table of hints that is not all: listed sessions are found in it, the ring object is asked of the others", async () => {
  world.state.complete = false;
  world.state.hinted = ["hash-listed"];
  expect(told(await world.ask({ key: "listed" }))).toEqual(["o1", "kv"]);
  expect(world.state.finds).toEqual([]);
  expect(told(await world.ask({ key: "unlisted" }))).toEqual(["o2", "ring"]);
  expect(world.state.finds).toHaveLength(1);
  expect(told(await world.ask({ key: "" }))[1]).toBe("memory"); // no session, nothing to ask of
  expect(world.state.finds).toHaveLength(1);
});

test("a table that is not all, and nobody to ask: `prefer` by the ring, `strict` not at all", async () => {
  world.state.complete = false;
  world.state.ring = "away";
  expect(told(await world.ask({ key: "unlisted" }))[1]).toBe("kv");
  expect(told(await world.ask({ key: "unlisted", stickiness: "strict" }))).toEqual(["owner-lost", "memory"]);
});
