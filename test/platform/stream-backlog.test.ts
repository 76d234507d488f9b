// What waits in all streams of a carrier together: who is ended past the bound, and who is not.

import fc from "fast-check";
import { expect, test } from "vitest";
import { CARRIER_BUFFER_MAX_BYTES } from "../../src/platform/limits.ts";
import { StreamBacklog, type Waiter } from "../../src/platform/stream-backlog.ts";

const MIB = 1024 * 1024;

class Visitor implements Waiter {
  readonly name: string;
  readonly #ended: string[];

  constructor(name: string, ended: string[]) {
    this.name = name;
    this.#ended = ended;
  }

  giveUp(): void {
    this.#ended.push(this.name);
  }
}

function visitors(count: number): { ended: string[]; all: Visitor[] } {
  const ended: string[] = [];
  return { ended, all: Array.from({ length: count }, (_, n) => new Visitor(String(n), ended)) };
}

test("past the bound those end that have waited longest, and no more than must", () => {
  const backlog = new StreamBacklog();
  const { ended, all } = visitors(40);
  for (const [n, visitor] of all.entries()) backlog.waits(visitor, MIB, n * 100);
  expect(backlog.bytes).toBe(CARRIER_BUFFER_MAX_BYTES);
  expect(ended).toEqual(["0", "1", "2", "3", "4", "5", "6", "7"]);
});

test("who takes what waits is not among them, whoever came first", () => {
  const backlog = new StreamBacklog();
  const { ended, all } = visitors(3);
  const [reads, slow, late] = all as [Visitor, Visitor, Visitor];
  backlog.waits(reads, 20 * MIB, 0);
  backlog.waits(slow, 20 * MIB, 0);
  backlog.over(reads);
  backlog.waits(reads, 20 * MIB, 5_000);
  expect(ended).toEqual(["1"]);
  backlog.waits(late, 10 * MIB, 5_100);
  expect([ended, backlog.bytes]).toEqual([["1"], 30 * MIB]);
});

test("who has just been written to is spared until the bound is passed twice over", () => {
  const backlog = new StreamBacklog();
  const { ended, all } = visitors(80);
  for (const visitor of all.slice(0, 64)) backlog.waits(visitor, MIB, 10);
  expect(ended).toEqual([]);
  backlog.waits(all[64] as Visitor, MIB, 20);
  expect(ended).toEqual(["0"]);
  backlog.waits(all[65] as Visitor, MIB, 1_500);
  expect([ended.length, backlog.bytes], "all but the last have waited a second by now").toEqual([34, CARRIER_BUFFER_MAX_BYTES]);
});

test("the sum is what waits, after whatever was written, taken and given up", () => {
  const step = fc.record({ who: fc.nat(4), bytes: fc.nat(12 * MIB), taken: fc.boolean(), passMs: fc.nat(2_000) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const backlog = new StreamBacklog();
      const waits = new Map<Waiter, number>();
      const all = Array.from({ length: 5 }, (): Waiter => {
        const reader: Waiter = { giveUp: () => void waits.delete(reader) };
        return reader;
      });
      let nowMs = 0;
      for (const { who, bytes, taken, passMs } of steps) {
        const reader = all[who] as Waiter;
        nowMs += passMs;
        if (taken) backlog.over(reader);
        if (taken) waits.delete(reader);
        if (bytes > 0) waits.set(reader, bytes);
        else waits.delete(reader);
        const before = new Map(waits);
        backlog.waits(reader, bytes, nowMs);
        expect([...waits.keys()].every((each) => before.has(each))).toBe(true);
        expect(backlog.bytes).toBe([...waits.values()].reduce((sum, each) => sum + each, 0));
        expect(backlog.bytes).toBeLessThanOrEqual(2 * CARRIER_BUFFER_MAX_BYTES);
      }
    }),
  );
});
