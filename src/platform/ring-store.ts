// What a ring object writes down (SQLite): what must survive an eviction. Synchronous, one small function a fact.

import type { DrainOrder } from "../core/drain.ts";
import type { ConfiguredOrigin, MemberOrder } from "../core/lifecycle.ts";
import type { Observed } from "../core/observed.ts";
import type { SessionRef } from "../core/protocol.ts";
import { RingSideStore } from "./ring-side-store.ts";

/** A session that is not where the walk would put it, or will not be at the next epoch. */
export interface Pin extends SessionRef {
  readonly origin: string;
  readonly region: string;
  readonly fence: number;
  /** Until then an origin's order keeps it there, whether it has a live connection or none; 0: it lasts as long as the session lives. */
  readonly orderedUntilMs: number;
}

/** A session that is kept from all origins for a while. */
export interface Quarantined {
  /** Which of them died last. */
  readonly origin: string;
  readonly untilMs: number;
}

export interface StoredConfig {
  readonly revision: number;
  readonly content: string;
  readonly virtualNodes: number;
  readonly origins: readonly ConfiguredOrigin[];
}

type MetaKey = "schema" | "name" | "epoch" | "hintsVersion" | "fenceMark" | "config" | "published" | "kept" | "regionDown" | "regions";

/** Version of the tables below: a later one finds here what it has to migrate. */
const SCHEMA = 1;

