// A load generator's inside: a WebSocket over a raw socket, one frame under way. Every answer is compared, byte by byte, with what was sent. It
// takes a fraction of what a whole client does, and on a machine that it shares with what it measures that fraction counts.

import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";
import type { Driven } from "./driving.ts";
import { acceptOf, headBytes, mask, MASK_BYTES, writeHead } from "./frames.ts";

/** Where what a socket has read is put before it is looked at: at once, so that one place does for all of them. */
const READ_INTO = Buffer.alloc(65_536);
const HEAD_END = "\r\n\r\n";
const OPEN_WITHIN_MS = 20_000;

export class Connection implements Driven {
  readonly #socket: Socket;
  readonly #id: number;
  readonly #key = randomBytes(16).toString("base64");
  readonly #opened = Promise.withResolvers<Connection>();
  readonly #mask = randomBytes(MASK_BYTES);
  #isOpen = false;
  #pending: Buffer = Buffer.alloc(0);
  /** As it goes over the wire, masked. */
  #frame: Buffer = Buffer.alloc(0);
  /** As it comes back. */
  #expected: Buffer = Buffer.alloc(0);
  #payloadBytes = 0;
  #count = 0;
  #sentAtMs = 0;
  #onAnswer: ((tookMs: number) => void) | undefined;
  #onFault: ((what: string) => void) | undefined;
  fault: string | undefined;

  /** Resolves once the handshake is through; rejects when it is refused. `id` is its session's. */
  static open(port: number, id: number): Promise<Connection> {
    const connection = new Connection(port, id);
    const late = setTimeout(() => connection.#break(`the handshake was not answered within ${OPEN_WITHIN_MS} ms`), OPEN_WITHIN_MS);
    return connection.#opened.promise.finally(() => clearTimeout(late));
  }

  private constructor(port: number, id: number) {
    this.#id = id;
    const callback = (length: number): boolean => this.#read(READ_INTO.subarray(0, length));
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true, onread: { buffer: READ_INTO, callback } });
    this.#socket.on("connect", () => this.#socket.write(handshake(id, this.#key)));
    this.#socket.on("error", (error) => this.#break(error.message));
    this.#socket.on("close", () => this.#break("the connection was closed"));
  }

  /** The frames that are sent from now on. */
  prepare(payloadBytes: number): void {
    if (payloadBytes === this.#payloadBytes) return;
    this.#payloadBytes = payloadBytes;
    const head = headBytes(payloadBytes);
    const payload = Buffer.alloc(payloadBytes, `${this.#id}:`);
    this.#expected = Buffer.concat([Buffer.alloc(head), payload]);
    writeHead(this.#expected, 0, payloadBytes, false);
    this.#frame = Buffer.concat([Buffer.alloc(head), this.#mask, payload]);
    writeHead(this.#frame, 0, payloadBytes, true);
    mask(this.#frame, { start: head + MASK_BYTES, end: this.#frame.length }, this.#mask);
  }

  /** Sends the next frame, which is like no other: its number stands at its beginning and at its end. */
  send(onAnswer: (tookMs: number) => void, onFault: (what: string) => void): void {
    if (this.fault !== undefined) return onFault(this.fault);
    this.#onAnswer = onAnswer;
    this.#onFault = onFault;
    this.#count++;
    for (const at of [0, this.#payloadBytes - 4]) this.#number(at);
    this.#sentAtMs = performance.now();
    this.#socket.write(this.#frame);
  }

  close(): void {
    this.fault ??= "it was closed by us";
    this.#socket.destroy();
  }

  /** Every payload is a multiple of the mask long, so that the mask begins anew at `at`. */
  #number(at: number): void {
    const head = headBytes(this.#payloadBytes);
    this.#expected.writeUInt32BE(this.#count, head + at);
    this.#frame.writeInt32BE(this.#count ^ this.#mask.readInt32BE(), head + MASK_BYTES + at);
  }

  #read(chunk: Buffer): boolean {
    if (this.fault !== undefined) return true;
    if (this.#isOpen && this.#pending.length === 0 && chunk.equals(this.#expected)) this.#answered();
    else this.#collect(chunk);
    return true;
  }

  #collect(chunk: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    if (!this.#isOpen) return this.#shaken();
    if (this.#pending.length < this.#expected.length && this.#pending.equals(this.#expected.subarray(0, this.#pending.length))) return;
    if (!this.#pending.equals(this.#expected)) return this.#break(unlike(this.#pending, this.#expected));
    this.#pending = Buffer.alloc(0);
    this.#answered();
  }

  #answered(): void {
    const onAnswer = this.#onAnswer;
    this.#onAnswer = undefined;
    if (onAnswer) onAnswer(performance.now() - this.#sentAtMs);
    else this.#break("an answer came twice");
  }

  #shaken(): void {
    const end = this.#pending.indexOf(HEAD_END);
    if (end < 0) return;
    const head = this.#pending.toString("latin1", 0, end);
    const accept = /^sec-websocket-accept: *(\S+)/im.exec(head)?.[1];
    if (!head.startsWith("HTTP/1.1 101 ") || accept !== acceptOf(this.#key)) return this.#break(`the handshake was answered by\n${head}`);
    this.#pending = this.#pending.subarray(end + HEAD_END.length);
    this.#isOpen = true;
    this.#opened.resolve(this);
  }

  #break(what: string): void {
    if (this.fault !== undefined) return;
    this.fault = `connection ${this.#id}: ${what}`;
    this.#socket.destroy();
    this.#opened.reject(new Error(this.fault));
    this.#onFault?.(this.fault);
  }
}

/** What a browser sends; `sid` is what the proxies hash. */
function handshake(id: number, key: string): string {
  const lines = [
    `GET /live/${id} HTTP/1.1`,
    "Host: www.example.com",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Origin: https://www.example.com",
    "Sec-WebSocket-Version: 13",
    `Sec-WebSocket-Key: ${key}`,
    "Connection: keep-alive, Upgrade",
    "Upgrade: websocket",
    "CF-Connecting-IP: 192.0.2.17",
    "CF-Ray: 9a1f0c2d3e4b5a69-FRA",
    `Cookie: sid=${id}`,
  ];
  return `${lines.join("\r\n")}${HEAD_END}`;
}

function unlike(found: Buffer, expected: Buffer): string {
  const shown = (bytes: Buffer): string => `${bytes.length} bytes that begin with ${bytes.toString("hex", 0, 16)}`;
  return `sent were ${shown(expected)}, and back came ${shown(found)}`;
}
