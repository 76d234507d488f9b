// A carried session's move at the moments that the model (carried-session-planned, -faults) has found to matter: one story each.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ARRIVAL_DEADLINE_MS, MOVE_DEADLINE_MS } from "../../src/platform/limits.ts";
import { CarriedWorld } from "./carried/carried-world.ts";
import { CLOSE_DEADLINE_MS, type Setting } from "./carried/played-world.ts";
import { stubSockets } from "./carried/globals.ts";

const SETTING: Setting = {
  resume: { mode: "transparent", prelude: { frames: 1, bytes: 1_000, swallow: 0, mute: false } },
  manner: { dialMs: 2, latencyMs: 3, answerMs: 5, closeMs: 0, closeCode: 1012, flushes: false },
  visitorLatencyMs: 8,
  ringLatencyMs: 2,
};
const HANDOVER: Setting["resume"] = {
  mode: "handover",
  prelude: { frames: 0, bytes: 0, swallow: 0, mute: false },
  handover: { path: "/state", maxBytes: 100, timeoutMs: 1_000 },
};
const PLANNED = { planned: true, gapMs: 0, patienceMs: 60_000, by: 1 };

let world: CarriedWorld;
let restore: () => void;

function begin(setting: Partial<Setting> = {}): void {
  world = new CarriedWorld({ ...SETTING, ...setting });
  restore = world.clock.install();
}
const move = (wish: Partial<typeof PLANNED> = {}): void => void world.background.push(world.ring.move({ ...PLANNED, ...wish }, () => world.session));
const placeNow = (): string | undefined => world.session?.placement?.origin;

