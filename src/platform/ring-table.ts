// The live sessions of a ring, in memory: rebuilt from the carriers when the ring object starts. Counts are kept beside the rows,
// so that a load is never a scan.

import type { Reason } from "../core/decide.ts";
import type { SessionRef } from "../core/protocol.ts";

export interface LiveRow extends SessionRef {
  readonly origin: string;
  readonly region: string;
  readonly fence: number;
  readonly epoch: number;
  readonly reason: Reason;
  readonly movedFrom?: string | undefined;
}

/** A session of another region's ring that one of our origins serves. */
export interface GuestRow extends SessionRef {
  readonly origin: string;
  readonly fence: number;
  readonly homeRegion: string;
}

/** Rows by key hash, with the number of rows of each origin. */
export class SessionTable<Row extends { readonly keyHash: string; readonly origin: string; readonly fence: number }> {
  readonly #rows = new Map<string, Row>();
  readonly #counts = new Map<string, number>();

  get(keyHash: string): Row | undefined {
    return this.#rows.get(keyHash);
  }

  set(row: Row): void {
    this.delete(row.keyHash);
    this.#rows.set(row.keyHash, row);
    this.#counts.set(row.origin, this.countOf(row.origin) + 1);
  }

  delete(keyHash: string): Row | undefined {
    const row = this.#rows.get(keyHash);
    if (!row) return undefined;
    this.#rows.delete(keyHash);
    const count = this.countOf(row.origin) - 1;
    if (count > 0) this.#counts.set(row.origin, count);
    else this.#counts.delete(row.origin);
    return row;
  }

  countOf(origin: string): number {
    return this.#counts.get(origin) ?? 0;
  }

  get size(): number {
    return this.#rows.size;
  }

  rows(where: (row: Row) => boolean = () => true): Row[] {
    return [...this.#rows.values()].filter(where);
  }
}
