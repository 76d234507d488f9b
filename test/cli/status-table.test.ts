// What `limpet status` shows, by the width of the terminal.

import { describe, expect, test } from "vitest";
import { statusTables } from "../../src/cli/status-table.ts";
import { clock, plain, type Paint } from "../../src/cli/text.ts";
import { fakeOrigin, fakeRing } from "../support/fake-router.ts";

const NOW_MS = Date.now();

const RING = fakeRing(
  "collab",
  "weur",
  [
    fakeOrigin("weur-1", { sessions: 20, connections: 24 }),
    fakeOrigin("weur-2", { share: 0.31, shareEndsAtMs: NOW_MS + 10_000, health: "ejected", sessions: 1, connections: 1 }),
    fakeOrigin("weur-3", { state: "draining", weight: 2.5 }),
    fakeOrigin("weur-4", { maintenance: true, backup: true }),
  ],
  { moving: 2, waiting: 3 },
);

const show = (rings: readonly (typeof RING | object)[], width = 120, paint: Paint = plain): string =>
  statusTables({ rings: rings as (typeof RING)[] }, { width, nowMs: NOW_MS, paint });

describe("a ring", () => {
  test("is its epoch and counts, and a line each origin", () => {
    expect(show([RING]).split("\n")).toEqual([
      "collab@weur  epoch 12 · 21 sessions · 25 connections · 2 moving · 3 waiting to move",
      expect.stringMatching(/^  origin +state +health +share +weight +sessions +connections$/),
      expect.stringMatching(/^  weur-1 +active +healthy +██████████ 100 % +1 +20 +24$/),
      expect.stringMatching(new RegExp(`^  weur-2 +active +ejected +███░░░░░░░  31 %, full at ${clock(NOW_MS + 10_000)} +1 +1 +1$`)),
      expect.stringMatching(/^  weur-3 +draining +healthy +██████████ 100 % +2.5 +0 +0$/),
      expect.stringMatching(/^  weur-4 \(backup\) +maintenance +healthy +██████████ 100 % +1 +0 +0$/),
    ]);
  });

  test.each([
    [86, ["share", "weight", "connections"], ["█"]],
    [60, ["share", "sessions"], ["weight", "connections  "]],
    [44, ["state", "health"], ["share"]],
    [34, ["state"], ["health"]],
  ])("fits into %i columns, and keeps what matters most", (width, kept, left) => {
    const text = show([RING], width);
    for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(width);
    for (const word of kept) expect(text).toContain(word);
    for (const word of left) expect(text.split("\n").slice(1).join("\n")).not.toContain(word);
  });

  test("whose object does not answer is shown as that, beside the others", () => {
    const text = show([{ pool: "web", region: "enam", unreachable: true, origins: [] }, RING]);
    expect(text).toMatch(/^web@enam {2}unreachable\n.+\n\ncollab@weur {2}epoch 12/);
  });

  test("of no origins, and one out of service, say so", () => {
    expect(show([fakeRing("a", "weur", [], { down: true })])).toBe("a@weur  out of service · epoch 12 · 0 sessions · 0 connections\n  no origins");
  });
});

test("what is wrong is coloured, what is right is not loud", () => {
  const text = show([RING], 200, (colour, word) => `<${colour}>${word}</${colour}>`);
  for (const word of ["<red>ejected</red>", "<yellow>draining</yellow>", "<green>healthy</green>", "<yellow>2 moving</yellow>"])
    expect(text).toContain(word);
  expect(text).not.toContain(">active<");
});

test("names that came over the network cannot give the terminal orders", () => {
  expect(show([fakeRing("a", "weur", [fakeOrigin("weur-1\u001b[2J\u202e")])])).toContain("weur-1�[2J�");
});
