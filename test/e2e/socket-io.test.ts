// Socket.IO as its users have it: stock clients, which begin by polling and upgrade, and stock servers in memory that know nothing of each other.
// A server answers 400 to a session that it has not begun, so one request at the wrong origin ends a client.

import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { Server } from "socket.io";
import { io, type ManagerOptions, type Socket, type SocketOptions } from "socket.io-client";
import { parseDictionary } from "structured-headers";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { listen, type MortalServer } from "../support/mortal-server.ts";
import { eventually, startDev, type RingView, type Stack } from "../support/stack.ts";

const IDS = ["chat-1", "chat-2"] as const;
type Id = (typeof IDS)[number];

interface ChatOrigin extends MortalServer {
  readonly id: Id;
  /** Everything that came, as it came: `GET /socket.io/?…` and the headers. */
  readonly seen: { readonly line: string; readonly url: URL; readonly headers: string }[];
  /** The ids of the sessions that it has. */
  sids(): string[];
  stop(): Promise<void>;
}

let origins: ChatOrigin[] = [];
let router: Omit<Stack, "fleet">;
const clients: Socket[] = [];

beforeAll(async () => {
  origins = await Promise.all(IDS.map((id) => startChat(id)));
  const pool = {
    health: { intervalMs: 200, rise: 1, fall: 2 },
    origins: origins.map(({ id, url }) => ({ id, region: "weur", url })),
  };
  router = await startDev({
    configRevision: 1,
    defaultRegion: "weur",
    regions: { weur: {} },
    pools: { chat: pool, brief: { ...pool, drain: { deadlineMs: 300 } }, plain: pool },
    routes: [
      { path: "/socket.io/*", pool: "chat", preset: "socket.io" },
      { path: "/brief/*", pool: "brief", preset: "socket.io" },
      { path: "/look", pool: "chat" },
      { path: "/look/brief", pool: "brief" },
      { path: "/look/plain", pool: "plain" },
    ],
  });
});
afterAll(async () => {
  await router.stop();
  await Promise.all(origins.map((origin) => origin.stop()));
});
beforeEach(() => {
  for (const { seen } of origins) seen.length = 0;
});
afterEach(() => {
  for (const client of clients.splice(0)) client.disconnect();
  for (const { seen } of origins) for (const { line, headers } of seen) expect(line + headers).not.toMatch(/(~|%7e)limpet/i);
});

async function startChat(id: Id, port?: number): Promise<ChatOrigin> {
  const seen: ChatOrigin["seen"] = [];
  const server = createServer((request, response) => {
    response.writeHead(request.url === "/healthz" || request.url?.startsWith("/look") ? 200 : 404).end();
  });
  const chats = ["/socket.io/", "/brief/"].map((path) => {
    const chat = new Server(server, { path, cors: { origin: "https://app.example.com", credentials: true } });
    chat.on("connection", (socket) => {
      socket.on("echo", (data: unknown, acknowledge: (answer: Echo) => void) => acknowledge({ origin: id, data }));
      socket.on("send me", (bytes: number) => socket.emit("here", "x".repeat(bytes)));
    });
    return chat;
  });
  for (const kind of ["request", "upgrade"] as const) {
    server.prependListener(kind, ({ method, url = "", headers }) =>
      seen.push({ line: `${method} ${url}`, url: new URL(url, "http://x"), headers: JSON.stringify(headers) }),
    );
  }
  const mortal = await listen(server, port);
  return {
    ...mortal,
    id,
    seen,
    sids: () => chats.flatMap(({ engine }) => Object.keys((engine as unknown as { clients: object }).clients)),
    stop: async () => {
      for (const chat of chats) chat.disconnectSockets(true);
      await mortal.kill();
    },
  };
}

interface Echo {
  readonly origin: Id;
  readonly data: unknown;
}

/** A client of its own connection; else as everybody has it. */
function client(options: Partial<ManagerOptions & SocketOptions> = {}): Socket {
  const socket = io(router.url, { ...options, forceNew: true });
  clients.push(socket);
  return socket;
}

async function connected(socket: Socket): Promise<Socket> {
  if (!socket.connected) await occurrence(socket, "connect");
  return socket;
}

async function upgraded(socket: Socket): Promise<Socket> {
  await connected(socket);
  const { engine } = socket.io;
  if (engine.transport.name !== "websocket") await new Promise<void>((resolve) => engine.once("upgrade", () => resolve()));
  expect(engine.transport.name).toBe("websocket");
  return socket;
}

function occurrence<T>(socket: Socket, event: string): Promise<T> {
  return new Promise((resolve) => socket.once(event, resolve));
}

async function echo(socket: Socket, data: unknown = "hello"): Promise<Echo> {
  return (await socket.timeout(10_000).emitWithAck("echo", data)) as Echo;
}

const originOf = async (socket: Socket): Promise<Id> => (await echo(socket)).origin;
const sidOf = (socket: Socket): string => socket.io.engine.id;
const transportOf = (socket: Socket): string => socket.io.engine.transport.name;

