// MQTT 3.1.1 and 5: the visitor's CONNECT is replayed as it was given, then what it has subscribed to, then what no broker has answered;
// the new broker's CONNACK and SUBACKs are swallowed. Held to, or the visitor must connect anew:
// - the new broker takes the CONNECT on the same terms (CONNACK, its session flag apart), keeps a session that the old one had from
//   before, and grants every filter;
// - only whole packets are passed on, either way, so that no leg ends within one;
// - a broker that is left in a planned move is told DISCONNECT, or it would publish the visitor's will.
// What brokers know of each other's sessions they say by the session flag: without it handshakes of the old one are ended by us.

import { Incoming, Outgoing, type Reaction } from "./mqtt-deliveries.ts";
import * as kind from "./mqtt-packets.ts";
import { allGranted, Subscriptions } from "./mqtt-subscriptions.ts";
import { Fields, joined, PacketReader, sameBytes, type Packet } from "./mqtt-packets.ts";
import { REMEMBERED_MAX_BYTES, type Frame, type Memory, type Passage, type Profile, type Told } from "./profile.ts";

/** Protocol levels: 3.1, 3.1.1 and 5. */
const LEVELS: readonly number[] = [3, 4, 5];
const LEVEL_5 = 5;
const PING = Uint8Array.of(kind.PINGREQ * 16, 0);
/** Without a reason: a normal disconnection, after which no will is published. */
const GOODBYE = Uint8Array.of(kind.DISCONNECT * 16, 0);

/** What becomes of a packet: passed on or not, what follows it in its direction, and what its sender's side is told. */
interface Step {
  readonly pass: boolean;
  readonly onward?: readonly Uint8Array[];
  readonly back?: readonly Uint8Array[];
}
const PASS: Step = { pass: true };

export const mqtt: Profile = { mute: false, begin: () => new SessionMemory() };

class SessionMemory implements Memory {
  readonly #fromVisitor = new PacketReader();
  readonly #fromBroker = new PacketReader();
  readonly #outgoing = new Outgoing();
  readonly #incoming = new Incoming();
  readonly #subscriptions = new Subscriptions();
  #connect: Uint8Array | undefined;
  #v5 = false;
  /** On what terms the visitor was accepted, and whether a session of before was there. */
  #accepted: { readonly terms: Uint8Array; readonly resumed: boolean } | undefined;
  /** The new broker's answers that are waited for: its CONNACK, then those to our own SUBSCRIBEs. */
  #awaited: "connack" | Set<number> | undefined;
  #pinged = false;
  #bearable = true;

  get bearable(): boolean {
    return this.#bearable && !this.#outgoing.unkept;
  }

  get ready(): boolean {
    return this.#awaited === undefined;
  }

  sent(frame: Frame): Passage {
    const passed = this.#pass(frame, this.#fromVisitor, (packet) => this.#visitorStep(packet));
    return typeof passed === "string" ? "pass" : { origin: passed.onward, visitor: passed.back };
  }

