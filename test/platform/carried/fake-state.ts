// What of a Durable Object outlives its memory, played: its storage, its alarm, and sockets accepted for hibernation. Each life of the object has
// a view of its own: whatever code of an ended life still runs reaches nothing any more. The next event begins the next life.

import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import type { Frame } from "../../../src/core/profile.ts";
import type { FakeSocket } from "./fake-socket.ts";

/** What the runtime calls. */
export interface Hibernating {
  webSocketMessage(socket: WebSocket, frame: Frame): void;
  webSocketClose(socket: WebSocket, code: number, reason: string): void;
  webSocketError(socket: WebSocket, error: unknown): void;
  alarm(): Promise<void>;
}

interface Accepted {
  readonly socket: FakeSocket;
  readonly tags: readonly string[];
}

export class FakeState<Live extends Hibernating> {
  readonly database = new DatabaseSync(":memory:");
  readonly kv = new Map<string, unknown>();
  readonly accepted: Accepted[] = [];
  /** Failed on purpose, with this. */
  sqlFault: ((query: string) => Error | undefined) | undefined;
  /** An alarm may begin a life without the object's name. */
  isNamed = true;
  alarm: ReturnType<typeof setTimeout> | undefined;
  life: Life<Live> | undefined;
  readonly #begin: (life: Life<Live>) => Live;
  readonly #statements = new Map<string, StatementSync>();

  constructor(begin: (life: Life<Live>) => Live) {
    this.#begin = begin;
  }

  /** The object, which lives from now on if it did not. */
  get object(): Live {
    const life = (this.life ??= new Life(this));
    try {
      return (life.object ??= this.#begin(life));
    } catch (error) {
      this.life = undefined; // it could not start
      throw error;
    }
  }

  /** Its memory is lost. */
  end(): void {
    const { life } = this;
    this.life = undefined;
    life?.end();
  }

  accept(socket: FakeSocket, tags: readonly string[]): void {
    this.accepted.push({ socket, tags });
    socket.addEventListener("message", ({ data }: MessageEvent) =>
      this.#deliver(socket, (object, handle) => object.webSocketMessage(handle, data as Frame)),
    );
    socket.addEventListener("close", ({ code, reason }: CloseEvent) =>
      this.#deliver(socket, (object, handle) => object.webSocketClose(handle, code, reason)),
    );
    socket.addEventListener("error", () => this.#deliver(socket, (object, handle) => object.webSocketError(handle, new Error("lost"))));
    socket.accept({ allowHalfOpen: true });
  }

  /** Those that are not over: a socket whose closes are exchanged is gone. */
  sockets(tag: string | undefined): FakeSocket[] {
    return this.accepted
      .filter(({ socket, tags }) => !socket.cut && !(socket.closing && socket.closed) && (tag === undefined || tags.includes(tag)))
      .map(({ socket }) => socket);
  }

  exec(query: string, values: readonly SQLInputValue[]): object[] {
    const fault = this.sqlFault?.(query);
    if (fault) throw fault;
    const statement = this.#statements.get(query) ?? this.database.prepare(query);
    this.#statements.set(query, statement);
    return statement.all(...values.map((value) => (value instanceof ArrayBuffer ? new Uint8Array(value) : value)));
  }

  rows(table: string): object[] {
    return this.exec(`SELECT * FROM ${table}`, []);
  }

  setAlarm(atMs: number): void {
    clearTimeout(this.alarm);
    this.alarm = setTimeout(
      () => {
        this.alarm = undefined;
        void this.object.alarm();
      },
      Math.max(0, atMs - Date.now()),
    );
  }

  #deliver(socket: FakeSocket, tell: (object: Live, handle: WebSocket) => void): void {
    const { object } = this;
    if (this.life) tell(object, this.life.handleOf(socket));
  }
}

/** One life of the object: what it sees of the platform. */
export class Life<Live extends Hibernating> {
  object: Live | undefined;
  ended = false;
  readonly background: Promise<unknown>[] = [];
  readonly #state: FakeState<Live>;
  readonly #handles = new Map<FakeSocket, WebSocket>();
  readonly #atEnd: (() => void)[] = [];

