// The origin's side of the streams, in the process of their visitors: what one side has written the other must get, and only then there is more.
// As little of HTTP as that takes; a request for no stream is a health check.

import { createServer, type Socket } from "node:net";

const HEAD_END = "\r\n\r\n";
const HEALTHY = `HTTP/1.1 200 OK\r\nContent-Length: 0${HEAD_END}`;
const STREAM = `HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked${HEAD_END}`;

export class Origin {
  readonly #awaited = new Map<number, (socket: Socket) => void>();

  /** On one more port, which it tells. */
  listen(): Promise<number> {
    const { promise, resolve } = Promise.withResolvers<number>();
    const server = createServer({ noDelay: true }, (socket) => this.#serve(socket));
    server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
      const address = server.address();
      if (typeof address === "object" && address !== null) resolve(address.port);
    });
    return promise;
  }

  /** Whoever asks for this stream; each is asked for once. */
  awaits(stream: number, onAsked: (socket: Socket) => void): void {
    this.#awaited.set(stream, onAsked);
  }

  #serve(socket: Socket): void {
    let head = "";
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      head += chunk.toString("latin1");
      if (!head.endsWith(HEAD_END)) return; // requests without a body, one at a time
      const stream = /^accept: *text\/event-stream/im.test(head) ? /^GET \S*\/(\d+) /.exec(head)?.[1] : undefined;
      head = "";
      if (stream === undefined) return void socket.write(HEALTHY, "latin1");
      const onAsked = this.#awaited.get(Number(stream));
      if (!onAsked) return void socket.destroy(); // asked for again: its visitor notices that the first was given up
      this.#awaited.delete(Number(stream));
      socket.write(STREAM, "latin1");
      onAsked(socket);
    });
  }
}
