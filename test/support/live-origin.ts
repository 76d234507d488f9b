// An origin of live sessions that remembers everything and does what servers should not: late, refused or hanging handshakes, closes that
// it never answers, hooks that fail, death at a frame. It echoes each frame, in order, and says who it is by what it keeps, not by words.
// What is in its process's order is in the order of things: all origins of a test live in one process.

import { createServer, type IncomingMessage, type Server } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer, type WebSocket } from "ws";
import { listen, type MortalServer } from "./mortal-server.ts";
import { toldIn } from "./scripted-origin.ts";

/** One WebSocket that a router has opened, and what came by it. */
export interface Leg {
  readonly origin: string;
  readonly session: string;
  readonly fence: number;
  readonly movedFrom: string | undefined;
  /** Path and query of its handshake: tells visitors of one session apart. */
  readonly target: string;
  readonly openedAtMs: number;
  readonly received: string[];
  /** Frames whose answers came after the leg had closed because the machine kept this process from its work: no router's fault. */
  readonly overslept: string[];
  /** When the router told it to close; the code, if one came. */
  closing: { readonly atMs: number; readonly code: number } | undefined;
  closed: boolean;
  readonly socket: WebSocket;
}

export interface Hook {
  readonly kind: "give" | "take";
  readonly session: string;
  readonly fence: number;
  readonly movedFrom: string | undefined;
  readonly body: string;
  /** Legs of that session that were open here then. */
  readonly openLegs: number;
}

export interface Will {
  handshakeMs: number;
  /** Handshakes are answered with this status. */
  refuse: number | undefined;
  /** The same for those whose path and query have this in them. */
  refuseTarget: { readonly includes: string; readonly status: number } | undefined;
  /** Handshakes are never answered. */
  hangs: boolean;
  /** How late each frame is answered; answers keep their order. */
  answerMs: () => number;
  /** A close frame is never answered. */
  deafToClose: boolean;
  /** A frame that kills the process. */
  poison: string | undefined;
  /** What a session's state is when it is asked for; a number is a status, `undefined` never answers. */
  give: (session: string) => string | number | undefined;
  take: (session: string) => number | "die";
}

/** A limit on handshakes that wait for their answer at once, over all origins that share it: those beyond it fail, as on the platform. */
export class Cap {
  readonly #atMost: number;
  waitingCount = 0;
  mostCount = 0;
  failedCount = 0;

  constructor(atMost: number) {
    this.#atMost = atMost;
  }

  enter(): boolean {
    if (this.waitingCount >= this.#atMost) {
      this.failedCount++;
      return false;
    }
    this.waitingCount++;
    this.mostCount = Math.max(this.mostCount, this.waitingCount);
    return true;
  }

  leave(): void {
    this.waitingCount--;
  }
}

/** Frames of all origins in the order in which they were handled. */
export type Journal = { readonly leg: Leg; readonly frame: string }[];

export class LiveOrigin {
  readonly id: string;
  readonly legs: Leg[] = [];
  readonly hooks: Hook[] = [];
  /** When each handshake came, refused ones too. */
  readonly handshakesAtMs: number[] = [];
  readonly will: Will = {
    handshakeMs: 0,
    refuse: undefined,
    refuseTarget: undefined,
    hangs: false,
    answerMs: () => 0,
    deafToClose: false,
    poison: undefined,
    give: () => 404,
    take: () => 404,
  };
  readonly #journal: Journal;
  readonly #cap: Cap | undefined;
  readonly #sockets = new WebSocketServer({ noServer: true });
  #server: MortalServer | undefined;
  #port = 0;

  constructor(id: string, journal: Journal, cap?: Cap) {
    this.id = id;
    this.#journal = journal;
    this.#cap = cap;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get alive(): boolean {
    return this.#server !== undefined;
  }

  /** Starts, or comes back on its old port, without what it knew. */
  async start(): Promise<void> {
    this.#server = await listen(this.#serverOf(), this.#port);
    this.#port = this.#server.port;
  }

