// MCP's streamable HTTP with the SDK's own client and server: each origin keeps its sessions' transports in its memory, as the SDK's example does,
// and answers 404 to a session that it has not begun. Notifications come over the standalone event stream, which a carrier object holds.

import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { json } from "node:stream/consumers";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport, StreamableHTTPError } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import { isInitializeRequest, LoggingMessageNotificationSchema, ToolListChangedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";
import { parseDictionary } from "structured-headers";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { listen, type MortalServer } from "../support/mortal-server.ts";
import { eventually, startDev, type RingView, type Stack } from "../support/stack.ts";

const IDS = ["tools-1", "tools-2"] as const;
type Id = (typeof IDS)[number];

interface Seen {
  readonly method: string;
  readonly session: string | undefined;
  readonly headers: string;
  readonly response: ServerResponse;
}

interface Session {
  readonly transport: StreamableHTTPServerTransport;
  readonly server: McpServer;
}

interface ToolOrigin extends MortalServer {
  readonly id: Id;
  readonly seen: Seen[];
  /** By the ids that this origin has given out. */
  readonly sessions: ReadonlyMap<string, Session>;
}

let origins: ToolOrigin[] = [];
let router: Omit<Stack, "fleet">;
const clients: Client[] = [];

beforeAll(async () => {
  origins = await Promise.all(IDS.map((id) => startTools(id)));
  router = await startDev({
    configRevision: 1,
    defaultRegion: "weur",
    regions: { weur: {} },
    pools: {
      tools: {
        health: { intervalMs: 200, rise: 1, fall: 2 },
        origins: origins.map(({ id, url }) => ({ id, region: "weur", url })),
      },
    },
    routes: [
      { path: "/mcp", pool: "tools", preset: "mcp" },
      { path: "/look", pool: "tools" },
    ],
  });
});
afterAll(async () => {
  await router.stop();
  await Promise.all(origins.map((origin) => origin.kill()));
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  for (const { seen } of origins) for (const { headers } of seen) expect(headers).not.toMatch(/(~|%7e)limpet/i);
});

async function startTools(id: Id, port?: number): Promise<ToolOrigin> {
  const seen: Seen[] = [];
  const sessions = new Map<string, Session>();
  const server = createServer((request, response) => {
    if (request.url !== "/mcp") return void response.end();
    const { "mcp-session-id": session } = request.headers;
    const headers = JSON.stringify(request.headers);
    seen.push({ method: request.method ?? "", session: typeof session === "string" ? session : undefined, headers, response });
    return void serve(id, sessions, request, response).catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined));
  });
  return { ...(await listen(server, port)), id, seen, sessions };
}

/** As the SDK's example does it. */
async function serve(id: Id, sessions: Map<string, Session>, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const given = request.headers["mcp-session-id"];
  const known = typeof given === "string" ? sessions.get(given) : undefined;
  if (known) return known.transport.handleRequest(request, response);
  const body = request.method === "POST" ? await json(request) : undefined;
  if (given !== undefined || !isInitializeRequest(body)) {
    const [status, message] = given === undefined ? [400, "No valid session ID provided"] : [404, "Session not found"];
    return void response.writeHead(status).end(JSON.stringify({ jsonrpc: "2.0", error: { code: -32_000, message }, id: null }));
  }
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: () => randomUUID(),
    onsessioninitialized: (session) => void sessions.set(session, { transport, server }),
    onsessionclosed: (session) => void sessions.delete(session),
  });
  const server = toolServer(id);
  await server.connect(transport as Transport); // the SDK's types leave `exactOptionalPropertyTypes` out
  return transport.handleRequest(request, response, body);
}

/** `whoami` says the origin's id and counts its calls; `grow` adds a tool, of which the client is notified. */
function toolServer(id: Id): McpServer {
  const server = new McpServer({ name: id, version: "1.0.0" }, { capabilities: { logging: {} } });
  let calls = 0;
  const said = (text: string): { content: { type: "text"; text: string }[] } => ({ content: [{ type: "text", text }] });
  server.registerTool("whoami", {}, () => said(`${id} ${++calls}`));
  server.registerTool("grow", {}, () => {
    server.registerTool(`tool-${randomUUID()}`, {}, () => said(""));
    return said(id);
  });
  return server;
}

