// What a visitor has of a stream: one row an event, and whether it is passed on.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DeliveredIds, IDS_MAX, IDS_MAX_BYTES } from "../../src/core/delivered-ids.ts";
import { EVENT_ID_MAX_BYTES } from "../../src/core/event-blocks.ts";

/** Legs and the ids that they say; those that were passed on, leg by leg. */
function passed(legs: readonly (readonly (string | undefined)[])[], delivered = new DeliveredIds(undefined)): (string | undefined)[][] {
  return legs.map((ids) => {
    delivered.legBegan();
    return ids.filter((id) => delivered.take(id));
  });
}

describe.each<[what: string, legs: readonly (readonly (string | undefined)[])[], passes: readonly (readonly (string | undefined)[])[], newest: string | undefined]>([
  ["one origin goes on where the other ended", [["1", "2"], ["3"]], [["1", "2"], ["3"]], "3"],
  ["it begins with what has been delivered", [["1", "2", "3"], ["2", "3", "4"]], [["1", "2", "3"], ["4"]], "4"],
  ["it says nothing new", [["1", "2"], ["1", "2"]], [["1", "2"], []], "2"],
  ["the third says what the first two said", [["1", "2"], ["2", "3"], ["1", "2", "3", "4"]], [["1", "2"], ["3"], ["4"]], "4"],
  ["after its first new event nothing is dropped", [["1", "2"], ["3", "1", "2"]], [["1", "2"], ["3", "1", "2"]], "2"],
  ["a leg says an id twice: ids tell nothing, then or later", [["1", "1", "2"], ["1", "2"]], [["1", "1", "2"], ["1", "2"]], "2"],
  ["and nothing later either, not even the newest", [["1", "1", "2"], ["2"]], [["1", "1", "2"], ["2"]], "2"],
  ["a later leg says one twice that it has said again", [["1", "2"], ["1", "1", "2"]], [["1", "2"], ["1", "2"]], "2"],
  ["the stream takes its id back", [["1", "2", ""], ["1", "2"]], [["1", "2", ""], ["1", "2"]], "2"],
  ["the stream has taken its id back", [["1", ""]], [["1", ""]], undefined],
  ["an empty id is none that is known again", [["", "", "1"], ["", "1"]], [["", "", "1"], ["", "1"]], "1"],
  ["an id is too long", [["1", undefined]], [["1", undefined]], undefined],
  ["nothing was said", [[], []], [[], []], undefined],
])("%s", (_, legs, passes, newest) => {
  test(`passes ${JSON.stringify(passes)}, and goes on after ${JSON.stringify(newest)}`, () => {
    const delivered = new DeliveredIds(undefined);
    expect(passed(legs, delivered)).toEqual(passes);
    expect(delivered.newest).toBe(newest);
  });
});

test("what the visitor asked to go on after is gone on after until an event comes, and is no event that was delivered", () => {
  const delivered = new DeliveredIds("7");
  expect(delivered.newest).toBe("7");
  expect(passed([["7", "8"]], delivered)).toEqual([["7", "8"]]);
  expect(delivered.newest).toBe("8");
});

test("after an id that is too long nobody can go on, until another comes", () => {
  const longest = "é".repeat(EVENT_ID_MAX_BYTES / 2);
  expect([new DeliveredIds(undefined).bearable, new DeliveredIds(longest).bearable, new DeliveredIds(`${longest}a`).bearable]).toEqual([true, true, false]);
  const delivered = new DeliveredIds(undefined);
  passed([[undefined]], delivered);
  expect(delivered.bearable).toBe(false);
  passed([["1"]], delivered);
  expect([delivered.bearable, delivered.newest]).toEqual([true, "1"]);
});

const numbered = (from: number, count: number): string[] => Array.from({ length: count }, (_, n) => String(from + n));

test.each([1, 499, 500, 501, 999, 1_000, 1_001, 1_500, 5_000])("of %i ids the latest half of what may be remembered is, and nothing beyond all of it", (count) => {
  const said = numbered(0, count);
  const half = said.slice(-IDS_MAX / 2);
  expect(passed([said, half, half])).toEqual([said, [], []]); // to drop them does not forget them
  const [oldest] = said.slice(0, -IDS_MAX);
  if (oldest !== undefined) expect(passed([said, [oldest]])[1]).toEqual([oldest]);
});

test("all that were said before the stream took its id back are forgotten", () => {
  const said = numbered(0, 600); // in both halves
  expect(passed([[...said, ""], said])[1]).toEqual(said);
});

test("long ids are remembered by their bytes, the latest", () => {
  const long = numbered(10, 90).map((id) => id.padEnd(IDS_MAX_BYTES / 64, "x")); // 32 fit, at two bytes a character
  expect(passed([long, long.slice(-16)])[1]).toEqual([]);
  expect(passed([long, long.slice(-33)])[1]).toEqual(long.slice(-33));
});

test("an id that comes again later is remembered once", () => {
  const long = numbered(10, 15).map((id) => id.padEnd(IDS_MAX_BYTES / 64, "x"));
  const legs = Array.from({ length: 9 }, (_, n) => [`new ${n}`, ...long]);
  expect(passed([["first"], ...legs, ["first"]]).at(-1)).toEqual([]);
});

test("whichever of the latest events an origin goes on after, the visitor gets each once, in order", () => {
  const stream = numbered(0, 400);
  const anyCuts = fc.array(fc.record({ reads: fc.integer({ min: 0, max: 60 }), back: fc.integer({ min: 0, max: 400 }) }), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(anyCuts, (cuts) => {
      const delivered = new DeliveredIds(undefined);
      const got: string[] = [];
      for (const { reads, back } of cuts) {
        delivered.legBegan();
        const from = Math.max(0, got.length - back);
        got.push(...stream.slice(from, from + reads).filter((id) => delivered.take(id)));
      }
      expect(got).toEqual(stream.slice(0, got.length));
      expect(delivered.newest).toBe(got.at(-1));
    }),
  );
});
