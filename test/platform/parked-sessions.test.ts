// Parking, under everything that may come in between: a carrier object whose session is parked after a while at rest, while visitors speak, leave
// and join, origins die, hang and refuse, the ring object orders, is slow or cannot be reached, and the object's memory is lost. At every moment
// there is one owner, and a session without legs has rows. Each frame is delivered once and in order, or its visitor told; whoever still has a
// socket is live or parked, never silently dead; and in the end nothing is left. LIMPET_MODEL_RUNS and LIMPET_MODEL_SEED make more of it.

import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ARRIVAL_DEADLINE_MS } from "../../src/platform/limits.ts";
import type { Health } from "./carried/fake-origin.ts";
import { fakeCrypto } from "./carried/fake-crypto.ts";
import { mockPlatform, stubSockets } from "./carried/globals.ts";
import { ParkedWorld, type ParkedSetting } from "./carried/parked-world.ts";
import { isOpen, type Visitor } from "./carried/played-world.ts";
import { handedOnce, heardInOrder, noSilentHole } from "./carried/promises.ts";
import { settled } from "./carried/virtual-clock.ts";

vi.mock("cloudflare:workers", () => mockPlatform());
vi.mock("../../src/platform/origin-fetch.ts", () => ({ originFetch: ({ send }: { send: unknown }) => send }));
const { CarrierObject } = await import("../../src/platform/carrier-object.ts");

const RUNS = Number(process.env["LIMPET_MODEL_RUNS"] ?? 300);
const TIMEOUT_MS = 30_000 + RUNS * 200;
const SEED = Number(process.env["LIMPET_MODEL_SEED"] ?? Date.now() % 2 ** 31);

let workMs = 0;

beforeEach(() => {
  stubSockets(() => 0);
  vi.stubGlobal(
    "crypto",
    fakeCrypto(() => workMs),
  );
  vi.spyOn(console, "error").mockImplementation(() => undefined);
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

type How = "close" | "error" | "both";
type Event =
  | { readonly do: "join"; readonly parks: boolean }
  | { readonly do: "send"; readonly who: number; readonly count: number }
  | { readonly do: "leave" | "dismiss"; readonly who: number }
  | { readonly do: "break"; readonly who: number; readonly how: How }
  | { readonly do: "restart"; readonly who: number; readonly code: number }
  | { readonly do: "reset"; readonly who: number; readonly how: How }
  | { readonly do: "push"; readonly origin: number }
  | { readonly do: "die"; readonly origin: number; readonly how: How }
  | { readonly do: "health"; readonly origin: number; readonly health: Health }
  | { readonly do: "pass"; readonly ms: number }
  /** Just before the session is parked, or while it is. */
  | { readonly do: "rest"; readonly ms: number }
  | { readonly do: "move"; readonly planned: boolean; readonly gapMs: number; readonly patienceMs: number; readonly by: number }
  | { readonly do: "order-leave"; readonly planned: boolean; readonly olderBy: number }
  | { readonly do: "order-enter"; readonly by: number }
  | { readonly do: "expel" | "forget" | "wake" | "evict" | "lose" }
  | { readonly do: "refuse" | "deaf"; readonly is: boolean };

const who = fc.nat(4);
const origin = fc.nat(2);
const how = fc.constantFrom<How>("close", "error", "both");
const by = fc.nat(2);
const is = <Name extends Event["do"]>(name: Name): fc.Arbitrary<Name> => fc.constant(name);
const anyEvent: fc.Arbitrary<Event> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: is("join"), parks: fc.constantFrom(true, true, true, true, false) }) },
  { weight: 5, arbitrary: fc.record({ do: is("send"), who, count: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 4, arbitrary: fc.record({ do: is("pass"), ms: fc.oneof(fc.nat(10), fc.nat(300), fc.nat(8_000)) }) },
  { weight: 6, arbitrary: fc.record({ do: is("rest"), ms: fc.oneof(fc.nat(10), fc.nat(100), fc.nat(3_000)) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("leave" as const, "dismiss" as const), who }) },
  { weight: 1, arbitrary: fc.record({ do: is("break"), who, how }) },
  { weight: 1, arbitrary: fc.record({ do: is("restart"), who, code: fc.constantFrom(1001, 1012) }) },
  { weight: 1, arbitrary: fc.record({ do: is("reset"), who, how }) },
  { weight: 1, arbitrary: fc.record({ do: is("push"), origin }) },
  { weight: 1, arbitrary: fc.record({ do: is("die"), origin, how }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: is("health"), origin, health: fc.constantFrom<Health>("well", "well", "refusing", "hanging", 502, 503, 401) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: is("move"),
      planned: fc.boolean(),
      gapMs: fc.oneof(fc.constant(0), fc.nat(400), fc.nat(20_000)),
      patienceMs: fc.oneof(fc.constant(60_000), fc.nat(150), fc.nat(2_000)),
      by,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: is("order-leave"), planned: fc.boolean(), olderBy: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ do: is("order-enter"), by }) },
  { weight: 2, arbitrary: fc.record({ do: is("wake") }) },
  { weight: 2, arbitrary: fc.record({ do: is("evict") }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("expel" as const, "forget" as const, "lose" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("refuse" as const, "deaf" as const), is: fc.boolean() }) },
);

