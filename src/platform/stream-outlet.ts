// A visitor's end of an event stream: what is written waits until it is taken, and nothing is read from the origin meanwhile. One timer watches
// it: silence is filled with a comment, and a visitor who takes nothing for too long is given up.

import type { StreamBacklog } from "./stream-backlog.ts";
import { STREAM_KEEP_ALIVE_MS, STREAM_LOOK_MS, STREAM_TAKEN_WITHIN_MS } from "./limits.ts";

/** Means nothing to whoever reads events, wherever between two of them it comes (WHATWG HTML §9.2.7). */
const KEEP_ALIVE = new TextEncoder().encode(":\n\n");

/** What it tells the connection, which may have ended by then. */
export interface OutletEvents {
  /** The visitor has left; it may be told more than once. */
  readonly gone: () => void;
  /** The visitor has taken nothing for STREAM_TAKEN_WITHIN_MS, or for longest while too much waits in all of the carrier's streams. */
  readonly slow: () => void;
}

export class StreamOutlet {
  readonly readable: ReadableStream<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #events: OutletEvents;
  readonly #timer: ReturnType<typeof setInterval>;
  #taken: Promise<void> = Promise.resolve();
  /** What was written and is not taken yet: one piece of the stream, a comment, the end. */
  #waitingCount = 0;
  #waitingBytes = 0;
  /** When something was written last, or taken. */
  #stirredAtMs = Date.now();
  #ended = false;
  readonly #backlog: StreamBacklog;
  readonly #wasTaken = (): void => {
    this.#stirredAtMs = Date.now();
    if (--this.#waitingCount > 0) return;
    this.#waitingBytes = 0;
    this.#backlog.over(this);
  };

  constructor(events: OutletEvents, backlog: StreamBacklog) {
    this.#backlog = backlog;
    const { readable, writable } = new IdentityTransformStream();
    this.readable = readable;
    this.#writer = writable.getWriter();
    this.#events = events;
    this.#writer.closed.catch(events.gone);
    this.#timer = setInterval(() => this.#look(), STREAM_LOOK_MS);
  }

  /** Resolves once nothing waits; never rejects. */
  get taken(): Promise<void> {
    return this.#taken;
  }

  write(bytes: Uint8Array): void {
    this.#awaitTaking(this.#writer.write(bytes));
    this.#waitingBytes += bytes.byteLength;
    this.#backlog.waits(this, this.#waitingBytes, Date.now());
  }

  /** The stream ends when what waits is taken. */
  end(): void {
    this.#ended = true;
    this.#awaitTaking(this.#writer.close());
    void this.#taken.then(() => clearInterval(this.#timer)); // never rejects
  }

  /** Nobody waits for the visitor any longer. */
  cut(): void {
    this.#ended = true;
    clearInterval(this.#timer);
    this.#backlog.over(this);
    this.#writer.abort().catch(() => undefined); // it is gone already
  }

  giveUp(): void {
    const isNews = !this.#ended;
    this.cut();
    if (isNews) this.#events.slow();
  }

  #awaitTaking(taken: Promise<void>): void {
    if (this.#waitingCount++ === 0) this.#stirredAtMs = Date.now();
    this.#taken = taken.then(this.#wasTaken, this.#events.gone);
  }

  #look(): void {
    const restedMs = Date.now() - this.#stirredAtMs;
    if (this.#waitingCount === 0) {
      if (restedMs >= STREAM_KEEP_ALIVE_MS) this.write(KEEP_ALIVE);
    } else if (restedMs >= STREAM_TAKEN_WITHIN_MS) this.giveUp();
    else this.#backlog.waits(this, this.#waitingBytes, Date.now()); // also where nobody writes any more
  }
}
