// A carrier with sessions at rest, at the moments that the model (parked-sessions) has found to matter, or cannot see: one story each.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { delay } from "../../src/platform/limits.ts";
import { fakeCrypto } from "./carried/fake-crypto.ts";
import { mockPlatform, stubSockets } from "./carried/globals.ts";
import { ParkedWorld, type ParkedSetting } from "./carried/parked-world.ts";
import { CLOSE_DEADLINE_MS, isOpen } from "./carried/played-world.ts";

vi.mock("cloudflare:workers", () => mockPlatform());
vi.mock("../../src/platform/origin-fetch.ts", () => ({ originFetch: ({ send }: { send: unknown }) => send }));
const { CarrierObject } = await import("../../src/platform/carrier-object.ts");

const AFTER_MS = 1_000;
/** The carrier looks every half second who is at rest. */
const LOOK_MS = 500;
const SETTING: ParkedSetting = {
  resume: { mode: "transparent", prelude: { frames: 0, bytes: 1_000, swallow: 0, mute: false } },
  manner: { dialMs: 20, latencyMs: 3, answerMs: 5, closeMs: 0, closeCode: 1012, flushes: false },
  visitorLatencyMs: 8,
  ringLatencyMs: 2,
  afterMs: AFTER_MS,
  idleMs: 1_800_000,
};

let workMs: number;
let world: ParkedWorld;
let restore: () => void;

function begin(setting: Partial<ParkedSetting> = {}): void {
  world = new ParkedWorld({ ...SETTING, ...setting }, CarrierObject);
  restore = world.clock.install();
}

/** So many visitors whose session has gone to sleep. */
async function parked(count: number, setting?: Partial<ParkedSetting>): Promise<void> {
  begin(setting);
  for (let n = 0; n < count; n++) world.join();
  await world.clock.pass(AFTER_MS + 2 * LOOK_MS + CLOSE_DEADLINE_MS);
  expect(await world.object.isParked("k")).toBe(true);
}

