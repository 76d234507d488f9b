// Which profile a route has, and the bounds of a prelude.

import { describe, expect, test } from "vitest";
import type { ProfileName } from "../../src/core/config-types.ts";
import { byFrames, frameBytes, type Frame } from "../../src/core/profile.ts";
import { preludeRules, profileOf } from "../../src/core/profiles.ts";

const prelude = (frames: number, bytes: number) => preludeRules({ frames, bytes, swallow: 2, mute: false });
const binary = (bytes: number): ArrayBuffer => new ArrayBuffer(bytes);

test("a protocol that cannot bear a replaced leg has none", () => {
  expect(profileOf({ mode: "restart" })).toBeUndefined();
});

test("a prelude mutes the old leg as it is told", () => {
  expect(profileOf({ mode: "transparent", prelude: { frames: 1, bytes: 1, swallow: 2, mute: false } })).toMatchObject({ mute: false });
  expect(prelude(1, 1).greet(["x"])).toEqual([]);
});

test.each<[profile: ProfileName, mute: boolean]>([["y-websocket", true], ["hocuspocus", true], ["graphql-ws", false], ["mqtt", false]])("%s is built in; old legs are muted: %s", (profile, mute) => {
  expect(profileOf({ mode: "transparent", profile })).toMatchObject({ mute });
});

test("what a connection remembers is replayed at each new leg, and as many answers to it are swallowed", () => {
  const memory = byFrames(prelude(1, 100)).begin();
  expect(memory.replay()).toEqual({ origin: [], visitor: [] });
  expect(["one", "two", "three"].map((frame) => memory.heard(frame))).toEqual(["pass", "pass", "pass"]);
  for (const frame of ["hello", "more"]) memory.sent(frame);
  for (const _leg of ["second", "third"]) {
    expect(memory.replay()).toEqual({ origin: ["hello"], visitor: [] });
    expect(["a", "b", "c"].map((frame) => memory.heard(frame))).toEqual(["swallow", "swallow", "pass"]);
  }
});

test("answers that the visitor has never had are not swallowed: its leg was lost before they came", () => {
  const memory = byFrames(prelude(2, 100)).begin();
  memory.sent("hello");
  memory.replay();
  expect(memory.heard("first")).toBe("pass");
  memory.replay();
  expect(["first", "second"].map((frame) => memory.heard(frame))).toEqual(["swallow", "pass"]);
});

test("a memory past its bound is given up, and its connection cannot bear a replaced leg from then on", () => {
  const rules = { ...prelude(9, 100), bytesMax: 9, remember: (memory: readonly Frame[], frame: Frame) => [...memory, frame] };
  const memory = byFrames(rules).begin();
  for (const bytes of [4, 5]) memory.sent(binary(bytes));
  expect([memory.bearable, memory.replay().origin.length]).toEqual([true, 2]);
  for (const bytes of [1, 0]) memory.sent(binary(bytes));
  expect([memory.bearable, memory.replay().origin.length]).toEqual([false, 0]);
});

describe("a frame's size", () => {
  test.each<[frame: Frame, bytes: number]>([["", 0], ["abc", 6], ["🐚", 4], [binary(0), 0], [binary(5), 5]])("of %j", (frame, bytes) => {
    expect(frameBytes(frame)).toBe(bytes);
  });
});

describe("a prelude remembers the first frames", () => {
  test.each<[what: string, frames: number, bytes: number, sent: Frame[], kept: number[]]>([
    ["none of none", 0, 100, ["a"], []],
    ["one less than its bound", 3, 100, ["a", "b"], [0, 1]],
    ["as many as its bound", 2, 100, ["a", "b"], [0, 1]],
    ["not one more", 2, 100, ["a", "b", "c"], [0, 1]],
    ["one byte below its bytes", 9, 8, [binary(4), binary(3)], [0, 1]],
    ["as many bytes as it may", 9, 8, [binary(4), binary(4)], [0, 1]],
    ["not one byte more", 9, 8, [binary(4), binary(5)], [0]],
    ["texts by what they take in memory", 9, 4, ["ab", "c"], [0]],
  ])("%s", (_, frames, bytes, sent, kept) => {
    const { remember } = prelude(frames, bytes);
    const memory = sent.reduce<readonly Frame[]>((memory, frame, index) => remember(memory, frame, index), []);
    expect(memory.map((frame) => sent.indexOf(frame))).toEqual(kept);
  });

  test("and gives back the same array when it adds nothing", () => {
    const memory = ["a"];
    expect(prelude(1, 100).remember(memory, "b", 1)).toBe(memory);
    expect(memory).toEqual(["a"]);
  });

  test("ends at the first frame that does not fit", () => {
    const { remember } = prelude(9, 8);
    expect([binary(4), binary(5), binary(1)].reduce<readonly Frame[]>((memory, frame, index) => remember(memory, frame, index), [])).toHaveLength(1);
  });
});
