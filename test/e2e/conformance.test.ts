// RFC 6455 through a relay and a splice as directly against the origin: each case is sent by hand, once to the origin and once to the router,
// and what both sides saw is compared. The declared differences are the relay's: spliced, there is none.

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import WebSocket, { WebSocketServer } from "ws";
import { CASES, describeMessage, type Case, type Difference, type Outcome, type Seen } from "../support/conformance-cases.ts";
import {
  acceptRawWebSocket,
  BINARY,
  CLOSE,
  CONTINUATION,
  openRawWebSocket,
  PONG,
  TEXT,
  type RawFrame,
  type RawPeer,
} from "../support/raw-websocket.ts";
import { startRawOrigin, type RawOrigin } from "../support/scripted-origin.ts";
import { startDev } from "../support/stack.ts";

/** What a Worker's sockets take; the origin and the visitor of the comparison have the same bound. */
const MESSAGE_MAX_BYTES = 32 * 1024 * 1024;

let echo: Awaited<ReturnType<typeof startEcho>>;
let raw: RawOrigin;
let router: Awaited<ReturnType<typeof startDev>>;
/** What a raw origin's connections send, by path. */
const scripts = new Map<string, (peer: RawPeer) => void>();

beforeAll(async () => {
  echo = await startEcho();
  raw = await startRawOrigin("raw", (socket, request) => scripts.get(request.path)?.(acceptRawWebSocket(socket, request)));
  const pool = (url: string): object => ({ closeDeadlineMs: 4000, origins: [{ id: "o0", region: "weur", url }] });
  const routes = (carry: Carry, more: object): object[] =>
    ["echo", "raw"].map((pool) => ({ path: `/${carry}/${pool}/:session`, pool, session: [{ path: "session" }], home: "weur", carry, ...more }));
  router = await startDev({
    configRevision: 1,
    defaultRegion: "weur",
    regions: { weur: {} },
    pools: { echo: pool(echo.url), raw: pool(raw.url) },
    // No close code is taken as "dial again": what an origin's close becomes is to be seen.
    routes: [...routes("relay", { rehomeOn: [] }), ...routes("splice", {})],
  });
});

afterAll(async () => {
  await router?.stop();
  await echo?.stop();
  await raw?.stop();
});

let lastKey = 0;

const CARRIES = ["relay", "splice"] as const;
type Carry = (typeof CARRIES)[number];
const GROUPS = ["frames", "fragmentation", "utf-8", "close", "limits"] as const;

describe.for(CARRIES.flatMap((carry) => GROUPS.map((group) => [carry, group] as const)))("%s, %s", ([carry, group]) => {
  const cases = CASES.filter((each) => each.group === group);
  // Messages of 32 MiB one after another; everything else together.
  const run = group === "limits" ? test : test.concurrent;
  run.for(cases)("a visitor sends $name", async (each) => {
    const path = `/${carry}/echo/${++lastKey}`;
    const direct = await visitorSends(echo.url + path, each);
    compare(direct, await visitorSends(`${router.url}${path}r`, each), carry === "relay" ? each.differs?.visitor : undefined);
  });
  run.for(cases)("an origin sends $name", async (each) => {
    const path = `/${carry}/raw/${++lastKey}`;
    const direct = await originSends(raw.url + path, each);
    compare(direct, await originSends(`${router.url}${path}r`, each), carry === "relay" ? each.differs?.origin : undefined);
  });
});

/** What is not declared is as directly; what is, is as declared, and really another thing. */
function compare(direct: Outcome, routed: Outcome, differs: Difference | undefined): void {
  for (const side of ["sender", "receiver"] as const) {
    const { heard, close } = differs?.[side] ?? {};
    if (heard instanceof RegExp) expect(routed[side].heard.join("\n"), `heard by the ${side}`).toMatch(heard);
    else expect(routed[side].heard, `heard by the ${side}`).toEqual(heard ?? direct[side].heard);
    if (close instanceof RegExp) expect(routed[side].close, `the ${side}'s close`).toMatch(close);
    else expect(routed[side].close, `the ${side}'s close`).toBe(close ?? direct[side].close);
    if (close !== undefined) expect(routed[side].close, `the ${side}'s declared difference is one`).not.toBe(direct[side].close);
  }
}

