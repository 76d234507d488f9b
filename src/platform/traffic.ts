// What this isolate knows of its own traffic: requests that an origin has not answered yet, and decisions made by turn.

import type { Pool } from "../core/config-types.ts";

const waiting = new Map<string, number>();
const turns = new Map<string, number>();

export function waitingAt(pool: Pool, origin: string): number {
  return waiting.get(`${pool.id}/${origin}`) ?? 0;
}

const NOTHING = (): void => undefined;

/**
 * Counts a request until what is returned is called, or its visitor leaves: it may never be heard of again then. Only a pool that goes by it has it
 * counted.
 */
export function startedAt(pool: Pool, origin: string, { signal }: Request): () => void {
  if (pool.balance !== "least-connections") return NOTHING;
  const name = `${pool.id}/${origin}`;
  let counts = true;
  change(name, 1);
  const ended = (): void => {
    if (counts) change(name, -1);
    counts = false;
  };
  signal.addEventListener("abort", ended);
  return ended;
}

/** Else every isolate would begin with the first origin. */
export function turnOf({ id }: Pool): number {
  const turn = turns.get(id) ?? Math.floor(Math.random() * 1_000_000);
  turns.set(id, turn + 1);
  return turn;
}

function change(name: string, by: 1 | -1): void {
  const count = (waiting.get(name) ?? 0) + by;
  if (count > 0) waiting.set(name, count);
  else waiting.delete(name);
}
