// The machine of the move under faults: origins die, hang, refuse and reset; the ring object orders twice, late, in the wrong order, or not at
// all. Frames may then be lost where a leg was cut, never elsewhere; nothing is doubled or reordered, there is one owner at any moment, no visitor is
// left without a word, and nothing is left over. LIMPET_MODEL_RUNS and LIMPET_MODEL_SEED make more of it.

import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Resume } from "../../src/core/config-types.ts";
import { ARRIVAL_DEADLINE_MS } from "../../src/platform/limits.ts";
import { CarriedWorld } from "./carried/carried-world.ts";
import type { Health, Leg } from "./carried/fake-origin.ts";
import { stubSockets } from "./carried/globals.ts";
import { isOpen, type Setting, type Visitor } from "./carried/played-world.ts";
import { allGone, handedOnce, heardInOrder, noSilentHole } from "./carried/promises.ts";

const RUNS = Number(process.env["LIMPET_MODEL_RUNS"] ?? 1_500);
const TIMEOUT_MS = 30_000 + RUNS * 100;
const SEED = Number(process.env["LIMPET_MODEL_SEED"] ?? Date.now() % 2 ** 31);

let visitorLatencyMs = 0;

beforeEach(() => {
  stubSockets(() => visitorLatencyMs);
  vi.spyOn(console, "error").mockImplementation(() => undefined);
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

type How = "close" | "error" | "both";
type Event =
  | { readonly do: "join" }
  | { readonly do: "send"; readonly who: number; readonly count: number }
  | { readonly do: "leave" | "dismiss"; readonly who: number }
  | { readonly do: "restart"; readonly who: number; readonly code: number }
  | { readonly do: "reset"; readonly who: number; readonly how: How }
  | { readonly do: "push"; readonly origin: number }
  | { readonly do: "die"; readonly origin: number; readonly how: How }
  | { readonly do: "health"; readonly origin: number; readonly health: Health }
  | { readonly do: "pass"; readonly ms: number }
  | { readonly do: "move"; readonly planned: boolean; readonly gapMs: number; readonly patienceMs: number; readonly by: number }
  /** The ring object's phases out of their order. */
  | { readonly do: "order-leave"; readonly planned: boolean; readonly olderBy: number }
  | { readonly do: "order-enter"; readonly by: number }
  | { readonly do: "order-enter-stale"; readonly olderBy: number }
  | { readonly do: "forget" }
  | { readonly do: "refuse"; readonly refuses: boolean };

const who = fc.nat(5);
const origin = fc.nat(2);
const how = fc.constantFrom<How>("close", "error", "both");
const by = fc.nat(2);
const is = <Name extends Event["do"]>(name: Name): fc.Arbitrary<Name> => fc.constant(name);
const anyPass = fc.record({ do: is("pass"), ms: fc.oneof(fc.nat(30), fc.nat(300), fc.nat(2_000), fc.nat(8_000)) });
const anyMove = fc.record({
  do: is("move"),
  planned: fc.boolean(),
  gapMs: fc.oneof(fc.constant(0), fc.nat(400), fc.nat(20_000)),
  patienceMs: fc.oneof(fc.constant(60_000), fc.nat(150), fc.nat(2_000)),
  by,
});
const anyEvent: fc.Arbitrary<Event> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: is("join") }) },
  { weight: 6, arbitrary: fc.record({ do: is("send"), who, count: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 6, arbitrary: anyPass },
  { weight: 3, arbitrary: anyMove },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("leave" as const, "dismiss" as const), who }) },
  { weight: 1, arbitrary: fc.record({ do: is("restart"), who, code: fc.constantFrom(1001, 1012) }) },
  { weight: 2, arbitrary: fc.record({ do: is("reset"), who, how }) },
  { weight: 1, arbitrary: fc.record({ do: is("push"), origin }) },
  { weight: 1, arbitrary: fc.record({ do: is("die"), origin, how }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: is("health"), origin, health: fc.constantFrom<Health>("well", "well", "refusing", "hanging", 502, 503, 401) }),
  },
  { weight: 1, arbitrary: fc.record({ do: is("order-leave"), planned: fc.boolean(), olderBy: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ do: is("order-enter"), by }) },
  { weight: 1, arbitrary: fc.record({ do: is("order-enter-stale"), olderBy: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ do: is("forget") }) },
  { weight: 1, arbitrary: fc.record({ do: is("refuse"), refuses: fc.boolean() }) },
);

function resumeOf({ mode, ...rules }: { readonly mode: string; readonly frames: number; readonly mute: boolean }): Resume {
  const prelude = { ...rules, bytes: 1_000, swallow: 0 };
  if (mode === "restart") return { mode };
  return mode === "handover" ? { mode, prelude, handover: { path: "/state", maxBytes: 100, timeoutMs: 1_000 } } : { mode: "transparent", prelude };
}

