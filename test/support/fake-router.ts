// A router that says what a test wants it to say, for commands: answers by method and path, and what it was asked.

import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Asked {
  readonly method: string;
  /** Below `/_limpet/v1/`, with its query. */
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: unknown;
}

type Answer = { readonly status?: number; readonly body: unknown } | ((asked: Asked, response: ServerResponse) => void);

export class FakeRouter {
  readonly asked: Asked[] = [];
  readonly #server: Server;
  readonly #answers = new Map<string, Answer>();

  private constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  static async start(): Promise<FakeRouter> {
    const router = new FakeRouter();
    await router.listen(0);
    return router;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async listen(port: number): Promise<void> {
    await once(this.#server.listen(port, "127.0.0.1"), "listening");
  }

  async close(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  /** `what`: `GET rings`, without its query. */
  on(what: string, answer: Answer): this {
    this.#answers.set(what, answer);
    return this;
  }

  bodyOf(what: string): unknown {
    return this.asked.findLast(({ method, path }) => `${method} ${path.split("?")[0]}` === what)?.body;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const chunk of request.setEncoding("utf8")) text += String(chunk);
    const path = (request.url ?? "").replace("/_limpet/v1/", "");
    const asked = { method: request.method ?? "", path, headers: request.headers, body: text === "" ? undefined : (JSON.parse(text) as unknown) };
    this.asked.push(asked);
    const answer = this.#answers.get(`${asked.method} ${path.split("?")[0]}`);
    if (typeof answer === "function") return answer(asked, response);
    const unknown = { status: 404, body: { code: "not-found", detail: "There is no such part of the admin API." } };
    const { status = 200, body } = answer ?? unknown;
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  }
}

export function fakeOrigin(id: string, more: object = {}) {
  const outcomes = { ok: 0, "origin-fault": 0, timeout: 0, "client-gone": 0, ours: 0 };
  const facts = {
    weight: 1,
    salt: 7,
    backup: false,
    state: "active" as const,
    health: "healthy" as const,
    share: 1,
    serving: true,
    generation: 1,
    epoch: 12,
    sessions: 0,
    connections: 0,
  };
  return { id, url: `http://${id}.test`, region: id.split("-")[0] ?? "", ...facts, outcomes, ...more };
}

export function fakeRing(pool: string, region: string, origins: readonly ReturnType<typeof fakeOrigin>[], more: object = {}) {
  const counts = { generation: 1, epoch: 12, configRevision: 1, hintsVersion: 0, orders: 0, waiting: 0, moving: 0, heldFrames: 0, refused: 0 };
  const sum = (what: "sessions" | "connections"): number => origins.reduce((before, origin) => before + origin[what], 0);
  const told = { moved: {}, gaps: [], quarantined: [], connectionsByOrigin: {} };
  return { pool, region, ...counts, ...told, sessions: sum("sessions"), connections: sum("connections"), origins, ...more };
}
