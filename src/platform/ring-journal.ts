// The journal of a ring: each change with its epoch, who made it and why. Operators read it as the audit, and follow it as events. Bounded: the
// oldest rows go first, what people did and what the ring did by itself apart, so that no flapping origin takes away who drained what.

export interface JournalEntry {
  /** Counts up in this ring. */
  readonly seq: number;
  readonly atMs: number;
  /** The ring's epoch after it. */
  readonly epoch: number;
  /** What happened, as in docs/operate.md: "drain", "down", "ejected", … */
  readonly what: string;
  /** The name of an admin token, `limpet` for what the ring does by itself, `config`, or `origin` for an origin's own word. */
  readonly who: string;
  readonly origin?: string | undefined;
  readonly why?: string | undefined;
}

export type JournalNote = Pick<JournalEntry, "what" | "who" | "origin" | "why">;

/** Of people's and of the ring's own, each: a quiet fleet's changes of months; half a megabyte at most. */
const ENTRIES_MAX = 2_000;

export class Journal {
  readonly #sql: SqlStorage;
  readonly #epoch: () => number;

  constructor(sql: SqlStorage, epoch: () => number) {
    this.#sql = sql;
    this.#epoch = epoch;
    sql.exec(
      "CREATE TABLE IF NOT EXISTS journal (seq INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, epoch INTEGER NOT NULL, what TEXT NOT NULL, who TEXT NOT NULL, origin TEXT, why TEXT)",
    );
  }

  /** After the change was made: its epoch is the ring's then. */
  note({ what, who, origin, why }: JournalNote): void {
    const row = [Date.now(), this.#epoch(), what, who, origin ?? null, why ?? null];
    this.#sql.exec("INSERT INTO journal (at_ms, epoch, what, who, origin, why) VALUES (?, ?, ?, ?, ?, ?)", ...row);
    const kind = who === "limpet" ? "who = 'limpet'" : "who <> 'limpet'";
    const oldest = `SELECT seq FROM journal WHERE ${kind} ORDER BY seq DESC LIMIT 1 OFFSET ?`;
    this.#sql.exec(`DELETE FROM journal WHERE ${kind} AND seq < (${oldest})`, ENTRIES_MAX - 1);
  }

  /** The oldest entries after `seq`, at most `limit`. */
  after(seq: number, limit: number): JournalEntry[] {
    return this.#read("WHERE seq > ? ORDER BY seq LIMIT ?", seq, limit);
  }

  /** The newest entries, newest first. */
  newest(limit: number): JournalEntry[] {
    return this.#read("ORDER BY seq DESC LIMIT ?", limit);
  }

  #read(which: string, ...bindings: number[]): JournalEntry[] {
    type Row = { seq: number; at_ms: number; epoch: number; what: string; who: string; origin: string | null; why: string | null };
    const rows = this.#sql.exec<Row>(`SELECT * FROM journal ${which}`, ...bindings);
    return [...rows].map(({ at_ms: atMs, origin, why, ...row }) => ({ ...row, atMs, origin: origin ?? undefined, why: why ?? undefined }));
  }

  /** The newest entry's number; 0: there is none. */
  get lastSeq(): number {
    const [row] = this.#sql.exec<{ seq: number | null }>("SELECT MAX(seq) AS seq FROM journal");
    return row?.seq ?? 0;
  }
}
