// What waits in all sockets of a carrier, bounded: who is told that they read too slowly, who never is, and that the sum is right whatever happens.

import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Backlog } from "../../src/platform/backlog.ts";
import { Leg } from "../../src/platform/leg.ts";
import {
  CARRIER_BUFFER_LOOK_BYTES as LOOK_BYTES,
  CARRIER_BUFFER_MAX_BYTES as MAX_BYTES,
  CARRIER_LOOK_MS as LOOK_MS,
  CLOSED_COUNTS_MS,
  SOCKET_BUFFER_MAX_BYTES,
} from "../../src/platform/limits.ts";
import { Outlet } from "../../src/platform/outlet.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
const SLOW = { code: 1013, reason: "slow" };

/** A reader at the other end of a socket, as workerd (1.20261117) shows it: of a connection that is lost it says for ever what waited last. */
class Reader {
  bufferedAmount = 0;
  looks = 0;
  ended = false;
  readonly outlet: Outlet;
  toldSlow = false;

  constructor(backlog: Backlog, counts = true) {
    const socket = {
      send: (frame: string | ArrayBuffer) => void (this.bufferedAmount += typeof frame === "string" ? Buffer.byteLength(frame) : frame.byteLength),
      close: () => void (this.ended = true),
    };
    if (counts) Object.defineProperty(socket, "bufferedAmount", { get: () => (this.looks++, this.bufferedAmount) });
    this.outlet = new Outlet(socket as unknown as WebSocket, backlog, () => {
      this.toldSlow = true;
      this.outlet.close(SLOW);
    });
  }

  read(bytes = Infinity): void {
    this.bufferedAmount -= Math.min(bytes, this.bufferedAmount);
  }
}

/** Of a frame only its size is asked. */
const frame = (bytes: number): ArrayBuffer => ({ byteLength: bytes }) as ArrayBuffer;

let backlog: Backlog;
beforeEach(() => {
  vi.useFakeTimers();
  backlog = new Backlog();
});
afterEach(() => void vi.useRealTimers());

const readers = (count: number): Reader[] => Array.from({ length: count }, () => new Reader(backlog));
const look = (): void => void vi.advanceTimersByTime(LOOK_MS);
const told = (all: readonly Reader[]): number[] => all.flatMap(({ toldSlow }, index) => (toldSlow ? [index] : []));
/** To many a little: none of them is too slow by itself. */
function sendAll(all: readonly Reader[], bytes: number): void {
  for (const { outlet } of all) expect(outlet.send(frame(bytes))).toBe(true);
}

describe("when all that waits is too much", () => {
  test("those are told that have waited longest, and no more of them than it takes", () => {
    const all = readers(40);
    for (const reader of all) {
      reader.outlet.send(frame(512 * KiB)); // 20 MiB in all
      look();
    }
    expect([told(all), backlog.bytes]).toEqual([[], 20 * MiB]);
    sendAll(all, 320 * KiB + 1); // 32.5 MiB and 40 bytes
    look();
    expect(told(all)).toEqual([0]); // the first to wait of those who were looked at together
    look();
    look();
    expect(told(all)).toEqual([0]);
  });

  test("among those who have waited as long, the one with most", () => {
    const all = readers(10);
    all.forEach((reader, index) => {
      for (let n = 0; n < 12 + index; n++) sendAll([reader], 200 * KiB); // 33 MB
    });
    look();
    expect(told(all)).toEqual([]); // nobody has had the time to read
    look();
    expect(told(all)).toEqual([9]);
  });

  test("it is looked into though nothing more is sent", () => {
    const all = readers(200);
    sendAll(all, MiB);
    look();
    look();
    expect(told(all).length).toBeGreaterThan(0);
    expect(backlog.bytes).toBe(200 * MiB);
  });

  test("in a flood in which no timer comes in time, the frames themselves tell the time", async () => {
    const all = readers(40);
    for (let n = 0; n < 4; n++) {
      sendAll(all, MiB);
      vi.setSystemTime(Date.now() + LOOK_MS); // and no timer
      await Promise.resolve();
    }
    expect(told(all).length).toBeGreaterThan(0);
  });

  test("nobody is who reads, however slow all others are, and however much passes", () => {
    const [slow, fast] = [readers(100), readers(20)];
    for (let n = 0; n < 200; n++) {
      sendAll(slow, 64 * KiB);
      sendAll(fast, 2 * MiB);
      vi.advanceTimersByTime(LOOK_MS - 1);
      for (const reader of fast) reader.read(reader.bufferedAmount - MiB); // there is always something that they have yet to read
      vi.advanceTimersByTime(1);
    }
    expect(told(fast)).toEqual([]);
    expect(told(slow).length).toBeGreaterThan(50);
  });

  test("texts are no reading: their sender does not know how long they are on the wire", () => {
    const [texts, later] = [new Reader(backlog), readers(31)];
    const say = (): void => expect(texts.outlet.send("a".repeat(MiB))).toEqual(true);
    say();
    sendAll(later, 512 * KiB);
    look(); // it waits since now
    for (const reader of later) reader.read();
    say();
    sendAll(later, MiB);
    look(); // the others since now
    look();
    sendAll(later.slice(0, 1), 2 * MiB);
    look();
    look();
    expect([texts.toldSlow, told(later)]).toEqual([true, []]);
  });

  test("nobody is for one message of the greatest size, though it takes its time", () => {
    const all = readers(20);
    sendAll(all.slice(1), MiB); // they are slow, and fit
    look();
    all[0]?.outlet.send(frame(32 * MiB));
    for (let n = 0; n < 20; n++) look();
    expect(told(all)).toEqual([]);
    all[0]?.read();
    sendAll(all.slice(1), MiB - 1); // 38 MiB: now they do not
    look();
    expect(told(all).length).toBeGreaterThan(0);
    expect(told(all)).not.toContain(0);
  });

  test("nor for what is gone before it is looked at", () => {
    const all = readers(30);
    sendAll(all, 4 * MiB);
    for (const reader of all) reader.read();
    look();
    expect([told(all), backlog.bytes]).toEqual([[], 0]);
  });

  test("texts count as what they are on the wire, once looked at", () => {
    const all = readers(100);
    for (const { outlet } of all) outlet.send("a".repeat(80 * KiB)); // 23 MiB if every letter took three bytes
    look();
    expect(backlog.bytes).toBe(all.length * 80 * KiB);
  });
});

