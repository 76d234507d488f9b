// What a ring object writes beside the tables of ring-store.ts, which older versions go on reading and writing as they are. A row here counts only
// with the row that it was written for: one that an older version has left behind belongs to nobody.

import { FORMER_TERMS, type DrainTerms } from "../core/drain.ts";
import type { Lease } from "../core/lifecycle.ts";
import type { Stray } from "../core/protocol.ts";

export class RingSideStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(
      "CREATE TABLE IF NOT EXISTS drain_terms (origin TEXT PRIMARY KEY, ordered_at_ms INTEGER NOT NULL, mode TEXT NOT NULL, deadline_ms INTEGER, who TEXT NOT NULL)",
    );
    sql.exec("CREATE TABLE IF NOT EXISTS departures (origin TEXT PRIMARY KEY, leaving_at_ms INTEGER NOT NULL, who TEXT NOT NULL)");
    sql.exec(
      "CREATE TABLE IF NOT EXISTS leases (origin TEXT PRIMARY KEY, url TEXT NOT NULL, weight REAL NOT NULL, ttl_ms INTEGER NOT NULL, instance TEXT, who TEXT NOT NULL, lapsed_at_ms INTEGER)",
    );
    sql.exec("CREATE TABLE IF NOT EXISTS births (origin TEXT PRIMARY KEY, fence INTEGER NOT NULL)");
    sql.exec("CREATE TABLE IF NOT EXISTS given (key_hash TEXT PRIMARY KEY, region TEXT NOT NULL, until_ms INTEGER NOT NULL)");
    sql.exec(
      "CREATE TABLE IF NOT EXISTS strays (key_hash TEXT PRIMARY KEY, home TEXT NOT NULL, origin TEXT NOT NULL, region TEXT NOT NULL, fence INTEGER NOT NULL)",
    );
  }

  /** The terms of the drain that was ordered then. */
  drainTerms(origin: string, orderedAtMs: number): DrainTerms {
    type Row = { mode: string; deadline_ms: number | null; who: string };
    const [row] = this.#sql.exec<Row>("SELECT mode, deadline_ms, who FROM drain_terms WHERE origin = ? AND ordered_at_ms = ?", origin, orderedAtMs);
    if (!row) return FORMER_TERMS;
    return { mode: row.mode === "finish" ? "finish" : "move", deadlineMs: row.deadline_ms ?? undefined, by: row.who };
  }

  setDrainTerms(origin: string, drain: (DrainTerms & { readonly orderedAtMs: number }) | undefined): void {
    this.#sql.exec("DELETE FROM drain_terms WHERE origin = ?", origin);
    if (!drain) return;
    const { orderedAtMs, mode, deadlineMs, by } = drain;
    this.#sql.exec("INSERT INTO drain_terms VALUES (?, ?, ?, ?, ?)", origin, orderedAtMs, mode, deadlineMs ?? null, by);
  }

  /** Who had it leave then. */
  leftBy(origin: string, leavingAtMs: number | undefined): string | undefined {
    if (leavingAtMs === undefined) return undefined;
    const rows = this.#sql.exec<{ who: string }>("SELECT who FROM departures WHERE origin = ? AND leaving_at_ms = ?", origin, leavingAtMs);
    return [...rows][0]?.who;
  }

  setLeftBy(origin: string, departure: { readonly leavingAtMs: number | undefined; readonly leftBy: string | undefined } | undefined): void {
    this.#sql.exec("DELETE FROM departures WHERE origin = ?", origin);
    if (departure?.leavingAtMs === undefined || departure.leftBy === undefined) return;
    this.#sql.exec("INSERT INTO departures VALUES (?, ?, ?)", origin, departure.leavingAtMs, departure.leftBy);
  }

  leases(): Map<string, Lease> {
    type Row = {
      origin: string;
      url: string;
      weight: number;
      ttl_ms: number;
      instance: string | null;
      who: string;
      lapsed_at_ms: number | null;
    };
    return new Map(
      [...this.#sql.exec<Row>("SELECT * FROM leases")].map(({ origin, url, weight, ttl_ms: ttlMs, instance, who: by, lapsed_at_ms: lapsedAtMs }) => [
        origin,
        { url, weight, ttlMs, instance: instance ?? undefined, by, lapsedAtMs: lapsedAtMs ?? undefined },
      ]),
    );
  }

  setLease(origin: string, lease: Lease | undefined): void {
    if (!lease) {
      this.#sql.exec("DELETE FROM leases WHERE origin = ?", origin);
      return;
    }
    const { url, weight, ttlMs, instance, by, lapsedAtMs } = lease;
    this.#sql.exec(
      "INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?, ?, ?)",
      origin,
      url,
      weight,
      ttlMs,
      instance ?? null,
      by,
      lapsedAtMs ?? null,
    );
  }

  births(): Map<string, number> {
    return new Map([...this.#sql.exec<{ origin: string; fence: number }>("SELECT * FROM births")].map(({ origin, fence }) => [origin, fence]));
  }

  setBirth(origin: string, fence: number | undefined): void {
    if (fence === undefined) this.#sql.exec("DELETE FROM births WHERE origin = ?", origin);
    else this.#sql.exec("INSERT OR REPLACE INTO births VALUES (?, ?)", origin, fence);
  }

  /** Sessions that were given to other regions, those whose time is over first. */
  given(): Map<string, { readonly region: string; readonly untilMs: number }> {
    const rows = this.#sql.exec<{ key_hash: string; region: string; until_ms: number }>("SELECT * FROM given ORDER BY until_ms");
    return new Map([...rows].map(({ key_hash: keyHash, region, until_ms: untilMs }) => [keyHash, { region, untilMs }]));
  }

  setGiven(keyHash: string, given: { readonly region: string; readonly untilMs: number } | undefined): void {
    if (!given) this.#sql.exec("DELETE FROM given WHERE key_hash = ?", keyHash);
    else this.#sql.exec("INSERT OR REPLACE INTO given VALUES (?, ?, ?)", keyHash, given.region, given.untilMs);
  }

  /** Sessions that are at home here and live on at another home. */
  strays(): Map<string, Stray & { readonly home: string }> {
    type Row = { key_hash: string; home: string; origin: string; region: string; fence: number };
    return new Map(
      [...this.#sql.exec<Row>("SELECT * FROM strays")].map(({ key_hash: keyHash, ...row }): [string, Stray & { readonly home: string }] => [
        keyHash,
        { keyHash, ...row },
      ]),
    );
  }

  setStray(keyHash: string, stray: (Stray & { readonly home: string }) | undefined): void {
    if (!stray) this.#sql.exec("DELETE FROM strays WHERE key_hash = ?", keyHash);
    else this.#sql.exec("INSERT OR REPLACE INTO strays VALUES (?, ?, ?, ?, ?)", keyHash, stray.home, stray.origin, stray.region, stray.fence);
  }
}
