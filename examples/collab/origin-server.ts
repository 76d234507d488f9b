// What one origin answers, as a Node HTTP server that is not listening yet: shared documents, an event stream, a counter, its health.
// What must stay true: nothing a visitor sends can end the process, and answers name the origin only where the routes below say so.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { Counters } from "./counters.ts";
import { Documents } from "./documents.ts";
import { EventStreams } from "./event-streams.ts";
import { sessionOf } from "./limpet-session.ts";

export interface OriginIdentity {
  readonly id: string;
  readonly region: string;
}

/** How long a leaving origin waits for visitors to close before it cuts them. */
const CLOSE_GRACE_MS = 1_500;

/** As long as the router allows a session key to be. */
const NAME_MAX_BYTES = 256;

export class OriginServer {
  readonly http: Server;
  readonly #identity: OriginIdentity;
  readonly #counters = new Counters();
  readonly #documents = new Documents();
  readonly #events: EventStreams;

  constructor(identity: OriginIdentity) {
    this.#identity = { id: identity.id, region: identity.region };
    this.#events = new EventStreams(identity.id);
    this.http = createServer((request, response) => this.#answer(request, response));
    this.http.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
  }

  /** Refuses new connections, asks the present ones to leave, and cuts what is left after a while. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.http.close(() => resolve()));
    this.#documents.closeAll();
    this.#events.endAll();
    this.http.closeIdleConnections();
    const cut = setTimeout(() => {
      this.#documents.cutAll();
      this.http.closeAllConnections();
    }, CLOSE_GRACE_MS);
    await closed;
    clearTimeout(cut);
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    // A visitor who leaves in mid-answer is nobody's fault.
    response.on("error", () => response.destroy());
    const url = urlOf(request);
    const stream = nameIn(url?.pathname, "/events/");
    if (url === null) json(response, 400, { error: "the request target is not a URL" });
    else if (url.pathname === "/healthz") this.#only(request, response, ["GET", "HEAD"], () => json(response, 200, { status: "ready" }));
    else if (url.pathname === "/whoami") this.#only(request, response, ["GET"], () => this.#whoami(request, response));
    else if (url.pathname === "/api/counter") this.#only(request, response, ["GET", "POST"], () => this.#count(request, response));
    else if (stream !== undefined) this.#only(request, response, ["GET"], () => this.#events.open(response, lastEventId(request, url)));
    else json(response, 404, { error: "nothing here" });
  }

  #only(request: IncomingMessage, response: ServerResponse, methods: readonly string[], answer: () => void): void {
    if (methods.includes(request.method ?? "")) return answer();
    response.setHeader("allow", methods.join(", "));
    json(response, 405, { error: `use ${methods.join(" or ")}` });
  }

  #whoami(request: IncomingMessage, response: ServerResponse): void {
    json(response, 200, { ...this.#identity, limpet: limpetField(request) ?? null });
  }

  #count(request: IncomingMessage, response: ServerResponse): void {
    const limpet = limpetField(request);
    const session = sessionOf(limpet);
    if (session === undefined) return json(response, 400, { error: "no session in the Limpet header: ask through the router" });
    const count = request.method === "POST" ? this.#counters.increment(session) : this.#counters.read(session);
    json(response, 200, { origin: this.#identity.id, region: this.#identity.region, session, count, limpet });
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // Without a listener a reset during the handshake would end the process.
    socket.on("error", () => socket.destroy());
    const name = nameIn(urlOf(request)?.pathname, "/collab/");
    if (name === undefined) socket.end("HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    else this.#documents.open(name, request, socket, head);
  }
}

function urlOf(request: IncomingMessage): URL | null {
  return URL.parse(request.url ?? "", "http://origin.invalid");
}

/** The one path segment after `prefix`, decoded once; `undefined` where it is missing, too long or not decodable. */
function nameIn(pathname: string | undefined, prefix: string): string | undefined {
  if (pathname === undefined || !pathname.startsWith(prefix)) return undefined;
  const segment = pathname.slice(prefix.length);
  if (segment === "" || segment.includes("/")) return undefined;
  try {
    const name = decodeURIComponent(segment);
    return Buffer.byteLength(name) <= NAME_MAX_BYTES ? name : undefined;
  } catch {
    // A broken % sequence is no name.
    return undefined;
  }
}

function lastEventId(request: IncomingMessage, url: URL): string | undefined {
  const header = request.headers["last-event-id"];
  return (typeof header === "string" ? header : undefined) ?? url.searchParams.get("lastEventId") ?? undefined;
}

/** Node joins a repeated field with ", ", which is what RFC 9651 asks for. */
function limpetField(request: IncomingMessage): string | undefined {
  const field = request.headers["limpet"];
  return Array.isArray(field) ? field.join(", ") : field;
}

function json(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store", "content-length": Buffer.byteLength(text) });
  response.end(text);
}
