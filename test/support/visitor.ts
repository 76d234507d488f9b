// A WebSocket visitor (`ws`) that keeps everything it hears.

import { once } from "node:events";
import WebSocket from "ws";

export interface Visitor {
  readonly socket: WebSocket;
  readonly heard: readonly (string | Buffer)[];
  /** Set once the connection is closed. */
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly isOpen: () => boolean;
}

export async function visit(url: string, options: { protocols?: string[]; headers?: Record<string, string> } = {}): Promise<Visitor> {
  const socket = new WebSocket(url, options.protocols ?? [], { headers: options.headers ?? {} });
  const heard: (string | Buffer)[] = [];
  socket.on("message", (data, binary) => heard.push(binary ? (data as Buffer) : data.toString()));
  const closed = new Promise<{ code: number; reason: string }>((resolve) =>
    socket.on("close", (code, reason) => resolve({ code, reason: reason.toString() })),
  );
  socket.on("error", () => undefined); // told by `open` or `closed`
  await Promise.race([once(socket, "open"), once(socket, "error").then(([error]) => Promise.reject(error as Error))]);
  return { socket, heard, closed, isOpen: () => socket.readyState === WebSocket.OPEN };
}

/** The answer to a handshake that is refused. */
export async function refusedHandshake(
  url: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; headers: Record<string, unknown>; body: string }> {
  const socket = new WebSocket(url, { headers });
  socket.on("error", () => undefined);
  const [, response] = (await once(socket, "unexpected-response")) as [
    unknown,
    NodeJS.ReadableStream & { statusCode: number; headers: Record<string, unknown> },
  ];
  let body = "";
  for await (const chunk of response) body += String(chunk);
  return { status: response.statusCode, headers: response.headers, body };
}
