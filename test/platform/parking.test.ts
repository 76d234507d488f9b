// Parked sessions between their rows and their visitors' sockets: what is said while they are opened, what comes in the middle, rows that do not
// open, and what is left of them after the object's memory is lost.

import { encodeAny } from "lib0/buffer";
import { afterEach, beforeEach, expect, test } from "vitest";
import { SESSION_OVER } from "../../src/core/close-codes.ts";
import { encodeKept } from "../../src/platform/kept-connection.ts";
import { HELD_FRAMES_MAX } from "../../src/platform/limits.ts";
import { sealBytes } from "../../src/platform/seal.ts";
import { ParkedBench, PLACED, presence, SECRET, WORK_MS } from "./carried/parked-bench.ts";

const PRELUDE = { mode: "transparent", prelude: { frames: 0, bytes: 0, swallow: 0, mute: false } } as const;

let bench: ParkedBench;

beforeEach(() => {
  bench = new ParkedBench();
});
afterEach(() => bench.end());

test("what is said while the session is opened is told to whoever goes on with it, in order, and its close after it", async () => {
  await bench.parked(2, PRELUDE);
  bench.say(0, "a", "b");
  bench.say(1, "c");
  await bench.clock.pass(WORK_MS + 1); // the first is looked at, and all are being opened
  bench.say(0, "d");
  bench.sleepers[1]?.far.close(4000, "enough");
  await bench.clock.pass(0);
  expect(bench.revived).toEqual([]);
  await bench.through();
  bench.say(0, "e");
  await bench.clock.pass(1);
  expect(bench.told).toEqual(["0 says a", "0 says b", "1 says c", "0 says d", "1 closes 4000", "0 says e"]);
  expect([bench.rows(), bench.heldBytes, bench.parking.rows().length]).toEqual([{ sessions: 0, connections: 0 }, 0, 0]);
});

test("who wakes it a second time, or comes while it is opened, waits for the same opening", async () => {
  await bench.parked(2);
  const [first, second] = [bench.parking.wake(bench.keyHash), bench.parking.wake(bench.keyHash)];
  await bench.clock.pass(WORK_MS / 2);
  const third = bench.parking.wake(bench.keyHash);
  await bench.through();
  expect([await first, await second, await third, await bench.parking.wake(bench.keyHash)]).toEqual([true, true, true, false]);
  expect([bench.revived, bench.fences]).toEqual([[0, 1], [100]]);
});

test("ended while it is opened, it is not revived, and its visitors are told", async () => {
  await bench.parked(2);
  const woken = bench.parking.wake(bench.keyHash);
  await bench.clock.pass(WORK_MS / 2);
  bench.say(0, "x");
  await bench.clock.pass(0);
  bench.parking.expel(bench.keyHash, SESSION_OVER);
  await bench.through();
  expect([await woken, bench.revived, bench.ended, bench.codes(), bench.heldBytes]).toEqual([true, [], [100], [1000, 1000], 0]);
});

test("moved while it is opened, it goes on at the newer place; an older order changes nothing", async () => {
  await bench.parked(1);
  const placement = { ...PLACED, keyHash: bench.keyHash, origin: "o1", fence: 101 };
  bench.say(0, "x");
  await bench.clock.pass(WORK_MS + 1);
  expect(bench.parking.enter(placement)).toBe(true);
  expect(bench.parking.enter({ ...placement, origin: "o2", fence: 99 })).toBe(true);
  await bench.through();
  expect(bench.fences).toEqual([101]);
  expect(bench.parking.enter(placement), "it is not parked any more").toBe(false);
});

test("moved while it sleeps, it wakes at its new place though the object's memory was lost", async () => {
  await bench.parked(1);
  bench.parking.enter({ ...PLACED, keyHash: bench.keyHash, origin: "o1", fence: 101 });
  bench.evict();
  expect(bench.parking.rows()).toMatchObject([{ origin: "o1", fence: 101, connections: 1 }]);
  bench.say(0, "x");
  await bench.through();
  expect(bench.fences).toEqual([101]);
});

test("who leaves while the others are opened is not among them", async () => {
  await bench.parked(3);
  void bench.parking.wake(bench.keyHash);
  await bench.clock.pass(WORK_MS / 2);
  bench.sleepers[1]?.far.reset();
  await bench.through();
  expect([bench.revived, bench.told, bench.codes()]).toEqual([[0, 2], [], [undefined, 1006, undefined]]);
});

test("the last visitor leaves while a frame of theirs is looked at: nothing is left", async () => {
  await bench.parked(1);
  bench.say(0, presence([1, 6, "{}"]));
  bench.sleepers[0]?.far.close(1000, "");
  await bench.through();
  expect([bench.revived, bench.ended, bench.rows(), bench.parking.rows().length, bench.heldBytes]).toEqual([
    [],
    [100],
    { sessions: 0, connections: 0 },
    0,
    0,
  ]);
});

