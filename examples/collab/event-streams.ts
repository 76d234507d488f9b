// SSE for `/events/:session`: first what the visitor missed, then each event when it comes to exist (see history.ts).
// What must stay true: ids only grow within a stream, and a slow reader costs a bounded buffer, not memory.

import type { ServerResponse } from "node:http";
import { firstEventAfter, newestEvent, oldestEvent, untilNextEventMs } from "./history.ts";

/** A comment this often keeps a silent stream from being cut; proxies commonly allow 30 s or more. */
const KEEP_ALIVE_EVERY_MS = 10_000;

interface Stream {
  readonly response: ServerResponse;
  next: number;
  keepAliveAtMs: number;
}

export class EventStreams {
  readonly #originId: string;
  readonly #streams = new Set<Stream>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(originId: string) {
    this.#originId = originId;
  }

  open(response: ServerResponse, lastEventId: string | undefined): void {
    const nowMs = Date.now();
    const stream: Stream = { response, next: firstEventAfter(lastEventId, nowMs), keepAliveAtMs: nowMs + KEEP_ALIVE_EVERY_MS };
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    response.flushHeaders();
    response.on("close", () => this.#forget(stream));
    this.#streams.add(stream);
    this.#send(stream, nowMs);
    this.#schedule();
  }

  endAll(): void {
    for (const { response } of this.#streams) response.end();
  }

  #forget(stream: Stream): void {
    this.#streams.delete(stream);
    if (this.#streams.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#streams.size === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const nowMs = Date.now();
      for (const stream of this.#streams) this.#send(stream, nowMs);
      this.#schedule();
    }, untilNextEventMs(Date.now()));
  }

  /** Sends what exists by now. A reader who has not taken the last piece waits for the next turn, at worst losing what the history drops. */
  #send(stream: Stream, nowMs: number): void {
    if (stream.response.writableNeedDrain || stream.response.writableEnded) return;
    let text = "";
    const newest = newestEvent(nowMs);
    for (stream.next = Math.max(stream.next, oldestEvent(nowMs)); stream.next <= newest; stream.next++) {
      text += `id: ${stream.next}\ndata: ${JSON.stringify({ n: stream.next, origin: this.#originId })}\n\n`;
    }
    if (nowMs >= stream.keepAliveAtMs) {
      stream.keepAliveAtMs = nowMs + KEEP_ALIVE_EVERY_MS;
      text += ": still here\n\n";
    }
    if (text !== "") stream.response.write(text);
  }
}
