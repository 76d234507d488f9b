// Deliveries of an MQTT connection that are not acknowledged to their end (mqtt-v5.0, §4.3), both ways, and what becomes of each when the
// broker is replaced by one that does not know them: what the old one had not acknowledged is sent again; what it had is its own, and the
// rest of the handshake is played by us, with the visitor and, in a planned move, with the old broker.

import { acknowledgement, DUP, FAILED, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, type Packet } from "./mqtt-packets.ts";

/** Deliveries at once that are known, either way. */
const DELIVERIES_MAX = 4_096;
/** What a delivery takes beside its bytes, about. */
const DELIVERY_BYTES = 50;

/** What becomes of a packet: passed on or not, and what its sender is answered in the other side's place. */
export interface Reaction {
  readonly pass: boolean;
  readonly answer?: Uint8Array;
}
const PASS: Reaction = { pass: true };
const DROP: Reaction = { pass: false };

/** The visitor's own: PUBLISH of QoS 1 and 2, and whatever else has a packet identifier that is answered. */
export class Outgoing {
  /** Until the broker's first answer. */
  readonly #waiting = new Map<number, Packet | undefined>();
  /** QoS 2 after PUBREC: the broker has the message; PUBREL was passed on to it; or the handshake with it is over, and left is the visitor's PUBREL. */
  readonly #released = new Map<number, "owned" | "handed" | "over">();
  #bytes = 0;
  #unkept = 0;

  get bytes(): number {
    return this.#bytes + this.#released.size * DELIVERY_BYTES;
  }

  get tooMany(): boolean {
    return this.#waiting.size > DELIVERIES_MAX || this.#released.size > DELIVERIES_MAX;
  }

  /** Something that was too large to keep is not answered yet: there is nothing to send again. */
  get unkept(): boolean {
    return this.#unkept > 0;
  }

  /** `false`: there was no room for it. */
  sent(id: number, { type, bytes, body }: Packet, room: number): boolean {
    this.answered(id);
    const kept = sizeOf(bytes) <= room;
    const copy = kept ? bytes.slice() : undefined;
    this.#waiting.set(id, copy && { type, bytes: copy, body: copy.subarray(copy.length - body.length) });
    if (copy) this.#bytes += sizeOf(copy);
    else this.#unkept++;
    return kept;
  }

  /** The request that the broker has answered. */
  answered(id: number): Packet | undefined {
    const packet = this.#waiting.get(id);
    if (packet) this.#bytes -= sizeOf(packet.bytes);
    else if (this.#waiting.has(id)) this.#unkept--;
    this.#waiting.delete(id);
    return packet;
  }

  received(id: number, code: number): void {
    this.answered(id);
    if (code < FAILED) this.#released.set(id, "owned");
  }

  /** The visitor's PUBREL. */
  release(id: number): Reaction {
    const over = this.#released.get(id) === "over";
    if (over) this.#released.delete(id);
    else this.#released.set(id, "handed");
    return over ? { pass: false, answer: acknowledgement(PUBCOMP, id) } : PASS;
  }

  /** The broker's PUBCOMP. */
  completed(id: number): Reaction {
    if (this.#released.get(id) === "over") return DROP;
    this.#released.delete(id);
    return PASS;
  }

  /** What the old broker is told of messages that it has and was not yet told to release. */
  farewell(): Uint8Array[] {
    const owned = this.#idsAt("owned");
    for (const id of owned) this.#released.set(id, "over");
    return owned.map((id) => acknowledgement(PUBREL, id));
  }

  /** The new broker knows nothing of these handshakes: what the visitor is told. */
  forgotten(): Uint8Array[] {
    const handed = this.#idsAt("handed");
    for (const id of this.#idsAt("owned")) this.#released.set(id, "over");
    for (const id of handed) this.#released.delete(id);
    return handed.map((id) => acknowledgement(PUBCOMP, id));
  }

  /** The new broker knows them: what it is told again. */
  resumed(): Uint8Array[] {
    return this.#idsAt("handed").map((id) => acknowledgement(PUBREL, id));
  }

  /** What was not answered, to be sent again. */
  again(): Uint8Array[] {
    const packets = [...this.#waiting.values()].filter((each) => each !== undefined);
    return packets.map(({ type, bytes }) => (type === PUBLISH ? duplicate(bytes) : bytes));
  }

  /** Packet identifiers that nothing of the visitor's has. */
  *freeIds(): Generator<number, number> {
    for (let id = 65_535; id > 1; id--) if (!this.#waiting.has(id) && !this.#released.has(id)) yield id;
    return 1;
  }

  #idsAt(stage: "owned" | "handed"): number[] {
    return [...this.#released].filter(([, each]) => each === stage).map(([id]) => id);
  }
}

/** What is to come next of the handshake for a message to the visitor. */
type Awaited = typeof PUBACK | typeof PUBREC | typeof PUBREL | typeof PUBCOMP;

/** The broker's own: PUBLISH of QoS 1 and 2. */
export class Incoming {
  readonly #open = new Map<number, Awaited>();
  /** Of brokers that are gone: what the visitor still answers is answered by us. */
  readonly #stale = new Map<number, Awaited>();

  get bytes(): number {
    return (this.#open.size + this.#stale.size) * DELIVERY_BYTES;
  }

  get tooMany(): boolean {
    return this.#open.size > DELIVERIES_MAX || this.#stale.size > DELIVERIES_MAX;
  }

  heard(id: number, qos: number): void {
    this.#open.set(id, qos === 1 ? PUBACK : PUBREC);
  }

  /** The broker's PUBREL. */
  released(id: number): void {
    this.#open.set(id, PUBCOMP);
  }

  /** The visitor's PUBACK, PUBREC or PUBCOMP. */
  acknowledged(id: number, type: typeof PUBACK | typeof PUBREC | typeof PUBCOMP, code: number): Reaction {
    const stale = this.#stale.get(id) === type;
    const messages = stale ? this.#stale : this.#open;
    const goesOn = type === PUBREC && code < FAILED;
    if (!goesOn) messages.delete(id);
    else messages.set(id, stale ? PUBCOMP : PUBREL);
    if (!stale) return PASS;
    return goesOn ? { pass: false, answer: acknowledgement(PUBREL, id) } : DROP;
  }

  /** The new broker knows nothing of these: what the visitor is told. */
  forgotten(): Uint8Array[] {
    const releases: Uint8Array[] = [];
    for (const [id, awaited] of this.#open) {
      this.#stale.set(id, awaited === PUBREL ? PUBCOMP : awaited);
      if (awaited === PUBREL) releases.push(acknowledgement(PUBREL, id));
    }
    this.#open.clear();
    return releases;
  }
}

function sizeOf(bytes: Uint8Array): number {
  return bytes.length + DELIVERY_BYTES;
}

function duplicate(publish: Uint8Array): Uint8Array {
  const copy = publish.slice();
  copy[0] = (publish[0] ?? 0) | DUP;
  return copy;
}
