// An origin's own words: what a body says, and when it counts.

import { describe, expect, test } from "vitest";
import { afterWord, parseWords, READY, SILENT, wordPolicy, type AgentState, type AgentWord } from "../../src/core/agent-words.ts";

describe("a body says", () => {
  test.each<[body: string, said: Partial<AgentWord>]>([
    ["", {}],
    ["ready", {}],
    ["up 100%", {}],
    ["drain", { drain: true }],
    ["maint\n", { maintenance: true }],
    ["down", { down: true }],
    ["75%", { share: 0.75 }],
    ["0%", { share: 0 }],
    ["up, 75%,maint", { share: 0.75, maintenance: true }],
    ["  DRAIN \r\n", { drain: true }],
    ["20% 80%", { share: 0.8 }],
    // Anything else is a page, not a word.
    ["ok", {}],
    ["drain please", {}],
    ["101%", {}],
    ["-5%", {}],
    ["7.5%", {}],
    ["1e2%", {}],
    ["75 %", {}],
    ['{"status":"down"}', {}],
    ["down\0", {}],
    ["drain;maint", {}],
    ["constructor", {}],
  ])("%j", (body, said) => {
    expect(parseWords(body)).toEqual({ ...READY, ...said });
  });
});

/** At so many seconds the answer says this; what holds then. */
type Row = readonly [atSeconds: number, body: string, holds: string];
const textOf = ({ drain, maintenance, share }: AgentWord): string =>
  [drain ? "drain" : "", maintenance ? "maint" : "", share === 1 ? "" : `${Math.round(share * 100)}%`].filter(Boolean).join(" ") || "ready";

describe("what holds, answer by answer", () => {
  test.each<[what: string, rise: number, windowMs: number, rows: readonly Row[]]>([
    ["a word counts when `rise` answers in a row agree", 2, 30_000, [
      [0, "ready", "ready"],
      [5, "drain", "ready"],
      [10, "drain", "drain"],
      [15, "ready", "drain"],
      [20, "drain", "drain"],
      [25, "ready", "drain"],
      [30, "ready", "ready"],
    ]],
    ["another word between them begins the count anew", 3, 30_000, [
      [0, "maint", "ready"],
      [5, "maint", "ready"],
      [10, "drain", "ready"],
      [15, "maint", "ready"],
      [20, "maint", "ready"],
      [25, "maint", "maint"],
    ]],
    ["each answer says the whole state", 1, 30_000, [
      [0, "drain maint", "drain maint"],
      [5, "maint", "maint"],
      [10, "", "ready"],
    ]],
    ["a share that differs by less than five hundredths is the same", 1, 0, [
      [0, "75%", "75%"],
      [5, "79%", "75%"],
      [10, "71%", "75%"],
      [15, "80%", "80%"],
    ]],
    ["but all and nothing are reached", 1, 0, [
      [0, "97%", "ready"],
      [1, "90%", "90%"],
      [3, "97%", "97%"],
      [5, "100%", "ready"],
      [10, "3%", "3%"],
      [15, "0%", "0%"],
    ]],
    ["a share that flutters with the load still agrees with itself", 2, 0, [
      [0, "60%", "ready"],
      [5, "58%", "58%"],
    ]],
    ["and changes at most once in ten seconds", 1, 30_000, [
      [0, "50%", "50%"],
      [5, "80%", "50%"],
      [9, "80%", "50%"],
      [10, "80%", "80%"],
    ]],
    ["or in a shorter slow start's window", 1, 2_000, [
      [0, "50%", "50%"],
      [1, "80%", "50%"],
      [2, "80%", "80%"],
    ]],
    ["what is said beside it does not wait for that", 1, 30_000, [
      [0, "50%", "50%"],
      [5, "80% drain", "drain 50%"],
      [10, "80% drain", "drain 80%"],
    ]],
  ])("%s", (_, rise, windowMs, rows) => {
    let state: AgentState = { ...SILENT, changedAtMs: -Infinity };
    for (const [at, body, holds] of rows) {
      const before = state;
      state = afterWord(state, parseWords(body), wordPolicy(rise, windowMs), at * 1000);
      expect(textOf(state.accepted), `at ${at} s`).toBe(holds);
      if (textOf(before.accepted) === holds) expect(state.accepted).toBe(before.accepted); // nothing is told anew
    }
  });
});
