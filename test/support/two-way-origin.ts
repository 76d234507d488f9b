// An origin of WebSockets and event streams alike, and its visitors, for what must hold however a connection is carried. The origin says hello
// with its name; everything else its test says, on either end.

import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import { createParser } from "eventsource-parser";
import { WebSocket, WebSocketServer, type PerMessageDeflateOptions } from "ws";
import { listen, type MortalServer } from "./mortal-server.ts";
import { toldIn } from "./scripted-origin.ts";
import { eventually } from "./stack.ts";

export type Transport = "websocket" | "sse";

/** One connection as its origin has it. */
export interface Guest {
  readonly request: IncomingMessage;
  /** What the `Limpet` field said. */
  readonly told: ReadonlyMap<string, unknown>;
  /** Of a WebSocket: frames, and pings. */
  readonly heard: readonly string[];
  readonly pings: readonly string[];
  readonly extensions: string;
  /** How it ended: a close's code and reason; of a stream, that the visitor has left. */
  readonly over: Promise<string>;
  isOver(): boolean;
  /** On a stream: a text is an event, bytes are what they are. */
  say(what: string | Buffer): void;
  ping(text: string): void;
  end(code?: number, reason?: string): void;
}

/** How a handshake is answered instead. */
export type Answer = "reset" | "hang" | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string };

export class TwoWayOrigin {
  readonly id: string;
  /** Requests for a live connection, in order, and those that were let in. */
  readonly seen: IncomingMessage[] = [];
  readonly guests: Guest[] = [];
  answer: (request: IncomingMessage) => Answer | undefined = () => undefined;
  /** Beside what every 101 and stream has. */
  headers: readonly string[] = [];
  readonly #sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: { threshold: 0 },
    maxPayload: 64 * 1024 * 1024,
    handleProtocols: (offered) => [...offered].at(-1) ?? false,
  });
  #server: MortalServer | undefined;
  #port = 0;

  constructor(id: string) {
    this.id = id;
    this.#sockets.on("headers", (headers: string[]) => headers.push(...this.headers));
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Starts, or comes back on its old port. */
  async start(): Promise<void> {
    const server = createServer((request, response) => {
      if (request.url === "/healthz") return void response.end("ok");
      this.#stream(request, response);
      return undefined;
    }).on("upgrade", (request: IncomingMessage, socket, head) => {
      this.seen.push(request);
      const answer = this.answer(request);
      socket.on("error", () => undefined); // its visitor may leave
      if (answer === undefined)
        return this.#sockets.handleUpgrade(request, socket, head, (each) => this.guests.push(webSocketGuest(this, request, each)));
      if (answer === "reset") socket.destroy();
      if (typeof answer === "string") return undefined;
      const { status, headers = {}, body = "" } = answer;
      const fields = Object.entries({ connection: "close", "content-length": String(body.length), ...headers });
      socket.end(`HTTP/1.1 ${status} Refused\r\n${fields.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n${body}`);
      return undefined;
    });
    server.keepAliveTimeout = 60_000;
    this.#server = await listen(server, this.#port);
    this.#port = this.#server.port;
  }

  /** Dies as a process does: every connection is reset, and the port refuses. */
  async kill(): Promise<void> {
    await this.#server?.kill();
  }

  #stream(request: IncomingMessage, response: ServerResponse): void {
    this.seen.push(request);
    const answer = this.answer(request);
    if (answer === "reset") return void request.socket.resetAndDestroy();
    if (answer === "hang") return;
    if (answer) return void response.writeHead(answer.status, answer.headers).end(answer.body);
    for (const line of this.headers) response.appendHeader(...(line.split(": ") as [string, string]));
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
    this.guests.push(streamGuest(this, request, response));
  }
}

function webSocketGuest({ id }: TwoWayOrigin, request: IncomingMessage, socket: WebSocket): Guest {
  const [heard, pings]: [string[], string[]] = [[], []];
  let isOver = false;
  const over = new Promise<string>((resolve) =>
    socket.on("close", (code, reason) => {
      isOver = true;
      resolve(`${code} ${reason.toString()}`.trimEnd());
    }),
  );
  socket.on("error", () => undefined); // its close says the same
  socket.on("message", (data, binary) => heard.push(described(data as Buffer, binary)));
  socket.on("ping", (data) => pings.push(data.toString()));
  socket.send(`hello from ${id}`);
  const { extensions } = socket;
  const say = (what: string | Buffer): void => socket.send(what);
  return {
    request,
    told: toldIn(request),
    heard,
    pings,
    extensions,
    over,
    isOver: () => isOver,
    say,
    ping: (text) => socket.ping(text),
    end: (code, reason) => socket.close(code, reason),
  };
}

function streamGuest({ id }: TwoWayOrigin, request: IncomingMessage, response: ServerResponse): Guest {
  let [isOver, lastId] = [false, 0];
  const over = new Promise<string>((resolve) =>
    response.on("close", () => {
      isOver = true;
      resolve("left");
    }),
  );
  const say = (what: string | Buffer): void => void response.write(typeof what === "string" ? `id: ${id}-${++lastId}\ndata: ${what}\n\n` : what);
  say(`hello from ${id}`);
  const none = (): never => {
    throw new Error("an event stream has no such thing");
  };
  return {
    request,
    told: toldIn(request),
    heard: [],
    pings: [],
    extensions: "",
    over,
    isOver: () => isOver,
    say,
    ping: none,
    end: () => response.end(),
  };
}

