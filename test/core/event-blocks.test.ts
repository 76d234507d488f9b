// Whatever an origin sends in whatever pieces: bytes pass as they came and nothing half said passes, at the moment at which it is whole. The
// oracle for events is the library, for ids a reading of the standard line by line.

import { createParser, type EventSourceMessage } from "eventsource-parser";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BLOCK_MAX_BYTES, EVENT_ID_MAX_BYTES, EventBlocks } from "../../src/core/event-blocks.ts";

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array): string => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);

interface Piece {
  readonly text: string;
  readonly ids: readonly (string | undefined)[];
}

/** What each chunk makes whole. */
function cut(...chunks: readonly (string | Uint8Array)[]): Piece[] {
  const blocks = new EventBlocks();
  return chunks.map((chunk) => {
    const whole = blocks.push(typeof chunk === "string" ? bytesOf(chunk) : chunk);
    if (!whole) throw new Error("too large");
    return { text: textOf(whole.bytes), ids: whole.named.map(({ id }) => id) };
  });
}

function eventsOf(text: string): EventSourceMessage[] {
  const events: EventSourceMessage[] = [];
  createParser({ onEvent: (event) => events.push(event) }).feed(text);
  return events;
}

/** The ids that a stream's blank lines set, one each block that says one (WHATWG HTML §9.2.6). */
function idsOf(text: string): string[] {
  const ids: string[] = [];
  let id: string | undefined;
  for (const line of text.split(/\r\n|\r|\n/).slice(0, -1)) {
    const [, field = "", value = ""] = /^([^:]*):? ?([^]*)$/.exec(line) ?? [];
    if (line === "" && id !== undefined) ids.push(id);
    if (line === "") id = undefined;
    else if (field === "id" && !value.includes("\0")) id = value;
  }
  return ids;
}

describe.each<[what: string, chunks: readonly string[], pieces: readonly [text: string, ...ids: string[]][]]>([
  ["an event", ["data: a\n\n"], [["data: a\n\n"]]],
  ["an event with an id", ["id: 1\ndata: a\n\n"], [["id: 1\ndata: a\n\n", "1"]]],
  ["an id alone", ["id: 7\n\n"], [["id: 7\n\n", "7"]]],
  ["an id without a value", ["id\ndata: a\n\n"], [["id\ndata: a\n\n", ""]]],
  ["an id that is empty", ["id:\n\nid: \n\n"], [["id:\n\nid: \n\n", "", ""]]],
  ["an id after one space and with another", ["id:  1 \n\n"], [["id:  1 \n\n", " 1 "]]],
  ["two ids in one block", ["id: 1\ndata: a\nid: 2\n\n"], [["id: 1\ndata: a\nid: 2\n\n", "2"]]],
  ["an id with a NUL, which is none, after one without", ["id: 1\nid: 2\0\n\n"], [["id: 1\nid: 2\0\n\n", "1"]]],
  ["fields that only look like an id", ["idea: 1\nid : 2\nID: 3\n id: 4\n\n"], [["idea: 1\nid : 2\nID: 3\n id: 4\n\n"]]],
  ["half an event", ["data: a\n"], [[""]]],
  ["an event in three pieces", ["da", "ta: a\n", "\ndata: b"], [[""], [""], ["data: a\n\n"]]],
  ["an id that is cut", ["id: 1", "2\nda", "ta: a\n", "\n"], [[""], [""], [""], ["id: 12\ndata: a\n\n", "12"]]],
  ["an id's name that is cut", ["data: b\n\ni", "d: 3\n\n"], [["data: b\n\n"], ["id: 3\n\n", "3"]]],
  ["a comment", [": well?\n"], [[": well?\n"]]],
  ["a comment that is cut", [": we", "ll?\n", ":\n"], [[""], [": well?\n"], [":\n"]]],
  ["a comment before an event", [": a\nid: 1\n", "\n"], [[": a\n"], ["id: 1\n\n", "1"]]],
  ["a comment after an event", ["data: a\n\n:", "\n"], [["data: a\n\n"], [":\n"]]],
  ["a comment within an event", ["data: a\n: b\n", "\n"], [[""], ["data: a\n: b\n\n"]]],
  ["blank lines alone", ["\n", "\r\n", "\r", "\n\n"], [["\n"], ["\r\n"], ["\r"], ["\n\n"]]],
  ["a time to reconnect", ["retry: 500\n\n"], [["retry: 500\n\n"]]],
  ["lines that end with CR", ["id: 1\rdata: a\r\r"], [["id: 1\rdata: a\r\r", "1"]]],
  ["CR LF, cut in the middle of the last", ["id: 1\r\ndata: a\r\n\r", "\nid: 2\r\n", "\r\n"], [["id: 1\r\ndata: a\r\n\r", "1"], ["\n"], ["id: 2\r\n\r\n", "2"]]],
  ["CR LF, cut in the middle of the first", ["id: 1\r", "\ndata: a\r", "\n", "\r\n"], [[""], [""], [""], ["id: 1\r\ndata: a\r\n\r\n", "1"]]],
  ["a comment with CR LF that is cut", [":\r", "\ndata: a\n\n"], [[":\r"], ["\ndata: a\n\n"]]],
  ["CR CR LF: a blank line's end is CR LF", ["data: a\r\r", "\n\n"], [["data: a\r\r"], ["\n\n"]]],
  ["all three ends of lines", ["id: 1\rdata: a\r\ndata: b\n\rid: 2\n\r\n"], [["id: 1\rdata: a\r\ndata: b\n\rid: 2\n\r\n", "1", "2"]]],
  ["an id that is not ASCII", ["id: é-日本\n\n"], [["id: é-日本\n\n", "é-日本"]]],
  ["nothing", ["", "data: a\n\n", ""], [[""], ["data: a\n\n"], [""]]],
  ["a byte order mark", ["\uFEFFid: 1\n\n"], [["id: 1\n\n", "1"]]],
  ["a byte order mark before a comment", ["\uFEFF:\n"], [[":\n"]]],
  ["two byte order marks: the second is text", ["\uFEFF\uFEFFid: 1\n\n"], [["\uFEFFid: 1\n\n"]]],
  ["a byte order mark after the beginning", ["id: 1\n\n\uFEFFid: 2\n\n"], [["id: 1\n\n\uFEFFid: 2\n\n", "1"]]],
])("%s", (_, chunks, pieces) => {
  test("in the pieces in which it came", () => {
    expect(cut(...chunks)).toEqual(pieces.map(([text, ...ids]) => ({ text, ids })));
  });

  test("is the same text with the same ids however it is cut in two, and byte by byte", () => {
    const all = bytesOf(chunks.join(""));
    const [text, ids] = [pieces.map(([piece]) => piece).join(""), pieces.flatMap(([, ...each]) => each)];
    const splits = Array.from({ length: all.length + 1 }, (__, at) => [all.subarray(0, at), all.subarray(at)]);
    for (const parts of [...splits, Array.from(all, (byte) => Uint8Array.of(byte))]) {
      const seen = cut(...parts);
      expect([seen.map((piece) => piece.text).join(""), seen.flatMap((piece) => piece.ids)]).toEqual([text, ids]);
    }
  });
});