beforeEach(() => {
  workMs = 0;
  stubSockets(() => 0);
  vi.stubGlobal(
    "crypto",
    fakeCrypto(() => workMs),
  );
  vi.spyOn(console, "error").mockImplementation(() => undefined);
});
afterEach(() => {
  restore();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

test("who wakes a session is answered when its legs are open", async () => {
  await parked(2);
  let legs: number | undefined;
  void world.object.wake("k").then(() => (legs = world.openLegs().length));
  await world.clock.pass(20);
  expect(legs, "they are being opened").toBeUndefined();
  await world.clock.pass(100);
  expect(legs).toBe(2);
});

test("a session that somebody has woken stays awake for as long as it would rest, though it was awake", async () => {
  begin();
  world.join();
  await world.clock.pass(AFTER_MS - 10);
  await world.object.wake("k");
  await world.clock.pass(AFTER_MS - 100); // by its frames it has rested for long enough
  expect(await world.object.isParked("k")).toBe(false);
  await world.clock.pass(2 * LOOK_MS);
  expect(await world.object.isParked("k")).toBe(true);
});

test("woken while it falls asleep, it is awake afterwards", async () => {
  begin({ manner: { ...SETTING.manner, closeMs: 800 } });
  world.join();
  await world.clock.pass(AFTER_MS + LOOK_MS + 100);
  expect(world.origins[0]?.legs[0]?.near.closing?.code, "it is told that the session is parked").toBe(1012);
  world.wake();
  await world.clock.pass(1_500);
  expect([await world.object.isParked("k"), world.openLegs().length]).toEqual([false, 1]);
});

test("a wake of a session whose origins do not answer ends, and its visitors are told", async () => {
  await parked(1);
  for (const origin of world.origins) origin.becomes("hanging");
  let isAnswered = false;
  void world.object.wake("k").then(() => (isAnswered = true));
  await world.clock.pass(3_100);
  expect(isAnswered, "whoever asks is not kept waiting for as long").toBe(true);
  await world.clock.pass(27_000);
  expect(world.visitors[0]?.told?.code).toBe(1012);
});

test("ordered away while its rows are sealed, and spoken to: nobody is dialled where it was", async () => {
  begin();
  workMs = 100;
  const visitor = world.join();
  await world.clock.pass(AFTER_MS + LOOK_MS + 50);
  expect([world.openLegs().length, await world.object.isParked("k")]).toEqual([0, false]);
  world.background.push(world.ring.move({ planned: true, gapMs: 500, patienceMs: 60_000, by: 1 }, () => world.carrier));
  world.send(visitor, 1);
  await world.clock.pass(400);
  expect([world.violations, world.openLegs().length]).toEqual([[], 0]);
  await world.clock.pass(1_000);
  expect(visitor.got).toEqual(["0:0 by o1"]);
});

test("what an origin says when it is told that the session is parked is not lost where old legs are muted: the next leg brings it", async () => {
  const prelude = { frames: 1, bytes: 1_000, swallow: 0, mute: true };
  begin({ resume: { mode: "transparent", prelude }, manner: { ...SETTING.manner, closeMs: 100 } });
  const visitor = world.join();
  await world.clock.pass(100);
  world.send(visitor, 1);
  await world.clock.pass(100);
  while (world.openLegs().length === 0) await world.clock.pass(1);
  while (world.openLegs().length > 0) await world.clock.pass(1);
  world.origins[0]?.push(); // it has not heard yet
  await world.clock.pass(500);
  expect(world.origins[0]?.legs[0]?.given).toEqual(["0:0 by o0", "push 1 of o0"]);
  expect(visitor.got, "the replay is answered").toEqual(["0:0 by o0", "0:0 by o0"]);
  expect([await world.object.isParked("k"), world.openLegs().length]).toEqual([false, 1]);
});

test("a session whose rows cannot be written goes on, and is parked another time", async () => {
  begin();
  const visitor = world.join();
  world.state.sqlFault = (query) => (query.startsWith("INSERT") ? new Error("the disk is full") : undefined);
  await world.clock.pass(AFTER_MS + 2 * LOOK_MS);
  expect([await world.object.isParked("k"), await world.object.connectionsOf("k"), world.openLegs().length]).toEqual([false, 1, 1]);
  world.send(visitor, 1);
  world.state.sqlFault = undefined;
  await world.clock.pass(AFTER_MS + 2 * LOOK_MS);
  expect(visitor.got).toEqual(["0:0 by o0"]);
  expect(await world.object.isParked("k")).toBe(true);
});

test("those who come while a session is opened find no more room than there is", async () => {
  await parked(2, { maxConnections: 3 });
  workMs = 10;
  const late = [world.join(), world.join(), world.join()];
  await world.clock.pass(500);
  expect(late.map(({ outcome }) => outcome?.kind)).toEqual(["connected", "unreachable", "unreachable"]);
  await world.clock.pass(AFTER_MS + 2 * LOOK_MS);
  const later = world.join();
  await world.clock.pass(500);
  expect(later.outcome?.kind, "parked ones count").toBe("unreachable");
  expect(await world.object.isParked("k"), "and nobody was woken for it").toBe(true);
});

test("a report that was lost before a carrier sleeps is said again", async () => {
  begin();
  world.join();
  await world.clock.pass(AFTER_MS);
  world.deaf = true;
  await world.clock.pass(2 * LOOK_MS);
  expect([await world.object.isParked("k"), world.reported.asleep]).toEqual([true, false]);
  world.deaf = false;
  await world.clock.pass(30_000);
  expect(world.reported).toEqual({ connections: 1, asleep: true });
});

test("who leaves a carrier that had forgotten everything is counted out", async () => {
  await parked(2);
  await world.evict();
  const [first] = world.visitors;
  if (first) world.leave(first, 1000);
  await world.clock.pass(1_000);
  expect(world.reported).toEqual({ connections: 1, asleep: true });
});

test("a late answer for a session that is over does not end the one that has come after it, and is parked", async () => {
  begin();
  const { ring } = world;
  const place = ring.place.bind(ring);
  let isFirst = true;
  ring.place = async (item) => {
    const isLate = isFirst;
    isFirst = false;
    const answer = await place(item);
    if (isLate) await delay(4_000);
    return answer;
  };
  world.join();
  await world.clock.pass(100);
  await world.object.expel(["k"]);
  const visitor = world.join();
  await world.clock.pass(3_000);
  expect([await world.object.isParked("k"), visitor.outcome?.kind]).toEqual([true, "connected"]);
  await world.clock.pass(2_000);
  expect(ring.placement).toBeDefined();
});

test("a question that reaches the ring object after the end of its session, and is refused, brings nothing back", async () => {
  begin();
  const visitor = world.join();
  await world.clock.pass(100);
  const { ring } = world;
  const place = ring.place.bind(ring);
  ring.place = async (item) => {
    await delay(1_000);
    return place(item);
  };
  for (const origin of world.origins) origin.dies("close");
  await world.clock.pass(100);
  visitor.left = true;
  visitor.socket?.reset();
  await world.clock.pass(500);
  expect(ring.placement, "it has ended").toBeUndefined();
  await world.clock.pass(5_000);
  expect(ring.placement).toBeUndefined();
});

test("started by its alarm alone, an object knows who it is, and whose time is over is told", async () => {
  await parked(1, { idleMs: 60_000 });
  await world.evict();
  world.state.isNamed = false;
  await world.object.alarm();
  expect(await world.object.isParked("k"), "it is no other's").toBe(true);
  await world.clock.pass(60_000);
  expect(world.visitors[0]?.told?.code).toBe(1001);
  expect([world.rowsOf("parked_sessions"), world.ring.placement]).toEqual([0, undefined]);
});

for (const [what, fault] of [
  ["refuses everyone (401)", 401],
  ["is a gateway without it (503)", 503],
  ["is not there", "refusing"],
  ["hangs", "hanging"],
] as const) {
  test(`an origin that ${what} when its session wakes: its visitors are told in bounded time`, async () => {
    await parked(2);
    for (const origin of world.origins) origin.becomes(fault);
    const [first] = world.visitors;
    if (first) world.send(first, 1);
    await world.clock.pass(31_000);
    expect(world.visitors.map(({ told }) => told?.code)).toEqual([1012, 1012]);
    await world.clock.pass(5_000);
    for (const origin of world.origins) origin.becomes("well");
    await world.clock.pass(5_000);
    expect([await world.object.connectionsOf("k"), world.rowsOf("parked_sessions"), world.openLegs().length]).toEqual([0, 0, 0]);
    expect(world.visitors.filter(isOpen)).toEqual([]);
  });
}