/** All requests of an Engine.IO session at all origins; a session of that id is at one of them. */
const requestsOf = (sid: string): { origin: Id; line: string }[] =>
  origins.flatMap(({ id, seen }) => seen.filter(({ url }) => url.searchParams.get("sid") === sid).map(({ line }) => ({ origin: id, line })));

test("stock clients, many at once, connect by polling, upgrade, and stay with one origin; both origins have some", async () => {
  const sockets = Array.from({ length: 16 }, () => client());
  const stays = await Promise.all(
    sockets.map(async (socket) => {
      const closes: string[] = [];
      socket.on("disconnect", (reason) => closes.push(reason));
      await connected(socket);
      const [begun, before] = [transportOf(socket), await Promise.all([echo(socket, { n: 1 }), echo(socket, BINARY)])];
      await upgraded(socket);
      const after = await Promise.all([echo(socket, { n: 2 }), echo(socket, BINARY)]);
      expect([...before, ...after].map(({ data }) => data)).toEqual([{ n: 1 }, BINARY, { n: 2 }, BINARY]);
      return { begun, closes, origins: new Set([...before, ...after].map(({ origin }) => origin)), sid: sidOf(socket) };
    }),
  );
  for (const stay of stays) expect([stay.begun, stay.closes, stay.origins.size]).toEqual(["polling", [], 1]);
  expect(new Set(stays.flatMap((stay) => [...stay.origins]))).toEqual(new Set(IDS));
  expect(stays.every(({ sid }) => /^[\w-]{20}~limpet\.1\./.test(sid))).toBe(true);
  for (const stay of stays) {
    const bare = stay.sid.split("~")[0] ?? "";
    expect(origins.filter((origin) => origin.sids().includes(bare)).map(({ id }) => id)).toEqual([...stay.origins]);
    expect(new Set(requestsOf(bare).map(({ origin }) => origin))).toEqual(stay.origins);
    expect(requestsOf(bare).length).toBeGreaterThan(2); // a poll, a post, the upgrade
  }
});

const BINARY = Buffer.from(Array.from({ length: 1000 }, (_, n) => n % 256));

test("polling only: what is larger than a poll goes in several, either way", async () => {
  const sockets = await Promise.all(Array.from({ length: 4 }, () => connected(client({ transports: ["polling"] }))));
  await Promise.all(
    sockets.map(async (socket) => {
      const parts = Array.from({ length: 5 }, (_, n) => String(n).repeat(300_000)); // together more than a server takes at once (1 MB)
      const answers = await Promise.all(parts.map((part) => echo(socket, part)));
      expect(answers.map(({ data }) => data === parts.shift())).toEqual([true, true, true, true, true]);
      expect(new Set(answers.map(({ origin }) => origin)).size).toBe(1);
      const here = occurrence<string>(socket, "here");
      socket.emit("send me", 3_000_000);
      expect((await here).length).toBe(3_000_000);
      const binary = randomBytes(100_000);
      expect((await echo(socket, binary)).data).toEqual(binary);
      expect(transportOf(socket)).toBe("polling");
      const posts = requestsOf(sidOf(socket).split("~")[0] ?? "").filter(({ line }) => line.startsWith("POST"));
      expect(posts.length).toBeGreaterThan(2);
    }),
  );
});

test("websocket only: there is no polling handshake, and nothing to learn", async () => {
  const sockets = await Promise.all(Array.from({ length: 16 }, () => connected(client({ transports: ["websocket"] }))));
  expect(new Set(await Promise.all(sockets.map(originOf)))).toEqual(new Set(IDS));
  expect(sockets.map(sidOf).filter((sid) => sid.includes("~"))).toEqual([]);
  expect((await Promise.all(sockets.map((socket) => echo(socket, BINARY)))).every(({ data }) => BINARY.equals(data as Buffer))).toBe(true);
});

test("a page of another site: the preflight of a session's requests reaches the origin that has it, and a stranger gets nothing", async () => {
  const sockets = await Promise.all(Array.from({ length: 8 }, () => connected(client({ transports: ["polling"] }))));
  for (const socket of sockets) {
    const [sid, origin] = [sidOf(socket), await originOf(socket)];
    const response = await router.fetch(`/socket.io/?EIO=4&transport=polling&sid=${encodeURIComponent(sid)}`, {
      method: "OPTIONS",
      headers: { origin: "https://app.example.com", "access-control-request-method": "POST" },
    });
    expect([response.status, response.headers.get("access-control-allow-origin")]).toEqual([204, "https://app.example.com"]);
    const asked = requestsOf(sid.split("~")[0] ?? "").filter(({ line }) => line.startsWith("OPTIONS"));
    expect(asked.map((each) => each.origin)).toEqual([origin]);
    const stranger = await router.fetch(`/socket.io/?EIO=4&transport=polling&sid=somebody~limpet.${sid.split("~limpet.")[1]}`);
    expect(stranger.status).toBe(400);
  }
});

