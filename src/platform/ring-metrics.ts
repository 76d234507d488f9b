// What a ring object counts for metrics, as data: the Worker makes text of it. Read from memory alone: no carrier is asked, and so none is woken.

import type { PlaceAnswer } from "../core/protocol.ts";
import { shareAt } from "../core/share.ts";
import type { MoveLog, MoveReason } from "./move-log.ts";
import type { Outcomes, OutcomeSums } from "./outcomes.ts";
import type { Moves } from "./ring-moves.ts";
import type { Placing } from "./ring-placing.ts";
import type { Quarantine } from "./ring-quarantine.ts";
import type { RingState } from "./ring-state.ts";
import type { OriginStatus } from "./ring-status.ts";
import type { RingTables } from "./ring-tables.ts";

export type RefusedWhy = Extract<PlaceAnswer, { kind: "refused" }>["why"];

export interface RingMetrics {
  readonly epoch: number;
  readonly startedAtMs: number;
  readonly sessions: number;
  readonly waiting: number;
  readonly moving: number;
  readonly moved: Readonly<Partial<Record<MoveReason, number>>>;
  readonly gaps: readonly number[];
  readonly heldFrames: number;
  /** By carriers, because a bound was passed. */
  readonly refused: number;
  readonly quarantined: number;
  readonly orders: number;
  readonly hints: number;
  readonly drains: number;
  readonly places: { readonly calls: number; readonly items: number; readonly refused: Readonly<Partial<Record<RefusedWhy, number>>> };
  /** Of this region's carriers, to origins of any region. */
  readonly connectionsByOrigin: Readonly<Record<string, number>>;
  readonly origins: readonly (Pick<OriginStatus, "id" | "state" | "health" | "share" | "weight" | "sessions"> & { readonly outcomes: Outcomes })[];
}

/** What carriers ask for, counted since the ring object's start. */
export class PlaceCounts {
  #calls = 0;
  #items = 0;
  readonly #refused = new Map<RefusedWhy, number>();

  add(answers: readonly PlaceAnswer[]): void {
    this.#calls++;
    this.#items += answers.length;
    for (const answer of answers) if (answer.kind === "refused") this.#refused.set(answer.why, (this.#refused.get(answer.why) ?? 0) + 1);
  }

  read(): RingMetrics["places"] {
    return { calls: this.#calls, items: this.#items, refused: Object.fromEntries(this.#refused) };
  }
}

interface Ring {
  readonly startedAtMs: number;
  readonly state: RingState;
  readonly tables: RingTables;
  readonly placing: Placing;
  readonly moves: Moves;
  readonly quarantine: Quarantine;
  readonly log: MoveLog;
  readonly outcomes: OutcomeSums;
  readonly places: PlaceCounts;
}

export function metricsOf({ startedAtMs, state, tables, placing, moves, quarantine, log, outcomes, places }: Ring): RingMetrics {
  const nowMs = Date.now();
  const { epoch, origins } = state.view.snapshot;
  return {
    epoch,
    startedAtMs,
    sessions: state.live.size - state.live.openingCount(),
    waiting: moves.waitingCount,
    moving: placing.moving.size,
    moved: log.counts(),
    ...tables.tally(),
    quarantined: quarantine.held(nowMs).length,
    orders: state.orderCount,
    hints: state.pinCount,
    drains: [...state.layers.drains().values()].filter((drain) => drain.drainedAtMs === undefined).length,
    places: places.read(),
    connectionsByOrigin: Object.fromEntries(tables.connectionsByOrigin()),
    origins: origins.map(({ id, lifecycle, health, share, weight }) => ({
      id,
      state: lifecycle,
      health,
      share: shareAt(share, nowMs),
      weight,
      sessions: state.loadOf(id) - state.live.openingCount(id),
      outcomes: outcomes.of(id),
    })),
  };
}