describe("what is looked at", () => {
  test("is what waited in a socket already, when it is somebody else's next: a visitor's who was parked", () => {
    const [reader] = readers(1);
    if (!reader) return;
    reader.bufferedAmount = MiB;
    expect([reader.outlet.waits, backlog.bytes]).toEqual([true, MiB]);
    reader.outlet.close(SLOW);
    reader.read();
    expect([backlog.isFull, backlog.bytes]).toEqual([false, 0]);
    expect(new Reader(backlog).outlet.waits).toBe(false);
  });

  test("is nothing for as long as little is sent, and everybody once for half of what may wait", () => {
    const all = readers(100);
    const FRAME = 1 * KiB;
    for (let sent = 0; sent < LOOK_BYTES; sent += all.length * FRAME) {
      look();
      expect(all.reduce((sum, { looks }) => sum + looks, 0)).toBe(0);
      sendAll(all, FRAME);
      for (const reader of all) reader.read();
    }
    look();
    look();
    expect(all.map(({ looks }) => looks)).toEqual(all.map(() => 1));
    sendAll(all.slice(0, 1), LOOK_BYTES + 1);
    look();
    expect(all.slice(1).map(({ looks }) => looks)).toEqual(all.slice(1).map(() => 1)); // of whom nothing is sent nothing can wait
  });

  test("is nothing for ever where the runtime does not tell what waits: all counts as gone", () => {
    const all = Array.from({ length: 100 }, () => new Reader(backlog, false));
    for (let n = 0; n < 10; n++) {
      sendAll(all, 4 * MiB);
      look();
    }
    expect([told(all), backlog.bytes]).toEqual([[], 0]);
    for (const { outlet } of all) outlet.close(SLOW);
    expect(backlog.isFull).toBe(false);
  });
});