test("a percent-encoded tag is one too", async () => {
  const socket = await connected(client({ transports: ["polling"] }));
  const [bare = "", tag = ""] = sidOf(socket).split("~");
  const [origin, before] = [await originOf(socket), requestsOf(bare).length];
  const response = await router.fetch(`/socket.io/?EIO=4&transport=polling&sid=${bare}%7E${tag}`, {
    method: "OPTIONS",
    headers: { origin: "https://app.example.com", "access-control-request-method": "GET" },
  });
  expect(response.status).toBe(204);
  expect(requestsOf(bare).length).toBeGreaterThan(before);
  expect(new Set(requestsOf(bare).map((each) => each.origin))).toEqual(new Set([origin]));
});

test("when an origin dies, its clients come back by themselves, at the other one; those of the other notice nothing", async () => {
  const upgrading = await Promise.all(Array.from({ length: 8 }, () => upgraded(client())));
  const polling = await Promise.all(Array.from({ length: 8 }, () => connected(client({ transports: ["polling"] }))));
  const sockets = [...upgrading, ...polling];
  const begun = await Promise.all(sockets.map(async (socket) => ({ socket, origin: await originOf(socket), sid: sidOf(socket) })));
  const dead = begun[0]?.origin ?? "chat-1";
  const [lost, others] = [begun.filter(({ origin }) => origin === dead), begun.filter(({ origin }) => origin !== dead)];
  const back = Promise.all(lost.map(({ socket }) => occurrence(socket, "disconnect").then(() => connected(socket))));
  const at = origins.findIndex(({ id }) => id === dead);
  await origins[at]?.kill();
  try {
    await back;
    for (const { socket, sid } of lost) expect([await originOf(socket), sidOf(socket) === sid]).toEqual([others[0]?.origin, false]);
    for (const { socket, sid, origin } of others) expect([await originOf(socket), sidOf(socket)]).toEqual([origin, sid]);
  } finally {
    origins[at] = await startChat(dead, origins[at]?.port);
    await eventually("it is well again", async () => (await ring("chat")).origins.every(({ health }) => health === "healthy"));
  }
});

test.each([
  ["polling, of which nothing is live between two requests", () => connected(client({ transports: ["polling"] }))],
  ["upgraded", () => upgraded(client())],
])("a drain leaves sessions where they are, and new ones begin elsewhere: %s", async (_, begin) => {
  const sockets = await Promise.all(Array.from({ length: 8 }, begin));
  const closes: string[] = [];
  for (const socket of sockets) socket.on("disconnect", (reason) => closes.push(reason));
  const before = await Promise.all(sockets.map(originOf));
  const drained = before[0] ?? "chat-1";
  for (const pool of ["chat", "plain"]) await router.admin(`rings/${pool}/weur/origins/${drained}/drain`, "POST");
  try {
    await eventually("a drain without such sessions is through", async () => (await stateIn("plain", drained)) === "drained");
    await settled("chat", "/look");
    for (let n = 0; n < 5; n++) expect(await Promise.all(sockets.map(originOf))).toEqual(before);
    const newcomers = await Promise.all(Array.from({ length: 8 }, () => upgraded(client())));
    expect((await Promise.all(newcomers.map(originOf))).filter((origin) => origin === drained)).toEqual([]);
    expect(closes).toEqual([]);
  } finally {
    for (const pool of ["chat", "plain"]) await router.admin(`rings/${pool}/weur/origins/${drained}/undrain`, "POST");
    await settled("chat", "/look");
  }
});

test("when a drain is over, its clients come back by themselves, elsewhere, and the process may end", async () => {
  const path = "/brief/";
  const sockets = await Promise.all([
    ...Array.from({ length: 6 }, () => client({ path })).map(upgraded),
    ...Array.from({ length: 6 }, () => connected(client({ path, transports: ["polling"] }))),
  ]);
  const before = await Promise.all(sockets.map(originOf));
  const drained = before[0] ?? "chat-1";
  const leaving = sockets.filter((_, n) => before[n] === drained);
  const back = Promise.all(leaving.map((socket) => occurrence(socket, "disconnect").then(() => connected(socket))));
  await router.admin(`rings/brief/weur/origins/${drained}/drain`, "POST");
  await eventually("its process may end", async () => (await stateIn("brief", drained)) === "drained");
  await settled("brief", "/look/brief");
  for (const socket of leaving) socket.emit("send me", 1); // a poll that waits at an origin is cut off by its end only; what is sent notices at once
  await back;
  expect((await Promise.all(sockets.map(originOf))).filter((origin) => origin === drained)).toEqual([]);
});

function ring(pool: string): Promise<RingView> {
  return router.admin<RingView>(`rings/${pool}/weur`);
}

async function stateIn(pool: string, origin: Id): Promise<string | undefined> {
  return (await ring(pool)).origins.find(({ id }) => id === origin)?.state;
}

/** The router's Worker has seen what the ring object says now. */
async function settled(pool: string, path: string): Promise<void> {
  await eventually("the newest epoch is in use", async () => {
    const { epoch } = await ring(pool);
    return Number(parseDictionary((await router.fetch(path)).headers.get("limpet") ?? "").get("epoch")?.[0]) >= epoch;
  });
}