beforeEach(() => {
  stubSockets(() => SETTING.visitorLatencyMs);
  vi.spyOn(console, "error").mockImplementation(() => undefined);
});
afterEach(() => {
  restore();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

test("what is sent while the session moves is held back, and handled in order at the new origin", async () => {
  begin();
  const visitor = world.join();
  await world.clock.pass(50);
  world.send(visitor, 2);
  await world.clock.pass(50);
  move({ gapMs: 300 });
  await world.clock.pass(250);
  world.send(visitor, 3);
  await world.clock.pass(50);
  expect(world.heldBytes).toBeGreaterThan(0);
  await world.clock.pass(1_000);
  expect(world.legsOf(visitor).map(({ origin, handled }) => [origin, handled])).toEqual([
    ["o0", ["0:0", "0:1"]],
    ["o1", ["0:0", "0:2", "0:3", "0:4"]],
  ]);
  expect([world.heldBytes, world.violations, visitor.told]).toEqual([0, [], undefined]);
});

test("whoever waits for the end of a move longer than they may is refused, not brought to the place that was left", async () => {
  begin();
  world.join();
  await world.clock.pass(50);
  move({ gapMs: ARRIVAL_DEADLINE_MS + 500 });
  await world.clock.pass(200);
  const late = world.join();
  await world.clock.pass(ARRIVAL_DEADLINE_MS + 100);
  expect([late.outcome?.kind, world.violations]).toEqual(["unreachable", []]);
  await world.clock.pass(2_000);
  expect([placeNow(), world.violations]).toEqual(["o1", []]);
});

test("for a visitor who goes while their next leg is awaited nobody is dialled", async () => {
  begin();
  const visitor = world.join();
  await world.clock.pass(101);
  move({ by: 0 });
  world.leave(visitor, 1000);
  await world.clock.pass(7);
  move({ gapMs: 1 }); // its dial is cut off, and a moment later it is over
  await world.clock.pass(20);
  expect(world.violations).toEqual([]);
});

test("a visitor who arrives has an answer at the deadline, whatever is being waited for then", async () => {
  begin({ ringLatencyMs: 1_238 });
  for (const origin of world.origins) origin.becomes("refusing");
  world.ring.keepsPlacing = true;
  const visitor = world.join();
  await world.clock.pass(2 * ARRIVAL_DEADLINE_MS);
  expect(visitor.outcome?.kind).toBe("unreachable");
  expect((visitor.settledAtMs ?? 0) - visitor.joinedAtMs).toBeLessThanOrEqual(ARRIVAL_DEADLINE_MS);
});

test("a place that is heard of only after the order to leave it is not gone to", async () => {
  begin({ ringLatencyMs: 2 });
  world.join();
  await world.clock.pass(3); // it is placed, and the answer is on its way
  move({ gapMs: 300 });
  await world.clock.pass(200);
  expect([placeNow(), world.violations]).toEqual(["o0", []]);
  await world.clock.pass(1_000);
  expect([placeNow(), world.violations]).toEqual(["o1", []]);
  expect(world.origins.map(({ legs }) => legs.length)).toEqual([0, 1, 0]);
});

test("a move that the ring object has lost ends where it began, and nobody is disconnected", async () => {
  begin();
  const visitor = world.join();
  await world.clock.pass(50);
  move({ gapMs: 60_000 });
  await world.clock.pass(1_000);
  world.send(visitor, 2);
  world.ring.forget();
  await world.clock.pass(MOVE_DEADLINE_MS);
  expect(world.legsOf(visitor).map(({ origin, handled }) => [origin, handled])).toEqual([
    ["o0", []],
    ["o0", ["0:0", "0:1"]],
  ]);
  expect(visitor.told).toBeUndefined();
});

test("a visitor who goes frees the slot of a dial that hangs", async () => {
  begin();
  const visitors = Array.from({ length: 5 }, () => world.join());
  await world.clock.pass(50);
  world.origins[1]?.becomes("hanging");
  move();
  await world.clock.pass(500);
  for (const visitor of visitors.slice(1)) world.leave(visitor, 1000);
  await world.clock.pass(50);
  const waiting = ["o1", "o1", "o1", "o1", "o2"].map((origin) => world.handshakes.take("arrivals", origin, new AbortController().signal));
  expect(world.handshakes.waitingCount).toBe(0);
  await Promise.all(waiting);
});

test("the state of an origin that never heard the last frames is not handed over: the visitor is told to come back", async () => {
  begin({ resume: HANDOVER });
  const visitor = world.join();
  await world.clock.pass(50);
  world.origins[0]?.becomes("hanging");
  world.send(visitor, 1);
  await world.clock.pass(50);
  move();
  await world.clock.pass(CLOSE_DEADLINE_MS + 200);
  world.origins[0]?.becomes("well"); // in time to answer for a state without that frame
  await world.clock.pass(3_000);
  expect(visitor.told?.code).toBe(1012);
});

test("a ring object that says where the session is, and in the same moment orders it away, is obeyed in the order", async () => {
  begin({ ringLatencyMs: 5 });
  world.join();
  await world.clock.pass(50);
  move({ gapMs: 60_000 });
  world.ring.forget(); // the session is left, and the ring object has lost the move: it is asked in a while
  await world.clock.pass(MOVE_DEADLINE_MS + 7); // the answer is on its way
  move({ gapMs: 300 });
  await world.clock.pass(200);
  expect([placeNow(), world.violations]).toEqual(["o0", []]);
  await world.clock.pass(1_000);
  expect([placeNow(), world.session?.connections.hasLeg, world.violations]).toEqual(["o1", true, []]);
});

test("a visitor who arrives has an answer at the deadline, though the session's state is being brought back then", async () => {
  begin({ resume: HANDOVER, manner: { ...SETTING.manner, dialMs: 2, latencyMs: 0, answerMs: 0 }, ringLatencyMs: 40 });
  world.join();
  await world.clock.pass(82);
  move({ gapMs: 980, patienceMs: 102, by: 0 });
  await world.clock.pass(1_081);
  const visitor = world.join();
  world.ring.forget(); // the session asks where it is in a while: just before this visitor has waited for too long
  await world.clock.pass(2 * ARRIVAL_DEADLINE_MS);
  expect((visitor.settledAtMs ?? Infinity) - visitor.joinedAtMs).toBeLessThanOrEqual(ARRIVAL_DEADLINE_MS);
});

test("a move that is lost after the state was, too, ends with the visitor told to come back", async () => {
  begin({ resume: HANDOVER });
  const visitor = world.join();
  await world.clock.pass(50);
  world.origins[0]?.becomes("hanging");
  world.send(visitor, 1);
  await world.clock.pass(150);
  move({ gapMs: 60_000 });
  world.openLegOf(visitor)?.far.reset();
  world.ring.forget();
  world.origins[0]?.becomes("well");
  await world.clock.pass(MOVE_DEADLINE_MS + 1_000);
  expect([visitor.told?.code, world.violations]).toEqual([1012, []]);
});
