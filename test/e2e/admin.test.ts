// The admin API and the pages beside it, against a real stack, as operators and browsers meet them. What a healthy stack never shows is in
// admin-alone.test.ts.

import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { keyedHash } from "../../src/platform/keyed-hash.ts";
import { openEditor, type Editor } from "../support/editor.ts";
import { eventually, startDev, startStack, type RingView, type Stack } from "../support/stack.ts";

const V1 = "/_limpet/v1";
const BEARER = { authorization: "Bearer dev" };

/** Status and code of a problem; fails for an answer that is none. */
async function problemOf(response: Response): Promise<[status: number, code: string]> {
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  const { status, code, requestId } = (await response.json()) as { status: number; code: string; requestId: string };
  expect([status, requestId]).toEqual([response.status, expect.stringMatching(/./)]);
  return [status, code];
}

describe("a real stack, one of whose origins is called constructor", () => {
  let stack: Stack;
  let editors: Editor[] = [];

  beforeAll(async () => {
    stack = await startStack((config) => {
      const origins = config.pools.collab.origins.map((origin) => (origin.id === "weur-2" ? { ...origin, id: "constructor" } : origin));
      return { ...config, pools: { collab: { ...config.pools.collab, origins } } };
    });
  });
  afterAll(() => stack.stop());
  afterEach(() => {
    for (const editor of editors.splice(0)) editor.close();
  });

  const ask = (path: string, method = "GET", headers: Record<string, string> = BEARER): Promise<Response> =>
    stack.fetch(V1 + path, { method, headers });
  async function open(room: string): Promise<void> {
    editors.push(await openEditor(stack.wsUrl, encodeURIComponent(room), "Anna"));
  }
  const view = async (region: string): Promise<RingView> => stack.admin<RingView>(`rings/collab/${region}`);

  test("rings are listed with their origins, and one ring is the same entry of the list", async () => {
    const { rings } = await stack.admin<{ rings: RingView[] }>("rings");
    expect(rings.map(({ pool, region, origins }) => [pool, region, origins.map(({ id }) => id)])).toEqual([
      ["collab", "enam", ["enam-1", "enam-2"]],
      ["collab", "weur", ["constructor", "weur-1"]],
    ]);
    const number = expect.any(Number) as number;
    const origin = {
      id: "enam-1",
      region: "enam",
      url: stack.fleet.url("enam-1"),
      weight: 1,
      salt: number,
      backup: false,
      state: "active",
      health: "healthy",
      share: number,
      serving: true,
      generation: 1,
      epoch: number,
      sessions: 0,
      connections: 0,
      outcomes: { ok: 0, "origin-fault": 0, timeout: 0, "client-gone": 0, ours: 0 },
    };
    expect(
      await eventually("enam-1 is healthy", async () =>
        (await view("enam")).origins.find(({ id, health }) => id === "enam-1" && health === "healthy"),
      ),
    ).toEqual(origin);
    expect(await view("enam")).toMatchObject({
      pool: "collab",
      region: "enam",
      generation: 1,
      epoch: number,
      configRevision: 1,
      hintsVersion: number,
      sessions: 0,
      connections: 0,
    });
  });

  test("connections are counted right for every name of an origin, `constructor` too", async () => {
    const room = await eventually("a document at the origin called constructor", async () => {
      const name = `counted-${editors.length}`;
      await open(name);
      return (await stack.session(name))?.origin === "constructor" && name;
    });
    await open(room);
    const counts = await eventually("every connection is counted", async () => {
      const { rings } = await stack.admin<{ rings: RingView[] }>("rings");
      const byOrigin = rings.flatMap(({ origins }) => origins.map(({ id, connections }) => [id, connections] as const));
      return byOrigin.reduce((sum, [, connections]) => sum + connections, 0) === editors.length && new Map(byOrigin);
    });
    expect(counts.get("constructor")).toBe(2); // the others of these documents are elsewhere
  });

  test("drain and undrain may be said twice", async () => {
    const order = async (what: string): Promise<string> =>
      (await stack.admin<{ state: string }>(`rings/collab/enam/origins/enam-2/${what}`, "POST")).state;
    expect(await order("drain")).not.toBe("active");
    expect(await order("drain")).not.toBe("active");
    expect(await ask("/rings/collab/enam/origins/enam-2?waitFor=drained").then((response) => response.status)).toBe(200);
    expect(await order("drain")).toBe("drained");
    expect([await order("undrain"), await order("undrain")]).toEqual(["active", "active"]);
  });

  test("a wait that is too short ends with 202 and the state as it is", async () => {
    const response = await ask("/rings/collab/enam/origins/enam-1?waitFor=drained&timeoutMs=1");
    expect([response.status, await response.json()]).toEqual([202, expect.objectContaining({ id: "enam-1", state: "active" })]);
  });

  test.each(["plain", "with/slash", "50%", "once%2Fencoded", "Küste 🐚"])(
    'a session is found by its key "%s" and by that key\'s hash',
    async (key) => {
      await open(key);
      const found = await eventually("the session is settled", async () => (await stack.session(key)) ?? false);
      expect(found).toMatchObject({ origin: expect.stringMatching(/^(weur|enam)-\d$|^constructor$/) as string, state: "settled", connections: 1 });
      expect(await stack.session(await keyedHash("limpet-dev-only", "collab", key))).toEqual(found);
    },
  );

  test.each<[path: string, method: string, status: number, code: string]>([
    ["/rings/collab/enam/origins/enam-1?waitFor=gone", "GET", 400, "bad-request"],
    ["/rings/collab/mars", "GET", 404, "not-found"],
    ["/rings/constructor/enam", "GET", 404, "not-found"],
    ["/rings/collab/enam/origins/nobody", "GET", 404, "not-found"],
    ["/rings/collab/enam/origins/nobody/drain", "POST", 404, "not-found"],
    ["/sessions/collab/nobody-here", "GET", 404, "not-found"],
    ["/sessions/constructor/plain", "GET", 404, "not-found"],
    ["/sessions/collab/%00", "GET", 404, "not-found"],
    ["", "GET", 404, "not-found"],
    ["/", "GET", 404, "not-found"],
    ["/ring", "GET", 404, "not-found"],
    ["/rings/collab/enam/origins/enam-1/restart", "POST", 404, "not-found"],
  ])("%s (%s) is the problem %i %s", async (path, method, status, code) => {
    expect(await problemOf(await ask(path, method))).toEqual([status, code]);
  });

  test.each<[path: string, method: string, allow: string]>([
    [`${V1}/rings`, "POST", "GET, HEAD"],
    [`${V1}/rings/collab/enam`, "DELETE", "GET, HEAD"],
    [`${V1}/rings/collab/enam/origins/enam-1`, "POST", "GET, HEAD, PUT, PATCH, DELETE"],
    [`${V1}/rings/collab/enam/origins/enam-1/drain`, "GET", "POST"],
    [`${V1}/sessions/collab/plain`, "OPTIONS", "GET, HEAD, DELETE"],
    [`${V1}/sessions/collab/plain/move`, "GET", "POST"],
    ["/_limpet/", "POST", "GET, HEAD"],
  ])("%s by %s is 405, and says what is allowed", async (path, method, allow) => {
    const response = await stack.fetch(path, { method, headers: BEARER });
    expect(response.headers.get("allow")).toBe(allow);
    expect(await problemOf(response)).toEqual([405, "method-not-allowed"]);
  });

  test.each([{}, { authorization: "Bearer wrong" }, { authorization: "Basic ZGV2OmRldg==" }])("the token %j is 401 everywhere", async (headers) => {
    for (const path of ["/rings", "/rings/collab/enam", "/rings/collab/enam/origins/enam-1", "/sessions/collab/plain"]) {
      expect(await problemOf(await ask(path, "GET", headers as Record<string, string>))).toEqual([401, "unauthorized"]);
    }
    expect(await problemOf(await ask("/rings/collab/enam/origins/enam-1/drain", "POST", headers as Record<string, string>))).toEqual([
      401,
      "unauthorized",
    ]);
  });

  test("pages may run and reach only what is theirs, in nobody's frame", async () => {
    const dashboard =
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
    const tryPage = dashboard
      .replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
      .replace("connect-src 'self'", "connect-src 'self' ws: wss: http://127.0.0.1:* http://localhost:*");
    const script = /src="([^"]+\.js)"/.exec(await (await stack.fetch("/_limpet/")).text())?.[1] ?? "";
    for (const [path, policy] of [
      ["/", tryPage],
      ["/_limpet/try", tryPage],
      ["/_limpet/", dashboard],
      ["/_limpet", dashboard],
      [script, dashboard],
    ] as const) {
      const { status, headers } = await stack.fetch(path);
      expect([path, status, headers.get("content-security-policy")]).toEqual([path, 200, policy]);
      expect([headers.get("x-content-type-options"), headers.get("referrer-policy")]).toEqual(["nosniff", "no-referrer"]);
    }
  });

  test.each(["/_limpet/nowhere", "/_limpet/assets/gone.js", "/_limpet/v2/rings"])("%s is no page, and a problem for any method", async (path) => {
    for (const method of ["GET", "POST"]) expect(await problemOf(await stack.fetch(path, { method }))).toEqual([404, "not-found"]);
  });

  test.each(["127.0.0.1", "localhost", "[::1]"])("in dev it answers to %s", async (hostname) => {
    expect((await askAs(stack.url, `${hostname}:8787`, `${V1}/rings`)).status).toBe(200);
  });

  test.each(["evil.test", "127.0.0.1.evil.test", "localhost.evil.test", "192.0.2.1"])(
    "in dev a page of %s does not get to the API",
    async (hostname) => {
      for (const path of [`${V1}/rings`, "/_limpet/", "/_limpet", "/_limpet/dev.json"]) {
        expect(await askAs(stack.url, hostname, path)).toMatchObject({ status: 421, body: expect.stringContaining('"misdirected"') as string });
      }
    },
  );
});

test.each<[hostname: string, status: number]>([
  ["admin.example", 200],
  ["127.0.0.1", 404], // bound to another hostname, as it would be in a deployment
  ["evil.test", 421],
])("in dev, with the API bound to admin.example, %s gets %i", async (hostname, status) => {
  const origins = [{ id: "a", region: "weur", url: "http://127.0.0.1:9" }];
  const routes = [{ path: "/*", pool: "web", session: [{ header: "x-session-id" }], home: "session" }];
  const router = await startDev({
    defaultRegion: "weur",
    regions: { weur: {} },
    pools: { web: { origins } },
    routes,
    admin: { host: "admin.example" },
  });
  const answer = await askAs(router.url, hostname, `${V1}/rings`);
  await router.stop();
  expect(answer.status).toBe(status);
});

/** As a browser asks that was told that `host` is this machine. */
async function askAs(url: string, host: string, path: string): Promise<{ status: number | undefined; body: string }> {
  const [response] = (await once(get(url + path, { headers: { host, ...BEARER } }), "response")) as [IncomingMessage];
  return { status: response.statusCode, body: await text(response) };
}
