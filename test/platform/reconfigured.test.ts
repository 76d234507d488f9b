// A ring's state under settings that change: what it goes by is what they say now, its own word and its operators' stay, in one epoch.

import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { expect, test } from "vitest";
import { newDrain } from "../../src/core/drain.ts";
import { LiveSettings } from "../../src/platform/live-settings.ts";
import { RingState } from "../../src/platform/ring-state.ts";
import { RingStore } from "../../src/platform/ring-store.ts";
import { DEFAULT_POLICY } from "../support/pool-policy.ts";

const POLICY = {
  ...DEFAULT_POLICY,
  balance: "ring",
  stickiness: "prefer",
  hold: true,
  affinity: "on",
  rollout: 1,
  virtualNodes: 8,
  horizonMs: 1_000,
};

interface Written {
  readonly revision: number;
  readonly origins: readonly string[];
  readonly abroad?: readonly string[];
  readonly hold?: boolean;
}

/** `abroad`: regions that have an origin beside weur's. */
function settingsOf({ revision, origins, abroad = [], hold = true }: Written) {
  const all = [...origins.map((id) => ({ id, region: "weur" })), ...abroad.map((region) => ({ id: `of-${region}`, region }))];
  const pool = {
    id: "p",
    ...POLICY,
    hold,
    origins: all.map((each) => ({ ...each, url: `https://${each.id}.example.com`, weight: 1, backup: false })),
  };
  const regions = { weur: { secondary: ["enam", "apac"] }, enam: { secondary: [] }, apac: { secondary: [] } };
  return { dev: false, config: { configRevision: revision, regions, pools: { p: pool }, routes: [] } } as never;
}

function startRing(db: DatabaseSync, written: Written) {
  const exec = (query: string, ...values: SQLInputValue[]): object[] =>
    values.length === 0 && !query.startsWith("SELECT") ? (db.exec(query), []) : db.prepare(query).all(...values);
  const settings = new LiveSettings(settingsOf(written));
  const ring = new RingState(settings, { pool: "p", region: "weur", generation: 1 }, new RingStore({ exec } as never));
  const becomes = (next: Written): void => {
    settings.swap(settingsOf(next));
    ring.reconfigured();
  };
  return { ring, becomes };
}

test("other settings are taken as a whole: policy, neighbours and origins, in one epoch, and an operator's drain stays", () => {
  const { ring, becomes } = startRing(new DatabaseSync(":memory:"), { revision: 1, origins: ["a", "b"], abroad: ["enam"] });
  ring.layers.setDrain("a", newDrain(1));
  const { epoch } = ring.view.snapshot;
  const regions = (): string[] => ring.views().map(({ snapshot }) => snapshot.region);
  expect([ring.pool.hold, regions()]).toEqual([true, ["weur", "enam"]]);
  becomes({ revision: 2, origins: ["a", "b", "c"], abroad: ["apac"], hold: false });
  expect([ring.pool.hold, regions(), ring.neighbourRegions()]).toEqual([false, ["weur", "apac"], ["apac"]]);
  expect(ring.view.snapshot).toMatchObject({ epoch: epoch + 1, configRevision: 2 });
  expect(ring.view.snapshot.origins.map(({ id, lifecycle }) => `${id} ${lifecycle}`)).toEqual(["a draining", "b active", "c joining"]);
});

test("what a neighbour has told of itself is not forgotten by other settings", () => {
  const { ring, becomes } = startRing(new DatabaseSync(":memory:"), { revision: 1, origins: ["a"], abroad: ["enam"] });
  const known = ring.viewOfRegion("enam")?.snapshot;
  if (!known) throw new Error("no neighbour");
  expect(ring.takeNeighbour({ ...known, epoch: 7 })).toBe(true);
  becomes({ revision: 2, origins: ["a"], abroad: ["enam", "apac"] });
  expect(ring.viewOfRegion("enam")?.snapshot.epoch).toBe(7);
});
