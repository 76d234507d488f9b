// Who may take a session, and who may keep one: lifecycle and health, every pair of them.

import { describe, expect, test } from "vitest";
import { illness, lossOf, unavailability } from "../../src/core/availability.ts";
import { FULL_SHARE } from "../../src/core/share.ts";
import type { SnapshotOrigin } from "../../src/core/snapshot.ts";

type More = Partial<SnapshotOrigin>;
const origin = (more: More): SnapshotOrigin => ({
  id: "a", url: "https://a.example.com", weight: 1, salt: 0, backup: false, lifecycle: "active", closed: false, health: "healthy", ejectedUntilMs: 0, share: FULL_SHARE, ...more,
});
const NOBODY = new Set<string>();

const JOINING: More = { lifecycle: "joining" };
const ACTIVE: More = { lifecycle: "active" };
const DRAINING: More = { lifecycle: "draining" };
const CLOSED: More = { lifecycle: "draining", closed: true };
const DRAINED: More = { lifecycle: "drained", closed: true };
const WELL: More = {};
const DOWN: More = { health: "down" };
const EJECTED: More = { health: "ejected", ejectedUntilMs: 1001 };
const BACK: More = { health: "ejected", ejectedUntilMs: 1000 };

describe("at 1000 ms an origin takes a session, or keeps one", () => {
  test.each<[what: string, lifecycle: More, health: More, takes: string | undefined, keeps: string | undefined]>([
    ["joining, well", JOINING, WELL, "joining", undefined],
    ["joining, down", JOINING, DOWN, "joining", "down"],
    ["active, well", ACTIVE, WELL, undefined, undefined],
    ["active, down", ACTIVE, DOWN, "down", "down"],
    ["active, ejected until 1001", ACTIVE, EJECTED, "ejected", "ejected"],
    ["active, ejected until 1000: no longer", ACTIVE, BACK, undefined, undefined],
    ["in maintenance: what it holds it keeps", { maintenance: true }, WELL, "maintenance", undefined],
    ["in maintenance and down: the illness is unplanned", { maintenance: true }, DOWN, "down", "down"],
    ["draining, well: what it holds it keeps", DRAINING, WELL, "draining", undefined],
    ["draining, down", DRAINING, DOWN, "draining", "down"],
    ["draining, ejected", DRAINING, EJECTED, "draining", "ejected"],
    ["draining past its closing epoch", CLOSED, WELL, "draining", "drained"],
    ["and down: the order comes before the illness", CLOSED, DOWN, "draining", "drained"],
    ["drained", DRAINED, WELL, "drained", "drained"],
    ["drained, and nobody said closed", { lifecycle: "drained" }, WELL, "drained", "drained"],
  ])("%s", (_, lifecycle, health, takes, keeps) => {
    const one = origin({ ...lifecycle, ...health });
    expect([unavailability(one, 1000, NOBODY), lossOf(one, 1000, NOBODY)]).toEqual([takes, keeps]);
  });

  test("one that was not reached does neither, whatever its health; another's failure is not its own", () => {
    for (const health of [WELL, DOWN, EJECTED]) {
      const one = origin(health);
      expect([unavailability(one, 1000, new Set(["a"])), lossOf(one, 1000, new Set(["a"])), illness(one, 1000, new Set(["a"]))]).toEqual(["excluded", "excluded", "excluded"]);
    }
    expect([unavailability(origin({}), 1000, new Set(["b"])), lossOf(origin({}), 1000, new Set(["b"]))]).toEqual([undefined, undefined]);
  });

  test("one that has its id from another keeps nothing that is older, or of an age that is not known", () => {
    const one = origin({ bornFence: 50 });
    expect([0, 49, 50, 51].map((fence) => lossOf(one, 1000, NOBODY, fence))).toEqual(["gone", "gone", undefined, undefined]);
    expect([lossOf(one, 1000, NOBODY), lossOf(origin({}), 1000, NOBODY, 0)]).toEqual([undefined, undefined]);
  });

  test("one that is gone keeps nothing", () => {
    expect(lossOf(undefined, 1000, NOBODY)).toBe("gone");
  });

  test("a drain is no illness, an ejection is one until its end", () => {
    expect([DRAINING, CLOSED, DRAINED, JOINING].map((more) => illness(origin(more), 1000, NOBODY))).toEqual([undefined, undefined, undefined, undefined]);
    expect([999, 1000, 1001].map((nowMs) => illness(origin(EJECTED), nowMs, NOBODY))).toEqual(["ejected", "ejected", undefined]);
  });
});
