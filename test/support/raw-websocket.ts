// A WebSocket peer below every library, as visitor or as origin: it sends the frames that a test makes by hand, and keeps those that come.
// It does by itself only what ends a connection in order: it answers a close frame with its code, and ends the TCP connection after.

import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { connectRaw } from "./raw-client.ts";
import type { RawRequest } from "./scripted-origin.ts";

export const CONTINUATION = 0;
export const TEXT = 1;
export const BINARY = 2;
export const CLOSE = 8;
export const PING = 9;
export const PONG = 10;

export interface RawFrame {
  readonly fin: boolean;
  readonly rsv: number;
  readonly opcode: number;
  readonly payload: Buffer;
}

export interface FrameForm {
  readonly fin?: boolean;
  /** The three reserved bits, RSV1 the highest. */
  readonly rsv?: number;
  /** Whether and how long the length is written; default: as short as can be. */
  readonly lengthBytes?: 0 | 2 | 8;
  /** The length that is claimed, where it is not the payload's. */
  readonly claim?: number;
}

/** What a peer does for a test: frames are written as visitors' (masked) or as origins' (not). */
export interface RawPeer {
  /** First line and fields of the other side's part of the handshake. */
  readonly head: string;
  /** Frames received, in order. */
  readonly frames: readonly RawFrame[];
  readonly socket: Socket;
  /** How the other side's half ended. */
  readonly ended: Promise<"in order" | "cut">;
  /** What the peer does after a close frame came: by default it answers it and ends. */
  onClose: (frame: RawFrame) => void;
  frame(opcode: number, payload?: string | Buffer, form?: FrameForm): Buffer;
  send(opcode: number, payload?: string | Buffer, form?: FrameForm): void;
  /** Resolves once `count` frames are here, or the other side has ended. */
  heard(count: number): Promise<void>;
}

/** RFC 6455 §5.2. `mask`: a client's frame. */
export function encodeFrame(opcode: number, payload: Buffer, mask: boolean, { fin = true, rsv = 0, lengthBytes, claim }: FrameForm = {}): Buffer {
  const length = claim ?? payload.length;
  const form = lengthBytes ?? (length <= 125 ? 0 : length <= 0xffff ? 2 : 8);
  const head = Buffer.alloc(2 + form + (mask ? 4 : 0));
  head[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  head[1] = (mask ? 0x80 : 0) | (form === 0 ? length : form === 2 ? 126 : 127);
  if (form === 2) head.writeUInt16BE(length, 2);
  if (form === 8) head.writeBigUInt64BE(BigInt(length), 2);
  if (!mask) return Buffer.concat([head, payload]);
  const key = randomBytes(4);
  key.copy(head, 2 + form);
  const masked = Buffer.from(payload);
  for (let at = 0; at < masked.length; at++) masked[at] = (masked[at] ?? 0) ^ (key[at & 3] ?? 0);
  return Buffer.concat([head, masked]);
}

/** The payload of a close frame. */
export function closePayload(code: number, reason: string | Buffer = ""): Buffer {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(code);
  return Buffer.concat([head, Buffer.from(reason)]);
}

/** A visitor's connection. `undefined` in `frames` never comes: a refused upgrade rejects with the head of its answer. */
export async function openRawWebSocket(url: string, path: string, headers: Readonly<Record<string, string>> = {}): Promise<RawPeer> {
  const socket = await connectRaw(url);
  const fields = {
    host: new URL(url).host,
    upgrade: "websocket",
    connection: "Upgrade",
    "sec-websocket-version": "13",
    "sec-websocket-key": randomBytes(16).toString("base64"),
    ...headers,
  };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`GET ${path} HTTP/1.1\r\n${lines.join("")}\r\n`);
  const head = await headOf(socket);
  if (!head.startsWith("HTTP/1.1 101 ")) {
    socket.destroy();
    throw new Error(`refused: ${head}`);
  }
  return peerOn(socket, head, true);
}

