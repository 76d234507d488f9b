// A router over origins of event streams that do what their test says, and remember what each was asked. They share a feed of numbered events, as
// a team's servers share their history, so that any of them can go on after any id. WebSockets are echoed.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { WebSocketServer } from "ws";
import { startRouter, type Router } from "../../src/cli/router.ts";
import { listen, type MortalServer } from "./mortal-server.ts";
import { toldIn } from "./scripted-origin.ts";
import { clientOf, eventually, type RingView } from "./stack.ts";

/** One event stream that the router has opened. */
export interface Stream {
  readonly origin: string;
  readonly session: string;
  readonly fence: number;
  readonly movedFrom: string | undefined;
  /** As UTF-8. */
  readonly lastEventId: string | undefined;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly openedAtMs: number;
  closedAtMs: number | undefined;
}

/** What becomes of a request. */
export type Script = (stream: Stream) => unknown;

/** Numbered events that every origin knows, kept for as long as the test. */
export class Feed {
  readonly #readers = new Map<Stream, number>();
  readonly #timer: ReturnType<typeof setInterval>;
  newest = 0;

  constructor(everyMs: number) {
    this.#timer = setInterval(() => {
      this.newest++;
      for (const stream of this.#readers.keys()) this.#tell(stream);
    }, everyMs);
  }

  /** From the beginning, or after the id that was asked for; an event is written in two parts. */
  readonly follow: Script = (stream) => {
    stream.response.writeHead(200, { "content-type": "text/event-stream" });
    stream.response.flushHeaders();
    this.#readers.set(stream, Number(stream.lastEventId ?? 0));
    stream.response.on("close", () => this.#readers.delete(stream));
    this.#tell(stream);
  };

  stop(): void {
    clearInterval(this.#timer);
  }

  #tell(stream: Stream): void {
    for (let id = (this.#readers.get(stream) ?? 0) + 1; id <= this.newest; id++) {
      stream.response.write(`id: ${id}\ndata: {"origin":"${stream.origin}",`);
      stream.response.write(`"id":${id}}\n\n`);
      this.#readers.set(stream, id);
    }
  }
}

export class StreamOrigin {
  readonly id: string;
  readonly streams: Stream[] = [];
  /** What becomes of a request for an event stream, and of every other. */
  script: Script;
  plain: Script = ({ response }) => response.end("ok");
  #server: MortalServer | undefined;
  #port = 0;

  constructor(id: string, script: Script) {
    this.id = id;
    this.script = script;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Starts, or comes back on its old port. */
  async start(): Promise<void> {
    this.#server = await listen(this.#serverOf(), this.#port);
    this.#port = this.#server.port;
  }

  /** Dies as a process does: every connection is reset, and the port refuses. */
  async kill(): Promise<void> {
    await this.#server?.kill();
  }

  /** Cuts the connections of its streams, and lives on. */
  cut(): void {
    for (const { response } of this.open()) response.socket?.resetAndDestroy();
  }

  open(): Stream[] {
    return this.streams.filter(({ closedAtMs }) => closedAtMs === undefined);
  }

  #serverOf(): Server {
    const sockets = new WebSocketServer({ noServer: true });
    const server = createServer((request, response) => {
      if (request.url === "/healthz") return void response.end("ok");
      const told = toldIn(request);
      const lastEventId = request.headers["last-event-id"];
      const stream: Stream = {
        origin: this.id,
        session: String(told.get("session")),
        fence: Number(told.get("fence")),
        movedFrom: told.get("moved-from") as string | undefined,
        lastEventId: lastEventId === undefined ? undefined : Buffer.from(String(lastEventId), "latin1").toString(),
        request,
        response,
        openedAtMs: Date.now(),
        closedAtMs: undefined,
      };
      response.on("close", () => (stream.closedAtMs = Date.now()));
      this.streams.push(stream);
      return void (request.headers.accept?.includes("text/event-stream") && request.method === "GET" ? this.script : this.plain)(stream);
    });
    server.keepAliveTimeout = 60_000;
    return server.on("upgrade", (request, socket, head) => {
      socket.on("error", () => undefined);
      sockets.handleUpgrade(request, socket, head, (connection) => connection.on("message", (data) => connection.send(String(data))));
    });
  }
}

export class StreamStack {
  readonly router: Router;
  readonly client: ReturnType<typeof clientOf>;
  readonly origins: readonly StreamOrigin[];
  readonly feed: Feed;

  private constructor(parts: Pick<StreamStack, "router" | "origins" | "feed">) {
    this.router = parts.router;
    this.client = clientOf(parts.router.url);
    this.origins = parts.origins;
    this.feed = parts.feed;
  }

  static async start(options: { ids?: readonly string[]; pool?: object; route?: object; everyMs?: number } = {}): Promise<StreamStack> {
    const { ids = ["o0", "o1"], pool, route, everyMs = 20 } = options;
    const feed = new Feed(everyMs);
    const origins = ids.map((id) => new StreamOrigin(id, feed.follow));
    await Promise.all(origins.map((origin) => origin.start()));
    const raw = {
      configRevision: 1,
      defaultRegion: "weur",
      regions: { weur: {} },
      pools: {
        live: {
          health: { intervalMs: 200, timeoutMs: 400, rise: 1, fall: 2 },
          horizonMs: 400,
          holdDownMs: 500,
          slowStart: { windowMs: 0 },
          origins: origins.map(({ id, url }) => ({ id, region: "weur", url })),
          ...pool,
        },
      },
      routes: [{ path: "/live/:session", pool: "live", session: [{ path: "session" }], home: "weur", ...route }],
    };
    const router = await startRouter({
      raw,
      port: 0,
      pagesDir: new URL(".", import.meta.url).pathname,
      devInfo: {},
      onLog: (line) => {
        if (process.env["LIMPET_TEST_LOG"]) process.stderr.write(`${line}\n`);
      },
    });
    return new StreamStack({ router, origins, feed });
  }

  async stop(): Promise<void> {
    this.feed.stop();
    await this.router.stop();
    await Promise.all(this.origins.map((origin) => origin.kill()));
  }

  url(session: string): string {
    return `${this.router.url}/live/${session}`;
  }

  origin(id: string | undefined): StreamOrigin {
    const found = this.origins.find((origin) => origin.id === id);
    if (!found) throw new Error(`no origin ${id}`);
    return found;
  }

  async ownerOf(session: string): Promise<StreamOrigin> {
    return this.origin((await this.client.session(session, "live"))?.origin);
  }

  /** Every stream that any origin was asked for, in that order. */
  streamsOf(session: string): Stream[] {
    return this.origins
      .flatMap(({ streams }) => streams.filter((stream) => stream.session === session))
      .toSorted((a, b) => a.openedAtMs - b.openedAtMs || a.fence - b.fence);
  }

  ring(): Promise<RingView & { readonly sessions: number; readonly connections: number; readonly refused: number }> {
    return this.client.admin("rings/live/weur");
  }

  async drain(id: string): Promise<void> {
    await this.client.admin(`rings/live/weur/origins/${id}/drain`, "POST");
  }

  /** Nobody is here any more, for the origins, the carriers and the ring. */
  async expectEmpty(): Promise<void> {
    await eventually("all streams are closed, and nothing is counted", async () => {
      const { sessions, connections } = await this.ring();
      return sessions === 0 && connections === 0 && this.origins.every((origin) => origin.open().length === 0);
    });
  }
}

/** A visitor who notes the ids that come, and has them in order, none twice and none missing. */
export class Ledger {
  readonly ids: number[] = [];
  readonly origins: string[] = [];

  note(data: string): void {
    const { origin, id } = JSON.parse(data) as { origin: string; id: number };
    this.ids.push(id);
    this.origins.push(origin);
  }

  get isWhole(): boolean {
    return this.ids.every((id, index) => id === (this.ids[0] ?? 0) + index);
  }

  /** Until so many more have come. */
  async more(count: number): Promise<void> {
    const from = this.ids.length;
    await eventually(`${count} events`, () => this.ids.length >= from + count);
  }

  async from(origin: string): Promise<void> {
    await eventually(`events of ${origin}`, () => this.origins.at(-1) === origin);
  }
}
