// The machine of the move, by plan and without faults: whatever comes at whatever moment, each frame of a visitor is handled once and in order,
// each answer that an origin gave is delivered once and in order, nobody is disconnected, and nothing is left over when all have gone.
// LIMPET_MODEL_RUNS and LIMPET_MODEL_SEED make more of it.

import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ARRIVAL_DEADLINE_MS } from "../../src/platform/limits.ts";
import { CarriedWorld } from "./carried/carried-world.ts";
import { stubSockets } from "./carried/globals.ts";
import { isOpen, type Setting, type Visitor } from "./carried/played-world.ts";
import { allGone, handedOnce, heardInOrder } from "./carried/promises.ts";

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

type Event =
  | { readonly do: "join" }
  | { readonly do: "send"; readonly who: number; readonly count: number }
  | { readonly do: "leave"; readonly who: number }
  | { readonly do: "close"; readonly who: number }
  | { readonly do: "push"; readonly origin: number }
  | { readonly do: "pass"; readonly ms: number }
  | { readonly do: "move"; readonly gapMs: number; readonly by: number };

const who = fc.nat(7);
const anyEvent: fc.Arbitrary<Event> = fc.oneof(
  { weight: 2, arbitrary: fc.constant({ do: "join" as const }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("send" as const), who, count: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("leave" as const), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("close" as const), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("push" as const), origin: fc.nat(2) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("pass" as const), ms: fc.oneof(fc.nat(30), fc.nat(300), fc.nat(2_000)) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("move" as const), gapMs: fc.oneof(fc.constant(0), fc.nat(400)), by: fc.nat(2) }) },
);

/** Answers come within the quiet time (100 ms), and closes within their deadline: this is what a planned move waits for. */
const anySetting: fc.Arbitrary<Setting> = fc.record({
  resume: fc
    .constantFrom({ frames: 0, swallow: 0 }, { frames: 1, swallow: 0 }, { frames: 1, swallow: 1 }, { frames: 2, swallow: 0 })
    .map((rules) => ({ mode: "transparent" as const, prelude: { ...rules, bytes: 1_000, mute: false } })),
  manner: fc.record({
    dialMs: fc.oneof(fc.constant(0), fc.nat(900)),
    latencyMs: fc.nat(20),
    answerMs: fc.nat(50),
    closeMs: fc.oneof(fc.nat(20), fc.nat(1_900)),
    closeCode: fc.constantFrom(1000, 1005, 1012),
    flushes: fc.boolean(),
  }),
  visitorLatencyMs: fc.nat(20),
  ringLatencyMs: fc.nat(40),
});

async function play(world: CarriedWorld, event: Event): Promise<void> {
  const visitor: Visitor | undefined = "who" in event ? world.visitors[event.who % Math.max(1, world.visitors.length)] : undefined;
  if (event.do === "join") world.join();
  if (event.do === "push") world.origins[event.origin]?.push();
  if (event.do === "pass") await world.clock.pass(event.ms);
  if (event.do === "move") world.background.push(world.ring.move({ planned: true, patienceMs: 60_000, ...event }, () => world.session));
  if (!visitor) return;
  if (event.do === "send") world.send(visitor, event.count);
  if (event.do === "leave") world.leave(visitor, 1000);
  if (event.do === "close") world.dismiss(visitor, 4001);
}

test(
  "by plan nothing is lost, doubled or reordered, at one owner at any moment, and nobody is disconnected",
  async () => {
    const property = fc.asyncProperty(anySetting, fc.array(anyEvent, { maxLength: 40, size: "max" }), async (setting, events) => {
      visitorLatencyMs = setting.visitorLatencyMs;
      const world = new CarriedWorld(setting);
      const restore = world.clock.install();
      try {
        for (const event of events) {
          await play(world, event);
          expect(world.violations).toEqual([]);
          for (const visitor of world.visitors) handedOnce(world, visitor, setting);
        }
        await world.clock.pass(20_000);
        for (const visitor of world.visitors) {
          world.send(visitor, 1);
          if (visitor.told) expect(visitor.told.code).toBe(4001);
        }
        await world.clock.pass(3_000);
        for (const visitor of world.visitors) {
          // Moves one after the other may keep whoever arrives waiting for too long.
          if (visitor.outcome?.kind !== "connected") expect((visitor.settledAtMs ?? 0) - visitor.joinedAtMs).toBe(ARRIVAL_DEADLINE_MS);
          const legs = world.legsOf(visitor);
          if (!visitor.dismissed) for (const leg of legs) expect(leg.handled).toEqual(leg.handed);
          if (!visitor.dismissed) expect(handedOnce(world, visitor, setting)).toEqual(visitor.sent);
          heardInOrder(visitor, legs, setting, isOpen(visitor));
          const unanswered = visitor.sent.filter((frame) => !visitor.got.some((word) => word.startsWith(`${frame} by`)));
          if (isOpen(visitor)) expect(unanswered).toEqual([]);
        }
        await allGone(world);
        expect(world.violations).toEqual([]);
      } finally {
        restore();
      }
    });
    await fc.assert(property, { numRuns: RUNS, seed: SEED });
  },
  TIMEOUT_MS,
);