test.each<[what: string, bytes: readonly number[], text: string]>([
  ["that is cut, and comes", [0xef, 0xbb, 0xbf, 0x3a, 0x0a], ":\n"],
  ["that does not come", [0xef, 0xbb, 0x3a, 0x0a, 0x0a], "\uFFFD:\n\n"],
  ["of which one byte comes", [0xef, 0x3a, 0x0a, 0x0a], "\uFFFD:\n\n"],
])("a byte order mark %s", (_, bytes, text) => {
  const blocks = new EventBlocks();
  const out = bytes.flatMap((byte) => Array.from(blocks.push(Uint8Array.of(byte))?.bytes ?? []));
  expect(textOf(Uint8Array.from(out))).toBe(text);
});

test("a chunk that ends where an event does is passed on itself, one that goes on as a part of itself", () => {
  const blocks = new EventBlocks();
  const [whole, longer] = [bytesOf("data: a\n\nid: 2\ndata: b\n\n"), bytesOf("data: c\n\ndata: d")];
  expect(blocks.push(whole)?.bytes).toBe(whole);
  expect(blocks.push(longer)?.bytes.buffer).toBe(longer.buffer);
});

test("half an event is in memory of its own, twice its size at most, and in none once it has gone", () => {
  const blocks = new EventBlocks();
  for (let n = 0; n < 1_000; n++) blocks.push(new Uint8Array(4_096).fill(97).subarray(0, 1));
  expect(blocks.heldBytes).toBeLessThanOrEqual(2_000);
  expect(blocks.isWhole).toBe(false);
  expect(textOf(blocks.rest())).toBe("a".repeat(1_000));
  blocks.push(bytesOf("\n\n"));
  expect([blocks.heldBytes, blocks.isWhole]).toEqual([0, true]);
});

