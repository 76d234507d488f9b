// Snapshots: which is newer, what is none, and when rings are built anew.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bootstrapView, decodeHints, decodeSnapshot, isNewer, viewOf, type Snapshot, type SnapshotOrigin } from "../../src/core/snapshot.ts";
import { saltsOf } from "../../src/core/salts.ts";
import { FULL_SHARE } from "../../src/core/share.ts";

const origin = (id: string, more: Partial<SnapshotOrigin> = {}): SnapshotOrigin => ({
  id, url: `https://${id}.example.com`, weight: 1, salt: 0, backup: false, lifecycle: "active", closed: false,
  health: "healthy", ejectedUntilMs: 0, share: FULL_SHARE, ...more,
});
const snapshot = (more: Partial<Snapshot> = {}): Snapshot => ({
  format: 1, placement: "v1", pool: "collab", region: "weur", generation: 1, epoch: 5, configRevision: 1, writtenAtMs: 0, virtualNodes: 16, hintsVersion: 2, kept: FULL_SHARE,
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
  const HINTS = { format: 1, pool: "collab", region: "weur", version: 3, complete: true, entries: [{ keyHash: "00", origin: "a", region: "weur", fence: 7 }] };

  test("gives back what was encoded, without what a newer version added", () => {
    expect(decodeSnapshot(JSON.parse(JSON.stringify(snapshot())))).toEqual(snapshot());
    expect(decodeSnapshot({ ...snapshot(), later: true })).toEqual(snapshot());
    expect(decodeHints({ ...HINTS, later: true })).toEqual(HINTS);
  });

  test("of a snapshot without the share that the region keeps gives all of it: older ones have none", () => {
    const { kept: _, ...older } = snapshot();
    expect(decodeSnapshot(older)).toEqual(snapshot());
    const kept = { from: 0.35, to: 0.7, startAtMs: 1, endAtMs: 2 };
    expect(decodeSnapshot({ ...older, kept })).toEqual(snapshot({ kept }));
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
    ["a share to keep that is none", { ...snapshot(), kept: 0.5 }],
    ["one that JSON made null", { ...snapshot(), kept: JSON.parse(JSON.stringify({ ...FULL_SHARE, to: Number.NaN })) }],
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

  test("after a change of what the region keeps has the same rings", () => {
    const after = viewOf(snapshot({ kept: { from: 0, to: 1, startAtMs: 1, endAtMs: 2 } }), before);
    expect([after.ring === before.ring, after.backups === before.backups]).toEqual([true, true]);
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

describe("the ring that the configuration alone gives", () => {
  const configured = (id: string, region = "weur", more: { salt?: number; backup?: boolean } = {}) => ({ id, region, url: `https://${id}.example.com`, weight: 1, backup: false, ...more });
  const pool = { id: "collab", virtualNodes: 16, origins: [configured("b"), configured("x", "enam"), configured("a"), configured("spare", "weur", { backup: true })] };

  test("is older than any, holds one region's origins, all believed well, keeps all keys, and decodes", () => {
    const salted = { ...pool, origins: pool.origins.map((each) => ({ ...each, salt: 0 })) };
    const { snapshot: own } = bootstrapView(salted, "weur", 7);
    expect(own.origins).toEqual([origin("b"), origin("a"), origin("spare", { backup: true })]);
    expect([own.epoch, own.configRevision, own.kept, isNewer(at([1, 1, 0]), own)]).toEqual([0, 7, FULL_SHARE, true]);
    expect(decodeSnapshot(JSON.parse(JSON.stringify(own)))).toEqual(own);
    expect(bootstrapView(salted, "oc", 7).snapshot.origins).toEqual([]);
  });

  test("has the salts that are written, and finds the others as everybody does; backups among themselves", () => {
    const written = { ...pool, origins: [...pool.origins, configured("c", "weur", { salt: 21 })] };
    const { snapshot: own } = bootstrapView(written, "weur", 1);
    const found = saltsOf([{ id: "a", weight: 1 }, { id: "b", weight: 1 }, { id: "c", weight: 1, salt: 21 }], 16);
    const spare = saltsOf([{ id: "spare", weight: 1 }], 16).get("spare");
    expect(own.origins.map(({ id, salt }) => [id, salt])).toEqual([["b", found.get("b")], ["a", found.get("a")], ["spare", spare], ["c", 21]]);
    expect(found.get("a") === 0 && found.get("b") === 0).toBe(false); // else this would show nothing
  });

  test("is the same whatever the order in which the configuration lists its origins", () => {
    const { ring, backups } = bootstrapView({ ...pool, origins: pool.origins.toReversed() }, "weur", 1);
    expect({ ring, backups }).toEqual({ ring: bootstrapView(pool, "weur", 1).ring, backups: bootstrapView(pool, "weur", 1).backups });
  });

  test("is made once for each pool and region of a configuration: to search salts takes time", () => {
    const [one, same, other] = [bootstrapView(pool, "weur", 1), bootstrapView(pool, "weur", 1), bootstrapView({ ...pool }, "weur", 1)];
    expect([same === one, bootstrapView(pool, "enam", 1) === one, other === one]).toEqual([true, false, false]);
    expect(other).toEqual(one);
    expect(bootstrapView(pool, "enam", 1).snapshot.origins.map(({ id }) => id)).toEqual(["x"]);
  });
});
