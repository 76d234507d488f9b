// Origins that are not open to the world: headers that show who asks, and bindings that lead where no address does.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { builtPages } from "../../src/cli/pages.ts";
import { startRouter, type Router } from "../../src/cli/router.ts";
import { startRecordingOrigin, type Recorded, type RecordingOrigin } from "../support/recording-origin.ts";
import { clientOf, eventually, startDev, type RingView, type Stack } from "../support/stack.ts";
import { visit } from "../support/visitor.ts";

const POOL_KEY = "pool key, secret 61d2";
const OWN_KEY = "own key, secret 9a04";
const HEALTH = { intervalMs: 200, timeoutMs: 1_000 };

describe("headers", () => {
  let origins: RecordingOrigin[];
  let router: Omit<Stack, "fleet">;

  beforeAll(async () => {
    origins = await Promise.all([startRecordingOrigin(), startRecordingOrigin()]);
    Object.assign(process.env, { LIMPET_TEST_POOL_KEY: POOL_KEY, LIMPET_TEST_OWN_KEY: OWN_KEY });
    const [closed, open] = origins.map(({ url }) => ({ id: "a", region: "weur", url }));
    router = await startDev({
      defaultRegion: "weur",
      regions: { weur: {} },
      pools: {
        closed: {
          health: HEALTH,
          headers: { "x-pool-key": { secret: "LIMPET_TEST_POOL_KEY" }, "X-Both": "the pool's", "user-agent": "limpet for weur" },
          origins: [{ ...closed, headers: { "x-BOTH": { secret: "LIMPET_TEST_OWN_KEY" }, Authorization: "Basic bGltcGV0" } }],
        },
        open: { health: HEALTH, origins: [open] },
      },
      routes: [
        { path: "/closed/:session", pool: "closed", session: [{ path: "session" }] },
        { path: "/open/:session", pool: "open", session: [{ path: "session" }] },
      ],
    });
  });
  afterAll(async () => {
    for (const name of ["LIMPET_TEST_POOL_KEY", "LIMPET_TEST_OWN_KEY"]) delete process.env[name];
    await router.stop();
    await Promise.all(origins.map((origin) => origin.stop()));
  });

  const SENT = { "x-pool-key": POOL_KEY, "x-both": OWN_KEY, authorization: "Basic bGltcGV0", "user-agent": "limpet for weur" };
  const SPOOFED = { "x-pool-key": "guess", "X-Both": "guess", authorization: "Bearer visitors", "x-other": "kept" };

  test.each<[what: string, path: string, ask: (path: string) => Promise<unknown>]>([
    ["a plain request", "/closed/get?a=1", (path) => router.fetch(path, { headers: SPOOFED })],
    ["a request with a body", "/closed/post", (path) => router.fetch(path, { method: "POST", body: "x", headers: SPOOFED })],
    ["a WebSocket handshake", "/closed/socket", async (path) => (await visit(router.wsUrl + path, { headers: SPOOFED })).socket.terminate()],
    [
      "an event stream",
      "/closed/stream",
      async (path) => (await router.fetch(path, { headers: { ...SPOOFED, accept: "text/event-stream" } })).body?.cancel(),
    ],
  ])("%s bears them, whatever the visitor says under their names", async (_, path, ask) => {
    await ask(path);
    expect(origins[0]?.last(path)?.headers).toMatchObject({ ...SENT, "x-other": "kept" });
  });

  test("a health check bears them too", async () => {
    const check = await eventually("a check", () => origins[0]?.last("/healthz"));
    expect(check.headers).toMatchObject(SENT);
  });

  test("an origin of another pool gets none of them, and what the visitor says", async () => {
    await router.fetch("/open/get", { headers: SPOOFED });
    expect(origins[1]?.last("/open/get")?.headers).toMatchObject({ "x-pool-key": "guess", "x-both": "guess", authorization: "Bearer visitors" });
    const check = await eventually("a check", () => origins[1]?.last("/healthz"));
    expect([check.headers["x-pool-key"], check.headers["user-agent"]]).toEqual([undefined, "limpet-health"]);
  });

  test("nobody is told them: no visitor, no operator", async () => {
    const answer = await router.fetch("/closed/told");
    const told = [JSON.stringify([...answer.headers]), await answer.text(), JSON.stringify(await router.admin("rings"))];
    told.push(JSON.stringify(await router.admin<RingView>("rings/closed/weur")));
    for (const text of told)
      for (const secret of ["61d2", "9a04", "bGltcGV0", "x-both"]) expect(text.toLowerCase()).not.toContain(secret.toLowerCase());
  });
});

