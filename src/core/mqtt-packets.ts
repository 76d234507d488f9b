// MQTT 3.1.1 and 5 as bytes (OASIS, mqtt-v3.1.1 and mqtt-v5.0, §2): whole packets out of frames, which may hold several or a part of one.

export const CONNECT = 1;
export const CONNACK = 2;
export const PUBLISH = 3;
export const PUBACK = 4;
export const PUBREC = 5;
export const PUBREL = 6;
export const PUBCOMP = 7;
export const SUBSCRIBE = 8;
export const SUBACK = 9;
export const UNSUBSCRIBE = 10;
export const UNSUBACK = 11;
export const PINGREQ = 12;
export const PINGRESP = 13;
export const DISCONNECT = 14;

/** The duplicate flag of a PUBLISH. */
export const DUP = 0b1000;
/** From here on a reason or return code says that something failed. */
export const FAILED = 0x80;

/** Most of a packet that is kept until its rest comes. */
const PARTIAL_MAX_BYTES = 1_048_576;

export interface Packet {
  readonly type: number;
  readonly bytes: Uint8Array;
  /** What follows the fixed header. */
  readonly body: Uint8Array;
}

/** Packets that one frame may complete: a frame of 32 MiB could hold millions, and each is an object. */
const AT_ONCE_MAX = 4_096;

export class PacketReader {
  /** The beginning of a packet, in a buffer that grows by doubling: a packet of a byte a frame is kept at the cost of its bytes. */
  #buffer = new Uint8Array();
  #kept = 0;
  /** At least so many bytes are missing to it. */
  #missing = 0;
  #lost = false;

  /** Nothing of a packet is kept. */
  get empty(): boolean {
    return this.#kept === 0;
  }

  /** The packets that these bytes complete; `undefined` from what is no MQTT, or too long to be kept, on: `take` gives what was kept. */
  read(bytes: Uint8Array): Packet[] | undefined {
    const packets = this.#lost ? undefined : this.#packets(bytes);
    this.#lost = packets === undefined;
    return packets;
  }

  /** What is kept, which is forgotten. */
  take(): Uint8Array {
    const kept = this.#buffer.subarray(0, this.#kept);
    this.#buffer = new Uint8Array();
    this.#kept = 0;
    return kept;
  }

  #packets(bytes: Uint8Array): Packet[] | undefined {
    if (this.#kept > 0 && bytes.length < this.#missing) {
      this.#keep(bytes, this.#missing - bytes.length);
      return [];
    }
    const data = this.#kept === 0 ? bytes : joined([this.#buffer.subarray(0, this.#kept), bytes]);
    const packets: Packet[] = [];
    let at = 0;
    let end: number | undefined = 0;
    for (; at < data.length; at = end) {
      end = endOf(data, at);
      if (end === undefined || (end > data.length && end - at > PARTIAL_MAX_BYTES)) return undefined;
      if (end > data.length) break;
      if (packets.length >= AT_ONCE_MAX) return undefined;
      packets.push(packetIn(data.subarray(at, end)));
    }
    this.take();
    if (at < data.length) this.#keep(data.subarray(at), end - data.length);
    return packets;
  }

  #keep(bytes: Uint8Array, missing: number): void {
    const length = this.#kept + bytes.length;
    if (length > this.#buffer.length) {
      const larger = new Uint8Array(Math.max(length, 2 * this.#buffer.length));
      larger.set(this.#buffer.subarray(0, this.#kept));
      this.#buffer = larger;
    }
    this.#buffer.set(bytes, this.#kept);
    this.#kept = length;
    this.#missing = missing;
  }
}

/** Where the packet ends that begins here: beyond the data for one that breaks off. `undefined` for a length of more than four bytes. */
function endOf(data: Uint8Array, at: number): number | undefined {
  let length = 0;
  for (let n = 1; n <= 4; n++) {
    const byte = data[at + n];
    if (byte === undefined) return data.length + 1;
    length += (byte & 0x7f) * 128 ** (n - 1);
    if (byte < 128) return at + n + 1 + length;
  }
  return undefined;
}

function packetIn(bytes: Uint8Array): Packet {
  const first = bytes[0] ?? 0;
  let header = 2;
  while ((bytes[header - 1] ?? 0) >= 128) header++;
  return { type: first >> 4, bytes, body: bytes.subarray(header) };
}

/** Reads a packet's body. Throws where it is shorter than it says. */
export class Fields {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length;
  }

  byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw new Error("a packet ends within a field");
    return byte;
  }

  short(): number {
    return this.byte() * 256 + this.byte();
  }

  /** A string or binary field, its length before it. */
  text(): Uint8Array {
    return this.#take(this.short());
  }

  /** Properties of MQTT 5, without their length. */
  properties(): Uint8Array {
    let length = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.byte();
      length += (byte & 0x7f) * scale;
      if (byte < 128 || scale > 128 ** 3) return this.#take(length);
    }
  }

  #take(length: number): Uint8Array {
    const taken = this.#bytes.subarray(this.#at, this.#at + length);
    if (taken.length < length) throw new Error("a packet ends within a field");
    this.#at += length;
    return taken;
  }
}

/** An acknowledgement of a packet, which says that all is well. */
export function acknowledgement(type: typeof PUBREL | typeof PUBCOMP, id: number): Uint8Array {
  return packet(type, type === PUBREL ? 0b0010 : 0, [short(id)]);
}

export function packet(type: number, flags: number, body: readonly Uint8Array[]): Uint8Array {
  const length = body.reduce((sum, part) => sum + part.length, 0);
  return joined([Uint8Array.of(type * 16 + flags), varint(length), ...body]);
}

export function short(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff);
}

export function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = (rest - low) / 128;
    bytes.push(rest > 0 ? low + 128 : low);
  } while (rest > 0);
  return Uint8Array.from(bytes);
}

export function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, n) => byte === b[n]);
}
