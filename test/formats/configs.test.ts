// Configurations that were applied, as they outlive a version of the code: in KV, on the way to objects, and on their disks. As formats.test.ts.

import { readFileSync } from "node:fs";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { describe, expect, test } from "vitest";
import { decodeApplied, type AppliedConfig, type AuditRow, type Revision } from "../../src/core/applied-config.ts";
import { CONFIG_KV_KEY, CONTROL_OBJECT_NAME } from "../../src/core/names.ts";

const stored = (name: string): string => readFileSync(new URL(`samples/${name}`, import.meta.url), "utf8");
const ATMS = 1_800_000_000_000;
const HASH = 305_419_896;
const textOf = (revision: number): string => `{"configRevision":${revision},"defaultRegion":"weur"}`;
const applied: AppliedConfig = { format: 1, revision: 8, text: textOf(8), over: HASH, retired: [{ pool: "old", region: "weur" }] };

test("the one object and its KV key are found as they were made", () => {
  expect([CONTROL_OBJECT_NAME, CONFIG_KV_KEY]).toEqual(["v1:control", "config"]);
});

describe("what was applied", () => {
  const sample: unknown = JSON.parse(stored("applied-config.json"));

  test("is read and written as it was stored", () => {
    expect(decodeApplied(sample)).toStrictEqual(applied);
    expect(JSON.parse(JSON.stringify(applied))).toStrictEqual(sample);
  });

  test("may have got fields that are not known here; another format is none", () => {
    expect(decodeApplied({ ...applied, later: 1 })).toStrictEqual(applied);
    expect([{ ...applied, format: 2 }, { ...applied, text: {} }, null, "x"].map(decodeApplied)).toEqual([undefined, undefined, undefined, undefined]);
  });
});

function database(sql = ""): DatabaseSync {
  const db = new DatabaseSync(":memory:");
  db.exec(sql);
  return db;
}

const sqlOf = (db: DatabaseSync): SqlStorageLike => ({
  exec: (query, ...values) => (values.length === 0 && !query.startsWith("SELECT") ? (db.exec(query), []) : db.prepare(query).all(...values)),
});
interface SqlStorageLike {
  readonly exec: (query: string, ...values: SQLInputValue[]) => object[];
}
const schemaOf = (db: DatabaseSync): unknown[] =>
  db.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name").all()
    .map(({ name, sql }) => [name, String(sql).replace("IF NOT EXISTS ", "")]);
const contentOf = (db: DatabaseSync, tables: readonly string[]): unknown => tables.map((table) => db.prepare(`SELECT * FROM ${table} ORDER BY 1`).all());
// Not by its name: these tests do not know the platform's types.
const load = async <T>(file: string): Promise<T> => (await import(/* @vite-ignore */ new URL(`../../src/platform/${file}`, import.meta.url).pathname)) as T;

describe("the configurations on an object's disk", () => {
  interface Store {
    read(name: string): AppliedConfig | undefined;
    write(name: string, config: Pick<AppliedConfig, "revision" | "text" | "over">): void;
  }
  const open = async (db: DatabaseSync): Promise<Store> =>
    new (await load<{ ConfigStore: new (sql: unknown) => Store }>("config-store.ts")).ConfigStore(sqlOf(db));

  test("are read, and written, as they were stored", async () => {
    const [then, now] = [database(stored("config-store.sql")), database()];
    const before = await open(then);
    expect([before.read("applied"), before.read("last")?.revision]).toEqual([{ ...applied, retired: [] }, 7]);
    const store = await open(now);
    expect(schemaOf(now)).toEqual(schemaOf(then));
    store.write("applied", applied);
    store.write("last", { revision: 7, text: textOf(7), over: 0 });
    expect(contentOf(now, ["configs"])).toEqual(contentOf(then, ["configs"]));
  });
});

describe("the control object's database", () => {
  interface Store {
    applied(): Revision | undefined;
    previous(): Revision | undefined;
    revisions(): Revision[];
    add(revision: Revision): void;
    note(row: Omit<AuditRow, "seq" | "changeCount">): void;
    audit(after: number, limit: number): AuditRow[];
    outbox(): Map<string, number>;
    owe(target: string, revision: number): void;
    told(target: string, revision: number): void;
    retired(): object[];
    setRetired(ring: object, retired: boolean): void;
  }
  const TABLES = ["revisions", "audit", "outbox", "retired"];
  const open = async (db: DatabaseSync): Promise<Store> =>
    new (await load<{ ControlStore: new (sql: unknown) => Store }>("control-store.ts")).ControlStore(sqlOf(db));
  const bundled: Revision = { revision: 7, text: textOf(7), source: "bundle", bundleHash: HASH, atMs: ATMS, who: "bundle", why: undefined };
  const present: Revision = { revision: 8, text: textOf(8), source: "applied", bundleHash: HASH, atMs: ATMS, who: "anna", why: "more room" };
  const row: AuditRow = { seq: 1, atMs: ATMS, who: "anna", what: "apply", revision: 8, why: "more room", changes: [{ path: "configRevision", what: "changed", before: 7, after: 8 }], changeCount: 1 };

  test("is read as it was stored", async () => {
    const store = await open(database(stored("control-store.sql")));
    expect([store.applied(), store.previous(), store.audit(0, 10)]).toStrictEqual([present, bundled, [row]]);
    expect([store.outbox(), store.retired()]).toEqual([new Map([["kv", 8], ["web@weur", 8]]), [{ pool: "old", region: "weur" }]]);
  });

  test("made and written now is the stored version's", async () => {
    const [then, now] = [database(stored("control-store.sql")), database()];
    const store = await open(now);
    expect(schemaOf(now)).toEqual(schemaOf(then));
    for (const each of [bundled, present]) store.add(each);
    store.note(row);
    for (const target of ["kv", "web@weur"]) store.owe(target, 8);
    store.setRetired({ pool: "old", region: "weur" }, true);
    expect(contentOf(now, TABLES)).toEqual(contentOf(then, TABLES));
  });

  test("keeps the present one and twenty before it, a thousand rows of its audit, and of each the first hundred changes", async () => {
    const store = await open(database());
    for (let n = 1; n <= 30; n++) store.add({ ...present, revision: n });
    expect(store.revisions().map(({ revision }) => revision)).toEqual(Array.from({ length: 21 }, (_, n) => 30 - n));
    const changes = Array.from({ length: 150 }, (_, n) => ({ path: `p${n}`, what: "removed" as const }));
    for (let n = 1; n <= 1_010; n++) store.note({ ...row, changes });
    const rows = store.audit(0, 2_000);
    expect([rows.length, rows[0]?.seq, rows[0]?.changes.length, rows[0]?.changeCount]).toEqual([1_000, 11, 100, 150]);
    store.note({ ...row, changes: [{ path: "pools.web", what: "added", after: "x".repeat(100_000) }] });
    expect(store.audit(1_010, 1)[0]?.changes).toEqual([{ path: "pools.web", what: "added" }]);
  });

  test("who was told of an older revision is still owed the newer", async () => {
    const store = await open(database());
    store.owe("kv", 8);
    store.owe("kv", 9);
    store.told("kv", 8);
    expect(store.outbox()).toEqual(new Map([["kv", 9]]));
    store.told("kv", 9);
    expect(store.outbox()).toEqual(new Map());
  });
});
