// What an MQTT visitor has subscribed to: each filter that was granted and not given up since, with its options.

import { FAILED, Fields, packet, short, SUBSCRIBE, varint, type Packet } from "./mqtt-packets.ts";

/** Filters to a SUBSCRIBE that replays them; hosted brokers take no more than eight. */
const FILTERS_PER_PACKET = 8;

interface Subscription {
  /** The filter with its length, and its options. */
  readonly entry: Uint8Array;
  /** Of the SUBSCRIBE it came in (MQTT 5). */
  readonly properties: Uint8Array;
}

export class Subscriptions {
  readonly #inForce = new Map<string, Subscription>();
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** The broker's answer to a SUBSCRIBE. */
  granted(request: Packet, answer: Packet, v5: boolean): void {
    const asked = new Fields(request.body);
    asked.short();
    const properties = v5 ? asked.properties().slice() : new Uint8Array();
    for (const code of codesOf(answer, v5)) {
      if (asked.done) return;
      const filter = asked.text();
      const options = asked.byte();
      if (code < FAILED) this.#set(filter, Uint8Array.of(...short(filter.length), ...filter, options), properties);
    }
  }

  /** The broker's answer to an UNSUBSCRIBE. */
  ended(request: Packet, answer: Packet, v5: boolean): void {
    const asked = new Fields(request.body);
    asked.short();
    if (v5) asked.properties();
    const codes = v5 ? codesOf(answer, v5) : [];
    for (let n = 0; !asked.done; n++) {
      const filter = asked.text();
      if ((codes[n] ?? 0) < FAILED) this.#delete(nameOf(filter));
    }
  }

  /** SUBSCRIBEs for all that is in force; `ids` gives packet identifiers that are free. */
  packets(ids: Iterator<number>, v5: boolean): Map<number, Uint8Array> {
    const packets = new Map<number, Uint8Array>();
    for (const { properties, entries } of this.#groups()) {
      const id = Number(ids.next().value);
      packets.set(id, packet(SUBSCRIBE, 0b0010, [short(id), ...(v5 ? [varint(properties.length), properties] : []), ...entries]));
    }
    return packets;
  }

  /** Those of the same properties together. */
  #groups(): { properties: Uint8Array; entries: Uint8Array[] }[] {
    const groups: { properties: Uint8Array; entries: Uint8Array[] }[] = [];
    const open = new Map<string, { entries: Uint8Array[] }>();
    for (const { entry, properties } of this.#inForce.values()) {
      const name = nameOf(properties);
      const group = open.get(name);
      if (group && group.entries.length < FILTERS_PER_PACKET) {
        group.entries.push(entry);
        continue;
      }
      const begun = { properties, entries: [entry] };
      groups.push(begun);
      open.set(name, begun);
    }
    return groups;
  }

  #set(filter: Uint8Array, entry: Uint8Array, properties: Uint8Array): void {
    const name = nameOf(filter);
    this.#delete(name);
    this.#inForce.set(name, { entry, properties });
    this.#bytes += sizeOf({ entry, properties });
  }

  #delete(name: string): void {
    const known = this.#inForce.get(name);
    if (known) this.#bytes -= sizeOf(known);
    this.#inForce.delete(name);
  }
}

/** Whether the broker has taken all filters of a SUBSCRIBE. */
export function allGranted(answer: Packet, v5: boolean): boolean {
  return codesOf(answer, v5).every((code) => code < FAILED);
}

function codesOf(answer: Packet, v5: boolean): number[] {
  const fields = new Fields(answer.body);
  fields.short();
  if (v5) fields.properties();
  const codes: number[] = [];
  while (!fields.done) codes.push(fields.byte());
  return codes;
}

/** Bytes as a text that no other bytes have. */
function nameOf(bytes: Uint8Array): string {
  return bytes.reduce((text, byte) => text + String.fromCharCode(byte), "");
}

/** With what the map itself takes, about. */
function sizeOf({ entry, properties }: Subscription): number {
  return 2 * entry.length + properties.length + 100;
}
