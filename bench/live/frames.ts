// WebSocket frames (RFC 6455 §5.2) as both ends of the benchmark speak them: whole binary messages of up to 65,535 bytes, nothing else. Anything
// else is an error: a close or a text in the middle of a measurement is a fault of whoever is measured.

import { createHash } from "node:crypto";

const BINARY_WHOLE = 0x82; // FIN, opcode 2
const MASKED = 0x80;
const LENGTH_IN_TWO = 126;
export const MASK_BYTES = 4;

/** First byte, length, and the length's two bytes where it needs them. */
export function headBytes(payloadBytes: number): number {
  if (payloadBytes > 0xffff) throw new Error(`a frame of ${payloadBytes} bytes is longer than this benchmark speaks`);
  return payloadBytes < LENGTH_IN_TWO ? 2 : 4;
}

/** Writes a frame's head, the mask aside. */
export function writeHead(into: Buffer, at: number, payloadBytes: number, masked: boolean): void {
  const mask = masked ? MASKED : 0;
  into[at] = BINARY_WHOLE;
  if (headBytes(payloadBytes) === 2) {
    into[at + 1] = mask | payloadBytes;
  } else {
    into[at + 1] = mask | LENGTH_IN_TWO;
    into.writeUInt16BE(payloadBytes, at + 2);
  }
}

export interface Span {
  /** Where the payload begins; its mask, where there is one, stands before it. */
  readonly start: number;
  readonly end: number;
}

/** The frame that begins at `at`; `undefined` when not all of it is here yet. */
export function frameAt(bytes: Buffer, at: number, masked: boolean): Span | undefined {
  const first = bytes[at];
  const second = bytes[at + 1];
  if (first === undefined || second === undefined) return undefined;
  const short = second & ~MASKED;
  if (first !== BINARY_WHOLE || short > LENGTH_IN_TWO || second >= MASKED !== masked)
    throw new Error(`a frame began with ${first.toString(16)} ${second.toString(16)}, which is no whole binary message`);
  if (short === LENGTH_IN_TWO && bytes.length < at + 4) return undefined;
  const payloadBytes = short === LENGTH_IN_TWO ? bytes.readUInt16BE(at + 2) : short;
  const start = at + headBytes(payloadBytes) + (masked ? MASK_BYTES : 0);
  return bytes.length < start + payloadBytes ? undefined : { start, end: start + payloadBytes };
}

/** Masks or unmasks in place: it is the same (RFC 6455 §5.3). */
export function mask(bytes: Buffer, { start, end }: Span, key: Uint8Array): void {
  const [a = 0, b = 0, c = 0, d = 0] = key;
  let at = start;
  for (; at + 4 <= end; at += 4) {
    bytes[at] = (bytes[at] ?? 0) ^ a;
    bytes[at + 1] = (bytes[at + 1] ?? 0) ^ b;
    bytes[at + 2] = (bytes[at + 2] ?? 0) ^ c;
    bytes[at + 3] = (bytes[at + 3] ?? 0) ^ d;
  }
  for (; at < end; at++) bytes[at] = (bytes[at] ?? 0) ^ (key[(at - start) % 4] ?? 0);
}

/** RFC 6455 §1.3. */
const HANDSHAKE_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** What a server answers to a handshake's key. */
export function acceptOf(key: string): string {
  return createHash("sha1")
    .update(key + HANDSHAKE_GUID)
    .digest("base64");
}
