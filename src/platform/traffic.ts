// What this isolate knows of its own traffic: requests that an origin has not answered yet, and decisions made by turn.

import type { Pool } from "../core/config-types.ts";

const waiting = new Map<string, number>();
const turns = new Map<string, number>();

export function waitingAt(pool: Pool, origin: string): number {
  return waiting.get(`${pool.id}/${origin}`) ?? 0;
}

/** Counts a request while `work` waits for its answer. */
export async function countedAt<T>(pool: Pool, origin: string, work: () => Promise<T>): Promise<T> {
  const name = `${pool.id}/${origin}`;
  change(name, 1);
  try {
    return await work();
  } finally {
    change(name, -1);
  }
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
