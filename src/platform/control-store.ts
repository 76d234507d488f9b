// What the control object writes down (SQLite): the configurations that held, the newest last; who changed what; and whom it has still to tell.

import type { AppliedConfig, AuditRow, RetiredRing, Revision } from "../core/applied-config.ts";
import type { ConfigChange } from "../core/config-diff.ts";

/** The present one and twenty before it. */
const REVISIONS_MAX = 21;
const AUDIT_MAX = 1_000;
const CHANGES_MAX = 100;
/** A change may bring a whole pool with it. */
const CHANGES_TEXT_MAX = 16_384;

export class ControlStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(
      "CREATE TABLE IF NOT EXISTS revisions (seq INTEGER PRIMARY KEY AUTOINCREMENT, revision INTEGER NOT NULL, text TEXT NOT NULL, source TEXT NOT NULL, bundle_hash INTEGER NOT NULL, at_ms INTEGER NOT NULL, who TEXT NOT NULL, why TEXT)",
    );
    sql.exec(
      "CREATE TABLE IF NOT EXISTS audit (seq INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL, revision INTEGER NOT NULL, why TEXT, changes TEXT NOT NULL, change_count INTEGER NOT NULL)",
    );
    sql.exec("CREATE TABLE IF NOT EXISTS outbox (target TEXT PRIMARY KEY, revision INTEGER NOT NULL)");
    sql.exec("CREATE TABLE IF NOT EXISTS retired (pool TEXT NOT NULL, region TEXT NOT NULL, PRIMARY KEY (pool, region))");
  }

  /** The newest that was applied. */
  applied(): Revision | undefined {
    return this.#revisions("WHERE source = 'applied' ORDER BY seq DESC LIMIT 1")[0];
  }

  /** The newest first; the present one among them, if it was applied. */
  revisions(): Revision[] {
    return this.#revisions("ORDER BY seq DESC");
  }

  /** What held before the present one. */
  previous(): Revision | undefined {
    return this.#revisions("ORDER BY seq DESC LIMIT 1 OFFSET 1")[0];
  }

  add({ revision, text, source, bundleHash, atMs, who, why }: Revision): void {
    const row = [revision, text, source, bundleHash, atMs, who, why ?? null];
    this.#sql.exec("INSERT INTO revisions (revision, text, source, bundle_hash, at_ms, who, why) VALUES (?, ?, ?, ?, ?, ?, ?)", ...row);
    this.#sql.exec("DELETE FROM revisions WHERE seq <= (SELECT MAX(seq) FROM revisions) - ?", REVISIONS_MAX);
  }

  note({ atMs, who, what, revision, why, changes }: Omit<AuditRow, "seq" | "changeCount">): void {
    const first = changes.slice(0, CHANGES_MAX);
    const text = JSON.stringify(first);
    const short = text.length <= CHANGES_TEXT_MAX ? text : JSON.stringify(first.map(({ path, what: kind }) => ({ path, what: kind })));
    const row = [atMs, who, what, revision, why ?? null, short, changes.length];
    this.#sql.exec("INSERT INTO audit (at_ms, who, what, revision, why, changes, change_count) VALUES (?, ?, ?, ?, ?, ?, ?)", ...row);
    this.#sql.exec("DELETE FROM audit WHERE seq <= (SELECT MAX(seq) FROM audit) - ?", AUDIT_MAX);
  }

  /** The oldest rows after `seq`, at most `limit`. */
  audit(seq: number, limit: number): AuditRow[] {
    return this.#audit("WHERE seq > ? ORDER BY seq LIMIT ?", seq, limit);
  }

  /** The newest rows, newest first. */
  newest(limit: number): AuditRow[] {
    return this.#audit("ORDER BY seq DESC LIMIT ?", limit);
  }

  #audit(which: string, ...bindings: number[]): AuditRow[] {
    type Row = { seq: number; at_ms: number; who: string; what: string; revision: number; why: string | null; changes: string; change_count: number };
    const rows = this.#sql.exec<Row>(`SELECT * FROM audit ${which}`, ...bindings);
    return [...rows].map(({ at_ms: atMs, what, why, changes, change_count: changeCount, ...row }) => ({
      ...row,
      atMs,
      what: what === "undo" ? "undo" : "apply",
      why: why ?? undefined,
      changes: JSON.parse(changes) as ConfigChange[], // written by `note` alone
      changeCount,
    }));
  }

  /** Who has still to be told, and of which revision. */
  outbox(): Map<string, number> {
    const rows = this.#sql.exec<{ target: string; revision: number }>("SELECT target, revision FROM outbox ORDER BY target");
    return new Map([...rows].map(({ target, revision }) => [target, revision]));
  }

  owe(target: string, revision: number): void {
    this.#sql.exec("INSERT OR REPLACE INTO outbox VALUES (?, ?)", target, revision);
  }

  /** It was told of that revision; one that came since is still owed. */
  told(target: string, revision: number): void {
    this.#sql.exec("DELETE FROM outbox WHERE target = ? AND revision <= ?", target, revision);
  }

  retired(): RetiredRing[] {
    return [...this.#sql.exec<{ pool: string; region: string }>("SELECT pool, region FROM retired ORDER BY pool, region")].map((row) => ({ ...row }));
  }

  setRetired({ pool, region }: RetiredRing, retired: boolean): void {
    this.#sql.exec(retired ? "INSERT OR IGNORE INTO retired VALUES (?, ?)" : "DELETE FROM retired WHERE pool = ? AND region = ?", pool, region);
  }

  #revisions(clause: string): Revision[] {
    type Row = { revision: number; text: string; source: string; bundle_hash: number; at_ms: number; who: string; why: string | null };
    const rows = this.#sql.exec<Row>(`SELECT revision, text, source, bundle_hash, at_ms, who, why FROM revisions ${clause}`);
    return [...rows].map(({ source, bundle_hash: bundleHash, at_ms: atMs, why, ...row }) => ({
      ...row,
      source: source === "bundle" ? "bundle" : "applied",
      bundleHash,
      atMs,
      why: why ?? undefined,
    }));
  }
}

export function toApplied({ revision, text, bundleHash }: Revision, retired: readonly RetiredRing[]): AppliedConfig {
  return { format: 1, revision, text, over: bundleHash, retired };
}
