// The policies that need no ring: by load, by turn, by chance, each weighted. Pure: counters and chance come in as data.
// An origin whose share is still growing (slow start) takes that much less than its weight.

import { partsOf, type Partaker } from "./share.ts";

export type Balance =
  /** The first of the walk. */
  | { readonly kind: "ring" }
  /** The first of the walk that is below its capacity; loads are live sessions, `total` those of the region. */
  | { readonly kind: "bounded-ring"; readonly factor: number; readonly total: number; readonly loadOf: (originId: string) => number }
  /** The least loaded for its weight; `draw` in [0, 1) chooses among equals by weight, so that they do not all go to one. */
  | { readonly kind: "least-connections"; readonly loadOf: (originId: string) => number; readonly draw: number }
  /** Each in turn; `turn` counts the asker's decisions. */
  | { readonly kind: "round-robin"; readonly turn: number }
  /** By chance; `draw` in [0, 1). */
  | { readonly kind: "random"; readonly draw: number };

export interface Candidate extends Partaker {
  readonly id: string;
}

/** Which of these takes the next session; `undefined` when none has a weight. Their order must be the same everywhere (by id). */
export function pick(candidates: readonly Candidate[], balance: Exclude<Balance, { kind: "ring" | "bounded-ring" }>): string | undefined {
  const parts = partsOf(candidates);
  switch (balance.kind) {
    case "least-connections":
      return leastLoaded(candidates, parts, balance.loadOf, balance.draw);
    case "round-robin":
      return candidates[cellOf(parts, positionOfTurn(balance.turn, parts.filter((part) => part > 0).length))]?.id;
    case "random":
      return candidates[cellOf(parts, balance.draw)]?.id;
    default:
      return balance satisfies never;
  }
}

/** Of the candidates with the smallest load ÷ part, looked for anew each time, the one that the draw falls on. */
function leastLoaded(candidates: readonly Candidate[], parts: readonly number[], loadOf: (id: string) => number, draw: number): string | undefined {
  const loads = candidates.map(({ id }, index) => {
    const load = loadOf(id) / (parts[index] ?? 0);
    return (parts[index] ?? 0) > 0 && load < Infinity ? load : Infinity; // a load that is no number is nobody's advantage
  });
  const least = loads.reduce((smallest, load) => Math.min(smallest, load), Infinity);
  const equals = parts.map((part, index) => (loads[index] === least ? part : 0));
  const whole = equals.reduce((sum, part) => sum + part, 0);
  return candidates[cellOf(equals, draw * whole)]?.id;
}

/**
 * Where a turn falls in [0, 1): rounds of `count` turns, evenly spaced, each round shifted a little against the one before. With equal
 * parts each is hit once a round, in order; with others each is hit as often as its part says, as evenly as rounds allow.
 */
function positionOfTurn(turn: number, count: number): number {
  if (count === 0) return 0;
  const round = Math.floor(turn / count);
  // The golden ratio's multiples never cluster; ½ keeps the first round off the edges between parts.
  const shift = (round * GOLDEN + 0.5) % 1;
  return ((turn % count) + shift) / count;
}

const GOLDEN = (Math.sqrt(5) - 1) / 2;

/** The index of the part in which a position of [0, 1) lies, parts laid side by side; the last of any size for what lies beyond. */
function cellOf(parts: readonly number[], position: number): number {
  let end = 0;
  let last = -1;
  for (const [index, part] of parts.entries()) {
    if (part <= 0) continue;
    last = index;
    end += part;
    if (position < end) return index;
  }
  return last;
}
