// What changes would move, before anybody makes them: the ring with them against the ring without, over all keys there can be, and each live session
// by the decision that it would get. Compared is how things are when they have settled. Nothing is changed here.

import type { Balance } from "../core/balance.ts";
import { hasAffinity, decide } from "../core/decide.ts";
import { newDrain, type DrainOrder } from "../core/drain.ts";
import { mergeLayers, type Layers, type MemberOrder } from "../core/lifecycle.ts";
import {
  conflictOf,
  orderFor,
  standing,
  stayingOrder,
  UNCHANGED,
  type Membership,
  type Surroundings,
  type WantedOrigin,
} from "../core/membership.ts";
import { differenceOf, settle, type Difference } from "../core/move.ts";
import type { PlannedChange } from "../core/plan-body.ts";
import { FULL_SHARE } from "../core/share.ts";
import { viewOf, type RegionView, type SnapshotOrigin } from "../core/snapshot.ts";
import type { Members } from "./ring-members.ts";
import { settledKept } from "./ring-kept.ts";
import type { RingState } from "./ring-state.ts";
import type { LiveRow } from "./ring-table.ts";

export interface Planned extends Difference {
  readonly epoch: number;
  readonly sessions: {
    readonly live: number;
    readonly moved: number;
    readonly stranded: number;
    /** Sessions of other regions at origins that they must leave. */
    readonly guests: number;
    /** Those that gain or lose any, sorted by id. */
    readonly origins: readonly { readonly id: string; readonly region: string; readonly gained: number; readonly lost: number }[];
  };
}

export type PlanAnswer = ({ readonly kind: "planned" } & Planned) | { readonly kind: "unknown" | "conflict"; readonly why: string };

/** What of the ring object a plan is made from. */
interface Ring {
  readonly state: RingState;
  readonly members: Pick<Members, "surroundings">;
}

export function planOf({ state, members: orders }: Ring, changes: readonly PlannedChange[]): PlanAnswer {
  const { configured, members, virtualNodes } = state.layers.membership;
  const draft: Draft = { configured, virtualNodes, members: new Map(members), drains: new Map(state.layers.drains()) };
  const down = new Set(state.layers.observed.layer.down);
  for (const change of changes) {
    const fault = make(draft, down, change, orders.surroundings());
    if (fault) return fault;
  }
  const nowMs = Date.now();
  const before = state.view;
  const origins = merged(before, { ...draft, down });
  const after = viewOf({ ...before.snapshot, virtualNodes, origins, kept: settledKept(state.pool, state.name.region, origins, nowMs) });
  const difference = differenceOf(settle(before, nowMs), settle(after, nowMs));
  return { kind: "planned", epoch: before.snapshot.epoch, ...difference, sessions: sessionsOf(state, after, nowMs) };
}

/** The layers that are changed, copied. */
interface Draft extends Membership, Pick<Layers, "configured"> {
  readonly members: Map<string, MemberOrder>;
  readonly drains: Map<string, DrainOrder>;
}

/** Makes one change on the copies, as the order would; answers why it cannot be. */
function make(
  draft: Draft,
  down: Set<string>,
  change: PlannedChange,
  surroundings: Surroundings,
): Exclude<PlanAnswer, { kind: "planned" }> | undefined {
  const known = (id: string): SnapshotOrigin | undefined => mergeLayers({ ...draft, down: new Set() }).find((origin) => origin.id === id);
  const unknown = (id: string) => ({ kind: "unknown" as const, why: id });
  switch (change.kind) {
    case "put": {
      const { id, ...wished } = change.origin;
      const { url, weight, backup } = known(id) ?? PLAIN;
      const wanted = { url: wished.url ?? url, weight: wished.weight ?? weight, salt: wished.salt, backup: wished.backup ?? backup };
      return stand(draft, down, id, wanted, surroundings);
    }
    case "reweight": {
      const origin = known(change.id);
      return origin ? stand(draft, down, change.id, { ...origin, weight: change.weight }, surroundings) : unknown(change.id);
    }
    case "remove":
      if (!known(change.id)) return unknown(change.id);
      draft.members.set(change.id, { ...(draft.members.get(change.id) ?? UNCHANGED), leavingAtMs: 0, goneAtMs: 0 });
      draft.drains.delete(change.id);
      return undefined;
    case "drain":
      if (!known(change.id)) return unknown(change.id);
      draft.drains.set(change.id, ended());
      return undefined;
    case "undrain": {
      if (!known(change.id)) return unknown(change.id);
      draft.drains.delete(change.id);
      const order = stayingOrder(draft.members.get(change.id));
      if (order) draft.members.set(change.id, order);
      else draft.members.delete(change.id);
      return undefined;
    }
    case "down":
      for (const { id } of mergeLayers({ ...draft, down })) draft.drains.set(id, ended());
      return undefined;
    default:
      return change satisfies never;
  }
}

/** What an origin is that is not known, where nothing else is said. Its address decides nothing. */
const PLAIN = { url: "", weight: 1, backup: false } as const;

function stand(
  draft: Draft,
  down: Set<string>,
  id: string,
  wanted: WantedOrigin,
  surroundings: Surroundings,
): Exclude<PlanAnswer, { kind: "planned" }> | undefined {
  const origin = standing(id, wanted, draft);
  const why = conflictOf(origin, draft, surroundings);
  if (why !== undefined) return { kind: "conflict", why };
  if (!mergeLayers({ ...draft, down }).some((each) => each.id === id)) down.delete(id); // what was observed of its namesake ended with that
  const leaves = draft.members.get(id)?.leavingAtMs !== undefined;
  const order = orderFor(origin, draft.configured);
  if (order) draft.members.set(id, order);
  else draft.members.delete(id);
  if (leaves) draft.drains.delete(id);
  return undefined;
}

