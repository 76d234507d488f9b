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
  drain: async (id: string): Promise<object> => ({ kind: "done", joined: false, origin: { id, state: "draining", generation: 1, epoch: 2 } }),
  origin: async (id: string): Promise<object> => ({ id, state: "active" }),
  member: async (id: string): Promise<object> => ({ kind: "done", joined: true, origin: { id, state: "active" } }),
  audit: async (): Promise<object[]> => [],
  metrics: (): Promise<object> => Promise.reject(new Error("overloaded")),
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

const TOKENS = "reader:read:r, operator:operate:o, both:read+operate:b, server:wake:w, deploy:register:p/enam-+wake:d, one:register:p/weur-1:1";

interface Asking {
  readonly tokens?: string;
  readonly address?: string;
  readonly accept?: string;
  readonly body?: object;
  readonly originHosts?: readonly string[];
}

async function ask(
  path: string,
  token = "r",
  method = "GET",
  { tokens = TOKENS, address, accept, body, originHosts }: Asking = {},
): Promise<Response> {
  const { admin } = (await import(FILE)) as { admin: { fetch(request: Request, bindings: object): Promise<Response> } };
  const origins = ["enam", "weur"].map((region, index) => ({ id: `${region}-1`, region, url: `http://127.0.0.1:${index + 1}` }));
  const routes = [{ path: "/*", pool: "p", session: [{ header: "x-session-id" }], home: "session" }];
  const parsed = parseConfig(
    { defaultRegion: "weur", regions: { weur: {}, enam: {} }, pools: { p: { origins } }, routes, ...(originHosts ? { admin: { originHosts } } : {}) },
    { dev: true },
  );
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  const env = {
    RING: { idFromName: (name: string) => name, get: (name: string) => stubs[name] },
    LIMPET_ADMIN_TOKENS: tokens,
  };
  const request = new Request(`http://router.example/_limpet/v1${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(address === undefined ? {} : { "cf-connecting-ip": address }),
      ...(accept === undefined ? {} : { accept }),
    },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  return admin.fetch(request, { env, settings: { config: parsed.config, retired: [], dev: false, secrets: ["s"] }, requestId: "r-1" });
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

test.each<[token: string, region: string, id: string, look: number, drain: number]>([
  ["d", "enam", "enam-1", 200, 200],
  ["d", "enam", "enam-77", 200, 200],
  ["d", "enam", "enam", 403, 403],
  ["d", "weur", "weur-1", 403, 403],
  ["1", "weur", "weur-1", 200, 200],
  ["1", "weur", "weur-11", 403, 403],
])("the token %s registers %s/%s: looking %i, draining %i", async (token, region, id, look, drain) => {
  const path = `/rings/p/${region}/origins/${id}`;
  expect([(await ask(path, token)).status, (await ask(`${path}/drain`, token, "POST")).status]).toEqual([look, drain]);
});

test("a token that registers may do nothing else", async () => {
  for (const [method, path] of [
    ["GET", "/rings"],
    ["GET", "/rings/p/enam"],
    ["PUT", "/rings/p/enam/origins/enam-1"],
    ["PATCH", "/rings/p/enam/origins/enam-1"],
    ["DELETE", "/rings/p/enam/origins/enam-1"],
    ["POST", "/rings/p/enam/plan"],
    ["POST", "/explain"],
    ["GET", "/audit"],
    ["GET", "/events"],
    ["GET", SESSION],
    ["POST", `${SESSION}/move`],
  ] as const) {
    expect([method, path, (await ask(path, "d", method)).status]).toEqual([method, path, 403]);
  }
});

test("malformed tokens are told in the log, all of them and without the tokens; the API answers that it is misconfigured", async () => {
  const answer = await ask("/rings", "r", "GET", { tokens: "reader:read:r,oops:secret-1,ops:all:secret-2" });
  const text = await answer.clone().text();
  expect(await problemOf(answer)).toEqual([500, "misconfigured"]);
  const logged = vi.mocked(console.error).mock.calls.flat().join();
  expect(logged).toMatch(/2 malformed.*entry 2.*entry 3/);
  expect(text + logged).not.toMatch(/secret-/);
});

test("wrong tokens of one network are refused after ten in a minute; a valid one never is, nor is anybody else", async () => {
  vi.useFakeTimers({ toFake: ["Date"], now: 1_000_000 });
  const [address, neighbour, stranger] = ["2001:db8:1:2::1", "2001:db8:1:2::2", "192.0.2.7"];
  const statuses = [];
  for (let n = 0; n < 12; n++) statuses.push((await ask("/rings", "wrong", "GET", { address: n % 2 ? address : neighbour })).status);
  expect(statuses).toEqual([...Array.from({ length: 10 }, () => 401), 429, 429]);
  vi.setSystemTime(1_000_000 + 15_000);
  const refused = await ask("/rings", "wrong", "GET", { address });
  expect(refused.headers.get("retry-after")).toBe("45");
  expect(await problemOf(refused)).toEqual([429, "too-many-failures"]);
  expect([(await ask("/rings", "r", "GET", { address })).status, (await ask("/rings", "wrong", "GET", { address: stranger })).status]).toEqual([
    200, 401,
  ]);
  vi.setSystemTime(1_000_000 + 60_000);
  expect((await ask("/rings", "wrong", "GET", { address })).status).toBe(401);
});

test.each<[url: string, originHosts: readonly string[] | undefined, status: number]>([
  ["https://enam-7.example.com", undefined, 201],
  ["http://enam-7.example.com", undefined, 400],
  ["https://127.1", undefined, 400],
  ["https://2130706433", undefined, 400],
  ["https://[::ffff:10.0.0.1]", undefined, 400],
  ["https://db.internal", undefined, 400],
  ["https://a:b@enam-7.example.com", undefined, 400],
  ["https://enam-7.example.com", ["*.example.com"], 201],
  ["https://enam-7.example.net", ["*.example.com"], 400],
])("an origin at %s, among %j, gets %i", async (url, originHosts, status) => {
  const asking = { body: { url }, ...(originHosts ? { originHosts } : {}) };
  const answer = await ask("/rings/p/enam/origins/enam-7", "o", "PUT", asking);
  expect(answer.status).toBe(status);
  if (status === 400) expect(await problemOf(answer)).toEqual([400, "bad-request"]);
  expect((await ask("/rings/p/enam/origins/enam-7", "o", "PATCH", asking)).status).toBe(status);
});

test("lines of an audit are not told while a ring is silent, a list says whose are missing", async () => {
  stubs["v1:p@weur#g1"] = { ...stubOf("weur"), audit: () => Promise.reject(new Error("overloaded")) };
  expect(await (await ask("/audit")).json()).toEqual({ entries: [], unreachable: ["p@weur"] });
  expect(await problemOf(await ask("/audit", "r", "GET", { accept: "application/x-ndjson" }))).toEqual([503, "ring-unreachable"]);
});

async function problemOf(response: Response): Promise<[status: number, code: string]> {
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  return [response.status, ((await response.json()) as { code: string }).code];
}
