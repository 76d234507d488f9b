// The admin API alone, over ring objects that are made up: what a healthy stack never shows (a ring object that fails or is silent, a token
// that may only read).

import { timingSafeEqual } from "node:crypto";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { parseConfig } from "../../src/core/config.ts";
import type { RingView } from "../support/stack.ts";

const FILE = "../../src/http/admin.ts"; // by a name that the compiler does not follow: the Worker's types are not Node's
const stubOf = (region: string, sessions: readonly string[] = []) => ({
  status: async (): Promise<object> => ({
    pool: "p",
    region,
    connectionsByOrigin: { [`${region}-1`]: 3, "weur-1": 4 },
    origins: [{ id: `${region}-1` }, { id: "constructor" }],
  }),
  session: async (hash: string): Promise<object | undefined> => (sessions.includes(hash) ? { origin: `${region}-1` } : undefined),
  wakeSession: async (hash: string): Promise<boolean | undefined> => (sessions.includes(hash) ? true : undefined),
  endSession: async (hash: string): Promise<boolean> => sessions.includes(hash),
  drain: async (id: string): Promise<object> => ({ id, state: "draining" }),
});
let stubs: Record<string, ReturnType<typeof stubOf>>;

beforeEach(() => {
  stubs = { "v1:p@enam#g1": stubOf("enam", ["a".repeat(32)]), "v1:p@weur#g1": stubOf("weur") };
  vi.spyOn(console, "error").mockReturnValue();
  // The runtime's own addition to Web Crypto.
  Object.assign(crypto.subtle, { timingSafeEqual: (a: ArrayBuffer, b: ArrayBuffer) => timingSafeEqual(new Uint8Array(a), new Uint8Array(b)) });
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

async function ask(path: string, token = "r", method = "GET"): Promise<Response> {
  const { admin } = (await import(FILE)) as { admin: { fetch(request: Request, bindings: object): Promise<Response> } };
  const origins = ["enam", "weur"].map((region, index) => ({ id: `${region}-1`, region, url: `http://127.0.0.1:${index + 1}` }));
  const routes = [{ path: "/*", pool: "p", session: [{ header: "x-session-id" }], home: "session" }];
  const parsed = parseConfig({ defaultRegion: "weur", regions: { weur: {}, enam: {} }, pools: { p: { origins } }, routes }, { dev: true });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  const env = {
    RING: { idFromName: (name: string) => name, get: (name: string) => stubs[name] },
    LIMPET_ADMIN_TOKENS: "reader:read:r, operator:operate:o, both:read+operate:b, server:wake:w",
  };
  const request = new Request(`http://router.example/_limpet/v1${path}`, { method, headers: { authorization: `Bearer ${token}` } });
  return admin.fetch(request, { env, settings: { config: parsed.config, dev: false, secrets: ["s"] }, requestId: "r-1" });
}

const SESSION = `/sessions/p/${"a".repeat(32)}`;

test.each<[token: string, read: number, operate: number, wake: number]>([
  ["r", 200, 403, 403],
  ["o", 403, 200, 204],
  ["b", 200, 200, 204],
  ["w", 403, 403, 204],
  ["dev", 401, 401, 401],
])("the token %s: reading %i, operating %i, waking %i", async (token, read, operate, wake) => {
  const answers = [
    await ask("/rings", token),
    await ask("/rings/p/enam/origins/enam-1/drain", token, "POST"),
    await ask(`${SESSION}/wake`, token, "POST"),
  ];
  expect(answers.map(({ status }) => status)).toEqual([read, operate, wake]);
  for (const answer of answers.filter(({ status }) => status === 403)) {
    expect(answer.headers.get("www-authenticate")).toMatch(/^Bearer error="insufficient_scope"/);
    expect(await problemOf(answer)).toEqual([403, "forbidden"]);
  }
});

test("a token that may wake may neither see a session nor end it, and learns of no other by trying", async () => {
  expect([(await ask(SESSION, "w")).status, (await ask(SESSION, "w", "DELETE")).status, (await ask(`${SESSION}/move`, "w", "POST")).status]).toEqual([
    403, 403, 403,
  ]);
  for (const path of [
    "/sessions/p/nobody/wake",
    `/sessions/p/${"b".repeat(32)}/wake`,
    "/sessions/nothing/nobody/wake",
    "/sessions/p/%00/wake",
    "/sessions/constructor/nobody/wake",
  ]) {
    expect(await problemOf(await ask(path, "w", "POST"))).toEqual([404, "not-found"]);
  }
});

test.each(["GET", "PUT", "DELETE", "PATCH"])("%s wakes nobody", async (method) => {
  const answer = await ask(`${SESSION}/wake`, "o", method);
  expect([answer.status, answer.headers.get("allow")]).toEqual([405, "POST"]);
});

test("a ring object that fails while a session is to be woken or ended is told as a problem", async () => {
  const failing = {
    ...stubOf("enam", ["a".repeat(32)]),
    wakeSession: () => Promise.reject(new Error("overloaded")),
    endSession: () => Promise.reject(new Error("overloaded")),
  };
  stubs["v1:p@enam#g1"] = failing;
  expect(await problemOf(await ask(`${SESSION}/wake`, "w", "POST"))).toEqual([503, "ring-unreachable"]);
  expect(await problemOf(await ask(SESSION, "o", "DELETE"))).toEqual([503, "ring-unreachable"]);
});

test("what does not exist is not ended", async () => {
  expect((await ask(SESSION, "o", "DELETE")).status).toBe(204);
  expect(await problemOf(await ask("/sessions/p/nobody", "o", "DELETE"))).toEqual([404, "not-found"]);
});

test("connections to an origin are summed over the rings, and a name of every object counts none", async () => {
  const { rings } = (await (await ask("/rings")).json()) as { rings: RingView[] };
  expect(rings.map(({ origins }) => origins.map(({ connections }) => connections))).toEqual([
    [3, 0],
    [8, 0],
  ]);
});

test.each<[how: string, status: () => Promise<object>]>([
  ["fails", () => Promise.reject(new Error("overloaded"))],
  ["is silent", () => Promise.withResolvers<object>().promise],
])("a ring object that %s is listed as unreachable, and the others as they are", async (_, status) => {
  stubs["v1:p@weur#g1"] = { ...stubOf("weur"), status };
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }).setTimerTickMode("nextTimerAsync"); // no wait lasts
  const { rings } = (await (await ask("/rings")).json()) as { rings: object[] };
  expect(rings).toEqual([
    expect.objectContaining({ region: "enam", origins: expect.any(Array) as object[] }),
    { pool: "p", region: "weur", unreachable: true, origins: [] },
  ]);
  expect(await problemOf(await ask("/rings/p/weur"))).toEqual([503, "ring-unreachable"]);
  expect((await ask("/rings/p/enam")).status).toBe(200);
});

test("a ring object that fails while it is ordered something is told as a problem, without what it said or where", async () => {
  const silent = Promise.reject(new Error("secret detail"));
  silent.catch(() => undefined);
  stubs["v1:p@enam#g1"] = { ...stubOf("enam"), drain: () => silent as Promise<object> };
  const answer = await ask("/rings/p/enam/origins/enam-1/drain", "o", "POST");
  const text = await answer.clone().text();
  expect(await problemOf(answer)).toEqual([503, "ring-unreachable"]);
  expect(text).not.toMatch(/secret detail|\bat .*:\d+|Error/);
});

test("a session is found beside a ring that is silent, and not denied while one is", async () => {
  stubs["v1:p@weur#g1"] = { ...stubOf("weur"), session: () => Promise.reject(new Error("overloaded")) };
  expect((await ask(`/sessions/p/${"a".repeat(32)}`)).status).toBe(200);
  expect(await problemOf(await ask("/sessions/p/nobody"))).toEqual([503, "ring-unreachable"]);
});

async function problemOf(response: Response): Promise<[status: number, code: string]> {
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  return [response.status, ((await response.json()) as { code: string }).code];
}
