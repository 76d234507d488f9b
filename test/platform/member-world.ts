// A ring object's state on a database, with everyone who orders at hand: operators, origins that hold leases, the configuration.

import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { vi } from "vitest";
import { Journal } from "../../src/platform/ring-journal.ts";
import { Drains } from "../../src/platform/ring-drains.ts";
import { Leases } from "../../src/platform/ring-leases.ts";
import { Members, type MemberChange } from "../../src/platform/ring-members.ts";
import { Operators } from "../../src/platform/ring-operators.ts";
import { RingState } from "../../src/platform/ring-state.ts";
import { RingStore } from "../../src/platform/ring-store.ts";
import { Upkeep } from "../../src/platform/ring-upkeep.ts";
import { DEFAULT_POLICY } from "../support/pool-policy.ts";

export const NAMES = ["a", "b"];
export const url = (id: string): string => `https://${id}.example.com`;

export interface Configured {
  readonly configRevision?: number;
  /** Of origins that are not at their usual address. */
  readonly urls?: Readonly<Record<string, string>>;
  readonly pool?: object;
}

/** As a start of the object makes it. */
export function startRing(db: DatabaseSync, configured: readonly string[] = NAMES, { configRevision = 1, urls = {}, pool: more }: Configured = {}) {
  const exec = (query: string, ...values: SQLInputValue[]): object[] =>
    values.length === 0 && !query.startsWith("SELECT") ? (db.exec(query), []) : db.prepare(query).all(...values);
  const origins = configured.map((id) => ({ id, region: "weur", url: urls[id] ?? url(id), weight: 1, backup: false }));
  const abroad = { id: "e", region: "enam", url: url("e"), weight: 1, backup: false };
  const policy = { ...DEFAULT_POLICY, panicShare: 0.5, lease: { ttlMs: 30_000 } };
  const times = { horizonMs: 2_000, drain: { mode: "move", deadlineMs: 60_000, graceMs: 1_000 } };
  const pool = { ...policy, ...times, id: "p", virtualNodes: 64, origins: [...origins, abroad], ...more };
  const regions = { weur: { secondary: ["enam"] }, enam: { secondary: [] } };
  const settings = { dev: false, config: { configRevision, regions, pools: { p: pool }, routes: [] } };
  const sql = { exec } as never;
  const state = new RingState(settings as never, { pool: "p", region: "weur", generation: 1 }, new RingStore(sql));
  const journal = new Journal(sql, () => state.view.snapshot.epoch);
  for (const note of state.layers.takeNotes()) journal.note(note);
  const [announce, move, leaveLost] = [vi.fn(), vi.fn(async () => 0), vi.fn()];
  const placing = { pace: { doubt: vi.fn() }, ownVerdict: vi.fn(async () => undefined) };
  const publisher = { publishedEpoch: () => state.view.snapshot.epoch };
  const tables = { complete: true, completeWithGuests: true, connectionsByOrigin: () => new Map() };
  const ring = { state, placing, upkeep: { leaveLost }, journal, announce, publisher, tables, outcomes: { of: () => ({}) } } as never as object;
  const members = new Members(ring as never);
  const drains = new Drains(ring as never);
  const leases = new Leases({ ...ring, members } as never);
  const operators = new Operators({ ...ring, members, drains, leases } as never);
  const upkeep = new Upkeep(state, { move } as never, { complete: true } as never, async (work) => work);
  const epoch = (): number => state.view.snapshot.epoch;
  /** Says what came of it, and by how much the epoch grew. */
  const order = (id: string, change: MemberChange, by = "tester"): unknown => {
    const before = epoch();
    const outcome = members.change(id, change, by);
    return [outcome.kind === "done" && outcome.joined ? "joined" : outcome.kind, epoch() - before];
  };
  const shown = (): unknown => state.view.snapshot.origins.map(({ id, weight, lifecycle }) => `${id} ${weight} ${lifecycle}`);
  /** What the journal has, oldest first. */
  const noted = (): unknown =>
    journal.after(0, 10_000).map(({ what, who, origin }) => [what, who, origin].filter((word) => word !== undefined).join(" "));
  return { state, members, drains, leases, operators, journal, order, shown, noted, epoch, announce, move, leaveLost, upkeep, placing };
}

export const put = (id: string, more: { weight?: number; salt?: number; url?: string } = {}): MemberChange => ({
  kind: "put",
  origin: { url: url(id), weight: 1, backup: false, ...more },
});
export const patch = (change: { weight?: number; url?: string }): MemberChange => ({ kind: "patch", change });
export const REMOVE: MemberChange = { kind: "remove" };