  constructor(state: FakeState<Live>) {
    this.#state = state;
  }

  get ctx(): DurableObjectState {
    const state = this.#state;
    const ctx = {
      id: { name: state.isNamed ? "v1:p@weur#g1/0" : undefined },
      storage: {
        kv: { get: (key: string) => state.kv.get(key), put: (key: string, value: unknown) => void state.kv.set(key, value) },
        sql: { exec: (query: string, ...values: SQLInputValue[]) => (this.ended ? [] : state.exec(query, values)) },
        transactionSync: <T>(work: () => T): T => this.#transaction(work),
        setAlarm: async (atMs: number) => (this.ended ? undefined : state.setAlarm(atMs)),
      },
      waitUntil: (work: Promise<unknown>) => void this.background.push(work),
      acceptWebSocket: (socket: WebSocket, tags: readonly string[]) => {
        const [accepted] = [...this.#handles].find(([, handle]) => handle === socket) ?? [];
        if (accepted && !this.ended) state.accept(accepted, tags);
      },
      getWebSockets: (tag?: string) => (this.ended ? [] : state.sockets(tag).map((socket) => this.handleOf(socket))),
      setWebSocketAutoResponse: () => undefined,
      getWebSocketAutoResponseTimestamp: () => null,
    };
    return ctx as unknown as DurableObjectState;
  }

  /** As this life knows it; another's code has another. */
  handleOf(socket: FakeSocket): WebSocket {
    const known = this.#handles.get(socket);
    if (known) return known;
    const handle = new Handle(socket, this) as unknown as WebSocket;
    this.#handles.set(socket, handle);
    return handle;
  }

  atEnd(work: () => void): void {
    this.#atEnd.push(work);
  }

  /** Never settles once this life is over. */
  async whileAlive<T>(work: Promise<T>): Promise<T> {
    const [settled] = await Promise.allSettled([work]);
    if (this.ended) return new Promise(() => undefined);
    if (settled.status === "rejected") throw settled.reason;
    return settled.value;
  }

  end(): void {
    this.ended = true;
    for (const work of this.#atEnd) work();
  }

  #transaction<T>(work: () => T): T {
    if (this.ended) return work();
    const { database } = this.#state;
    database.exec("BEGIN");
    try {
      const done = work();
      database.exec("COMMIT");
      return done;
    } catch (error) {
      database.exec("ROLLBACK");
      throw error;
    }
  }
}

/** A socket as code of one life holds it. */
class Handle {
  binaryType = "";
  readonly #socket: FakeSocket;
  readonly #life: { readonly ended: boolean };

  constructor(socket: FakeSocket, life: { readonly ended: boolean }) {
    this.#socket = socket;
    this.#life = life;
  }

  get readyState(): number {
    const { closing, closed, cut } = this.#socket;
    if (cut || (closing && closed)) return WebSocket.CLOSED;
    return closing || closed ? WebSocket.CLOSING : WebSocket.OPEN;
  }

  get bufferedAmount(): number {
    return this.#socket.bufferedAmount;
  }

  accept(options: { readonly allowHalfOpen: boolean }): void {
    this.#socket.accept(options);
  }

  addEventListener(type: string, listener: (event: never) => void): void {
    this.#socket.addEventListener(type, (event) => {
      if (!this.#life.ended) listener(event);
    });
  }

  send(frame: Frame): void {
    if (!this.#life.ended) this.#socket.send(frame);
  }

  close(code?: number, reason?: string): void {
    if (!this.#life.ended) this.#socket.close(code, reason);
  }

  serializeAttachment(value: unknown): void {
    if (!this.#life.ended) this.#socket.attachment = structuredClone(value);
  }

  deserializeAttachment(): unknown {
    return structuredClone(this.#socket.attachment);
  }
}
