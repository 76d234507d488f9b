// The origin that all contestants forward to: gives back every frame that it gets, in a process of its own, and as little work as Node can do,
// so that it takes little from whoever is measured. A request that is no upgrade is a health check.

import { createServer, type Socket } from "node:net";
import { acceptOf, frameAt, headBytes, mask, MASK_BYTES, writeHead } from "./frames.ts";

/** NGINX and HAProxy hash over several origins: these are theirs, all the same process. */
export const ORIGIN_PORTS_COUNT = 4;

const HEAD_END = "\r\n\r\n";
const HEALTHY = `HTTP/1.1 200 OK\r\nContent-Length: 0${HEAD_END}`;

if (process.argv[1] === import.meta.filename) {
  const ports = await Promise.all(Array.from({ length: ORIGIN_PORTS_COUNT }, listen));
  process.send?.({ ports });
  process.once("disconnect", () => process.exit());
}

function listen(): Promise<number> {
  const server = createServer({ noDelay: true }, serve);
  const { promise, resolve } = Promise.withResolvers<number>();
  server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
    const address = server.address();
    if (typeof address === "object" && address !== null) resolve(address.port);
  });
  return promise;
}

function serve(socket: Socket): void {
  let pending: Buffer = Buffer.alloc(0);
  let open = false;
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk: Buffer) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    if (!open) {
      const end = pending.indexOf(HEAD_END);
      if (end < 0) return;
      const head = pending.toString("latin1", 0, end);
      pending = pending.subarray(end + HEAD_END.length);
      const key = /^sec-websocket-key: *(\S+)/im.exec(head)?.[1];
      open = key !== undefined;
      socket.write(key === undefined ? HEALTHY : upgradeOf(key), "latin1");
    }
    if (open) pending = echo(socket, pending);
  });
}

function upgradeOf(key: string): string {
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptOf(key)}${HEAD_END}`;
}

/** Sends back whole frames, each unmasked where it lies: an answer's head is as long as a frame's without the mask. What is left. */
function echo(socket: Socket, bytes: Buffer): Buffer {
  let at = 0;
  try {
    for (let frame = frameAt(bytes, at, true); frame; frame = frameAt(bytes, at, true)) {
      mask(bytes, frame, bytes.subarray(frame.start - MASK_BYTES, frame.start));
      const payloadBytes = frame.end - frame.start;
      const from = frame.start - headBytes(payloadBytes);
      writeHead(bytes, from, payloadBytes, false);
      socket.write(bytes.subarray(from, frame.end));
      at = frame.end;
    }
  } catch {
    socket.destroy(); // most often a close: nobody is measured any more, and if somebody is, their visitor notices
  }
  return bytes.subarray(at);
}