  heard(frame: Frame): Passage | "refused" {
    const passed = this.#pass(frame, this.#fromBroker, (packet) => this.#brokerStep(packet));
    if (!this.#bearable && !this.ready) return "refused"; // it cannot be waited for any more
    return typeof passed === "string" ? passed : { origin: passed.back, visitor: passed.onward };
  }

  replay(): Told {
    this.#fromBroker.take();
    this.#awaited = this.#connect && "connack";
    return { origin: this.#connect ? frameOf([this.#connect]) : [], visitor: [] };
  }

  farewell(): readonly Frame[] {
    return this.#connect && this.#bearable ? frameOf([...this.#outgoing.farewell(), GOODBYE]) : [];
  }

  lastWords(): readonly Frame[] {
    return [];
  }

  /** Goes through the packets that a frame completes. */
  #pass(frame: Frame, reader: PacketReader, look: (packet: Packet) => Step | "refused"): "pass" | "refused" | { onward: Frame[]; back: Frame[] } {
    const aligned = reader.empty;
    const packets = typeof frame === "string" ? undefined : reader.read(new Uint8Array(frame));
    if (packets === undefined) {
      this.#giveUp();
      return aligned ? "pass" : { onward: [...frameOf([reader.take()]), frame], back: [] };
    }
    const onward: Uint8Array[] = [];
    const back: Uint8Array[] = [];
    let untouched = aligned && reader.empty;
    for (const packet of packets) {
      const step = this.#step(packet, look);
      if (step === "refused") return step;
      if (step.pass) onward.push(packet.bytes);
      onward.push(...(step.onward ?? []));
      back.push(...(step.back ?? []));
      untouched &&= step === PASS;
    }
    return untouched ? "pass" : { onward: frameOf(onward), back: frameOf(back) };
  }

  #step(packet: Packet, look: (packet: Packet) => Step | "refused"): Step | "refused" {
    if (!this.#bearable) return PASS;
    try {
      const step = look(packet);
      if (this.#outgoing.tooMany || this.#incoming.tooMany) this.#giveUp();
      return step;
    } catch {
      this.#giveUp(); // a packet that breaks off is the other side's to judge
      return PASS;
    }
  }

  #visitorStep(packet: Packet): Step {
    const { type, body } = packet;
    switch (type) {
      case kind.CONNECT:
        return this.#begin(packet);
      case kind.PUBLISH:
        return this.#publish(packet);
      case kind.SUBSCRIBE:
      case kind.UNSUBSCRIBE:
        return this.#outgoing.sent(idIn(body), packet, this.#room) ? PASS : this.#giveUp();
      case kind.PUBACK:
      case kind.PUBREC:
      case kind.PUBCOMP:
        return stepOf(this.#incoming.acknowledged(idIn(body), type, reasonIn(body)));
      case kind.PUBREL:
        return stepOf(this.#outgoing.release(idIn(body)));
      case kind.PINGREQ:
        this.#pinged = true;
        return PASS;
      default:
        return this.#giveUp(); // DISCONNECT: the visitor leaves. AUTH: what it proves cannot be proved twice
    }
  }

  #brokerStep(packet: Packet): Step | "refused" {
    const { type, body } = packet;
    switch (type) {
      case kind.CONNACK:
        return this.#connack(packet);
      case kind.PUBLISH:
        if (qosOf(packet) > 0) this.#incoming.heard(messageIn(packet).id, qosOf(packet));
        return PASS;
      case kind.PUBREL:
        this.#incoming.released(idIn(body));
        return PASS;
      case kind.PUBACK:
        this.#outgoing.answered(idIn(body));
        return PASS;
      case kind.PUBREC:
        this.#outgoing.received(idIn(body), reasonIn(body));
        return PASS;
      case kind.PUBCOMP:
        return stepOf(this.#outgoing.completed(idIn(body)));
      case kind.SUBACK:
        return this.#suback(packet);
      case kind.UNSUBACK: {
        const request = this.#outgoing.answered(idIn(body));
        if (request?.type === kind.UNSUBSCRIBE) this.#subscriptions.ended(request, packet, this.#v5);
        return PASS;
      }
      case kind.PINGRESP:
        this.#pinged = false;
        return PASS;
      default:
        return this.#giveUp(); // DISCONNECT: the broker has told the visitor why. AUTH: as above
    }
  }

  #begin({ bytes, body }: Packet): Step {
    const fields = new Fields(body);
    fields.text();
    const level = fields.byte();
    if (this.#connect || !LEVELS.includes(level) || bytes.length > this.#room) return this.#giveUp();
    this.#v5 = level === LEVEL_5;
    this.#connect = bytes.slice();
    return PASS;
  }

  #publish(packet: Packet): Step {
    const { topic, id } = messageIn(packet);
    if (topic.length === 0) return this.#giveUp(); // a topic's alias (MQTT 5), which the new broker does not know
    if (qosOf(packet) > 0) this.#outgoing.sent(id, packet, this.#room);
    return PASS;
  }

  #connack({ bytes, body }: Packet): Step | "refused" {
    const resumed = ((body[0] ?? 0) & 1) === 1;
    const terms = body.slice(1);
    const taken = terms[0] === 0;
    const known = this.#accepted;
    if (taken) this.#accepted ??= { terms, resumed };
    if (this.#awaited !== "connack") return PASS;
    if (!taken || (known && !sameBytes(terms, known.terms)) || (known?.resumed && !resumed)) return "refused";
    const own = this.#subscriptions.packets(this.#outgoing.freeIds(), this.#v5);
    this.#awaited = new Set(own.keys());
    return {
      pass: false,
      onward: [...(known ? [] : [bytes]), ...(resumed ? [] : [...this.#incoming.forgotten(), ...this.#outgoing.forgotten()])],
      back: [...(resumed ? this.#outgoing.resumed() : []), ...own.values(), ...this.#rest(this.#awaited)],
    };
  }

  #suback(packet: Packet): Step | "refused" {
    const id = idIn(packet.body);
    const awaited = this.#awaited;
    if (awaited instanceof Set && awaited.delete(id)) return allGranted(packet, this.#v5) ? { pass: false, back: this.#rest(awaited) } : "refused";
    const request = this.#outgoing.answered(id);
    if (request?.type === kind.SUBSCRIBE) this.#subscriptions.granted(request, packet, this.#v5);
    return PASS;
  }

  /** What no broker has answered, once all that was subscribed to is in force again. */
  #rest(awaited: ReadonlySet<number>): Uint8Array[] {
    if (awaited.size > 0) return [];
    this.#awaited = undefined;
    return [...this.#outgoing.again(), ...(this.#pinged ? [PING] : [])];
  }

  get #room(): number {
    const taken = (this.#connect?.length ?? 0) + this.#subscriptions.bytes + this.#outgoing.bytes + this.#incoming.bytes;
    return REMEMBERED_MAX_BYTES - taken;
  }

  #giveUp(): Step {
    this.#bearable = false;
    return PASS;
  }
}

function stepOf({ pass, answer }: Reaction): Step {
  if (answer) return { pass, back: [answer] };
  return pass ? PASS : { pass };
}

function qosOf({ bytes }: Packet): number {
  return ((bytes[0] ?? 0) >> 1) & 0b11;
}

function messageIn(packet: Packet): { topic: Uint8Array; id: number } {
  const fields = new Fields(packet.body);
  return { topic: fields.text(), id: qosOf(packet) > 0 ? fields.short() : 0 };
}

function idIn(body: Uint8Array): number {
  return new Fields(body).short();
}

/** MQTT 5 may say a reason behind the identifier; without one all is well. */
function reasonIn(body: Uint8Array): number {
  return body[2] ?? 0;
}

/** One frame, or none of nothing. */
function frameOf(parts: readonly Uint8Array[]): ArrayBuffer[] {
  return parts.length === 0 ? [] : [joined(parts).buffer];
}
