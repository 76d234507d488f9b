// A carrier's line to its ring object: batches, repeats, and what it decides alone while the ring object is away.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { EndedItem, Envelope, PlaceAnswer, PlaceItem } from "../../src/core/protocol.ts";
import { RingClient } from "../../src/platform/ring-client.ts";
import { VirtualClock } from "./carried/virtual-clock.ts";

type Call = { readonly envelope: Envelope; readonly items: readonly PlaceItem[] };

let calls: Call[];
let endedCalls: { readonly ended: readonly EndedItem[]; readonly accepted: readonly string[] }[];
let answer: (call: Call) => Promise<PlaceAnswer[]>;

beforeEach(() => {
  [calls, endedCalls] = [[], []];
  answer = async ({ items }) => items.map(({ keyHash }) => ({ kind: "refused", keyHash, why: "no-origin", epoch: 7 }));
  vi.spyOn(console, "error").mockImplementation(() => undefined);
});

function clientOf(stickiness: "prefer" | "strict" = "prefer", slice = 2): RingClient {
  const origins = ["o1", "o2"].map((id) => ({ id, region: "weur", url: `http://${id}`, weight: 1, salt: 0, backup: false }));
  const pool = { id: "p", virtualNodes: 64, stickiness, hold: true, carriers: CARRIERS, affinity: "on", rollout: 1, origins };
  const env = {
    RING: {
      idFromName: (name: string) => name,
      get: () => ({
        place: async (envelope: Envelope, items: readonly PlaceItem[]) => {
          calls.push({ envelope, items });
          return answer({ envelope, items });
        },
        ended: async (_: Envelope, ended: readonly EndedItem[], accepted: readonly string[]) => void endedCalls.push({ ended, accepted }),
      }),
    },
  };
  const settings = { dev: true, config: { configRevision: 1, regions: { weur: { secondary: [] } }, pools: { p: pool } } };
  return new RingClient(env as never, settings as never, { ring: { pool: "p", region: "weur", generation: 1 }, slice });
}
const CARRIERS = 4;

const item = (keyHash: string, more: Partial<PlaceItem> = {}): PlaceItem => ({ keyHash, position: 1, lot: 2, keyed: true, excluded: [], ...more });
const away = async (): Promise<never> => {
  throw Object.assign(new Error("Network connection lost."), { retryable: true });
};
/** As workerd (1.20261117) tells of an object that was aborted. */
const lost = async (): Promise<never> => {
  throw Object.assign(new Error("reset"), { durableObjectReset: true });
};

test("asks of one moment go in one call; those that make the ring object probe go apart, so that nobody new waits for a probe", async () => {
  const client = clientOf();
  await Promise.all([client.place(item("a")), client.place(item("b", { excluded: ["o1"] })), client.place(item("c"))]);
  expect(calls.map(({ items }) => items.map(({ keyHash }) => keyHash))).toEqual([["a", "c"], ["b"]]);
  expect(calls.map(({ envelope }) => [envelope.slice, envelope.seq])).toEqual([
    [2, 1],
    [2, 2],
  ]);
});

test("a storm of 10,000 sessions is a few dozen calls", async () => {
  const client = clientOf();
  await Promise.all(Array.from({ length: 10_000 }, (_, n) => client.place(item(`k${n}`))));
  expect(calls.length).toBeLessThan(50);
});

test.each([
  ["whose connection broke", away],
  ["under which the ring object was lost", lost],
])("a call %s is repeated once, with its number", async (_, fail) => {
  const client = clientOf();
  const good = answer;
  answer = async (call) => (calls.length === 1 ? fail() : good(call));
  expect((await client.place(item("a"))).kind).toBe("refused");
  expect(calls.map(({ envelope }) => envelope.seq)).toEqual([1, 1]);
});

test("what a session had asked that is over before it is sent would bring it back: it is not sent; that of one which has begun since is", async () => {
  const client = clientOf();
  const live = (fence: number): Partial<PlaceItem> => ({ live: { origin: "o1", region: "weur", fence } });
  const asked = [item("a", live(5)), item("a", { ...live(5), excluded: ["o1"] }), item("a"), item("a", live(6)), item("b", live(5))];
  const answers = asked.map((each) => client.place(each));
  client.ended({ keyHash: "a", fence: 5 });
  expect((await Promise.all(answers)).map(({ kind }) => kind)).toEqual(["refused", "refused", "refused", "refused", "refused"]);
  expect(calls.flatMap(({ items }) => items)).toEqual(asked.slice(2));
});

