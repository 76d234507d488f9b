// The handshakes of a carrier: six at once, five of one origin at most, both lanes in turn, each lane in its order.

import fc from "fast-check";
import { beforeEach, expect, test } from "vitest";
import { Handshakes, type Lane, type Release } from "../../src/platform/handshakes.ts";
import { ARRIVALS_WAITING_MAX, HANDSHAKE_SLOTS } from "../../src/platform/limits.ts";
import { settled } from "./carried/virtual-clock.ts";

interface Taker {
  readonly lane: Lane;
  readonly origin: string;
  readonly name: string;
  readonly abort: AbortController;
  outcome: Release | "full" | "aborted" | undefined;
  released: boolean;
}

let handshakes: Handshakes;
/** Who was granted a slot, in that order. */
let granted: string[];
let takers: Taker[];

beforeEach(() => {
  handshakes = new Handshakes();
  [granted, takers] = [[], []];
});

function take(lane: Lane, origin = "o1", name = `${lane} ${takers.length}`): Taker {
  const taker: Taker = { lane, origin, name, abort: new AbortController(), outcome: undefined, released: false };
  takers.push(taker);
  void handshakes.take(lane, origin, taker.abort.signal).then((outcome) => {
    taker.outcome = outcome;
    if (typeof outcome === "function") granted.push(name);
  });
  return taker;
}
function release(taker: Taker | undefined): void {
  if (!taker || typeof taker.outcome !== "function") return;
  taker.outcome();
  taker.released = true;
}
const has = ({ outcome, released }: Taker): boolean => typeof outcome === "function" && !released;

test("six wait for their answer at once, of one origin five: the last slot is for others", async () => {
  for (let n = 0; n < 8; n++) take("moves");
  await settled();
  expect(granted).toHaveLength(HANDSHAKE_SLOTS - 1);
  const other = take("moves", "o2");
  const third = take("moves", "o3");
  await settled();
  expect([has(other), has(third)]).toEqual([true, false]);
  release(other);
  await settled();
  expect(has(third)).toBe(true);
});

test("moves and arrivals take turns, each in its order; a lane that is empty gives its turn away", async () => {
  const holders = Array.from({ length: HANDSHAKE_SLOTS }, (_, n) => take("moves", `h${n}`));
  await settled();
  granted.length = 0;
  for (let n = 0; n < 4; n++) take("moves", "o1", `m${n}`);
  for (let n = 0; n < 2; n++) take("arrivals", "o2", `a${n}`);
  for (const holder of holders) {
    release(holder);
    await settled();
  }
  expect(granted).toEqual(["a0", "m0", "a1", "m1", "m2", "m3"]);
});

test("who gives up waiting leaves their place to the next, and one who gives up a slot keeps it until it is released", async () => {
  const holders = Array.from({ length: HANDSHAKE_SLOTS }, (_, n) => take("moves", `h${n}`));
  const [first, second] = [take("arrivals", "o1", "first"), take("arrivals", "o1", "second")];
  await settled();
  first.abort.abort();
  holders[0]?.abort.abort();
  await settled();
  expect([first.outcome, second.outcome, handshakes.waitingCount]).toEqual(["aborted", undefined, 1]);
  release(holders[0]);
  await settled();
  expect([has(second), handshakes.waitingCount]).toEqual([true, 0]);
});

test("a signal that has come before is heard at once, and takes no slot", async () => {
  expect(await handshakes.take("moves", "o1", AbortSignal.abort())).toBe("aborted");
  expect(handshakes.waitingCount).toBe(0);
});

test("releasing twice frees one slot", async () => {
  const holders = Array.from({ length: HANDSHAKE_SLOTS }, (_, n) => take("moves", `h${n}`));
  await settled();
  release(holders[0]);
  release(holders[0]);
  for (const origin of ["o1", "o2"]) take("moves", origin);
  await settled();
  expect(takers.filter(has)).toHaveLength(HANDSHAKE_SLOTS);
});

test("at the bound of waiting arrivals one more is told so; moves are not bounded", async () => {
  for (let n = 0; n < HANDSHAKE_SLOTS; n++) take("moves", `h${n}`);
  for (let n = 0; n < ARRIVALS_WAITING_MAX; n++) take("arrivals", "o1");
  const [late, move] = [take("arrivals", "o1"), take("moves", "o1")];
  await settled();
  expect([late.outcome, move.outcome]).toEqual(["full", undefined]);
  takers.find(({ lane }) => lane === "arrivals")?.abort.abort();
  await settled();
  const another = take("arrivals", "o1");
  await settled();
  expect(another.outcome).toBeUndefined();
});

test("whatever comes in whatever order: the bounds hold, lanes keep their order, nobody waits beside a slot that is theirs, and all end", async () => {
  const anyStep = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant("take" as const),
        lane: fc.constantFrom<Lane>("moves", "arrivals"),
        origin: fc.constantFrom("o1", "o2", "o3"),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("release" as const), index: fc.nat(60) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("abort" as const), index: fc.nat(60) }) },
  );
  const promised = async (steps: readonly (typeof anyStep extends fc.Arbitrary<infer Step> ? Step : never)[]): Promise<void> => {
    handshakes = new Handshakes();
    [granted, takers] = [[], []];
    const check = async (): Promise<void> => {
      await settled();
      const underWay = takers.filter(has);
      const countOf = (id: string): number => underWay.filter(({ origin }) => origin === id).length;
      const waiting = takers.filter(({ outcome }) => outcome === undefined);
      expect(underWay.length).toBeLessThanOrEqual(HANDSHAKE_SLOTS);
      for (const id of ["o1", "o2", "o3"]) expect(countOf(id)).toBeLessThan(HANDSHAKE_SLOTS);
      if (underWay.length < HANDSHAKE_SLOTS) for (const { origin } of waiting) expect(countOf(origin)).toBe(HANDSHAKE_SLOTS - 1);
      expect(handshakes.waitingCount).toBe(waiting.length);
      for (const lane of ["moves", "arrivals"]) {
        for (const origin of ["o1", "o2", "o3"]) {
          const names = takers
            .filter((taker) => taker.lane === lane && taker.origin === origin && typeof taker.outcome === "function")
            .map(({ name }) => name);
          expect(granted.filter((name) => names.includes(name))).toEqual(names);
        }
      }
    };
    for (const step of steps) {
      if (step.do === "take") take(step.lane, step.origin);
      else if (step.do === "release") release(takers[step.index]);
      else takers[step.index]?.abort.abort();
      await check();
    }
    for (let n = 0; n <= takers.length; n++) {
      takers.forEach(release);
      await settled();
    }
    expect(takers.filter(({ outcome }) => outcome === undefined)).toEqual([]);
  };
  await fc.assert(fc.asyncProperty(fc.array(anyStep, { maxLength: 60, size: "max" }), promised), { numRuns: 300 });
});
