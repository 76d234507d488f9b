// Carrying server-sent events: the visitor's stream stays, the origin's may be replaced. Whole events only are passed on, so a switch is
// always on an event's boundary; the next origin is asked to go on with `Last-Event-ID` (WHATWG HTML §9.2), and what it repeats is dropped.

import { createParser, type EventSourceMessage, type EventSourceParser } from "eventsource-parser";
import type { Close } from "../core/close-codes.ts";
import { responseHeaders } from "../core/headers.ts";
import type { Frame } from "../core/profile.ts";
import type { Placement } from "../core/protocol.ts";
import type { Connection, ConnectionEvents, Opening } from "./connection.ts";
import { dial, isGatewayFault, type Handshake } from "./dial.ts";

/** Ids of events delivered lately: what a resumed origin may send twice. */
const DELIVERED_MAX = 1_000;
/** Greatest size of one event. */
const EVENT_MAX_CHARS = 1024 * 1024;
/** Idle streams are cut after 100 s by some on the way. */
const KEEP_ALIVE_MS = 25_000;

interface Leg {
  readonly abort: AbortController;
  readonly body: ReadableStream<Uint8Array>;
}

export class SseConnection implements Connection {
  readonly rehomeable = true; // by the standard's own resume
  readonly #handshake: Handshake;
  readonly #events: ConnectionEvents;
  readonly #encoder = new TextEncoder();
  readonly #delivered = new Set<string>();
  #leg: Leg | undefined;
  #writer: WritableStreamDefaultWriter<Uint8Array> | undefined;
  #answer: Response | undefined;
  #stopKeepAlive: () => void = () => undefined;
  #lastEventId: string | undefined;
  /** After a switch, until the first event that is new. */
  #resumed = false;
  #over = false;