/** A drain that is through. */
function ended(): DrainOrder {
  return { ...newDrain(0), closedAtMs: 0, closedEpoch: 0, publishedAtMs: 0, drainedAtMs: 0 };
}

/** Of whom nothing is changed is as the ring's own snapshot has them: shares, ejections, what they said of themselves. Who joins is well, and takes all of its keys in the end. */
function merged({ byId }: RegionView, layers: Layers): SnapshotOrigin[] {
  return mergeLayers(layers).map((origin) => {
    const now = byId.get(origin.id);
    if (!now) return { ...origin, lifecycle: "active", share: FULL_SHARE };
    const { weight, salt, backup, url, lifecycle, closed } = origin;
    return { ...now, weight, salt, backup, url, ...(isLeaving(origin) === isLeaving(now) ? {} : { lifecycle, closed }) };
  });
}

function isLeaving({ lifecycle }: SnapshotOrigin): boolean {
  return lifecycle === "draining" || lifecycle === "drained";
}

function sessionsOf(state: RingState, after: RegionView, nowMs: number): Planned["sessions"] {
  const rows = state.live.rows();
  const course = new Course(state, after, nowMs);
  const counts = new Map<string, { region: string; gained: number; lost: number }>();
  const count = (id: string, region: string) => {
    const known = counts.get(id) ?? { region, gained: 0, lost: 0 };
    counts.set(id, known);
    return known;
  };
  let [moved, stranded] = [0, 0];
  for (const row of rows) {
    const why = course.whyMoves(row);
    const to = why && course.targetOf(row, why);
    if (why === "leaves" && !to) stranded++;
    if (!to || to.id === row.origin) continue;
    moved++;
    count(row.origin, row.region).lost++;
    count(to.id, to.region).gained++;
  }
  const origins = [...counts].map(([id, each]) => ({ id, ...each })).toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const guests = state.guests.rows((row) => course.isLeft(row.origin)).length;
  return { live: rows.length, moved, stranded, guests, origins };
}

/** The moves of live sessions, one after the other: each counts for the load that the next one finds. */
class Course {
  readonly #state: RingState;
  readonly #after: RegionView;
  readonly #views: readonly RegionView[];
  readonly #loads: Map<string, number>;
  readonly #total: number;
  readonly #atMs: number;
  #turn = 0;

  constructor(state: RingState, after: RegionView, nowMs: number) {
    this.#state = state;
    this.#after = after;
    this.#views = [after, ...state.views().slice(1)];
    this.#loads = new Map(after.snapshot.origins.map(({ id }) => [id, state.loadOf(id)]));
    this.#total = [...this.#loads.values()].reduce((sum, load) => sum + load, 0);
    this.#atMs = Math.max(nowMs, ...after.snapshot.origins.map(({ share }) => share.endAtMs));
  }

  isLeft(id: string): boolean {
    const origin = this.#after.byId.get(id);
    return !origin || isLeaving(origin);
  }

  /** As the ring object's upkeep will see it: its origin takes sessions no more, or sessions follow the ring. Who is abroad stays there. */
  whyMoves(row: LiveRow): "leaves" | "follows" | undefined {
    const { pool, name } = this.#state;
    if (row.region !== name.region || row.learned) return undefined;
    if (this.isLeft(row.origin)) return "leaves";
    return !pool.hold && row.keyed && hasAffinity(pool, row.lot) && !this.#state.isOrdered(row.keyHash) ? "follows" : undefined;
  }

  /** `undefined`: it stays where it is, because nobody takes it, or the ring has it there. */
  targetOf(row: LiveRow, why: "leaves" | "follows"): { readonly id: string; readonly region: string } | undefined {
    const decided = this.#decide(row, why, this.#balance());
    if (!decided) return undefined;
    if (why === "follows") {
      const place = this.#decide(row, why, { kind: "ring" });
      if (decided.region !== this.#state.name.region || place?.id !== decided.id) return undefined;
    }
    if (decided.id !== row.origin) {
      this.#loads.set(row.origin, (this.#loads.get(row.origin) ?? 0) - 1);
      this.#loads.set(decided.id, (this.#loads.get(decided.id) ?? 0) + 1);
    }
    return decided;
  }

  #decide(row: LiveRow, why: "leaves" | "follows", balance: Balance): { readonly id: string; readonly region: string } | undefined {
    const decision = decide({
      key: row,
      keyed: row.keyed,
      regions: this.#views,
      excluded: new Set(why === "leaves" ? [row.origin] : []),
      policy: { ...this.#state.pool, stickiness: "prefer" },
      balance,
      nowMs: this.#atMs,
    });
    if (decision.kind === "refused" || decision.reason === "panic") return undefined; // a plan moves nobody in panic
    return { id: decision.origin.id, region: decision.region };
  }

  #balance(): Balance {
    const { balance: kind, boundFactor: factor } = this.#state.pool;
    const loadOf = (id: string): number => this.#loads.get(id) ?? 0;
    switch (kind) {
      case "ring":
        return { kind };
      case "bounded-ring":
        return { kind, factor, total: this.#total, loadOf };
      case "least-connections":
        return { kind, loadOf, draw: 0 };
      case "round-robin":
      case "random":
        return { kind: "round-robin", turn: this.#turn++ }; // what chance does on the whole
      default:
        return kind satisfies never;
    }
  }
}
