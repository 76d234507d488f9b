// The live sessions of a ring, in memory: rebuilt from the carriers when the ring object starts. Counts are kept beside the rows,
// so that a load is never a scan.

import type { Reason } from "../core/decision.ts";
import type { SessionRef } from "../core/protocol.ts";

export interface LiveRow extends SessionRef {
  readonly origin: string;
  readonly region: string;
  readonly fence: number;
  /** Where its legs were opened; not known of one that an older carrier has told of. */
  readonly url?: string | undefined;
  readonly epoch: number;
  readonly reason: Reason;
  readonly movedFrom?: string | undefined;
  /** When it came here because its last origin was lost: a death soon after counts against it. */
  readonly rehomedAtMs?: number | undefined;
  /** No origin has accepted it yet: it counts for the bound, and for nothing else. */
  readonly opening?: boolean | undefined;
}

/**
 * A session of another region's ring that one of our origins serves. One that moves between two of our origins has a row at each until
 * its home ring releases the old one: an origin is not empty before its last leg has left.
 */
export interface GuestRow extends SessionRef {
  readonly origin: string;
  readonly fence: number;
  readonly homeRegion: string;
}

/** A placement that has been chosen, or is being asked for (origin ""), and is not in the table yet. */
export interface Coming {
  readonly keyHash: string;
  readonly fence: number;
  readonly origin: string;
}

/** Rows by an id that `idOf` makes, with the number of rows of each origin. */
export class SessionTable<Row extends { readonly origin: string; readonly opening?: boolean | undefined }> {
  readonly #idOf: (row: Row) => string;
  readonly #rows = new Map<string, Row>();
  readonly #counts = new Map<string, number>();
  readonly #openingCounts = new Map<string, number>();

  constructor(idOf: (row: Row) => string) {
    this.#idOf = idOf;
  }

  get(id: string): Row | undefined {
    return this.#rows.get(id);
  }

  set(row: Row): void {
    this.delete(this.#idOf(row));
    this.#rows.set(this.#idOf(row), row);
    count(this.#counts, row.origin, 1);
    if (row.opening) count(this.#openingCounts, row.origin, 1);
  }

  delete(id: string): Row | undefined {
    const row = this.#rows.get(id);
    if (!row) return undefined;
    this.#rows.delete(id);
    count(this.#counts, row.origin, -1);
    if (row.opening) count(this.#openingCounts, row.origin, -1);
    return row;
  }

  countOf(origin: string): number {
    return this.#counts.get(origin) ?? 0;
  }

  /** Those of them that no origin has accepted yet: of one, or of all. */
  openingCount(origin?: string): number {
    if (origin !== undefined) return this.#openingCounts.get(origin) ?? 0;
    return [...this.#openingCounts.values()].reduce((sum, each) => sum + each, 0);
  }

  /** Origins that have rows. */
  origins(): string[] {
    return [...this.#counts.keys()];
  }

  get size(): number {
    return this.#rows.size;
  }

  rows(where: (row: Row) => boolean = () => true): Row[] {
    return [...this.#rows.values()].filter(where);
  }
}

function count(counts: Map<string, number>, origin: string, change: 1 | -1): void {
  const sum = (counts.get(origin) ?? 0) + change;
  if (sum > 0) counts.set(origin, sum);
  else counts.delete(origin);
}

export const guestId = ({ keyHash, fence }: { readonly keyHash: string; readonly fence: number }): string => `${keyHash}/${fence}`;