const OTHER_SECRET = "another";
for (const [what, kept] of [
  ["was sealed by a secret that is no more", (plain) => sealBytes([OTHER_SECRET], "parked", encodeKept(plain))],
  ["is of a format that is not known here", (plain) => sealBytes([SECRET], "parked", encodeAny({ ...plain, format: 2 }).slice())],
  ["is of no format at all", () => sealBytes([SECRET], "parked", new Uint8Array([255, 1, 2, 3]))],
  ["is broken", (plain) => sealBytes([SECRET], "parked", encodeKept(plain)).then((sealed) => sealed.fill(7, 20, 30))],
  ["is empty", () => new Uint8Array()],
  [
    "is of a key that has another hash today",
    (plain) => sealBytes([SECRET], "parked", encodeKept({ ...plain, live: { ...plain.live, key: "other" } })),
  ],
] as readonly (readonly [string, NonNullable<Parameters<ParkedBench["park"]>[2]>])[]) {
  test(`a row that ${what} closes its visitor with 1012, and nobody else`, async () => {
    const sound: typeof kept = (plain) => sealBytes([SECRET], "parked", encodeKept(plain));
    await bench.parked(3, PRELUDE, (plain, number) => (number === 1 ? kept : sound)(plain, number));
    bench.say(1, "lost");
    await bench.clock.pass(3 * WORK_MS); // it is told; the others sleep on
    expect([bench.codes(), bench.parking.connectionsOf(bench.keyHash), bench.told]).toEqual([[undefined, 1012, undefined], 2, []]);
    bench.say(0, "heard");
    await bench.through();
    expect([bench.revived, bench.codes(), bench.told]).toEqual([[0, 2], [undefined, 1012, undefined], ["0 says heard"]]);
  });

  test(`a row that ${what} is found when somebody else speaks: its visitor is told, the others go on`, async () => {
    const sound: typeof kept = (plain) => sealBytes([SECRET], "parked", encodeKept(plain));
    await bench.parked(2, PRELUDE, (plain, number) => (number === 1 ? kept : sound)(plain, number));
    bench.say(0, "heard");
    await bench.through();
    expect([bench.revived, bench.codes(), bench.rows()]).toEqual([[0], [undefined, 1012], { sessions: 0, connections: 0 }]);
  });
}

test("where no row opens everyone is told, and the session is over", async () => {
  await bench.parked(2, PRELUDE, (plain) => sealBytes([OTHER_SECRET], "parked", encodeKept(plain)));
  expect(await Promise.all([bench.parking.wake(bench.keyHash), bench.through()])).toEqual([true, undefined]);
  expect([bench.codes(), bench.ended, bench.rows()]).toEqual([[1012, 1012], [100], { sessions: 0, connections: 0 }]);
});

test("after the secret that keys the hashes was taken away everyone is told when the object starts, not when they speak: others are elsewhere", async () => {
  bench.secrets = ["new", SECRET];
  await bench.parked(3);
  bench.secrets = ["new", "newer", SECRET];
  bench.evict();
  expect(bench.parking.rows().length).toBe(1);
  await bench.through();
  expect(bench.codes()).toEqual([undefined, undefined, undefined]);
  bench.secrets = ["new"];
  bench.evict();
  expect(bench.parking.rows().length).toBe(1);
  await bench.through();
  expect([bench.codes(), bench.ended, bench.rows()]).toEqual([[1012, 1012, 1012], [100], { sessions: 0, connections: 0 }]);
});

test("a row that does not open is told when the object starts where it is the first; nobody else is opened for that", async () => {
  const sound = (plain: Parameters<typeof encodeKept>[0]): Promise<Uint8Array> => sealBytes([SECRET], "parked", encodeKept(plain));
  await bench.parked(3, PRELUDE, (plain, number) => (number === 0 ? new Uint8Array() : sound(plain)));
  let openedCount = 0;
  bench.state.sqlFault = (query) => void (openedCount += query.startsWith("SELECT sealed") ? 1 : 0);
  bench.evict();
  expect(bench.parking.rows().length).toBe(1);
  await bench.through();
  expect([bench.codes(), bench.parking.connectionCount, openedCount]).toEqual([[1012, undefined, undefined], 2, 2]);
});

test("a fault of the code while the session is revived leaves nobody asleep for ever", async () => {
  await bench.parked(2);
  bench.failsToRevive = true;
  bench.say(0, "x");
  await bench.through();
  expect([bench.codes(), bench.rows(), bench.heldBytes]).toEqual([[1012, 1012], { sessions: 0, connections: 0 }, 0]);
});

test("rows that cannot be written leave the session as it was, and none of them behind", async () => {
  bench.state.sqlFault = (query) => (query.includes("INTO parked_connections") ? new Error("the disk is full") : undefined);
  await expect(bench.park(2)).rejects.toThrow("full");
  expect([bench.parking.rows().length, bench.rows()]).toEqual([0, { sessions: 0, connections: 0 }]);
  bench.say(0, "x");
  await bench.clock.pass(1);
  expect(bench.told).toEqual(["0 says x"]);
});