test.each([0, 1, 4_000])("of one event as much may wait as it may, and not a byte more (%i bytes at first)", (first) => {
  const rest = new Uint8Array(BLOCK_MAX_BYTES - first).fill(97);
  const [fits, passes] = [new EventBlocks(), new EventBlocks()];
  for (const blocks of [fits, passes]) blocks.push(new Uint8Array(first).fill(97));
  expect(fits.push(rest)?.bytes.byteLength).toBe(0);
  expect(fits.push(bytesOf("\n\n"))?.bytes.byteLength).toBe(BLOCK_MAX_BYTES + 2);
  expect(passes.push(Uint8Array.of(...rest.subarray(0, 1)))).toBeDefined();
  expect(passes.push(rest)).toBeUndefined();
});

test("what follows an event in its chunk is bounded too", () => {
  const chunk = (bytes: number): Uint8Array => bytesOf(`data: a\n\n${"b".repeat(bytes)}`);
  expect(new EventBlocks().push(chunk(BLOCK_MAX_BYTES))).toBeDefined();
  expect(new EventBlocks().push(chunk(BLOCK_MAX_BYTES + 1))).toBeUndefined();
});

test.each(["id:", "id: "])("an id of more bytes than may be remembered is told without its value (%j)", (name) => {
  const longest = "é".repeat(EVENT_ID_MAX_BYTES / 2);
  expect(cut(`${name}${longest}\n\n`)[0]?.ids).toEqual([longest]);
  expect(cut(`${name}${longest}a\n\n`)[0]?.ids).toEqual([undefined]);
  expect(cut(`${name}${longest}a\nid: short\n\n`)[0]?.ids).toEqual(["short"]);
});

const anyEnd = fc.constantFrom("\n", "\r", "\r\n");
const anyLine = fc.oneof(
  fc.constantFrom("", "", "", ":", ": well?", "id", "id:", "id: 1", "id:2", "id: é日", "id: 3\0", "idea: 4", "data", "data: a", "event: b", "retry: 5", "x"),
  fc.string({ maxLength: 12, unit: fc.constantFrom("i", "d", ":", " ", "\uFEFF", "\0", "é", "日") }),
);
const anyText = fc
  .tuple(fc.constantFrom("", "\uFEFF"), fc.array(fc.tuple(anyLine, anyEnd), { maxLength: 24 }), fc.boolean())
  .map(([mark, lines, whole]) => `${mark}${lines.map((line) => line.join("")).join("")}${whole ? "\n\n" : "id"}`);
const anyStream = fc.tuple(anyText.map(bytesOf), fc.array(fc.nat(300), { maxLength: 30 })).map(([bytes, cuts]) => {
  const at = [0, ...cuts.filter((cut) => cut < bytes.length).toSorted((a, b) => a - b), bytes.length];
  return at.slice(1).map((to, index) => bytes.subarray(at[index], to));
});

test("whatever comes in whatever pieces", () => {
  const promised = (chunks: readonly Uint8Array[]): void => {
    const blocks = new EventBlocks();
    let [came, passed] = ["", ""];
    const ids: (string | undefined)[] = [];
    let bytesCame: number[] = [];
    let bytesPassed: number[] = [];
    for (const chunk of chunks) {
      bytesCame = [...bytesCame, ...chunk];
      const { bytes, named } = blocks.push(chunk) ?? { bytes: new Uint8Array(0), named: [] };
      bytesPassed = [...bytesPassed, ...bytes];
      ids.push(...named.map(({ id }) => id));
      // Of what has passed nothing is half said, and whatever is whole has passed.
      [came, passed] = [textOf(Uint8Array.from(bytesCame)).replace(/^\uFEFF/, ""), textOf(Uint8Array.from(bytesPassed))];
      expect(eventsOf(`${passed}data: probe\n\n`).at(-1)).toEqual({ id: undefined, event: undefined, data: "probe" });
      expect(eventsOf(`${passed}data: probe\n\n`).slice(0, -1)).toEqual(eventsOf(came.endsWith("\r") ? `${came}\n` : came));
      expect(ids).toEqual(idsOf(passed));
      // Each block that says an id is where it is said to be, and without it nothing else is missing.
      for (const { id, from, to } of named) expect(idsOf(textOf(bytes.subarray(from, to)))).toEqual([id]);
      const others = bytes.filter((_, index) => !named.some(({ from, to }) => index >= from && index < to));
      expect(idsOf(textOf(others))).toEqual([]);
      const unnamed = (text: string): EventSourceMessage[] => eventsOf(`${text}data: probe\n\n`).filter(({ id }) => id === undefined);
      expect(unnamed(textOf(others))).toEqual(unnamed(textOf(bytes)));
    }
    // Every byte comes through as it was.
    expect([...bytesPassed, ...blocks.rest()]).toEqual(bytesCame.slice(came.length < textOf(Uint8Array.from(bytesCame)).length ? 3 : 0));
  };
  fc.assert(fc.property(anyStream, promised), { numRuns: 3_000 });
});
