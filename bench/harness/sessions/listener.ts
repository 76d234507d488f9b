// One listener: a session's log as an `EventSource` has it (WHATWG HTML §9.2): after every end of its stream it asks again when the time that its
// origin told is over, and says which event it had last. Where the standard would give up (an answer that is no stream) it asks again too, as
// applications do. One that goes between events notes no end, and comes back with its last event.

import { get, type ClientRequest, type IncomingMessage } from "node:http";
import { createParser } from "eventsource-parser";
import { numbersIn, sessionPath } from "./names.ts";
import type { Notes } from "./visitor.ts";

/** Until an origin has said otherwise. */
const RETRY_MS = 500;

export class Listener {
  readonly #session: number;
  readonly #url: string;
  readonly #notes: Notes;
  #request: ClientRequest | undefined;
  #retry: NodeJS.Timeout | undefined;
  #retryMs = RETRY_MS;
  #lastEventId: string | undefined;
  /** Called when the next stream is open. */
  #whenOpen: (() => void) | undefined;

  constructor(session: number, url: string, notes: Notes) {
    this.#session = session;
    this.#url = url.replace("ws", "http") + sessionPath(session);
    this.#notes = notes;
  }

  get session(): number {
    return this.#session;
  }

  /** The number of the last event that came. */
  get last(): number {
    return Number(this.#lastEventId ?? 0);
  }

  /** Resolves when the stream is open, at whichever attempt. */
  open(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#whenOpen = resolve;
    this.#connect();
    return promise;
  }

  /** Goes by itself; resolves when the connection is gone. */
  async leave(): Promise<void> {
    clearTimeout(this.#retry);
    const request = this.#request;
    this.#request = undefined;
    if (!request || request.closed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    request.once("close", resolve);
    request.destroy();
    await promise;
  }

  #connect(): void {
    const resume = this.#lastEventId === undefined ? {} : { "last-event-id": this.#lastEventId };
    const request = get(this.#url, { agent: false, headers: { accept: "text/event-stream", "cache-control": "no-store", ...resume } });
    this.#request = request;
    let opened = false;
    request.on("response", (response) => {
      opened = response.statusCode === 200 && response.headers["content-type"] === "text/event-stream";
      if (opened && this.#request === request) this.#listen(request, response);
      else request.destroy();
    });
    request.on("error", () => {}); // a close follows
    request.on("close", () => {
      if (this.#request !== request) return; // it went by itself
      if (opened) this.#notes.ended.push(this.#session, Date.now());
      this.#retry = setTimeout(() => this.#connect(), this.#retryMs);
    });
  }

  #listen(request: ClientRequest, response: IncomingMessage): void {
    const decoder = new TextDecoder();
    const parser = createParser({
      onRetry: (retryMs) => (this.#retryMs = retryMs),
      onEvent: ({ id, event, data }) => this.#heard(id, event, data),
    });
    response.on("error", () => {}); // the request's close follows
    response.on("data", (bytes: Buffer) => {
      if (this.#request === request) parser.feed(decoder.decode(bytes, { stream: true }));
    });
    this.#whenOpen?.();
  }

  #heard(id: string | undefined, event: string | undefined, data: string): void {
    this.#lastEventId = id ?? this.#lastEventId;
    if (event === "joined") return void this.#notes.joined.push(this.#session, this.last);
    const [whose, which] = numbersIn(data);
    this.#notes.heard.push(this.#session, Number(id), whose, which, Date.now());
  }
}