const anySetting: fc.Arbitrary<Setting> = fc.record({
  resume: fc
    .record({ mode: fc.constantFrom("restart", "transparent", "transparent", "handover"), frames: fc.nat(2), mute: fc.boolean() })
    .map(resumeOf),
  manner: fc.record({
    dialMs: fc.oneof(fc.constant(0), fc.nat(50), fc.nat(3_000)),
    latencyMs: fc.nat(20),
    answerMs: fc.oneof(fc.nat(50), fc.nat(1_000)),
    closeMs: fc.oneof(fc.nat(20), fc.nat(5_000)),
    closeCode: fc.constantFrom(1000, 1005, 1012),
    flushes: fc.boolean(),
  }),
  visitorLatencyMs: fc.nat(20),
  ringLatencyMs: fc.oneof(fc.nat(40), fc.nat(1_500)),
  originSilenceMs: fc.constantFrom(undefined, undefined, 2_000),
});

async function play(world: CarriedWorld, event: Event): Promise<void> {
  const { ring, session } = world;
  const visitor: Visitor | undefined = "who" in event ? world.visitors[event.who % Math.max(1, world.visitors.length)] : undefined;
  const place = ring.placement;
  const leg = visitor && world.openLegOf(visitor);
  switch (event.do) {
    case "join":
      return void world.join();
    case "send":
      return visitor && world.send(visitor, event.count);
    case "leave":
      return visitor && world.leave(visitor, 1000);
    case "dismiss":
      return visitor && world.dismiss(visitor, 4001);
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
    case "move":
      return void world.background.push(ring.move(event, () => world.session));
    case "order-leave":
      if (place && session) world.background.push(session.leave({ keyHash: "k", fence: place.fence - event.olderBy, planned: event.planned }));
      return;
    case "order-enter":
      if (!place || !session) return;
      ring.forget();
      return session.enter(ring.next(place.origin, event.by));
    case "order-enter-stale":
      // Older than what the session has heard of, or the same: fences have gaps, and one that nobody has given out is no older placement.
      return (
        place && session?.placement && session.enter({ ...place, origin: "o0", url: "http://o0", fence: session.placement.fence - event.olderBy })
      );
    case "forget":
      return ring.forget();
    case "refuse":
      ring.refuses = event.refuses;
      return;
    default:
      return event satisfies never;
  }
}

async function promised(setting: Setting, events: readonly Event[]): Promise<void> {
  const world = new CarriedWorld(setting);
  visitorLatencyMs = setting.visitorLatencyMs;
  const restore = world.clock.install();
  try {
    for (const event of events) {
      await play(world, event);
      expect(world.violations).toEqual([]);
      for (const visitor of world.visitors) handedOnce(world, visitor, setting);
    }
    for (const each of world.origins) each.becomes("well");
    world.ring.refuses = false;
    world.ring.forget();
    await world.clock.pass(45_000);
    for (const visitor of world.visitors) world.send(visitor, 1);
    await world.clock.pass(12_000);
    noSilentHole(world);
    for (const visitor of world.visitors) {
      expect((visitor.settledAtMs ?? Infinity) - visitor.joinedAtMs).toBeLessThanOrEqual(ARRIVAL_DEADLINE_MS);
      if (isOpen(visitor)) expect(handedOnce(world, visitor, setting)).toEqual(visitor.sent);
      // An application's close that crosses ours counts as the answer to it, whatever the origin had heard.
      if (isOpen(visitor) && !visitor.dismissed) keptItsWord(world.legsOf(visitor), setting);
      heardInOrder(visitor, world.legsOf(visitor), setting, false);
    }
    await allGone(world);
    expect(world.violations).toEqual([]);
  } finally {
    restore();
  }
}

/** A visitor who is still connected has lost nothing that their protocol cannot bear. */
function keptItsWord(legs: readonly Leg[], { resume }: Setting): void {
  if (resume.mode === "restart") expect(legs.filter(({ handed }) => handed.length > 0)).toHaveLength(1);
  if (resume.mode === "handover") for (const { handled, handed } of legs) expect(handled).toEqual(handed);
}

test(
  "under faults nothing is doubled or reordered, at one owner at any moment, and nobody is left without a word",
  async () => {
    const property = fc.asyncProperty(anySetting, fc.array(anyEvent, { maxLength: 40, size: "max" }), promised);
    await fc.assert(property, { numRuns: RUNS, seed: SEED });
  },
  TIMEOUT_MS,
);