describe("a binding", () => {
  /** Answers what it was asked, as an origin behind a service binding. */
  const SERVICE = `let checks = 0;
  export default { async fetch(request) {
    if (request.url === "http://collab.internal/healthz") checks++;
    if (request.headers.get("upgrade") === "websocket") {
      const { 0: theirs, 1: ours } = new WebSocketPair();
      ours.accept();
      ours.addEventListener("message", ({ data }) => ours.send("by binding: " + data));
      return new Response(null, { status: 101, webSocket: theirs });
    }
    if (request.headers.get("accept") === "text/event-stream")
      return new Response("id: 1\\ndata: by binding\\n\\n", { headers: { "content-type": "text/event-stream" } });
    const { method, url, headers } = request;
    return Response.json({ checks, method, url, key: headers.get("x-key"), limpet: headers.get("limpet"), body: await request.text() });
  } }`;
  let router: Router;
  let open: RecordingOrigin;
  let client: ReturnType<typeof clientOf>;

  beforeAll(async () => {
    open = await startRecordingOrigin();
    const bound = { id: "bound", region: "weur", url: "http://collab.internal", binding: "COLLAB", headers: { "x-key": "static" } };
    const absent = { id: "absent", region: "weur", url: open.url, binding: "NOT_BOUND_IN_DEV" };
    router = await startRouter({
      raw: {
        defaultRegion: "weur",
        regions: { weur: {} },
        pools: { bound: { health: HEALTH, origins: [bound] }, absent: { health: HEALTH, origins: [absent] } },
        routes: ["bound", "absent"].map((pool) => ({ path: `/${pool}/:session`, pool, session: [{ path: "session" }] })),
      },
      services: { COLLAB: SERVICE },
      port: 0,
      pagesDir: await builtPages(),
      devInfo: {},
      onLog: () => undefined,
    });
    client = clientOf(router.url);
  });
  afterAll(async () => {
    await router.stop();
    await open.stop();
  });

  test("leads plain requests to its service, which sees the origin's address", async () => {
    const got = await client.fetch("/bound/doc?a=%20b", { method: "POST", body: "a body" });
    expect(await got.json()).toEqual({
      checks: expect.any(Number),
      method: "POST",
      url: "http://collab.internal/bound/doc?a=%20b",
      key: "static",
      limpet: expect.stringContaining('session="doc", origin="bound"'),
      body: "a body",
    });
  });

  test("leads WebSockets and event streams there", async () => {
    const visitor = await visit(`${router.url.replace("http", "ws")}/bound/socket`);
    visitor.socket.send("hello");
    await eventually("the echo", () => visitor.heard.includes("by binding: hello"));
    visitor.socket.terminate();
    const stream = await client.fetch("/bound/stream", { headers: { accept: "text/event-stream" } });
    const { value } = (await stream.body?.getReader().read()) ?? {};
    expect(new TextDecoder().decode(value)).toContain("data: by binding");
  });

  test("leads health checks there", async () => {
    await eventually("two checks", async () => {
      const { checks } = (await (await client.fetch("/bound/doc")).json()) as { checks: number };
      return checks >= 2;
    });
    expect((await client.admin<RingView>("rings/bound/weur")).origins[0]?.health).toBe("healthy");
  });

  test("that dev does not have is done without: the origin's address is used", async () => {
    expect(await (await client.fetch("/absent/doc")).text()).toBe("ok");
    const request: Recorded | undefined = open.last("/absent/doc");
    expect(request?.headers.limpet).toContain('origin="absent"');
  });
});