/** One connection as its visitor has it. */
export interface Visit {
  readonly headers: IncomingHttpHeaders;
  readonly heard: readonly string[];
  readonly pings: readonly string[];
  readonly protocol: string;
  readonly extensions: string;
  /** The origin that said hello last. */
  owner(): Promise<string>;
  /** A close's code and reason; of a stream, `in order` or `cut`. */
  readonly closed: Promise<string>;
  isOpen(): boolean;
  say(what: string | Buffer): void;
  ping(text: string): void;
  leave(code?: number, reason?: string): void;
}

/** A handshake that was not accepted. */
export class Refused extends Error {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;

  constructor(status: number, headers: IncomingHttpHeaders, body: string) {
    super(`refused with ${status}: ${body}`);
    this.status = status;
    this.headers = headers;
    this.body = body;
  }
}

export interface Wanted {
  readonly headers?: Readonly<Record<string, string>>;
  readonly protocols?: string[];
  readonly deflate?: boolean | PerMessageDeflateOptions;
}

/** Resolves once the connection is there; rejects with `Refused`, or when it is cut before. */
export function come(transport: Transport, url: string, wanted: Wanted = {}): Promise<Visit> {
  return transport === "websocket" ? comeByWebSocket(url.replace("http", "ws"), wanted) : comeByStream(url, wanted);
}

/** The answer to a handshake that must be refused. */
export async function refusal(transport: Transport, url: string, wanted: Wanted = {}): Promise<Refused> {
  try {
    await come(transport, url, wanted);
  } catch (error) {
    if (error instanceof Refused) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

async function comeByWebSocket(url: string, { headers = {}, protocols = [], deflate = true }: Wanted): Promise<Visit> {
  const socket = new WebSocket(url, protocols, { headers, perMessageDeflate: deflate, maxPayload: 64 * 1024 * 1024 });
  const [heard, hellos, pings]: [string[], string[], string[]] = [[], [], []];
  socket.on("message", (data, binary) => keep(described(data as Buffer, binary), heard, hellos));
  socket.on("ping", (data) => pings.push(data.toString()));
  const closed = new Promise<string>((resolve) => socket.on("close", (code, reason) => resolve(`${code} ${reason.toString()}`.trimEnd())));
  const { promise, resolve, reject } = Promise.withResolvers<IncomingHttpHeaders>();
  let answered: IncomingHttpHeaders = {};
  socket.on("upgrade", (response) => (answered = response.headers));
  socket.on("open", () => resolve(answered));
  socket.on("error", reject); // after the opening its close says the same
  socket.on("unexpected-response", (_, response) => {
    void bodyOf(response).then((body) => reject(new Refused(response.statusCode ?? 0, response.headers, body)));
  });
  return {
    headers: await promise,
    heard,
    pings,
    protocol: socket.protocol,
    extensions: socket.extensions,
    owner: () => ownerIn(hellos),
    closed,
    isOpen: () => socket.readyState === WebSocket.OPEN,
    say: (what) => socket.send(what),
    ping: (text) => socket.ping(text),
    leave: (code, reason) => (code === undefined ? socket.terminate() : socket.close(code, reason)),
  };
}

async function comeByStream(url: string, { headers = {} }: Wanted): Promise<Visit> {
  const gone = new AbortController();
  const response = await fetch(url, { headers: { accept: "text/event-stream", ...headers }, redirect: "manual", signal: gone.signal });
  const answered = Object.fromEntries(response.headers) as IncomingHttpHeaders;
  answered["set-cookie"] = response.headers.getSetCookie();
  const { body } = response;
  if (response.status !== 200 || !body) throw new Refused(response.status, answered, await response.text());
  const [heard, hellos]: [string[], string[]] = [[], []];
  const parser = createParser({ onEvent: ({ data }) => keep(data, heard, hellos) });
  let isOpen = true;
  const decoder = new TextDecoder();
  const read = async (): Promise<string> => {
    try {
      for await (const chunk of body) parser.feed(decoder.decode(chunk, { stream: true }));
      return "in order";
    } catch {
      return "cut";
    } finally {
      isOpen = false;
    }
  };
  const none = (): never => {
    throw new Error("who listens to an event stream says nothing");
  };
  return {
    headers: answered,
    heard,
    pings: [],
    protocol: "",
    extensions: "",
    owner: () => ownerIn(hellos),
    closed: read(),
    isOpen: () => isOpen,
    say: none,
    ping: none,
    leave: () => gone.abort(),
  };
}

const HELLO = "hello from ";

function keep(text: string, heard: string[], hellos: string[]): void {
  if (text.startsWith(HELLO)) hellos.push(text.slice(HELLO.length));
  else heard.push(text);
}

function ownerIn(hellos: readonly string[]): Promise<string> {
  return eventually("an origin says hello", () => hellos.at(-1));
}

function described(data: Buffer, binary: boolean): string {
  return binary ? `binary ${data.toString("base64")}` : data.toString();
}

async function bodyOf(stream: NodeJS.ReadableStream): Promise<string> {
  let body = "";
  for await (const part of stream) body += String(part);
  return body;
}
