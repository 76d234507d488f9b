// Snapshots: which is newer, what is none, and when rings are built anew.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bootstrapSnapshot, decodeHints, decodeSnapshot, isNewer, viewOf, type Snapshot, type SnapshotOrigin } from "../../src/core/snapshot.ts";
import { FULL_SHARE } from "../../src/core/share.ts";

const origin = (id: string, more: Partial<SnapshotOrigin> = {}): SnapshotOrigin => ({
  id, url: `https://${id}.example.com`, weight: 1, salt: 0, backup: false, lifecycle: "active", closed: false,
  health: "healthy", ejectedUntilMs: 0, share: FULL_SHARE, ...more,
});
const snapshot = (more: Partial<Snapshot> = {}): Snapshot => ({
  format: 1, pool: "collab", region: "weur", generation: 1, epoch: 5, configRevision: 1, writtenAtMs: 0, virtualNodes: 16, hintsVersion: 2,
  origins: [origin("a"), origin("b"), origin("spare", { backup: true })], ...more,
});
const at = ([generation, epoch, hintsVersion]: readonly [number, number, number]): Snapshot => snapshot({ generation, epoch, hintsVersion });

describe("order", () => {
  const ASCENDING = [[1, 0, 0], [1, 0, 9], [1, 1, 0], [1, 1, 1], [1, 2, 0], [2, 0, 0], [2, 0, 1], [2, 10, 0]] as const;

  test("is by generation, then epoch, then hints version", () => {
    for (const [i, one] of ASCENDING.entries()) {
      for (const [j, other] of ASCENDING.entries()) expect(isNewer(at(one), at(other)), `${one} against ${other}`).toBe(i > j);
    }
  });

  test("is not by the time of writing", () => {
    expect(isNewer(snapshot({ writtenAtMs: 9 }), snapshot({ writtenAtMs: 1 }))).toBe(false);
  });
});

describe("decoding", () => {
  const HINTS = { format: 1, pool: "collab", region: "weur", version: 3, entries: [{ keyHash: "00", origin: "a", region: "weur", fence: 7 }] };

  test("gives back what was encoded, without what a newer version added", () => {
    expect(decodeSnapshot(JSON.parse(JSON.stringify(snapshot())))).toEqual(snapshot());
    expect(decodeSnapshot({ ...snapshot(), later: true })).toEqual(snapshot());
    expect(decodeHints({ ...HINTS, later: true })).toEqual(HINTS);
  });

  test.each<[what: string, value: unknown]>([
    ["nothing", null],
    ["undefined", undefined],
    ["a text", "snapshot"],
    ["a list", []],
    ["an empty object", {}],
    ["a newer format", { ...snapshot(), format: 2, entries: [], version: 1 }],
    ["no format", { ...snapshot(), format: undefined }],
    ["an epoch as text", { ...snapshot(), epoch: "5" }],
    ["an epoch that is no number", { ...snapshot(), epoch: Number.NaN }],
    ["an unknown lifecycle", { ...snapshot(), origins: [{ ...origin("a"), lifecycle: "resting" }] }],
    ["an origin without a share", { ...snapshot(), origins: [{ ...origin("a"), share: undefined }] }],
    ["a list of origins that is none", { ...snapshot(), origins: { length: 1 } }],
    ["hints with a broken row", { ...HINTS, entries: [{ keyHash: "00" }] }],
  ])("%s is neither a snapshot nor hints", (_, value) => {
    expect(decodeSnapshot(value)).toBeUndefined();
    expect(decodeHints(value)).toBeUndefined();
  });

  test("never throws", () => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        decodeSnapshot(value);
        decodeHints(value);
      }),
    );
  });
});

describe("a view", () => {
  const before = viewOf(snapshot());

  test("has a ring of the origins and a second one of the backups", () => {
    expect([before.ring.ids, before.backups.ids, [...before.byId.keys()]]).toEqual([["a", "b"], ["spare"], ["a", "b", "spare"]]);
  });

  test.each<[change: string, more: Partial<SnapshotOrigin>, same: boolean]>([
    ["health", { health: "down" }, true],
    ["ejection", { health: "ejected", ejectedUntilMs: 99 }, true],
    ["a drain", { lifecycle: "draining", closed: true }, true],
    ["a share", { share: { from: 0, to: 1, startAtMs: 1, endAtMs: 2 } }, true],
    ["an address", { url: "https://elsewhere.example.com" }, true],
    ["a weight", { weight: 2 }, false],
    ["a salt", { salt: 1 }, false],
    ["a backup that serves", { backup: true }, false],
  ])("after a change of %s has the same rings: %s", (_, more, same) => {
    const after = viewOf(snapshot({ epoch: 6, origins: [origin("a", more), origin("b"), origin("spare", { backup: true })] }), before);
    expect([after.ring === before.ring, after.backups === before.backups]).toEqual([same, same]);
    expect(after.byId.get("a")).toEqual(origin("a", more));
    expect(after.snapshot.epoch).toBe(6);
    if (same) expect(after).toEqual(viewOf(after.snapshot));
  });

  test.each<[change: string, more: Partial<Snapshot>]>([
    ["a join", { origins: [origin("a"), origin("b"), origin("c")] }],
    ["a leave", { origins: [origin("a")] }],
    ["other virtual nodes", { virtualNodes: 32 }],
  ])("after %s has new rings", (_, more) => {
    const after = viewOf(snapshot(more), before);
    expect(after).toEqual(viewOf(snapshot(more)));
    expect(after.ring).not.toBe(before.ring);
  });
});

test("the configuration's own snapshot is older than any, holds one region's origins, and decodes", () => {
  const configured = (id: string, region: string) => ({ id, region, url: `https://${id}.example.com`, weight: 1, salt: 0, backup: false });
  const own = bootstrapSnapshot({ id: "collab", virtualNodes: 16, origins: [configured("a", "weur"), configured("x", "enam"), configured("b", "weur")] }, "weur", 7);
  expect(own.origins).toEqual([origin("a"), origin("b")]);
  expect([own.epoch, own.configRevision, isNewer(at([1, 1, 0]), own)]).toEqual([0, 7, true]);
  expect(decodeSnapshot(own)).toEqual(own);
});
