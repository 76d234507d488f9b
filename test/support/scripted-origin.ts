// An origin that does what its test says. Plain requests go to a function of the test's, WebSockets are echoed with the origin's name in
// front, health checks are answered well. `startRawOrigin` is the same below HTTP: the test writes the bytes.

import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTcpServer, type AddressInfo, type Socket } from "node:net";
import { parseDictionary } from "structured-headers";
import { WebSocketServer } from "ws";

export type Script = (request: IncomingMessage, response: ServerResponse) => void;

export interface ScriptedOrigin {
  readonly id: string;
  readonly url: string;
  /** Requests seen, in order, without health checks; upgrades among them. */
  readonly seen: readonly IncomingMessage[];
  script: Script;
  stop(): Promise<void>;
}

export async function startScriptedOrigin(id: string, script: Script = (_, response) => void response.end(id)): Promise<ScriptedOrigin> {
  const seen: IncomingMessage[] = [];
  const sockets = new WebSocketServer({ noServer: true });
  const server = createServer((request, response) => {
    if (request.url === "/healthz") return void response.end("ok");
    seen.push(request);
    origin.script(request, response);
  }).on("upgrade", (request: IncomingMessage, socket, head) => {
    seen.push(request);
    sockets.handleUpgrade(request, socket, head, (connection) => connection.on("message", (data) => connection.send(`${id}: ${String(data)}`)));
  });
  server.keepAliveTimeout = 60_000; // none closes while a request is on its way to it
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const origin: ScriptedOrigin = {
    id,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    script,
    stop: async () => {
      for (const connection of sockets.clients) connection.terminate();
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
  return origin;
}

/** One request as a raw origin sees it: how many-eth of its path, counted from 1. */
export interface RawRequest {
  readonly method: string;
  readonly path: string;
  readonly head: string;
  readonly nth: number;
}

export interface RawOrigin {
  readonly id: string;
  readonly url: string;
  readonly seen: readonly RawRequest[];
  /** Requests for one path. */
  of(path: string): readonly RawRequest[];
  script: (socket: Socket, request: RawRequest) => unknown;
  stop(): Promise<void>;
}

export async function startRawOrigin(id: string, script: RawOrigin["script"]): Promise<RawOrigin> {
  const seen: RawRequest[] = [];
  const open = new Set<Socket>();
  const server = createTcpServer((socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket)).on("error", () => undefined);
    let bytes = Buffer.alloc(0);
    const read = (chunk: Buffer): void => {
      bytes = Buffer.concat([bytes, chunk]);
      const end = bytes.indexOf("\r\n\r\n");
      if (end < 0) return;
      const head = bytes.toString("latin1", 0, end);
      const [method = "", path = ""] = head.split(" ");
      if (path === "/healthz") {
        bytes = Buffer.alloc(0);
        socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        return;
      }
      socket.off("data", read);
      if (bytes.length > end + 4) socket.unshift(bytes.subarray(end + 4)); // the beginning of a body is the script's to read
      const request = { method, path, head, nth: origin.of(path).length + 1 };
      seen.push(request);
      origin.script(socket, request);
    };
    socket.on("data", read);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const origin: RawOrigin = {
    id,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    of: (path) => seen.filter((request) => request.path === path),
    script,
    stop: async () => {
      server.close();
      for (const socket of open) socket.destroy();
      await once(server, "close");
    },
  };
  return origin;
}

/** What the router tells an origin, from a request's `Limpet` field. */
export function toldIn(request: IncomingMessage | RawRequest): ReadonlyMap<string, unknown> {
  const field = "head" in request ? (/^limpet: *(.*)$/im.exec(request.head)?.[1] ?? "") : String(request.headers["limpet"] ?? "");
  return new Map([...parseDictionary(field)].map(([name, [value]]) => [name, value]));
}
