// An origin that answers nobody but the router: every request, WebSocket handshakes and health checks too, is verified before anything
// else looks at it. Behind that it is as small as an origin can be: it says what it was asked, and echoes what sockets say.

import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { text } from "node:stream/consumers";
import { WebSocketServer } from "ws";
import { signatureFault, type SignatureOptions } from "./signature-check.ts";

export interface OriginOptions extends Omit<SignatureOptions, "authority"> {
  readonly port: number;
  /** Default: where it listens. */
  readonly authority?: string;
}

const HOST = "127.0.0.1";

/** Resolves when it listens. */
export async function startOrigin({ port, authority, ...rest }: OriginOptions): Promise<{ url: string; server: Server }> {
  const sockets = new WebSocketServer({ noServer: true });
  const server = createServer((request, response) => void answer(request, response)).on(
    "upgrade",
    (request: IncomingMessage, socket: Duplex, head: Buffer) => void upgrade(request, socket, head),
  );
  server.listen(port, HOST);
  await once(server, "listening");
  const here = `${HOST}:${(server.address() as AddressInfo).port}`;
  const options: SignatureOptions = { ...rest, authority: authority ?? here };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on("error", () => response.destroy()); // whoever leaves in mid-answer is nobody's fault
    const fault = await signatureFault(request, options);
    if (fault !== undefined) return void response.writeHead(401, { "content-type": "text/plain" }).end("not signed by the router\n");
    const { method, url, headers } = request;
    const body = await text(request).catch(() => undefined); // cut off in mid-body: there is nobody to answer
    if (body === undefined) return void response.destroy();
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ method, url, limpet: headers["limpet"], body }));
  }

  async function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on("error", () => socket.destroy());
    const fault = await signatureFault(request, options);
    if (fault !== undefined) return void socket.end("HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    sockets.handleUpgrade(request, socket, head, (connection) => {
      connection.on("error", () => connection.terminate());
      connection.on("message", (data: Buffer, binary) => connection.send(data, { binary }));
    });
  }

  return { url: `http://${here}`, server };
}
