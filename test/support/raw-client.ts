// A client below HTTP: what it sends is what the test says, and it keeps what came, cut off or whole.

import { once } from "node:events";
import { connect, type Socket } from "node:net";

export interface RawAnswer {
  /** The first line after interim answers. */
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  /** As it came, chunk sizes and all. */
  readonly body: string;
  /** Whether the framing says that this is all of it. */
  readonly whole: boolean;
}

export async function connectRaw(url: string): Promise<Socket> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.on("error", () => undefined);
  await once(socket, "connect");
  return socket;
}

/** Sends one request (`Connection: close` is the caller's to say) and reads until the other side closes. */
export async function rawRequest(url: string, text: string): Promise<RawAnswer> {
  const socket = await connectRaw(url);
  socket.write(text, "latin1");
  return rawAnswer(socket);
}

export async function rawAnswer(socket: Socket): Promise<RawAnswer> {
  let text = "";
  socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
  if (!socket.closed) await once(socket, "close");
  return parse(text);
}

function parse(text: string): RawAnswer {
  const end = text.indexOf("\r\n\r\n");
  const [first = "", ...lines] = text.slice(0, end < 0 ? undefined : end).split("\r\n");
  const status = Number(first.split(" ")[1] ?? 0);
  const body = end < 0 ? "" : text.slice(end + 4);
  const headers = new Map(lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]));
  const length = headers.get("content-length");
  const chunked = headers.get("transfer-encoding") === "chunked";
  return { status, headers, body, whole: chunked ? body.endsWith("0\r\n\r\n") : length !== undefined && body.length === Number(length) };
}