  /** Dies as a process does: every connection is reset, and the port refuses. */
  async kill(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const leg of this.legs) leg.closed = true;
    await server?.kill();
  }

  /** Cuts the legs of all sessions, or of one, and lives on. */
  cut(session?: string): void {
    for (const { socket } of this.open(session)) socket.terminate();
  }

  /** Legs that are open now, and have not been told to close (unless they are deaf to it). */
  open(session?: string): Leg[] {
    return this.legs.filter(({ closed, socket, session: of }) => !closed && socket.readyState === socket.OPEN && (session ?? of) === of);
  }

  #serverOf(): Server {
    const server = createServer((request, response) => {
      if (request.method !== "POST") return void response.end("ok");
      void this.#hook(request).then((answer) => {
        if (typeof answer === "number") response.writeHead(answer).end();
        else if (answer !== undefined) response.writeHead(200, { "content-type": "text/plain" }).end(answer);
      });
      return undefined;
    });
    server.keepAliveTimeout = 60_000;
    return server.on("upgrade", (request: IncomingMessage, socket, head) => void this.#upgrade(request, socket, head));
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    this.handshakesAtMs.push(Date.now());
    socket.on("error", () => undefined); // reset by the router, or by `kill`
    if (this.#cap && !this.#cap.enter()) return void socket.destroy();
    const { handshakeMs, hangs } = this.will;
    const gone = new Promise<void>((resolve) => socket.once("close", resolve).once("end", () => socket.destroy()));
    if (hangs) socket.resume(); // who reads nothing does not notice that the other side has given up
    if (hangs) await gone;
    else if (handshakeMs > 0) await Promise.race([gone, new Promise((resolve) => setTimeout(resolve, handshakeMs))]);
    this.#cap?.leave();
    if (socket.destroyed || !this.alive) return;
    const { refuseTarget } = this.will;
    const refuse = refuseTarget && request.url?.includes(refuseTarget.includes) ? refuseTarget.status : this.will.refuse;
    if (refuse !== undefined) return void socket.end(`HTTP/1.1 ${refuse} No\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno`);
    this.#sockets.handleUpgrade(request, socket, head, (connection) => this.#serve(request, connection));
  }

  #serve(request: IncomingMessage, socket: WebSocket): void {
    const told = toldIn(request);
    const leg: Leg = {
      origin: this.id,
      session: String(told.get("session")),
      fence: Number(told.get("fence")),
      movedFrom: told.get("moved-from") as string | undefined,
      target: request.url ?? "",
      openedAtMs: Date.now(),
      received: [],
      overslept: [],
      closing: undefined,
      closed: false,
      socket,
    };
    this.legs.push(leg);
    if (this.will.deafToClose) makeDeaf(leg);
    const answers: string[] = [];
    socket.on("error", () => undefined); // followed by `close`
    socket.on("close", (code) => {
      leg.closing ??= { atMs: Date.now(), code };
      leg.closed = true;
    });
    socket.on("message", (data: Buffer) => {
      if (!this.alive) return; // what was in the socket's buffer when it died
      const frame = data.toString();
      if (frame === this.will.poison) return void this.kill();
      leg.received.push(frame);
      this.#journal.push({ leg, frame });
      answers.push(frame);
      setTimeout(() => {
        const answer = answers.shift() ?? ""; // whichever is due says what is next
        if (socket.readyState === socket.OPEN) socket.send(answer);
        else if (hasOverslept()) leg.overslept.push(answer);
      }, this.will.answerMs());
    });
  }

  async #hook(request: IncomingMessage): Promise<string | number | undefined> {
    const told = toldIn(request);
    const session = String(told.get("session"));
    const kind = String(told.get("handover")) as Hook["kind"];
    let body = "";
    for await (const part of request) body += String(part);
    const openLegs = this.open(session).length;
    this.hooks.push({ kind, session, fence: Number(told.get("fence")), movedFrom: told.get("moved-from") as string | undefined, body, openLegs });
    if (kind === "give") return this.will.give(session);
    const taken = this.will.take(session);
    if (taken !== "die") return taken;
    await this.kill();
    return undefined;
  }
}

const TICK_MS = 10;
const LATE_MS = 30;
let [lastTickMs, lateAtMs] = [Date.now(), 0];
setInterval(() => {
  if (Date.now() - lastTickMs > LATE_MS + TICK_MS) lateAtMs = Date.now();
  lastTickMs = Date.now();
}, TICK_MS).unref();

/** Whether this process has been late lately: a test's machine may have others to serve. */
function hasOverslept(): boolean {
  const LATELY_MS = 1_000;
  return Date.now() - lateAtMs < LATELY_MS || Date.now() - lastTickMs > LATE_MS + TICK_MS;
}

/** `ws` answers a close by itself, and says so to nobody who could prevent it: its receiver's listener is taken away. */
function makeDeaf(leg: Leg): void {
  const { _receiver: receiver } = leg.socket as unknown as { _receiver: NodeJS.EventEmitter };
  receiver.removeAllListeners("conclude").on("conclude", (code: number) => (leg.closing = { atMs: Date.now(), code }));
}
