// The live benchmark's event streams are judged byte by byte: whatever a contestant may leave out, double or change is found, and however it
// cuts and chunks what it passes on, or keeps the stream alive, is not held against it.

import { expect, test } from "vitest";
import { Arrival, Batch } from "../../bench/live/sse-events.ts";

const STREAM = 7;

function batchOf(burst: number): Batch {
  const batch = new Batch(STREAM, 32, burst, 41);
  batch.renumber();
  return batch;
}

function chunked(...bodies: readonly string[]): Buffer {
  return Buffer.from(bodies.map((body) => `${body.length.toString(16)}\r\n${body}\r\n`).join(""), "latin1");
}

/** Whether all that was due has come with the last of these. */
function taken(batch: Batch, ...wires: readonly Buffer[]): boolean {
  const arrival = new Arrival();
  arrival.expect(batch);
  const taken = wires.map((wire) => arrival.takes(wire));
  expect(taken.slice(0, -1)).not.toContain(true);
  return taken.at(-1) ?? false;
}

const TWO = batchOf(2);
const [FIRST, SECOND] = [TWO.events.toString("latin1", 0, TWO.eventBytes), TWO.events.toString("latin1", TWO.eventBytes)];

test("an event is its id and its data, with its number in both, and the next has the next", () => {
  expect([FIRST, SECOND]).toEqual([
    `id: 0000000042\ndata: ${"7:".repeat(11)}0000000042\n\n`,
    `id: 0000000043\ndata: ${"7:".repeat(11)}0000000043\n\n`,
  ]);
  const batch = batchOf(2);
  batch.renumber();
  expect(batch.number).toBe(45);
  expect(batch.chunk.toString("latin1")).toMatch(/^6e\r\nid: 0000000044\n[^]*0000000045\n\n\r\n$/);
});

test("it has come when all of it has, wherever it was cut, and however it was chunked", () => {
  expect(taken(TWO, TWO.chunk)).toBe(true);
  for (let at = 1; at < TWO.chunk.length; at++) expect(taken(TWO, TWO.chunk.subarray(0, at), TWO.chunk.subarray(at))).toBe(true);
  expect(taken(TWO, ...[...TWO.chunk].map((byte) => Buffer.of(byte)))).toBe(true);
  expect(taken(TWO, chunked(FIRST + SECOND.slice(0, 9), SECOND.slice(9)))).toBe(true);
  expect(taken(TWO, chunked(FIRST), chunked(SECOND))).toBe(true);
  expect(taken(TWO, chunked(FIRST))).toBe(false);
});

test("comments between events are no part of them", () => {
  expect(taken(TWO, chunked(":\n\n", FIRST, ": still here\n", SECOND))).toBe(true);
  expect(taken(TWO, chunked(":"), chunked(" still"), chunked(" here\n\n"), TWO.chunk)).toBe(true);
  const arrival = new Arrival();
  expect(arrival.takes(chunked(":\n\n"))).toBe(false); // while nothing is due
});

test("the next batch is due when one has come", () => {
  const arrival = new Arrival();
  const batch = batchOf(1);
  for (let round = 0; round < 3; round++) {
    arrival.expect(batch);
    expect(arrival.takes(batch.chunk)).toBe(true);
    batch.renumber();
  }
});

test.each<[string, Buffer]>([
  ["an event that was left out", chunked(SECOND)],
  ["one that came twice", chunked(FIRST, FIRST)],
  ["one too many", chunked(FIRST, SECOND, SECOND)],
  ["two in another order", chunked(SECOND, FIRST)],
  ["one without its id", chunked(FIRST.replace(/^id: \d+\n/, ""))],
  ["one with other data", chunked(FIRST.replace("7:7", "7:8"))],
  ["a comment in the middle of one", chunked(FIRST.replace("data", ":\ndata"))],
  ["the end of the stream", Buffer.from("0\r\n\r\n")],
  ["a chunk that is longer than it said", Buffer.from("2\r\nid: ")],
  ["what is no chunk", Buffer.from("HTTP/1.1 500\r\n")],
])("%s is found", (_, wire) => {
  expect(() => taken(TWO, wire)).toThrow(/due was|chunk|ended/);
});

test("an event that nobody waits for is found", () => {
  const arrival = new Arrival();
  expect(() => arrival.takes(chunked(FIRST))).toThrow("due was nothing");
});