interface Guest {
  readonly client: Client;
  readonly transport: StreamableHTTPClientTransport;
  /** Notifications that its event stream has brought. */
  readonly heard: string[];
  /** The session's id as the origin knows it, and the origin. */
  readonly bare: string;
  readonly origin: ToolOrigin;
}

/** A client whose standalone event stream is open. */
async function guest(): Promise<Guest> {
  const client = new Client({ name: "guest", version: "1.0.0" });
  const transport = new StreamableHTTPClientTransport(new URL(`${router.url}/mcp`));
  const heard: string[] = [];
  client.setNotificationHandler(ToolListChangedNotificationSchema, ({ method }) => void heard.push(method));
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => void heard.push(String(params.data)));
  clients.push(client);
  await client.connect(transport as Transport);
  const bare = transport.sessionId?.split("~")[0] ?? "";
  const origin = origins.find(({ sessions }) => sessions.has(bare));
  if (!origin) throw new Error(`nobody has begun ${bare}`);
  await eventually("its stream is open", () => requestsOf(bare).some(({ method, response }) => method === "GET" && response.headersSent));
  return { client, transport, heard, bare, origin };
}

function requestsOf(session: string): (Seen & { readonly origin: Id })[] {
  return origins.flatMap(({ id, seen }) => seen.filter((each) => each.session === session).map((each) => ({ ...each, origin: id })));
}

async function call({ client }: Guest, name: string): Promise<string> {
  const { content } = (await client.callTool({ name, arguments: {} })) as { content: { text: string }[] };
  return content[0]?.text ?? "";
}

test("sessions, many at once, begin at both origins and stay; each client's id never changes, and its events come", async () => {
  const guests = await Promise.all(Array.from({ length: 16 }, () => guest()));
  expect(new Set(guests.map(({ origin }) => origin.id))).toEqual(new Set(IDS));
  await Promise.all(
    guests.map(async (each) => {
      const { client, transport, origin, bare, heard } = each;
      const id = transport.sessionId;
      expect(id).toMatch(/^[0-9a-f-]{36}~limpet\.1\.[\w.-]+$/);
      expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(["whoami", "grow"]);
      for (let n = 1; n <= 10; n++) {
        expect([await call(each, "whoami"), transport.sessionId]).toEqual([`${origin.id} ${n}`, id]);
      }
      expect(await call(each, "grow")).toBe(origin.id);
      await eventually("the new tool is told of", () => heard.includes("notifications/tools/list_changed"));
      expect((await client.listTools()).tools.length).toBe(3);
      expect(transport.sessionId).toBe(id);
      const requests = requestsOf(bare);
      expect(new Set(requests.map((request) => request.origin))).toEqual(new Set([origin.id]));
      expect(requests.filter(({ method }) => method === "GET").length).toBe(1);
      expect(requests.filter(({ response }) => response.statusCode >= 400)).toEqual([]);
    }),
  );
});

test("what a server says by itself arrives, in order, with nobody else's", async () => {
  const guests = await Promise.all(Array.from({ length: 8 }, () => guest()));
  const words = (bare: string): string[] => Array.from({ length: 20 }, (_, n) => `${bare} ${n}`);
  for (const { origin, bare } of guests) {
    const { server } = origin.sessions.get(bare) ?? {};
    for (const data of words(bare)) await server?.sendLoggingMessage({ level: "info", data });
  }
  await eventually("all is heard", () => guests.every(({ heard }) => heard.length >= 20));
  for (const { heard, bare } of guests) expect(heard).toEqual(words(bare));
});

test("a session that its client ends is over at its origin, and nobody else's", async () => {
  const [one, other] = [await guest(), await guest()];
  const id = one.transport.sessionId ?? "";
  await one.transport.terminateSession();
  expect(one.origin.sessions.has(one.bare)).toBe(false);
  expect(
    requestsOf(one.bare)
      .filter(({ method }) => method === "DELETE")
      .map(({ origin, response }) => [origin, response.statusCode]),
  ).toEqual([[one.origin.id, 200]]);
  const late = await router.fetch("/mcp", { method: "DELETE", headers: { "mcp-session-id": id } });
  expect(late.status).toBe(404);
  expect(await call(other, "whoami")).toBe(`${other.origin.id} 1`);
});