  constructor(handshake: Handshake, events: ConnectionEvents, visitorGone: AbortSignal) {
    this.#handshake = handshake;
    this.#events = events;
    this.#lastEventId = handshake.headers["last-event-id"];
    visitorGone.addEventListener("abort", () => this.#finish());
  }

  get over(): boolean {
    return this.#over;
  }

  get legOpen(): boolean {
    return this.#leg !== undefined;
  }

  get flowing(): boolean {
    return this.#leg !== undefined;
  }

  get frameCount(): number {
    return 0;
  }

  // Streams are never parked: one that is not open cannot be woken.
  readonly parkAfterMs = undefined;
  #lastFrameAtMs = Date.now();

  get lastFrameAtMs(): number {
    return this.#lastFrameAtMs;
  }

  get busyAtMs(): number {
    return this.#lastFrameAtMs;
  }

  keep(): undefined {
    return undefined;
  }

  release(): void {
    // Never asked of one that does not let itself be kept.
  }

  isSilent(): boolean {
    return false;
  }

  async open(placement: Placement, abort: AbortController): Promise<Opening> {
    const resume = this.#lastEventId === undefined ? {} : { "last-event-id": this.#lastEventId };
    let response: Response;
    try {
      response = await dial(this.#handshake, placement, { ...resume, "accept-encoding": "identity" }, abort);
    } catch {
      return { kind: "unreachable" };
    }
    const { body } = response;
    if (isGatewayFault(response.status)) {
      await body?.cancel();
      return { kind: "unreachable" };
    }
    const isStream = response.status === 200 && response.headers.get("content-type")?.startsWith("text/event-stream");
    if (!isStream || !body) return { kind: "answered", response };
    return { kind: "open", begin: () => this.#begin({ abort, body }, response), discard: () => abort.abort() };
  }

  response(): Response {
    const answer = this.#answer;
    if (!answer) throw new Error("the first leg has not begun, or its answer was given");
    this.#answer = undefined; // not kept for as long as the connection lives
    return answer;
  }

  hold(): void {
    // A visitor sends nothing on this kind of connection.
  }

  async quiet(): Promise<void> {
    // Nothing is under way that the resume does not bring again.
  }

  mute(): void {
    // Its last events are as good as any.
  }

  flow(): void {
    // A visitor sends nothing on this kind of connection.
  }

  async closeLeg(): Promise<boolean> {
    this.dropLeg();
    return true; // its visitor says nothing that it could have missed
  }

  dropLeg(): void {
    const leg = this.#leg;
    this.#leg = undefined;
    leg?.abort.abort();
  }

  lastWords(): readonly Frame[] {
    return [];
  }

  hear(_frames: readonly Frame[]): void {
    // An event stream says what its origin says.
  }

  end(_close: Close): void {
    this.#finish();
  }

  #begin(leg: Leg, response: Response): void {
    this.#leg = leg;
    this.#resumed = this.#writer !== undefined;
    this.#writer ??= this.#acceptVisitor(response);
    void this.#pump(leg, this.#writer); // never rejects
    if (this.#resumed) this.#events.ready(this);
  }

  #acceptVisitor(response: Response): WritableStreamDefaultWriter<Uint8Array> {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    const headers = responseHeaders(response.headers);
    headers.delete("content-length");
    headers.delete("content-encoding"); // fetch has decoded the body
    this.#answer = new Response(readable, { status: response.status, headers });
    writer.closed.catch(() => this.#finish()); // the visitor left
    const keepAlive = setInterval(() => void this.#write(writer, ":\n\n"), KEEP_ALIVE_MS);
    this.#stopKeepAlive = () => clearInterval(keepAlive);
    return writer;
  }

  async #pump(leg: Leg, writer: WritableStreamDefaultWriter<Uint8Array>): Promise<void> {
    const out: string[] = [];
    const parser = this.#parser(out);
    const decoder = new TextDecoder();
    const reader = leg.body.getReader();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (this.#leg !== leg || this.#over) return;
        if (done) return this.#finish(); // a whole answer: the application's own end
        parser.feed(decoder.decode(value, { stream: true }));
        if (out.length > 0) await this.#write(writer, out.splice(0).join(""));
      }
    } catch {
      if (this.#leg !== leg || this.#over) return; // we dropped it
      this.#leg = undefined;
      this.#events.lost(this);
    }
  }

  #parser(out: string[]): EventSourceParser {
    return createParser({
      maxBufferSize: EVENT_MAX_CHARS,
      onEvent: (event) => {
        if (this.#isRepeated(event)) return;
        out.push(serialise(event));
        this.#remember(event);
      },
      onRetry: (retryMs) => out.push(`retry: ${retryMs}\n\n`),
      onComment: (comment) => out.push(`: ${comment}\n\n`),
      onError: (error) => {
        if (error.type === "max-buffer-size-exceeded") this.#finish();
      },
    });
  }

  #isRepeated({ id }: EventSourceMessage): boolean {
    if (!this.#resumed) return false;
    if (id !== undefined && this.#delivered.has(id)) return true;
    this.#resumed = false;
    return false;
  }

  #remember({ id }: EventSourceMessage): void {
    this.#lastFrameAtMs = Date.now();
    if (id === undefined) return;
    this.#lastEventId = id;
    this.#delivered.delete(id);
    this.#delivered.add(id);
    for (const old of this.#delivered) {
      if (this.#delivered.size <= DELIVERED_MAX) break;
      this.#delivered.delete(old);
    }
  }

  async #write(writer: WritableStreamDefaultWriter<Uint8Array>, text: string): Promise<void> {
    try {
      await writer.write(this.#encoder.encode(text));
    } catch {
      this.#finish(); // the visitor left
    }
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#stopKeepAlive();
    this.dropLeg();
    this.#writer?.close().catch(() => undefined); // it may be gone already
    this.#events.ended(this);
  }
}

/** An event in its plainest wire form. */
function serialise({ id, event, data }: EventSourceMessage): string {
  const lines = [
    ...(id === undefined ? [] : [`id: ${id}`]),
    ...(event === undefined ? [] : [`event: ${event}`]),
    ...data.split("\n").map((line) => `data: ${line}`),
  ];
  return `${lines.join("\n")}\n\n`;
}
