// The journal of a ring: each change with its epoch, who made it and why. Operators read it as the audit, and follow it as events. Bounded: the
// oldest rows go first, of what the ring and its origins do by themselves apart from what people order: a night of flapping pushes no order out.

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

/** Of each kind: a quiet fleet's changes of months; half a megabyte at most. */
const ENTRIES_MAX = 2_000;
/** So many more are let in before the oldest go: to look for them costs as much as reading all. */
const SLACK = 200;

/** Entries that nobody has ordered. */
const BY_ITSELF = "who IN ('limpet', 'origin')";

export class Journal {
  readonly #sql: SqlStorage;
  readonly #epoch: () => number;
  readonly #counts: { itself: number; people: number };

  constructor(sql: SqlStorage, epoch: () => number) {
    this.#sql = sql;
    this.#epoch = epoch;
    sql.exec(
      "CREATE TABLE IF NOT EXISTS journal (seq INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, epoch INTEGER NOT NULL, what TEXT NOT NULL, who TEXT NOT NULL, origin TEXT, why TEXT)",
    );
    const count = (where: string): number => [...sql.exec<{ n: number }>(`SELECT COUNT(*) AS n FROM journal WHERE ${where}`)][0]?.n ?? 0;
    this.#counts = { itself: count(BY_ITSELF), people: count(`NOT ${BY_ITSELF}`) };
  }

  /** After the change was made: its epoch is the ring's then. */
  note({ what, who, origin, why }: JournalNote): void {
    const row = [Date.now(), this.#epoch(), what, who, origin ?? null, why ?? null];
    this.#sql.exec("INSERT INTO journal (at_ms, epoch, what, who, origin, why) VALUES (?, ?, ?, ?, ?, ?)", ...row);
    const kind = who === "limpet" || who === "origin" ? "itself" : "people";
    if (++this.#counts[kind] <= ENTRIES_MAX + SLACK) return;
    const where = kind === "itself" ? BY_ITSELF : `NOT ${BY_ITSELF}`;
    this.#sql.exec(
      `DELETE FROM journal WHERE ${where} AND seq NOT IN (SELECT seq FROM journal WHERE ${where} ORDER BY seq DESC LIMIT ?)`,
      ENTRIES_MAX,
    );
    this.#counts[kind] = ENTRIES_MAX;
  }

  /** The oldest entries after `seq`, at most `limit`; `ordered`: of those alone that people, or the configuration, have ordered. */
  after(seq: number, limit: number, ordered = false): JournalEntry[] {
    return this.#read(`WHERE seq > ? ${ordered ? `AND NOT ${BY_ITSELF}` : ""} ORDER BY seq LIMIT ?`, seq, limit);
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
