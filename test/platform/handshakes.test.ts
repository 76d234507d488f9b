// The handshakes of a carrier: six at once, five of one origin at most, both lanes in turn, each lane in its order; streams have a part of them.

import fc from "fast-check";
import { beforeEach, expect, test } from "vitest";
import { Handshakes, type Kind, type Lane, type Release } from "../../src/platform/handshakes.ts";
import { ARRIVALS_WAITING_MAX, HANDSHAKE_SLOTS, STREAM_SLOTS, STREAM_SLOTS_PER_ORIGIN } from "../../src/platform/limits.ts";
import { settled } from "./carried/virtual-clock.ts";

interface Taker {
  readonly lane: Lane;
  readonly kind: Kind;
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

function take(lane: Lane, origin = "o1", name = `${lane} ${takers.length}`, kind: Kind = "socket"): Taker {
  const taker: Taker = { lane, kind, origin, name, abort: new AbortController(), outcome: undefined, released: false };
  takers.push(taker);
  void handshakes.take(lane, origin, taker.abort.signal, kind).then((outcome) => {
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

const stream = (origin: string, lane: Lane = "arrivals"): Taker => take(lane, origin, `stream ${takers.length}`, "stream");

test("streams whose headers do not come hold two slots of one origin, and three of all: sockets pass them, at that origin too", async () => {
  const [, , third, ...others] = ["o1", "o1", "o1", "o2", "o3"].map((origin) => stream(origin));
  await settled();
  expect([third, ...others].map((taker) => taker && has(taker))).toEqual([false, true, false]);
  const sockets = ["o1", "o1", "o2"].map((origin) => take("arrivals", origin));
  await settled();
  expect([sockets.every(has), handshakes.waitingCount]).toEqual([true, 2]);
  release(others[0]);
  await settled();
  expect([third, others[1]].map((taker) => taker && has(taker))).toEqual([false, true]); // of o1 two are under way
  release(takers[0]);
  await settled();
  expect(third && has(third)).toBe(true);
});

test("a stream that waits for one of its own slots holds up nobody behind it, and what it leaves is the streams' again", async () => {
  const held = [stream("o1", "moves"), stream("o2"), stream("o3")];
  const waiting = stream("o4", "moves");
  const behind = take("moves", "o4");
  await settled();
  expect([waiting, behind].map(has)).toEqual([false, true]);
  held.forEach(release);
  held.forEach(release); // twice is once
  for (const origin of ["o5", "o6", "o7"]) stream(origin);
  await settled();
  expect(takers.filter((taker) => taker.kind === "stream" && has(taker))).toHaveLength(STREAM_SLOTS);
});

test("streams that wait are bounded by themselves: they fill no place of a socket's, nor sockets one of theirs", async () => {
  for (let n = 0; n < HANDSHAKE_SLOTS; n++) take("moves", `h${n}`);
  for (let n = 0; n < ARRIVALS_WAITING_MAX; n++) stream("o1");
  const [late, socket] = [stream("o1"), take("arrivals", "o1")];
  await settled();
  expect([late.outcome, socket.outcome]).toEqual(["full", undefined]);
  for (let n = 1; n < ARRIVALS_WAITING_MAX; n++) take("arrivals", "o1");
  const lateSocket = take("arrivals", "o1");
  await settled();
  expect(lateSocket.outcome).toBe("full");
});

test("whatever comes in whatever order: the bounds hold, lanes keep their order, nobody waits beside a slot that is theirs, and all end", async () => {
  const anyStep = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant("take" as const),
        lane: fc.constantFrom<Lane>("moves", "arrivals"),
        kind: fc.constantFrom<Kind>("socket", "socket", "stream"),
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
      const streams = underWay.filter(({ kind }) => kind === "stream");
      const isFull = ({ origin, kind }: Taker): boolean =>
        countOf(origin) === HANDSHAKE_SLOTS - 1 ||
        (kind === "stream" &&
          (streams.length === STREAM_SLOTS || streams.filter((each) => each.origin === origin).length === STREAM_SLOTS_PER_ORIGIN));
      expect(streams.length).toBeLessThanOrEqual(STREAM_SLOTS);
      for (const id of ["o1", "o2", "o3"]) expect(streams.filter(({ origin }) => origin === id).length).toBeLessThanOrEqual(STREAM_SLOTS_PER_ORIGIN);
      if (underWay.length < HANDSHAKE_SLOTS) expect(waiting.filter((taker) => !isFull(taker))).toEqual([]);
      expect(handshakes.waitingCount).toBe(waiting.length);
      for (const lane of ["moves", "arrivals"]) {
        for (const origin of ["o1", "o2", "o3"]) {
          for (const kind of ["socket", "stream"]) {
            const names = takers
              .filter((taker) => taker.lane === lane && taker.kind === kind && taker.origin === origin && typeof taker.outcome === "function")
              .map(({ name }) => name);
            expect(granted.filter((name) => names.includes(name))).toEqual(names);
          }
        }
      }
    };
    for (const step of steps) {
      if (step.do === "take") take(step.lane, step.origin, undefined, step.kind);
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