const anySetting: fc.Arbitrary<ParkedSetting & { readonly workMs: number }> = fc.record({
  resume: fc
    .record({ frames: fc.nat(2), mute: fc.boolean() })
    .map((rules) => ({ mode: "transparent" as const, prelude: { ...rules, bytes: 1_000, swallow: 0 } })),
  manner: fc.record({
    dialMs: fc.oneof(fc.constant(0), fc.nat(50), fc.nat(3_000)),
    latencyMs: fc.nat(20),
    answerMs: fc.oneof(fc.nat(50), fc.nat(900)), // an origin that needs longer than a session rests is none for parking
    closeMs: fc.oneof(fc.nat(20), fc.nat(5_000)),
    closeCode: fc.constantFrom(1000, 1005, 1012, 4000),
    flushes: fc.boolean(),
  }),
  visitorLatencyMs: fc.nat(20),
  ringLatencyMs: fc.oneof(fc.nat(40), fc.nat(1_500)),
  afterMs: fc.constantFrom(1_000, 3_000),
  idleMs: fc.constant(1_800_000),
  workMs: fc.oneof(fc.constant(0), fc.nat(50)),
});

async function play(world: ParkedWorld, setting: ParkedSetting, event: Event): Promise<void> {
  const { ring } = world;
  const visitor: Visitor | undefined = "who" in event ? world.visitors[event.who % Math.max(1, world.visitors.length)] : undefined;
  const place = ring.placement;
  const leg = visitor && world.openLegOf(visitor);
  switch (event.do) {
    case "join":
      return void world.join(event);
    case "send":
      return visitor && world.send(visitor, event.count);
    case "leave":
      return visitor && world.leave(visitor, 1000);
    case "dismiss":
      return visitor && world.dismiss(visitor, 4001);
    case "break":
      if (!visitor || !isOpen(visitor)) return;
      visitor.left = true;
      return visitor.socket?.reset(event.how);
    case "restart":
      return leg?.far.close(event.code, "restart");
    case "reset":
      return leg?.far.reset(event.how);
    case "push":
      return world.origins[event.origin]?.push();
    case "die":
      return world.origins[event.origin]?.dies(event.how);
    case "health":
      return world.origins[event.origin]?.becomes(event.health);
    case "pass":
      return world.clock.pass(event.ms);
    case "rest":
      return world.clock.pass(setting.afterMs + event.ms);
    case "move":
      return void world.background.push(ring.move(event, () => world.carrier));
    case "order-leave":
      if (place) world.background.push(world.carrier.leave({ keyHash: "k", fence: place.fence - event.olderBy, planned: event.planned }));
      return;
    case "order-enter":
      if (!place) return;
      ring.forget();
      return void world.carrier.enter(ring.next(place.origin, event.by));
    case "expel":
      return void world.object.expel(["k"]);
    case "forget":
      return ring.forget();
    case "wake":
      return world.wake();
    case "evict":
      return world.evict();
    case "lose":
      return world.reset();
    case "refuse":
      ring.refuses = event.is;
      world.ringMissed ||= event.is; // a session that is refused does not end what one before it had asked for
      return;
    case "deaf":
      world.deaf = event.is;
      return;
    default:
      return event satisfies never;
  }
}

