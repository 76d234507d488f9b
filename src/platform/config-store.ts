// The configurations that an object keeps on its own disk (SQLite), whole: `applied`, the newest that was applied; `last`, the newest that held
// and had the object's pool in it.

import type { AppliedConfig } from "../core/applied-config.ts";
import type { Env } from "./env.ts";
import { PULL_TIMEOUT_MS, within } from "./limits.ts";
import { controlStub } from "./stubs.ts";

type Name = "applied" | "last";

export class ConfigStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(
      "CREATE TABLE IF NOT EXISTS configs (name TEXT PRIMARY KEY, revision INTEGER NOT NULL, text TEXT NOT NULL, bundle_hash INTEGER NOT NULL)",
    );
  }

  read(name: Name): AppliedConfig | undefined {
    type Row = { revision: number; text: string; bundle_hash: number };
    const [row] = this.#sql.exec<Row>("SELECT revision, text, bundle_hash FROM configs WHERE name = ?", name);
    return row && { format: 1, revision: row.revision, text: row.text, over: row.bundle_hash, retired: [] };
  }

  write(name: Name, { revision, text, over }: Pick<AppliedConfig, "revision" | "text" | "over">): void {
    this.#sql.exec("INSERT OR REPLACE INTO configs VALUES (?, ?, ?, ?)", name, revision, text, over);
  }
}

/** The object's pool is in no configuration that it knows. */
export class UnknownPool extends Error {
  constructor(objectName: string) {
    super(`no such ring in the configuration: ${objectName}`);
  }
}

/** Starts an object; one whose pool came with a configuration that it was not told of asks for that first. */
export function whenPoolIsKnown(ctx: DurableObjectState, env: Env, start: () => void): void {
  try {
    start();
  } catch (error) {
    const control = controlStub(env);
    if (!(error instanceof UnknownPool) || !control) throw error;
    void ctx.blockConcurrencyWhile(async () => {
      const applied = await within(control.current(), PULL_TIMEOUT_MS, "control object");
      if (applied) new ConfigStore(ctx.storage.sql).write("applied", applied);
      start();
    });
  }
}
