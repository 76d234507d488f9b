// An event stream with both its ends: what the origin's writes, the visitor's must get, one batch of events under way.

import { connect, type Socket } from "node:net";
import type { Driven } from "./driving.ts";
import { Arrival, Batch } from "./sse-events.ts";
import type { Origin } from "./sse-origin.ts";

/** Where what a socket has read is put before it is looked at: at once, so that one place does for all of them. */
const READ_INTO = Buffer.alloc(65_536);
const HEAD_END = "\r\n\r\n";
const OPEN_WITHIN_MS = 20_000;

export class Stream implements Driven {
  readonly #id: number;
  readonly #visitor: Socket;
  #origin: Socket | undefined;
  readonly #opened = Promise.withResolvers<Stream>();
  readonly #arrival = new Arrival();
  #head: string | undefined = "";
  #batch: Batch | undefined;
  #prepared = "";
  #sentAtMs = 0;
  #onAnswer: ((tookMs: number) => void) | undefined;
  #onFault: ((what: string) => void) | undefined;
  fault: string | undefined;

  /** Resolves when both ends have each other; rejects when the visitor is refused. `id` is its session's. */
  static open(origin: Origin, port: number, id: number): Promise<Stream> {
    const stream = new Stream(origin, port, id);
    const late = setTimeout(() => stream.#break(`it was not open within ${OPEN_WITHIN_MS} ms`), OPEN_WITHIN_MS);
    return stream.#opened.promise.finally(() => clearTimeout(late));
  }

  private constructor(origin: Origin, port: number, id: number) {
    this.#id = id;
    origin.awaits(id, (socket) => {
      this.#origin = socket;
      socket.on("close", () => this.#break("the origin's end was closed"));
      this.#shaken();
    });
    const callback = (length: number): boolean => this.#read(READ_INTO.subarray(0, length));
    this.#visitor = connect({ port, host: "127.0.0.1", noDelay: true, onread: { buffer: READ_INTO, callback } });
    this.#visitor.on("connect", () => this.#visitor.write(requestOf(id)));
    this.#visitor.on("error", (error) => this.#break(error.message));
    this.#visitor.on("close", () => this.#break("the visitor's end was closed"));
  }

  prepare(payloadBytes: number, burst: number): void {
    const wanted = `${payloadBytes} ${burst}`;
    if (this.#prepared !== wanted) this.#batch = new Batch(this.#id, payloadBytes, burst, this.#batch?.number ?? 0);
    this.#prepared = wanted;
  }

  send(onAnswer: (tookMs: number) => void, onFault: (what: string) => void): void {
    if (this.fault !== undefined || !this.#batch) return onFault(this.fault ?? "it is not prepared");
    this.#onAnswer = onAnswer;
    this.#onFault = onFault;
    this.#batch.renumber();
    this.#arrival.expect(this.#batch);
    this.#sentAtMs = performance.now();
    this.#origin?.write(this.#batch.chunk);
  }

  close(): void {
    this.fault ??= "it was closed by us";
    this.#visitor.destroy();
    this.#origin?.destroy();
  }

  #read(bytes: Buffer): boolean {
    if (this.fault !== undefined) return true;
    if (this.#head !== undefined) this.#readHead(this.#head + bytes.toString("latin1"));
    else this.#readBody(bytes);
    return true;
  }

  #readHead(text: string): void {
    this.#head = text;
    const end = text.indexOf(HEAD_END);
    if (end < 0) return;
    const head = text.slice(0, end);
    const isStream = /^content-type: *text\/event-stream/im.test(head) && /^transfer-encoding: *chunked/im.test(head);
    if (!head.startsWith("HTTP/1.1 200 ") || !isStream) return this.#break(`it was answered by\n${head}`);
    this.#head = undefined;
    const rest = text.slice(end + HEAD_END.length);
    if (rest !== "") this.#readBody(Buffer.from(rest, "latin1"));
    this.#shaken();
  }

  #readBody(bytes: Buffer): void {
    let arrived = false;
    try {
      arrived = this.#arrival.takes(bytes);
    } catch (error) {
      return this.#break(String(error));
    }
    if (arrived) this.#onAnswer?.(performance.now() - this.#sentAtMs);
  }

  #shaken(): void {
    if (this.#origin && this.#head === undefined) this.#opened.resolve(this);
  }

  #break(what: string): void {
    if (this.fault !== undefined) return;
    this.fault = `stream ${this.#id}: ${what}`;
    this.close();
    this.#opened.reject(new Error(this.fault));
    this.#onFault?.(this.fault);
  }
}

/** What a browser sends for an `EventSource`; `sid` is what the proxies hash. */
function requestOf(id: number): string {
  const lines = [
    `GET /live/${id} HTTP/1.1`,
    "Host: www.example.com",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Accept: text/event-stream",
    "Cache-Control: no-cache",
    "Connection: keep-alive",
    "CF-Connecting-IP: 192.0.2.17",
    "CF-Ray: 9a1f0c2d3e4b5a69-FRA",
    `Cookie: sid=${id}`,
  ];
  return `${lines.join("\r\n")}${HEAD_END}`;
}