test("a session's tag does nothing for another id: the ring decides, and the origin's own 404 comes through", async () => {
  const guests = await Promise.all(Array.from({ length: 6 }, () => guest()));
  for (const [n, { transport }] of guests.entries()) {
    const tag = guests[(n + 1) % guests.length]?.transport.sessionId?.split("~limpet.")[1] ?? "";
    const stranger = randomUUID();
    const headers = { "content-type": "application/json", accept: "application/json, text/event-stream" };
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list" });
    for (const session of [`${stranger}~limpet.${tag}`, stranger, `${stranger}~limpet.`, `${stranger}~limpet.garbage`]) {
      const response = await router.fetch("/mcp", { method: "POST", headers: { ...headers, "mcp-session-id": session }, body });
      expect(response.status).toBe(404);
      await response.body?.cancel();
    }
    expect(new Set(requestsOf(stranger).map(({ origin }) => origin)).size).toBe(1); // the ring's, whatever was brought along
    const own = await router.fetch("/mcp", { method: "POST", headers: { ...headers, "mcp-session-id": transport.sessionId ?? "" }, body });
    expect(own.status).toBe(200);
    await own.body?.cancel();
  }
});

test("a drain leaves sessions and their streams where they are; new ones begin elsewhere", async () => {
  const guests = await Promise.all(Array.from({ length: 8 }, () => guest()));
  const drained = guests[0]?.origin.id ?? "tools-1";
  await router.admin(`rings/tools/weur/origins/${drained}/drain`, "POST");
  try {
    await settled();
    for (const each of guests) {
      expect(await call(each, "whoami")).toBe(`${each.origin.id} 1`);
      await call(each, "grow");
    }
    await eventually("events come", () => guests.every(({ heard }) => heard.length === 1));
    for (const { bare } of guests) expect(requestsOf(bare).filter(({ method }) => method === "GET").length).toBe(1);
    const newcomers = await Promise.all(Array.from({ length: 6 }, () => guest()));
    expect(newcomers.filter(({ origin }) => origin.id === drained)).toEqual([]);
  } finally {
    await router.admin(`rings/tools/weur/origins/${drained}/undrain`, "POST");
    await settled();
  }
});

test("when an origin dies, its sessions are told that they are over, and begin anew at the other; the other's notice nothing", async () => {
  const guests = await Promise.all(Array.from({ length: 8 }, () => guest()));
  const dead = guests[0]?.origin ?? origins[0];
  if (!dead) throw new Error("no origin");
  await dead.kill();
  try {
    for (const each of guests.filter(({ origin }) => origin !== dead)) expect(await call(each, "whoami")).toBe(`${each.origin.id} 1`);
    for (const each of guests.filter(({ origin }) => origin === dead)) {
      const told = await eventually("the session is known to be over", async () => {
        const failure = await call(each, "whoami").catch((error: unknown) => error);
        return failure instanceof StreamableHTTPError && failure.code === 404; // first it may be 503: a POST is not sent twice
      });
      expect(told).toBe(true);
      const again = await guest();
      expect(again.origin.id).not.toBe(dead.id);
      expect(await call(again, "whoami")).toBe(`${again.origin.id} 1`);
    }
  } finally {
    origins[origins.indexOf(dead)] = await startTools(dead.id, dead.port);
    await eventually("it is well again", async () => (await ring()).origins.every(({ health }) => health === "healthy"));
  }
});

function ring(): Promise<RingView> {
  return router.admin<RingView>("rings/tools/weur");
}

/** The router's Worker has seen what the ring object says now. */
async function settled(): Promise<void> {
  await eventually("the newest epoch is in use", async () => {
    const { epoch } = await ring();
    return Number(parseDictionary((await router.fetch("/look")).headers.get("limpet") ?? "").get("epoch")?.[0]) >= epoch;
  });
}
