// A small WebSocket origin with a will of its own, for what a well-behaved server would never do. Frames that start with "!" are orders:
// "!close 4001 bye", "!die" (cut without a close), "!late 30" (answers the next frame that much later). Everything else is echoed.

import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocketServer, type WebSocket } from "ws";

export interface EchoOrigin {
  readonly url: string;
  /** Handshakes seen, in order. */
  readonly handshakes: readonly IncomingMessage[];
  /** Frames received, over all connections. */
  readonly received: readonly string[];
  /** Closes seen from the other side. */
  readonly closes: readonly { code: number; reason: string }[];
  /** The next handshakes are answered with this status instead. */
  refuseWith(status: number | undefined): void;
  stop(): Promise<void>;
}

export async function startEchoOrigin(port = 0): Promise<EchoOrigin> {
  const handshakes: IncomingMessage[] = [];
  const received: string[] = [];
  const closes: { code: number; reason: string }[] = [];
  let refusal: number | undefined;
  const server = createServer((request, response) => {
    response.writeHead(request.url === "/healthz" ? 200 : 404, { "content-type": "text/plain" }).end("ok");
  });
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: (offered) => [...offered].at(-1) ?? false });
  server.on("upgrade", (request, socket, head) => {
    handshakes.push(request);
    if (refusal !== undefined) {
      socket.end(`HTTP/1.1 ${refusal} Refused\r\ncontent-type: text/plain\r\nx-why: tired\r\ncontent-length: 4\r\nconnection: close\r\n\r\nno!\n`);
      return;
    }
    sockets.handleUpgrade(request, socket, head, (connection) => serve(connection));
  });
  function serve(connection: WebSocket): void {
    let lateMs = 0;
    connection.on("close", (code, reason) => closes.push({ code, reason: reason.toString() }));
    connection.on("message", (data, binary) => {
      const text = data.toString();
      const [order, argument, rest] = text.split(" ");
      received.push(text);
      if (order === "!close") return connection.close(Number(argument), rest);
      if (order === "!die") return connection.terminate();
      if (order === "!late") return void (lateMs = Number(argument));
      setTimeout(() => connection.send(data as Buffer, { binary }), lateMs);
      return undefined;
    });
  }
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    handshakes,
    received,
    closes,
    refuseWith: (status) => (refusal = status),
    stop: async () => {
      for (const connection of sockets.clients) connection.terminate();
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