test("while the ring object is away, known sessions stay and new ones are placed by the ring, with a fence beyond all seen", async () => {
  const client = clientOf();
  const farAhead = Date.now() * 256 + 2_000_000; // a ring object that restarted goes on from its mark, up to ten seconds ahead
  const placed = { origin: "o2", region: "weur", url: "http://o2", epoch: 1, reason: "owner", replicas: [], fence: farAhead } as const;
  answer = async () => [{ kind: "placed", placement: { keyHash: "a", ...placed } }];
  await client.place(item("a"));
  answer = away;
  const live = { origin: "o2", region: "weur", fence: farAhead };
  const [known, fresh, moved] = await Promise.all([
    client.place(item("a", { live })),
    client.place(item("b")),
    client.place(item("c", { live: { ...live, fence: farAhead + 7 }, excluded: ["o2"] })),
  ]);
  expect(known).toMatchObject({ kind: "placed", placement: { origin: "o2", fence: live.fence } });
  expect(fresh).toMatchObject({ kind: "placed", placement: { reason: "owner" } });
  expect(moved).toMatchObject({ kind: "placed", placement: { origin: "o1", movedFrom: "o2" } });
  expect(fresh.kind === "placed" && fresh.placement.fence).toBeGreaterThan(farAhead);
  expect(moved.kind === "placed" && moved.placement.fence).toBeGreaterThan(farAhead + 7);
});

test("what was decided alone leaves a gap, so that the ring object reads this carrier's table when it is back", async () => {
  const client = clientOf();
  const good = answer;
  answer = away;
  await client.place(item("a"));
  answer = good;
  await client.place(item("b"));
  const [last, previous] = [calls.at(-1)?.envelope.seq ?? 0, calls.at(-2)?.envelope.seq ?? 0];
  expect(last - previous).toBe(2);
});

test("a strict pool takes no new session alone, and keeps those it has", async () => {
  const client = clientOf("strict");
  answer = away;
  expect(await client.place(item("a"))).toMatchObject({ kind: "refused", why: "owner-lost" });
  expect(await client.place(item("b", { live: { origin: "o1", region: "weur", fence: 1 } }))).toMatchObject({ kind: "placed" });
});

describe("how often a ring object is called", () => {
  let clock: VirtualClock;
  let restore: () => void;
  beforeEach(() => {
    clock = new VirtualClock();
    restore = clock.install();
  });
  afterEach(() => restore());
  const callCount = (): number => calls.length + endedCalls.length;

  test("by all carriers of a ring together, in a storm in which sessions begin, end and are doubted all the time: less than 1,000 times a second", async () => {
    const clients = Array.from({ length: CARRIERS }, (_, slice) => clientOf("prefer", slice));
    for (let ms = 0; ms < 2_000; ms++) {
      for (const client of clients) {
        void client.place(item(`a${ms}`));
        void client.place(item(`b${ms}`, { excluded: ["o1"] }));
        client.ended({ keyHash: `c${ms}`, fence: ms });
        client.accepted(`d${ms}`);
      }
      await clock.pass(1);
    }
    expect(callCount() / 2).toBeLessThan(650);
    expect(callCount() / 2).toBeGreaterThan(500); // and they are called
    expect(calls.reduce((sum, { items }) => sum + items.length, 0)).toBeGreaterThan(2 * 2 * 1_950 * 2);
  });

  test("a lone ask goes out after 2 ms, and the next one too when its carrier has been idle", async () => {
    const client = clientOf();
    for (const keyHash of ["a", "b"]) {
      void client.place(item(keyHash));
      await clock.pass(1);
      expect(calls.map(({ items }) => items[0]?.keyHash)).not.toContain(keyHash);
      await clock.pass(1);
      expect(calls.map(({ items }) => items[0]?.keyHash)).toContain(keyHash);
      await clock.pass(100);
    }
  });

  test("one right after it waits for its turn, with all that come meanwhile", async () => {
    const client = clientOf();
    void client.place(item("a"));
    await clock.pass(2);
    for (const keyHash of ["b", "c", "d"]) {
      void client.place(item(keyHash));
      await clock.pass(2);
    }
    expect(calls).toHaveLength(1);
    await clock.pass(5 * CARRIERS);
    expect(calls.map(({ items }) => items.map(({ keyHash }) => keyHash))).toEqual([["a"], ["b", "c", "d"]]);
  });

  test("that a session was accepted goes with the ends, before what is asked", async () => {
    const client = clientOf();
    client.accepted("a");
    client.ended({ keyHash: "b", fence: 1 });
    void client.place(item("b"));
    await clock.pass(2);
    expect(endedCalls).toEqual([{ ended: [{ keyHash: "b", fence: 1 }], accepted: ["a"] }]);
    expect(calls[0]?.envelope.seq).toBe(2);
  });
});
