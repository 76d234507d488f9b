// The listeners of an origin: each is told its session's log from behind the event that it had last, or from now on. The log is the store's, so
// that any origin can go on where another stopped.

import type { IncomingMessage, ServerResponse } from "node:http";
import type { LogEntry } from "./logs.ts";
import type { FromOrigin } from "./origin.ts";

/** What an origin tells its listeners to wait before they ask again. */
const RETRY_MS = 500;

interface Stream {
  readonly session: number;
  readonly response: ServerResponse;
  /** What it was asked for has come from the store; from then on it is told what is logged. */
  begun: boolean;
}

export class OriginStreams {
  readonly #tell: (message: FromOrigin) => void;
  readonly #streams = new Map<number, Stream>();
  #count = 0;

  constructor(tell: (message: FromOrigin) => void) {
    this.#tell = tell;
  }

  serve(session: number, request: IncomingMessage, response: ServerResponse): void {
    const number = this.#count++;
    const last = request.headers["last-event-id"];
    this.#streams.set(number, { session, response, begun: false });
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    response.write(`retry: ${RETRY_MS}\n\n`);
    response.on("close", () => {
      this.#streams.delete(number);
      this.#tell({ kind: "unlistened", session, stream: number });
    });
    this.#tell({ kind: "listened", session, stream: number, last: last === undefined ? undefined : Number(last), atMs: Date.now() });
  }

  /** The store's answer; `joined` for a listener that had no event before. */
  begin(number: number, joined: number | undefined, backlog: readonly LogEntry[]): void {
    const stream = this.#streams.get(number);
    if (!stream) return;
    stream.begun = true;
    const first = joined === undefined ? "" : `id: ${joined}\nevent: joined\ndata: ${joined}\n\n`;
    stream.response.write(first + backlog.map((entry) => textOf(stream.session, entry)).join(""));
  }

  logged(session: number, entry: LogEntry): void {
    for (const stream of this.#streams.values()) {
      if (stream.session === session && stream.begun) stream.response.write(textOf(session, entry));
    }
  }
}

function textOf(session: number, { event }: LogEntry): string {
  return `id: ${event}\ndata: e${session}.${event}\n\n`;
}
