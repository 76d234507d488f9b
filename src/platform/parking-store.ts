// What a carrier writes down of parked sessions (SQLite): plainly what a ring object may ask for, sealed what only the visitors' next legs
// need. A row is there exactly as long as its visitor's socket is parked.

import type { Placement, SessionRef } from "../core/protocol.ts";

export interface ParkedSession {
  readonly ref: SessionRef;
  readonly placement: Placement;
  readonly beganAtMs: number;
  /** When something last passed. */
  readonly busyAtMs: number;
}

export class ParkingStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(
      "CREATE TABLE IF NOT EXISTS parked_sessions (key_hash TEXT PRIMARY KEY, ref TEXT NOT NULL, placement TEXT NOT NULL, began_at_ms INTEGER NOT NULL, busy_at_ms INTEGER NOT NULL)",
    );
    sql.exec("CREATE TABLE IF NOT EXISTS parked_connections (id TEXT PRIMARY KEY, key_hash TEXT NOT NULL, sealed BLOB NOT NULL)");
    sql.exec("CREATE INDEX IF NOT EXISTS parked_connections_of ON parked_connections (key_hash)");
  }

  put({ ref, placement, beganAtMs, busyAtMs }: ParkedSession, connections: ReadonlyMap<string, Uint8Array>): void {
    this.#sql.exec(
      "INSERT OR REPLACE INTO parked_sessions VALUES (?, ?, ?, ?, ?)",
      ref.keyHash,
      JSON.stringify(ref),
      JSON.stringify(placement),
      beganAtMs,
      busyAtMs,
    );
    for (const [id, sealed] of connections)
      this.#sql.exec("INSERT OR REPLACE INTO parked_connections VALUES (?, ?, ?)", id, ref.keyHash, sealed.slice().buffer);
  }

  place({ ref, placement }: ParkedSession): void {
    this.#sql.exec("UPDATE parked_sessions SET placement = ? WHERE key_hash = ?", JSON.stringify(placement), ref.keyHash);
  }

  sessions(): ParkedSession[] {
    const rows = this.#sql.exec<{ ref: string; placement: string; began_at_ms: number; busy_at_ms: number }>("SELECT * FROM parked_sessions");
    return [...rows].map(({ ref, placement, began_at_ms: beganAtMs, busy_at_ms: busyAtMs }) => ({
      ref: JSON.parse(ref) as SessionRef, // both written above
      placement: JSON.parse(placement) as Placement,
      beganAtMs,
      busyAtMs,
    }));
  }

  /** Of each parked connection the session that it belongs to. */
  connections(): { id: string; keyHash: string }[] {
    return [...this.#sql.exec<{ id: string; key_hash: string }>("SELECT id, key_hash FROM parked_connections")].map(({ id, key_hash: keyHash }) => ({
      id,
      keyHash,
    }));
  }

  sealed(id: string): Uint8Array<ArrayBuffer> | undefined {
    const [row] = this.#sql.exec<{ sealed: ArrayBuffer }>("SELECT sealed FROM parked_connections WHERE id = ?", id);
    return row && new Uint8Array(row.sealed);
  }

  deleteConnection(id: string): void {
    this.#sql.exec("DELETE FROM parked_connections WHERE id = ?", id);
  }

  /** With its connections. */
  deleteSession(keyHash: string): void {
    this.#sql.exec("DELETE FROM parked_sessions WHERE key_hash = ?", keyHash);
    this.#sql.exec("DELETE FROM parked_connections WHERE key_hash = ?", keyHash);
  }

  clear(): void {
    this.#sql.exec("DELETE FROM parked_sessions");
    this.#sql.exec("DELETE FROM parked_connections");
  }
}
