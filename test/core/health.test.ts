// The verdict of a sequence of probes.

import { describe, expect, test } from "vitest";
import { afterProbe, UNKNOWN_HEALTH, type Health } from "../../src/core/health.ts";

const UP = true;
const FAULT = false;
type Row = readonly [succeeded: boolean, status: Health["status"], contrary: number];

describe.each<[what: string, rise: number, fall: number, rows: readonly Row[]]>([
  ["three faults in a row are down, two successes healthy", 2, 3, [
    [UP, "healthy", 0],
    [FAULT, "healthy", 1],
    [FAULT, "healthy", 2],
    [FAULT, "down", 0],
    [FAULT, "down", 0],
    [UP, "down", 1],
    [UP, "healthy", 0],
    [UP, "healthy", 0],
  ]],
  ["a success between faults starts the count anew", 2, 3, [
    [FAULT, "healthy", 1],
    [FAULT, "healthy", 2],
    [UP, "healthy", 0],
    [FAULT, "healthy", 1],
    [FAULT, "healthy", 2],
    [FAULT, "down", 0],
  ]],
  ["a fault between successes starts the count anew", 3, 1, [
    [FAULT, "down", 0],
    [UP, "down", 1],
    [UP, "down", 2],
    [FAULT, "down", 0],
    [UP, "down", 1],
    [UP, "down", 2],
    [UP, "healthy", 0],
  ]],
  ["with rise and fall 1 each probe decides", 1, 1, [
    [FAULT, "down", 0],
    [UP, "healthy", 0],
    [FAULT, "down", 0],
  ]],
])("%s", (_, rise, fall, rows) => {
  test("row by row", () => {
    let health = UNKNOWN_HEALTH;
    for (const [index, [succeeded, status, contrary]] of rows.entries()) {
      health = afterProbe(health, succeeded, { rise, fall });
      expect(health, `row ${index + 1}`).toEqual({ status, contrary });
    }
  });
});

test("a probe changes nothing of the state it is given", () => {
  const before: Health = Object.freeze({ status: "healthy", contrary: 1 });
  afterProbe(before, FAULT, { rise: 2, fall: 3 });
  expect(before).toEqual({ status: "healthy", contrary: 1 });
});
