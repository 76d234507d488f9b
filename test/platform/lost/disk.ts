// What a played object has on disk: a real SQLite, a few values and an alarm, with writes that come to be together or not at all.

import { DatabaseSync, type SQLInputValue } from "node:sqlite";

export class Disk {
  readonly kv = new Map<string, unknown>();
  alarmAtMs: number | undefined;
  readonly #db = new DatabaseSync(":memory:");
  readonly #statements = new Map<string, ReturnType<DatabaseSync["prepare"]>>();
  #before: { readonly alarmAtMs: number | undefined; readonly kv: ReadonlyMap<string, unknown> } | undefined;

  begin(): void {
    this.#db.exec("BEGIN");
    this.#before = { alarmAtMs: this.alarmAtMs, kv: new Map(this.kv) };
  }

  commit(): void {
    this.#db.exec("COMMIT");
  }

  rollback(): void {
    this.#db.exec("ROLLBACK");
    this.#statements.clear();
    this.alarmAtMs = this.#before?.alarmAtMs;
    this.kv.clear();
    for (const [key, value] of this.#before?.kv ?? []) this.kv.set(key, value);
  }

  run(query: string, values: readonly unknown[]): unknown[] {
    let statement = this.#statements.get(query);
    if (!statement) this.#statements.set(query, (statement = this.#db.prepare(query)));
    return statement.all(...(values as SQLInputValue[])); // of the kinds that the platform's storage takes, too
  }

  close(): void {
    this.#db.close();
  }
}