/** An origin's connection: answers the handshake that a raw origin has read. */
export function acceptRawWebSocket(socket: Socket, { head }: RawRequest, headers: Readonly<Record<string, string>> = {}): RawPeer {
  const key = /^sec-websocket-key: *(.*)$/im.exec(head)?.[1]?.trim() ?? "";
  const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  const fields = { upgrade: "websocket", connection: "Upgrade", "sec-websocket-accept": accept, ...headers };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join("")}\r\n`);
  return peerOn(socket, head, false);
}

async function headOf(socket: Socket): Promise<string> {
  let bytes = Buffer.alloc(0);
  for (;;) {
    const [chunk] = (await Promise.race([once(socket, "data"), once(socket, "close").then(() => [])])) as [Buffer?];
    if (!chunk) return bytes.toString("latin1");
    bytes = Buffer.concat([bytes, chunk]);
    const end = bytes.indexOf("\r\n\r\n");
    if (end < 0) continue;
    socket.pause();
    if (bytes.length > end + 4) socket.unshift(bytes.subarray(end + 4));
    return bytes.toString("latin1", 0, end);
  }
}

function peerOn(socket: Socket, head: string, mask: boolean): RawPeer {
  const frames: RawFrame[] = [];
  const waiting = new Set<() => void>();
  const { promise: ended, resolve } = Promise.withResolvers<"in order" | "cut">();
  let isOver = false;
  const end = (how: "in order" | "cut"): void => {
    isOver = true;
    resolve(how);
    for (const look of waiting) look();
  };
  const peer: RawPeer = {
    head,
    frames,
    socket,
    ended,
    onClose: ({ payload }) => {
      socket.end(encodeFrame(CLOSE, payload.subarray(0, 2), mask));
    },
    frame: (opcode, payload = "", form) => encodeFrame(opcode, Buffer.from(payload), mask, form),
    send: (opcode, payload, form) => void socket.write(peer.frame(opcode, payload, form)),
    heard: (count) =>
      new Promise((heard) => {
        const look = (): void => {
          if (frames.length < count && !isOver) return;
          waiting.delete(look);
          heard();
        };
        waiting.add(look);
        look();
      }),
  };
  const read = reader((frame) => {
    frames.push(frame);
    if (frame.opcode === CLOSE) peer.onClose(frame);
    for (const look of waiting) look();
  });
  socket.on("data", read);
  socket.on("end", () => end("in order")).on("close", () => end("cut"));
  socket.on("error", () => undefined);
  socket.resume();
  if (socket.closed || socket.readableEnded) end("cut"); // before anybody listened: a dial that was given up
  return peer;
}

/** Cuts a stream of bytes into frames; large payloads are gathered in pieces. */
function reader(onFrame: (frame: RawFrame) => void): (chunk: Buffer) => void {
  let chunks: Buffer[] = [];
  let size = 0;
  let needed = 2;
  const take = (): Buffer => {
    const all = chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
    chunks = [all];
    return all;
  };
  return (chunk) => {
    chunks.push(chunk);
    size += chunk.length;
    while (size >= needed) {
      const bytes = take();
      const first = bytes[0] ?? 0;
      const second = bytes[1] ?? 0;
      const form = (second & 127) === 127 ? 8 : (second & 127) === 126 ? 2 : 0;
      const headLength = 2 + form + (second & 128 ? 4 : 0);
      if (size < headLength) {
        needed = headLength;
        return;
      }
      const length = form === 8 ? Number(bytes.readBigUInt64BE(2)) : form === 2 ? bytes.readUInt16BE(2) : second & 127;
      if (size < headLength + length) {
        needed = headLength + length;
        return;
      }
      const payload = Buffer.from(bytes.subarray(headLength, headLength + length));
      if (second & 128) for (let at = 0; at < length; at++) payload[at] = (payload[at] ?? 0) ^ (bytes[headLength - 4 + (at & 3)] ?? 0);
      chunks = [bytes.subarray(headLength + length)];
      size -= headLength + length;
      needed = 2;
      onFrame({ fin: (first & 128) !== 0, rsv: (first >> 4) & 7, opcode: first & 15, payload });
    }
  };
}
