// A tiny control server for the fleet, so that the page to try Limpet can kill and revive origins: `GET /fleet`,
// `POST /fleet/:id/kill`, `POST /fleet/:id/revive`. It can end processes, so what must stay true: it listens on 127.0.0.1 only, it
// answers to loopback host names only (no DNS rebinding), and only to pages of the router's own origin (no other site's script).

import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Fleet } from "./fleet.ts";

const HOST = "127.0.0.1";

export interface ControlOptions {
  /** The web origins under which the router's own pages are opened, for example `http://127.0.0.1:8787`: only these may call. */
  readonly routerOrigins: readonly string[];
  /** 0 or absent: any free port. */
  readonly port?: number;
}

export interface Control {
  readonly url: string;
  stop(): Promise<void>;
}

export async function startControl(fleet: Fleet, options: ControlOptions): Promise<Control> {
  const server = createServer((request, response) => {
    answer(fleet, options.routerOrigins, request, response).catch((error: unknown) => {
      reply(response, 500, { error: error instanceof Error ? error.message : String(error) });
    });
  });
  server.listen(options.port ?? 0, HOST);
  await once(server, "listening");
  return { url: `http://${HOST}:${portOf(server)}`, stop: () => stopped(server) };
}

async function answer(fleet: Fleet, routerOrigins: readonly string[], request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (!isLoopback(request.headers.host)) return reply(response, 421, { error: "this server answers to 127.0.0.1 and localhost only" });
  const { origin } = request.headers;
  if (origin === undefined || !routerOrigins.includes(origin))
    return reply(response, 403, { error: `only pages of ${routerOrigins.join(" or ")} may call this` });
  response.setHeader("access-control-allow-origin", origin);
  response.setHeader("vary", "origin");
  if (request.method === "OPTIONS") return preflight(response);
  if (request.method === "GET" && request.url === "/fleet") return reply(response, 200, { origins: fleet.report() });
  const [, id, action] = /^\/fleet\/([a-z0-9-]{1,32})\/(kill|revive)$/.exec(request.url ?? "") ?? [];
  if (id === undefined || !fleet.ids.includes(id)) return reply(response, 404, { error: "no such origin or action" });
  if (request.method !== "POST") return reply(response, 405, { error: "use POST" });
  await (action === "kill" ? fleet.kill(id) : fleet.revive(id));
  reply(response, 200, { id, state: fleet.state(id) });
}

function preflight(response: ServerResponse): void {
  response.writeHead(204, { "access-control-allow-methods": "GET, POST", "access-control-max-age": "600" });
  response.end();
}

function isLoopback(host: string | undefined): boolean {
  return host !== undefined && /^(127\.0\.0\.1|localhost)(:\d{1,5})?$/.test(host);
}

function reply(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
  response.end(JSON.stringify(body));
}

function portOf(server: Server): number {
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the control server is not listening");
  return address.port;
}

async function stopped(server: Server): Promise<void> {
  const closed = once(server, "close");
  server.close();
  server.closeAllConnections();
  await closed;
}