test("a row that was to be deleted, or not to be written, when the object's memory was lost parks nobody who is awake", async () => {
  await bench.parked(1, PRELUDE);
  const [row] = bench.state.rows("parked_sessions");
  const again = (): unknown => bench.state.exec("INSERT INTO parked_sessions VALUES (?, ?, ?, ?, ?)", Object.values(row ?? {}));
  const rows = (id: string): unknown => bench.state.exec("INSERT INTO parked_connections VALUES (?, ?, ?)", [id, bench.keyHash, new Uint8Array()]);
  bench.say(0, "x");
  await bench.through();
  expect(bench.told).toEqual(["0 says x"]);
  bench.accept();
  for (const { near } of bench.sleepers) rows((near.attachment as { id: string }).id);
  again();
  bench.evict();
  expect(bench.parking.rows().length).toBe(0);
  await bench.clock.pass(1);
  expect(bench.codes()).toEqual([1012, 1012]);
});

test("after eviction who is parked lives on", async () => {
  await bench.parked(2, PRELUDE);
  bench.evict();
  expect([bench.parking.rows().length, bench.parking.connectionCount]).toEqual([1, 2]);
  bench.say(0, "x");
  await bench.through();
  expect([bench.revived, bench.codes(), bench.told]).toEqual([[0, 1], [undefined, undefined], ["0 says x"]]);
});

test("after eviction a row without its socket is deleted, which is told; without any the session is over", async () => {
  await bench.parked(2);
  bench.evict();
  bench.sleepers[0]?.far.close(1000, "");
  await bench.clock.pass(1);
  expect([bench.parking.connectionsOf(bench.keyHash), bench.rows(), bench.ended]).toEqual([1, { sessions: 1, connections: 1 }, []]);
  expect(bench.changedCount, "once when it was parked, and now").toBe(2);
  bench.evict();
  bench.sleepers[1]?.far.reset("error");
  await bench.clock.pass(1);
  expect([bench.parking.rows().length, bench.rows(), bench.ended]).toEqual([0, { sessions: 0, connections: 0 }, [100]]);
});

for (const [when, waitMs] of [
  ["was being looked at", 1],
  ["was being opened", 2 * WORK_MS + 2],
  ["had just gone on", 6 * WORK_MS],
] as const) {
  test(`a socket whose frame ${when} when the object's memory was lost is told to come back`, async () => {
    await bench.parked(2, PRELUDE);
    bench.say(0, "x");
    await bench.clock.pass(waitMs);
    bench.evict();
    expect(bench.parking.rows().length).toBe(waitMs === 1 ? 1 : 0); // the other's is opened only once it is clear that somebody has to wake
    await bench.clock.pass(1);
    expect(bench.codes()).toEqual([1012, waitMs === 1 ? undefined : 1012]);
  });
}

test("of two frames the first is through when the object's memory is lost: its sender is told to come back for the second", async () => {
  await bench.parked(1);
  bench.say(0, presence([1, 6, "{}"]), "an edit");
  await bench.clock.pass(2 * WORK_MS + 2);
  expect(bench.sleepers[0]?.got).toHaveLength(1);
  bench.evict();
  expect(bench.parking.rows().length).toBe(0);
  await bench.clock.pass(1);
  expect(bench.codes()).toEqual([1012]);
});

test("a close that comes twice, or as an error too, is one", async () => {
  await bench.parked(2);
  bench.sleepers[0]?.far.reset("both");
  await bench.through();
  expect([bench.parking.connectionsOf(bench.keyHash), bench.ended]).toEqual([1, []]);
});

test("rows that nobody can read any more are deleted, and everyone is told", async () => {
  await bench.parked(2);
  bench.state.database.exec("UPDATE parked_sessions SET placement = '{'");
  bench.evict();
  expect([bench.parking.rows().length, bench.rows()]).toEqual([0, { sessions: 0, connections: 0 }]);
  await bench.clock.pass(1);
  expect(bench.codes()).toEqual([1012, 1012]);
});

test("who says more than may be held back of one session is told, the others go on", async () => {
  bench.mostBytes = 20;
  await bench.parked(2, PRELUDE);
  bench.say(1, "x");
  bench.say(0, "0123456789", "again", "and again");
  await bench.through();
  expect([bench.codes(), bench.heldBytes]).toEqual([[1013, undefined], 0]);
  expect([bench.revived, bench.told]).toEqual([[1], ["1 says x"]]);
});

test("who was told says nothing that is kept any more", async () => {
  bench.mostBytes = 0;
  await bench.parked(2);
  let openedCount = 0;
  bench.state.sqlFault = (query) => void (openedCount += query.startsWith("SELECT sealed") ? 1 : 0);
  bench.say(0, ...Array.from({ length: 50 }, () => presence([1, 6, "{}"])));
  await bench.through();
  expect([bench.codes(), openedCount], "for the close that it was told, and for its own").toEqual([[1013, undefined], 2]);
});

test("frames without a byte are bounded by their number", async () => {
  await bench.parked(1, PRELUDE);
  bench.say(0, ...Array.from({ length: HELD_FRAMES_MAX + 100 }, () => ""));
  await bench.through();
  expect([bench.codes(), bench.revived, bench.ended]).toEqual([[1013], [], [100]]);
});