async function promised({ workMs: ms, ...setting }: ParkedSetting & { readonly workMs: number }, events: readonly Event[]): Promise<void> {
  workMs = ms;
  const world = new ParkedWorld(setting, CarrierObject);
  const restore = world.clock.install();
  try {
    for (const event of events) {
      await play(world, setting, event);
      expect(world.violations).toEqual([]);
      for (const visitor of world.visitors) handedOnce(world, visitor, setting);
      await parkedIsWhole(world);
    }
    for (const each of world.origins) each.becomes("well");
    world.deaf = world.ring.refuses = false;
    world.ring.forget();
    await world.clock.pass(45_000);
    await world.object.adopt([]); // whoever asked for something and was not answered asks again: a life has begun, at the latest then
    await world.clock.pass(1_000);
    if (world.ringMissed) await world.pull();
    await nobodyIsLost(world);
    const open = world.visitors.filter(isOpen);
    if (!world.ringMissed) expect(world.reported.connections).toBe(open.length);
    for (const visitor of open) world.send(visitor, 1);
    await world.clock.pass(12_000);
    noSilentHole(world);
    for (const visitor of world.visitors) {
      expect((visitor.settledAtMs ?? Infinity) - visitor.joinedAtMs).toBeLessThanOrEqual(ARRIVAL_DEADLINE_MS + 3 * ms);
      if (isOpen(visitor)) expect(handedOnce(world, visitor, setting)).toEqual(visitor.sent);
      heardInOrder(visitor, world.legsOf(visitor), setting, false);
    }
    await allGone(world);
    expect(world.violations).toEqual([]);
  } finally {
    restore();
  }
}

/** No origin has a leg of a session that is parked, and every visitor of it has a row. */
async function parkedIsWhole(world: ParkedWorld): Promise<void> {
  await settled();
  if (!world.state.life || !(await world.object.isParked("k"))) return;
  expect(world.openLegs().map(({ origin }) => origin)).toEqual([]);
  expect(world.rowsOf("parked_connections")).toBe(await world.object.connectionsOf("k"));
}

/** Whoever still has a socket has a leg, or sleeps and has heard everything that was said to them. */
async function nobodyIsLost(world: ParkedWorld): Promise<void> {
  const isParked = await world.object.isParked("k");
  for (const visitor of world.visitors) {
    if (!isOpen(visitor)) continue;
    const last = world.legsOf(visitor).at(-1);
    expect(isParked || world.openLegOf(visitor) !== undefined, `visitor ${visitor.number} has neither a leg nor a row`).toBe(true);
    if (isParked && last && !last.near.cut) expect(visitor.got).toEqual(expect.arrayContaining(last.given));
  }
  expect(isParked ? await world.object.connectionsOf("k") : world.openLegs().length).toBe(world.visitors.filter(isOpen).length);
}

async function allGone(world: ParkedWorld): Promise<void> {
  for (const visitor of world.visitors) world.leave(visitor, 1000);
  await world.clock.pass(40_000);
  await Promise.all(world.background);
  expect(await world.object.table()).toEqual({ rows: [], asking: [] });
  expect([world.rowsOf("parked_sessions"), world.rowsOf("parked_connections")]).toEqual([0, 0]);
  if (world.ringMissed) await world.pull();
  else expect(world.reported.connections).toBe(0);
  expect(world.ring.placement).toBeUndefined();
  expect(world.origins.flatMap((each) => each.openLegs().map(({ fence }) => fence))).toEqual([]);
  expect(world.clock.pendingCount - (world.state.alarm === undefined ? 0 : 1)).toBe(0);
}

test(
  "whatever comes while a session is at rest, falls asleep, sleeps or wakes, nobody is left without a word and nothing is left over",
  async () => {
    const property = fc.asyncProperty(anySetting, fc.array(anyEvent, { maxLength: 40, size: "max" }), promised);
    await fc.assert(property, { numRuns: RUNS, seed: SEED });
  },
  TIMEOUT_MS,
);
