// A load generator's inside: HTTP/1.1 over raw sockets with keep-alive, one request under way on each. It takes a fraction of what a whole
// HTTP client does, and on a machine that it shares with what it measures that fraction counts.

import { connect, type Socket } from "node:net";

export interface Answer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
  readonly tookMs: number;
}

export interface Drive {
  readonly port: number;
  readonly connections: number;
  /** The next request, whole; `undefined` ends a connection's work. */
  readonly next: () => { readonly bytes: Buffer; readonly onAnswer: (answer: Answer) => void } | undefined;
}

const HEAD_END = "\r\n\r\n";

/** Resolves when `next` has no more for any connection; rejects when a connection breaks or an answer cannot be read. */
export async function drive(plan: Drive): Promise<void> {
  const work = Array.from({ length: plan.connections }, () => new Connection(plan));
  try {
    await Promise.all(work.map(({ done }) => done));
  } finally {
    for (const { socket } of work) socket.destroy();
  }
}

class Connection {
  readonly socket: Socket;
  readonly done: Promise<void>;
  readonly #next: Drive["next"];
  readonly #finish: () => void;
  #pending = "";
  #sentAtMs = 0;
  #onAnswer: ((answer: Answer) => void) | undefined;

  constructor({ port, next }: Drive) {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#next = next;
    this.#finish = resolve;
    this.done = promise;
    this.socket = connect({ port, host: "127.0.0.1", noDelay: true });
    this.socket.setEncoding("latin1");
    this.socket.on("connect", () => this.#ask());
    this.socket.on("data", (chunk: string) => {
      try {
        this.#read(chunk);
      } catch (error) {
        reject(error as Error);
      }
    });
    this.socket.on("error", reject);
    this.socket.on("close", () => reject(new Error("a connection was closed while an answer was awaited")));
  }

  #ask(): void {
    const request = this.#next();
    if (!request) return this.#finish();
    this.#onAnswer = request.onAnswer;
    this.#sentAtMs = performance.now();
    this.socket.write(request.bytes);
  }

  #read(chunk: string): void {
    this.#pending = this.#pending === "" ? chunk : this.#pending + chunk;
    const headEnd = this.#pending.indexOf(HEAD_END);
    if (headEnd < 0) return;
    const head = this.#pending.slice(0, headEnd);
    const length = /^content-length: *(\d+)/im.exec(head)?.[1];
    if (length === undefined) throw new Error(`an answer has no Content-Length:\n${head}`);
    const end = headEnd + HEAD_END.length + Number(length);
    if (this.#pending.length < end) return;
    if (this.#pending.length > end) throw new Error(`more came than the answer:\n${this.#pending}`);
    const body = this.#pending.slice(headEnd + HEAD_END.length);
    this.#pending = "";
    this.#onAnswer?.({
      status: Number(head.slice("HTTP/1.1 ".length, "HTTP/1.1 200".length)),
      head,
      body,
      tookMs: performance.now() - this.#sentAtMs,
    });
    this.#ask();
  }
}
