// What an isolate reads of KV's configuration, and when: once before its first request, then behind the requests' backs.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { CodeSettings, type Env } from "../../src/platform/env.ts";
import { IsolateSettings } from "../../src/platform/isolate-settings.ts";
import { heardOfRevision } from "../../src/platform/snapshots.ts";

const START_MS = 1_800_000_000_000;
const raw = (configRevision: number) => ({
  configRevision,
  defaultRegion: "weur",
  regions: { weur: {} },
  pools: { web: { origins: [{ id: "a", region: "weur", url: "https://a.example.com" }] } },
  routes: [{ path: "/*", pool: "web", session: [{ cookie: "sid" }], home: "weur" }],
});

let reads: number;
let inKv: unknown;
let kv: "works" | "hangs" | "fails";
let settings: IsolateSettings;
let background: Promise<unknown>[];

beforeEach(() => {
  vi.useFakeTimers({ now: START_MS });
  vi.spyOn(console, "error").mockImplementation(() => undefined);
  [reads, inKv, kv, background] = [0, null, "works", []];
  settings = new IsolateSettings(new CodeSettings(raw(5)));
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const get = async (): Promise<unknown> => {
  reads++;
  if (kv === "hangs") return new Promise(() => undefined);
  if (kv === "fails") throw new Error("KV is down");
  return inKv;
};
const env = { LIMPET_SECRET: "s".repeat(32), AFFINITY: { get } } as unknown as Env;
const ask = () => settings.of(env, { waitUntil: (work) => void background.push(work) });
const applied = (revision: number, retired: object[] = []) => ({ format: 1, revision, text: JSON.stringify(raw(revision)), over: 0, retired });
const revisionNow = async (): Promise<number> => {
  const known = await ask();
  await Promise.all(background.splice(0));
  return known.config.configRevision;
};

test("the first request has what was applied; those after it wait for nothing, and look every 15 s", async () => {
  inKv = applied(7);
  expect([await revisionNow(), reads]).toEqual([7, 1]);
  inKv = applied(8);
  for (let n = 0; n < 100; n++) expect(ask()).not.toBeInstanceOf(Promise);
  expect(reads).toBe(1);
  vi.setSystemTime(START_MS + 15_000);
  expect([await revisionNow(), reads]).toEqual([7, 2]); // its own request still goes by what was known
  expect([await revisionNow(), reads]).toEqual([8, 2]);
});

test("a snapshot that tells of a newer revision lets it look at once, but once", async () => {
  await revisionNow();
  heardOfRevision(9);
  await revisionNow();
  expect(reads).toBe(2);
  await revisionNow();
  expect(reads).toBe(2); // KV does not have it yet
  inKv = applied(9);
  vi.setSystemTime(START_MS + 15_000);
  await revisionNow();
  expect([await revisionNow(), reads]).toEqual([9, 3]);
});

test("a KV that hangs costs the first request two seconds, and one that fails nothing: the bundle's holds", async () => {
  kv = "hangs";
  const first = revisionNow();
  await vi.advanceTimersByTimeAsync(2_000);
  expect(await first).toBe(5);
  kv = "fails";
  vi.setSystemTime(START_MS + 60_000);
  expect([await revisionNow(), await revisionNow()]).toEqual([5, 5]);
});

test.each([
  ["an older one than the bundle's", () => applied(4)],
  ["one that cannot be read", () => ({ ...applied(7), text: '{"later":1}' })],
  ["one that is no JSON", () => ({ ...applied(7), text: "{" })],
  ["another format", () => ({ ...applied(7), format: 2 })],
  ["something else", () => "x"],
])("%s changes nothing", async (_, value) => {
  inKv = value();
  expect(await revisionNow()).toBe(5);
});

test("KV that shows an older one again takes nothing back; which rings are retired is taken anew", async () => {
  inKv = applied(8);
  await revisionNow();
  inKv = applied(7);
  vi.setSystemTime(START_MS + 15_000);
  await revisionNow();
  expect(await revisionNow()).toBe(8);
  inKv = applied(8, [{ pool: "old", region: "weur" }]);
  vi.setSystemTime(START_MS + 30_000);
  await revisionNow();
  expect((await ask()).retired).toEqual([{ pool: "old", region: "weur" }]);
});
