// What moved, and why: one line for the sessions that moved together (moves are always recorded), and a count for operators.

import type { RingName } from "../core/names.ts";

/** Why sessions move. Only after a loss it is not by plan: the old origin is not there to be waited for. */
export type MoveReason = "drain" | "lost" | "ejected" | "follow" | "failback" | "ordered";

export interface Moved {
  readonly from: string;
  readonly to: string;
}

export class MoveLog {
  readonly #name: RingName;
  readonly #counts = new Map<MoveReason, number>();

  constructor(name: RingName) {
    this.#name = name;
  }

  moved(why: MoveReason, moves: readonly Moved[], epoch: number): void {
    this.#counts.set(why, (this.#counts.get(why) ?? 0) + moves.length);
    const { pool, region } = this.#name;
    const to = Object.fromEntries([...Map.groupBy(moves, (move) => move.to)].map(([origin, group]) => [origin, group.length]));
    const from = [...new Set(moves.map((move) => move.from))];
    console.log(JSON.stringify({ limpet: "moved", pool, region, why, sessions: moves.length, from, to, epoch }));
  }

  /** Sessions moved since the ring object's start, by reason. */
  counts(): Readonly<Partial<Record<MoveReason, number>>> {
    return Object.fromEntries(this.#counts);
  }
}