export class RingStore {
  readonly side: RingSideStore;
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec("CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)");
    sql.exec(
      "CREATE TABLE IF NOT EXISTS drains (origin TEXT PRIMARY KEY, ordered_at_ms INTEGER NOT NULL, closed_at_ms INTEGER, closed_epoch INTEGER, published_at_ms INTEGER, drained_at_ms INTEGER)",
    );
    sql.exec("CREATE TABLE IF NOT EXISTS down (origin TEXT PRIMARY KEY)");
    sql.exec(
      "CREATE TABLE IF NOT EXISTS pins (key_hash TEXT PRIMARY KEY, position INTEGER NOT NULL, lot INTEGER NOT NULL, origin TEXT NOT NULL, region TEXT NOT NULL, fence INTEGER NOT NULL)",
    );
    // Beside the pins, not a column of theirs: a version before it goes on reading and writing those.
    sql.exec("CREATE TABLE IF NOT EXISTS orders (key_hash TEXT PRIMARY KEY, until_ms INTEGER NOT NULL)");
    sql.exec("CREATE TABLE IF NOT EXISTS quarantine (key_hash TEXT PRIMARY KEY, origin TEXT NOT NULL, until_ms INTEGER NOT NULL)");
    // What is not ordered is NULL: the configuration has the word on it.
    sql.exec(
      "CREATE TABLE IF NOT EXISTS members (origin TEXT PRIMARY KEY, url TEXT, weight REAL, salt INTEGER, backup INTEGER, leaving_at_ms INTEGER, gone_at_ms INTEGER)",
    );
    // Beside `down`, which a version before it goes on reading and writing. An origin without a row is active, and has its full share.
    sql.exec("CREATE TABLE IF NOT EXISTS observed (origin TEXT PRIMARY KEY, facts TEXT NOT NULL)");
    this.side = new RingSideStore(sql);
    if (this.text("schema") === undefined) this.set("schema", SCHEMA);
  }

  text(key: MetaKey): string | undefined {
    const [row] = this.#sql.exec<{ value: string }>("SELECT value FROM meta WHERE key = ?", key);
    return row?.value;
  }

  number(key: MetaKey): number {
    return Number(this.text(key) ?? 0);
  }

  set(key: MetaKey, value: string | number): void {
    this.#sql.exec("INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, String(value));
  }

  config(): StoredConfig | undefined {
    const text = this.text("config");
    return text === undefined ? undefined : (JSON.parse(text) as StoredConfig); // written by setConfig alone
  }

  setConfig(config: StoredConfig): void {
    this.set("config", JSON.stringify(config));
  }

  drains(): Map<string, DrainOrder> {
    type DrainRow = {
      origin: string;
      ordered_at_ms: number;
      closed_at_ms: number | null;
      closed_epoch: number | null;
      published_at_ms: number | null;
      drained_at_ms: number | null;
    };
    const rows = this.#sql.exec<DrainRow>("SELECT * FROM drains");
    return new Map(
      [...rows].map((row) => [
        row.origin,
        {
          ...this.side.drainTerms(row.origin, row.ordered_at_ms),
          orderedAtMs: row.ordered_at_ms,
          closedAtMs: row.closed_at_ms ?? undefined,
          closedEpoch: row.closed_epoch ?? undefined,
          publishedAtMs: row.published_at_ms ?? undefined,
          drainedAtMs: row.drained_at_ms ?? undefined,
        },
      ]),
    );
  }

  setDrain(origin: string, drain: DrainOrder | undefined): void {
    this.side.setDrainTerms(origin, drain);
    this.#sql.exec("DELETE FROM drains WHERE origin = ?", origin);
    if (!drain) return;
    const { orderedAtMs, closedAtMs, closedEpoch, publishedAtMs, drainedAtMs } = drain;
    const values = [orderedAtMs, closedAtMs ?? null, closedEpoch ?? null, publishedAtMs ?? null, drainedAtMs ?? null];
    this.#sql.exec("INSERT INTO drains VALUES (?, ?, ?, ?, ?, ?)", origin, ...values);
  }

  members(): Map<string, MemberOrder> {
    type MemberRow = {
      origin: string;
      url: string | null;
      weight: number | null;
      salt: number | null;
      backup: number | null;
      leaving_at_ms: number | null;
      gone_at_ms: number | null;
    };
    const rows = this.#sql.exec<MemberRow>("SELECT * FROM members");
    return new Map(
      [...rows].map((row) => [
        row.origin,
        {
          url: row.url ?? undefined,
          weight: row.weight ?? undefined,
          salt: row.salt ?? undefined,
          backup: row.backup === null ? undefined : row.backup === 1,
          leavingAtMs: row.leaving_at_ms ?? undefined,
          goneAtMs: row.gone_at_ms ?? undefined,
          leftBy: this.side.leftBy(row.origin, row.leaving_at_ms ?? undefined),
        },
      ]),
    );
  }

  setMember(origin: string, order: MemberOrder | undefined): void {
    this.side.setLeftBy(origin, order);
    this.#sql.exec("DELETE FROM members WHERE origin = ?", origin);
    if (!order) return;
    const { url, weight, salt, backup, leavingAtMs, goneAtMs } = order;
    const values = [url ?? null, weight ?? null, salt ?? null, backup === undefined ? null : Number(backup), leavingAtMs ?? null, goneAtMs ?? null];
    this.#sql.exec("INSERT INTO members VALUES (?, ?, ?, ?, ?, ?, ?)", origin, ...values);
  }

  down(): Set<string> {
    return new Set([...this.#sql.exec<{ origin: string }>("SELECT origin FROM down")].map((row) => row.origin));
  }

  setDown(origin: string, down: boolean): void {
    this.#sql.exec(down ? "INSERT OR IGNORE INTO down VALUES (?)" : "DELETE FROM down WHERE origin = ?", origin);
  }

  observed(): Map<string, Observed> {
    const rows = this.#sql.exec<{ origin: string; facts: string }>("SELECT * FROM observed");
    return new Map([...rows].map(({ origin, facts }) => [origin, JSON.parse(facts) as Observed])); // written by setObserved alone
  }

  setObserved(origin: string, facts: Observed | undefined): void {
    if (!facts) this.#sql.exec("DELETE FROM observed WHERE origin = ?", origin);
    else this.#sql.exec("INSERT OR REPLACE INTO observed VALUES (?, ?)", origin, JSON.stringify(facts));
  }

  quarantined(): Map<string, Quarantined> {
    const rows = this.#sql.exec<{ key_hash: string; origin: string; until_ms: number }>("SELECT * FROM quarantine");
    return new Map([...rows].map(({ key_hash: keyHash, origin, until_ms: untilMs }) => [keyHash, { origin, untilMs }]));
  }

  setQuarantine(keyHash: string, quarantined: Quarantined | undefined): void {
    if (!quarantined) this.#sql.exec("DELETE FROM quarantine WHERE key_hash = ?", keyHash);
    else this.#sql.exec("INSERT OR REPLACE INTO quarantine VALUES (?, ?, ?)", keyHash, quarantined.origin, quarantined.untilMs);
  }

  pins(): Map<string, Pin> {
    type PinRow = { key_hash: string; position: number; lot: number; origin: string; region: string; fence: number };
    const orders = new Map(
      [...this.#sql.exec<{ key_hash: string; until_ms: number }>("SELECT * FROM orders")].map((row) => [row.key_hash, row.until_ms]),
    );
    const rows = this.#sql.exec<PinRow>("SELECT * FROM pins");
    return new Map(
      [...rows].map(({ key_hash: keyHash, ...pin }) => [keyHash, { keyHash, keyed: true, ...pin, orderedUntilMs: orders.get(keyHash) ?? 0 }]),
    );
  }

  setPin({ keyHash, position, lot, origin, region, fence, orderedUntilMs }: Pin): void {
    this.#sql.exec("INSERT OR REPLACE INTO pins VALUES (?, ?, ?, ?, ?, ?)", keyHash, position, lot, origin, region, fence);
    if (orderedUntilMs > 0) this.#sql.exec("INSERT OR REPLACE INTO orders VALUES (?, ?)", keyHash, orderedUntilMs);
    else this.#sql.exec("DELETE FROM orders WHERE key_hash = ?", keyHash);
  }

  deletePin(keyHash: string): void {
    this.#sql.exec("DELETE FROM pins WHERE key_hash = ?", keyHash);
    this.#sql.exec("DELETE FROM orders WHERE key_hash = ?", keyHash);
  }
}