/** The visitor is a raw one, the origin echoes. */
async function visitorSends(url: string, { send }: Case): Promise<Outcome> {
  const { origin, pathname } = new URL(url);
  const peer = await openRawWebSocket(origin, pathname);
  await send(peer);
  const receiver = await within(echo.seenAt(pathname), "the origin's connection ends");
  await within(peer.ended, "the visitor's connection ends");
  return { sender: seenBy(peer), receiver };
}

/** The origin is a raw one, the visitor a library's. */
async function originSends(url: string, { send }: Case): Promise<Outcome> {
  const begun = Promise.withResolvers<RawPeer>();
  scripts.set(new URL(url).pathname, begun.resolve);
  const socket = new WebSocket(url.replace("http", "ws"), { maxPayload: MESSAGE_MAX_BYTES, perMessageDeflate: false });
  const receiver = seenByLibrary(socket);
  await once(socket, "open");
  const peer = await begun.promise;
  await send(peer);
  const seen = await within(receiver, "the visitor's connection ends");
  await within(peer.ended, "the origin's connection ends");
  return { sender: seenBy(peer), receiver: seen };
}

function seenBy({ frames }: RawPeer): Seen {
  const heard: string[] = [];
  let parts: RawFrame[] = [];
  let close = "none";
  for (const frame of frames) {
    if (frame.opcode === CLOSE) close = closeOf(frame.payload);
    else if (frame.opcode === PONG) heard.push(`pong ${describeMessage(frame.payload, true)}`);
    else if (frame.opcode === TEXT || frame.opcode === BINARY || frame.opcode === CONTINUATION) {
      parts.push(frame);
      if (!frame.fin) continue;
      heard.push(describeMessage(Buffer.concat(parts.map(({ payload }) => payload)), parts[0]?.opcode === BINARY));
      parts = [];
    } else heard.push(`opcode ${frame.opcode}`);
  }
  return { heard, close };
}

function seenByLibrary(socket: WebSocket): Promise<Seen> {
  const heard: string[] = [];
  socket.on("message", (data, binary) => heard.push(describeMessage(data as Buffer, binary)));
  socket.on("error", () => undefined); // its close says the same
  return new Promise((resolve) => socket.on("close", (code, reason) => resolve({ heard, close: closeSaid(code, reason.toString()) })));
}

function closeOf(payload: Buffer): string {
  return payload.length < 2 ? closeSaid(1005, "") : closeSaid(payload.readUInt16BE(0), payload.toString("utf8", 2));
}

function closeSaid(code: number, reason: string): string {
  if (code === 1005) return "no code";
  return code === 1006 ? "none" : `${code} ${reason}`.trimEnd();
}

async function startEcho() {
  const seen = new Map<string, PromiseWithResolvers<Seen>>();
  const at = (path: string): PromiseWithResolvers<Seen> => {
    const known = seen.get(path) ?? Promise.withResolvers<Seen>();
    seen.set(path, known);
    return known;
  };
  const server = createServer((_, response) => void response.end("ok"));
  const sockets = new WebSocketServer({ server, maxPayload: MESSAGE_MAX_BYTES, perMessageDeflate: false });
  sockets.on("connection", (socket, { url = "" }) => {
    socket.on("message", (data, binary) => socket.send(data as Buffer, { binary }));
    void seenByLibrary(socket).then(at(url).resolve);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seenAt: (path: string) => at(path).promise,
    stop: async () => {
      for (const socket of sockets.clients) socket.terminate();
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

async function within<T>(work: Promise<T>, what: string): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`did not happen: ${what}`)), 15_000);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
