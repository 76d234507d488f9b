// An origin that remembers every request as it came: plain ones, WebSocket handshakes, event streams, health checks.

import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";

export interface Recorded {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

export interface RecordingOrigin {
  readonly url: string;
  /** The latest request for a path, query and all. */
  last(url: string): Recorded | undefined;
  stop(): Promise<void>;
}

export async function startRecordingOrigin(): Promise<RecordingOrigin> {
  const seen = new Map<string, Recorded>();
  const note = ({ method = "", url = "", headers }: IncomingMessage): void => void seen.set(url, { method, url, headers });
  const sockets = new WebSocketServer({ noServer: true });
  const server = createServer((request, response) => {
    note(request);
    if (!request.headers.accept?.includes("text/event-stream")) return void response.end("ok");
    response.writeHead(200, { "content-type": "text/event-stream" }).write("id: 1\ndata: hello\n\n");
  }).on("upgrade", (request: IncomingMessage, socket, head) => {
    note(request);
    sockets.handleUpgrade(request, socket, head, () => undefined);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    last: (url) => seen.get(url),
    stop: async () => {
      for (const connection of sockets.clients) connection.terminate();
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