describe("who is closed", () => {
  test("counts until what waited is read", () => {
    const all = readers(4);
    sendAll(all, MiB);
    for (const { outlet } of all) outlet.close(SLOW);
    expect(backlog.bytes).toBe(4 * MiB);
    for (const reader of all) reader.read();
    for (let n = 0; n < 2; n++) expect(backlog.isFull).toBe(false); // whoever asks looks at two
    expect(backlog.bytes).toBe(0);
  });

  test("does not count at all where everything was read, whoever else does not read", () => {
    const all = readers(10);
    sendAll(all, MiB);
    all[9]?.read();
    for (const { outlet } of all) outlet.close(SLOW);
    expect(backlog.bytes).toBe(9 * MiB);
  });

  test("counts no more once the connection is lost, though the socket still says what waited", () => {
    const all = readers(3);
    sendAll(all, MiB);
    all[0]?.outlet.close(SLOW);
    all[0]?.outlet.lost();
    all[1]?.outlet.lost();
    all[1]?.outlet.close(SLOW);
    all[2]?.outlet.lost();
    all[2]?.outlet.lost();
    expect([backlog.bytes, backlog.isFull, backlog.bytes]).toEqual([0, false, 0]);
    sendAll(all, MiB);
    expect(backlog.bytes).toBe(0);
  });

  test("takes the room of those who come: past the bound nobody new, and twice the bound is all that ever waits", () => {
    const all = readers(64);
    sendAll(all, MiB);
    for (const { outlet } of all.slice(0, 32)) outlet.close(SLOW);
    expect(backlog.isFull).toBe(false);
    look();
    look();
    expect(told(all)).toEqual([]); // thirty-two closed, thirty-two open
    for (const { outlet } of all.slice(32, 36)) outlet.close(SLOW);
    expect(backlog.isFull).toBe(true);
    sendAll(all.slice(36), 256 * KiB); // 35 MiB open, 36 closed, where 28 and one message may be open
    look();
    expect(told(all).length).toBe(28); // whoever is closed takes as much room again
    for (const reader of all) reader.read();
    for (let n = 0; n < 64; n++) void backlog.isFull;
    expect([backlog.isFull, backlog.bytes]).toEqual([false, 0]);
  });

  test("makes room again by reading, for those who are there too", () => {
    const [left, slow] = [readers(60), readers(60)];
    sendAll(left, MiB);
    for (const { outlet } of left) outlet.close(SLOW);
    for (const reader of left) reader.read();
    sendAll(slow, 256 * KiB);
    for (let n = 0; n < 5; n++) look();
    expect([told(slow), backlog.bytes]).toEqual([[], 15 * MiB]);
  });

  test("counts no more after so long, whatever the runtime says", () => {
    const all = readers(40);
    sendAll(all, MiB);
    for (const { outlet } of all) outlet.close(SLOW);
    vi.advanceTimersByTime(CLOSED_COUNTS_MS);
    expect([backlog.isFull, backlog.bytes]).toEqual([true, 40 * MiB]);
    vi.advanceTimersByTime(1);
    for (let n = 0; n < 40; n++) void backlog.isFull;
    expect(backlog.bytes).toBe(0);
  });

  test("is an origin's leg that does not answer: it is cut, and gives back what it had", () => {
    const [reader] = readers(1);
    if (!reader) return;
    const abort = new AbortController();
    const leg = new Leg(reader.outlet, abort);
    reader.outlet.send(frame(MiB));
    leg.leave(SLOW, false, 500);
    expect(backlog.bytes).toBe(MiB);
    vi.advanceTimersByTime(500);
    expect([backlog.bytes, abort.signal.aborted]).toEqual([0, true]);
  });
});

test("the sum is right and nobody who reads is closed, whatever is sent, read, looked at and ended in whatever order", () => {
  const COUNT = 8;
  const who = fc.nat(COUNT - 1);
  const bytes = fc.oneof(fc.nat(64), fc.nat(512 * KiB), fc.nat(12 * MiB), fc.constant(32 * MiB));
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.record({ do: fc.constant("send" as const), who, bytes }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("say" as const), who, text: fc.string({ unit: "grapheme" }) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("read" as const), who, bytes }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.nat(3 * LOOK_MS) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("close" as const, "lose" as const), who }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("ask" as const) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      backlog = new Backlog();
      vi.clearAllTimers();
      const all = readers(COUNT);
      const fast = all.slice(0, COUNT / 2);
      const lost = new Set<Reader>();
      for (const each of steps) {
        const reader = "who" in each ? all[each.who] : undefined;
        if (each.do === "send" && reader?.outlet.send(frame(each.bytes)) === false) reader.outlet.close(SLOW);
        if (each.do === "say") reader?.outlet.send(each.text);
        if (each.do === "read") reader?.read(each.bytes);
        if (each.do === "close") reader?.outlet.close(SLOW);
        if (each.do === "lose" && reader) {
          lost.add(reader);
          reader.outlet.lost();
        }
        if (each.do === "ask") void backlog.isFull;
        for (let leftMs = each.do === "wait" ? each.ms : 0; leftMs > 0; leftMs -= LOOK_MS / 2) {
          for (const quick of fast) quick.read();
          vi.advanceTimersByTime(Math.min(leftMs, LOOK_MS / 2));
        }
        expect(backlog.bytes).toBe(all.reduce((sum, { outlet }) => sum + outlet.bytes, 0));
        for (const one of all) expect(one.outlet.bytes).toBeGreaterThanOrEqual(lost.has(one) ? 0 : one.bufferedAmount);
        expect(told(fast)).toEqual([]);
      }
      for (const { outlet } of all) outlet.close(SLOW);
      for (let n = 0; n < COUNT; n++) void backlog.isFull; // who was closed before may have read since
      expect(backlog.bytes).toBe(all.reduce((sum, one) => sum + (lost.has(one) ? 0 : one.bufferedAmount), 0));
      for (const one of all) one.read();
      for (let n = 0; n < COUNT; n++) void backlog.isFull;
      expect(backlog.bytes).toBe(0);
    }),
    { numRuns: 500 },
  );
});

test("the bounds fit each other", () => {
  expect(LOOK_BYTES).toBeLessThan(MAX_BYTES);
  expect(SOCKET_BUFFER_MAX_BYTES).toBeLessThan(MAX_BYTES);
});
