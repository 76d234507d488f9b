// The mqtt profile against mqtt-packet, which the real client and broker speak with: both versions, packets split anywhere.

import fc from "fast-check";
import { generate, parser, type Packet } from "mqtt-packet";
import { beforeEach, describe, expect, test } from "vitest";
import { mqtt } from "../../src/core/profile-mqtt.ts";
import { REMEMBERED_MAX_BYTES, type Frame, type Memory } from "../../src/core/profile.ts";

let memory: Memory;
let version: 4 | 5;
beforeEach(() => {
  version = 4;
  memory = mqtt.begin();
});

type Loose = { readonly cmd: string } & Record<string, unknown>;
const bytesOf = (...packets: Loose[]): Uint8Array => new Uint8Array(Buffer.concat(packets.map((packet) => generate(packet as unknown as Packet, { protocolVersion: version }))));
const frame = (...packets: Loose[]): ArrayBuffer => bytesOf(...packets).slice().buffer;

/** What frames say, a line a packet. */
function read(frames: readonly Frame[]): string[] {
  const lines: string[] = [];
  const reader = parser({ protocolVersion: version });
  reader.on("packet", (packet) => lines.push(line(packet)));
  reader.on("error", (error) => lines.push(String(error)));
  for (const each of frames) reader.parse(typeof each === "string" ? Buffer.from(each) : Buffer.from(each));
  return lines;
}
function line(packet: Packet): string {
  const { cmd, messageId, dup, qos, topic, payload, subscriptions, clientId } = packet as unknown as Record<string, unknown> & { subscriptions?: { topic: string; qos: number }[] };
  const filters = subscriptions?.map((each) => `${each.topic}:${each.qos}`).join();
  const publish = cmd === "publish" ? `${dup ? "dup " : ""}qos${qos} ${topic} ${String(payload)}` : undefined;
  return [cmd, messageId, publish, filters, clientId].filter((each) => each !== undefined).join(" ");
}

/** What becomes of a frame, for the side it goes to and for the one it came from. */
interface Outcome { readonly onward: string[]; readonly back: string[] }
function outcome(passage: ReturnType<Memory["heard"]>, data: Frame, toVisitor: boolean): Outcome | "refused" {
  if (passage === "refused") return passage;
  if (passage === "swallow") return { onward: [], back: [] };
  if (passage === "pass") return { onward: read([data]), back: [] };
  const [visitor, origin] = [read(passage.visitor), read(passage.origin)];
  return toVisitor ? { onward: visitor, back: origin } : { onward: origin, back: visitor };
}
const send = (...packets: Loose[]): Outcome | "refused" => outcome(memory.sent(frame(...packets)), frame(...packets), false);
const hear = (...packets: Loose[]): Outcome | "refused" => outcome(memory.heard(frame(...packets)), frame(...packets), true);
const NOTHING: Outcome = { onward: [], back: [] };
const passed = (...lines: string[]): Outcome => ({ onward: lines, back: [] });

const connect = (): Loose => ({ cmd: "connect", protocolId: "MQTT", protocolVersion: version, clientId: "ann", clean: true, keepalive: 60 });
const connack = (more: Record<string, unknown> = {}): Loose => ({ cmd: "connack", sessionPresent: false, returnCode: 0, reasonCode: 0, ...more });
const publish = (messageId: number, qos: number, topic = "t", payload: string | Buffer = "x"): Loose => ({ cmd: "publish", messageId, qos, topic, payload, dup: false, retain: false });
const ack = (cmd: string, messageId: number, reasonCode = 0): Loose => ({ cmd, messageId, reasonCode });
const subscribe = (messageId: number, ...topics: string[]): Loose => ({ cmd: "subscribe", messageId, subscriptions: topics.map((topic) => ({ topic, qos: 1, nl: false, rap: false, rh: 0 })) });
const suback = (messageId: number, ...granted: number[]): Loose => ({ cmd: "suback", messageId, granted });

function connected(more: Record<string, unknown> = {}): void {
  expect(send(connect())).toEqual(passed("connect ann"));
  expect(hear(connack(more))).not.toBe("refused");
}
/** A new leg whose broker takes the CONNECT: what each side is told then. */
function moved(more: Record<string, unknown> = {}): Outcome | "refused" {
  expect([read(memory.replay().origin), memory.ready]).toEqual([["connect ann"], false]);
  return hear(connack(more));
}

describe.each([4, 5] as const)("MQTT of protocol level %i", (level) => {
  beforeEach(() => (version = level));

  test("CONNECT is replayed, and CONNACK swallowed, at each new leg", () => {
    connected();
    for (const _leg of ["second", "third"]) {
      expect(moved()).toEqual(NOTHING);
      expect(memory.ready).toBe(true);
    }
  });

  test("a CONNACK that the old broker still owed reaches the visitor", () => {
    send(connect());
    expect(moved()).toEqual(passed("connack"));
    expect(moved()).toEqual(NOTHING);
  });

  test.each([[4, 5], [4, 3], [5, 0x86]].filter(([each]) => each === level))("a broker of version %i that answers %i does not take the visitor", (_, code) => {
    connected();
    expect(moved({ returnCode: code, reasonCode: code })).toBe("refused");
  });

  test("a session of before that the new broker does not have is gone; one that it has too goes on", () => {
    connected({ sessionPresent: true });
    expect(moved({ sessionPresent: true })).toEqual(NOTHING);
    expect(moved()).toBe("refused");
  });

  test("what was granted and not given up is subscribed to again, and only then the rest follows", () => {
    connected();
    send(subscribe(1, "a", "b/#"), subscribe(2, "refused"), subscribe(3, "c"));
    hear(suback(1, 1, 1), suback(2, 0x80), suback(3, 1));
    send({ cmd: "unsubscribe", messageId: 4, unsubscriptions: ["a"] });
    hear({ cmd: "unsuback", messageId: 4, granted: [0] });
    send(publish(7, 1), subscribe(65_535, "d"), { cmd: "pingreq" });
    expect(moved()).toEqual({ onward: [], back: ["subscribe 65534 b/#:1,c:1"] });
    expect(memory.ready).toBe(false);
    expect(hear(publish(1, 0))).toEqual(passed("publish 1 qos0 t x".replace(" 1 ", " ")));
    expect(hear(suback(65_534, 1, 1))).toEqual({ onward: [], back: ["publish 7 dup qos1 t x", "subscribe 65535 d:1", "pingreq"] });
    expect(memory.ready).toBe(true);
    expect(hear(ack("puback", 7), suback(65_535, 1), { cmd: "pingresp" })).toEqual(passed("puback 7", "suback 65535", "pingresp"));
    expect(moved()).toEqual({ onward: [], back: ["subscribe 65535 b/#:1,c:1,d:1"] });
  });

  test("a filter that the new broker does not grant any more is refused", () => {
    connected();
    send(subscribe(1, "a", "b"));
    hear(suback(1, 1, 1));
    moved();
    expect(hear(suback(65_535, 1, 0x80))).toBe("refused");
  });

  test("no more than eight filters go into one packet, and the newest options count", () => {
    connected();
    send(subscribe(1, ...Array.from({ length: 9 }, (_, n) => `f${n}`)));
    hear(suback(1, ...Array.from({ length: 9 }, () => 1)));
    send({ cmd: "subscribe", messageId: 2, subscriptions: [{ topic: "f0", qos: 2, nl: false, rap: false, rh: 0 }] });
    hear(suback(2, 2));
    expect(moved()).toEqual({ onward: [], back: ["subscribe 65535 f1:1,f2:1,f3:1,f4:1,f5:1,f6:1,f7:1,f8:1", "subscribe 65534 f0:2"] });
    expect([hear(suback(65_534, 2)), memory.ready]).toEqual([NOTHING, false]);
    expect([hear(suback(65_535, 1, 1, 1, 1, 1, 1, 1, 1)), memory.ready]).toEqual([NOTHING, true]);
  });

  test("what no broker has answered is published again, as a duplicate; what was answered is not, nor QoS 0", () => {
    connected();
    send(publish(0, 0), publish(1, 1), publish(2, 1), publish(3, 2), publish(4, 2));
    hear(ack("puback", 1), ack("pubrec", 3));
    expect(moved()).toMatchObject({ back: ["publish 2 dup qos1 t x", "publish 4 dup qos2 t x"] });
  });

  describe("a message of the visitor's with QoS 2", () => {
    beforeEach(() => {
      connected();
      send(publish(1, 2), publish(2, 2));
      hear(ack("pubrec", 1), ack("pubrec", 2));
    });

    test("is released in farewell, and the visitor's PUBREL is answered by us", () => {
      send(ack("pubrel", 2));
      expect(read(memory.farewell())).toEqual(["pubrel 1", "disconnect"]);
      expect(hear(ack("pubcomp", 1))).toEqual(NOTHING); // the visitor has not released it yet
      expect(hear(ack("pubcomp", 2))).toEqual(passed("pubcomp 2"));
      expect(moved()).toEqual(NOTHING);
      expect(send(ack("pubrel", 1))).toEqual({ onward: [], back: ["pubcomp 1"] });
      expect(moved()).toEqual(NOTHING);
    });

    test("that a dead broker had is over: PUBREL is answered by us, now or when it comes", () => {
      send(ack("pubrel", 2));
      expect(moved()).toEqual(passed("pubcomp 2"));
      expect(send(ack("pubrel", 1))).toEqual({ onward: [], back: ["pubcomp 1"] });
    });

    test("goes on at a broker that shares the session", () => {
      send(ack("pubrel", 2));
      expect(moved({ sessionPresent: true })).toEqual({ onward: [], back: ["pubrel 2"] });
      expect(send(ack("pubrel", 1))).toEqual(passed("pubrel 1"));
      expect(hear(ack("pubcomp", 1), ack("pubcomp", 2))).toEqual(passed("pubcomp 1", "pubcomp 2"));
    });
  });

  describe("a message to the visitor", () => {
    beforeEach(() => {
      connected();
      hear(publish(1, 1), publish(2, 2), publish(3, 2), publish(4, 2), publish(5, 1));
      send(ack("pubrec", 3), ack("pubrec", 4), ack("puback", 5));
      hear(ack("pubrel", 4));
    });

    test("from a broker that is gone: what the visitor still answers is answered by us, and no other broker hears it", () => {
      expect(moved()).toEqual(passed("pubrel 3"));
      expect(hear(publish(1, 1))).toEqual(passed("publish 1 qos1 t x")); // the new broker's own of that number
      expect(send(ack("puback", 1), ack("pubrec", 2), ack("pubcomp", 3), ack("pubcomp", 4))).toEqual({ onward: [], back: ["pubrel 2"] });
      expect(send(ack("pubcomp", 2), ack("puback", 1))).toEqual(passed("puback 1"));
    });

    test("goes on at a broker that shares the session", () => {
      expect(moved({ sessionPresent: true })).toEqual(NOTHING);
      expect(send(ack("puback", 1), ack("pubrec", 2))).toEqual(passed("puback 1", "pubrec 2"));
    });
  });

  test("the old broker hears nothing in farewell before CONNECT, nor after the visitor's DISCONNECT", () => {
    expect(memory.farewell()).toEqual([]);
    connected();
    expect(read(memory.farewell())).toEqual(["disconnect"]);
    send({ cmd: "disconnect" });
    expect([memory.farewell(), memory.bearable]).toEqual([[], false]);
  });
});

describe("only MQTT 5 has", () => {
  beforeEach(() => (version = 5));

  test("terms in its CONNACK: other ones than the visitor knows are refused", () => {
    connected({ properties: { receiveMaximum: 20 } });
    expect(moved({ properties: { receiveMaximum: 20 } })).toEqual(NOTHING);
    expect(moved({ properties: { receiveMaximum: 10 } })).toBe("refused");
  });

  test("properties of subscriptions, which are kept apart", () => {
    connected();
    for (const [messageId, topic] of [[1, "a"], [2, "b"], [3, "c"]] as const) {
      send({ ...subscribe(messageId, topic), properties: { subscriptionIdentifier: messageId < 3 ? 300 : 9 } });
      hear(suback(messageId, 1));
    }
    expect(moved()).toEqual({ onward: [], back: ["subscribe 65535 a:1,b:1", "subscribe 65534 c:1"] });
  });

  test("a PUBREC that refuses, which ends a handshake", () => {
    connected();
    send(publish(1, 2));
    hear(ack("pubrec", 1, 0x97));
    expect(read(memory.farewell())).toEqual(["disconnect"]);
  });

  test.each<[what: string, act: () => void]>([
    ["aliases of topics", () => send({ ...publish(1, 0, ""), properties: { topicAlias: 1 } })],
    ["proofs that cannot be repeated", () => send({ cmd: "auth", reasonCode: 0x18, properties: { authenticationMethod: "x" } })],
    ["brokers that say why they leave", () => hear({ cmd: "disconnect", reasonCode: 0x8b })],
  ])("%s, which cannot be carried", (_, act) => {
    connected();
    act();
    expect(memory.bearable).toBe(false);
  });
});

describe("bounds", () => {
  beforeEach(() => connected());

  test("a message too large to keep cannot be sent again, until it is answered", () => {
    expect(send(publish(1, 1, "t", Buffer.alloc(REMEMBERED_MAX_BYTES)))).not.toBe("refused");
    expect(memory.bearable).toBe(false);
    hear(ack("puback", 1));
    expect(memory.bearable).toBe(true);
  });

  test("what is over takes no room, however much there was", () => {
    for (let n = 1; n <= 4_000; n++) {
      send(publish(n, 1, "t", "x".repeat(200)), subscribe(n + 4_000, `t/${n}`));
      hear(ack("puback", n), suback(n + 4_000, 0x80));
    }
    send(publish(9_000, 1));
    expect([memory.bearable, moved()]).toEqual([true, { onward: [], back: ["publish 9000 dup qos1 t x"] }]);
  });

  test.each<[what: string, act: (n: number) => void]>([
    ["messages of the visitor's", (n) => send(publish(1 + (n % 60_000), 1))],
    ["messages to the visitor", (n) => hear(publish(1 + (n % 60_000), 1))],
    ["filters", (n) => { send(subscribe(1, `a/long/filter/${n}`)); hear(suback(1, 1)); }],
  ])("too many %s cannot be carried, and are not kept", (_, act) => {
    act(0);
    expect(memory.bearable).toBe(true);
    for (let n = 1; n < 6_000; n++) act(n);
    expect(memory.bearable).toBe(false);
  });

  test.each([[1_048_576 - 6, true], [1_048_576, false]])("a packet of %i bytes and its header, in two frames, is put together: %s", (length, whole) => {
    const [bytes] = [bytesOf(publish(1, 0, "t", Buffer.alloc(length - 3)))];
    const [head, rest] = [bytes.slice(0, 100).buffer, bytes.slice(100).buffer];
    expect([memory.sent(head) === "pass", memory.bearable]).toEqual([!whole, whole]);
    expect(memory.sent(rest)).toEqual(whole ? { origin: [bytes.buffer], visitor: [] } : "pass");
  });

  test("another protocol is passed on as it is, and cannot be carried", () => {
    memory = mqtt.begin();
    expect([memory.sent("hello"), memory.bearable, memory.heard("hello"), memory.farewell()]).toEqual(["pass", false, "pass", []]);
  });

  test("what stops being MQTT in the middle is passed on whole", () => {
    const half = bytesOf(publish(1, 0)).slice(0, 1);
    expect(memory.sent(half.buffer)).toEqual({ origin: [], visitor: [] });
    const rubbish = Uint8Array.of(255, 255, 255, 255, 1).buffer;
    expect(memory.sent(rubbish)).toEqual({ origin: [half.buffer, rubbish], visitor: [] });
    expect([memory.sent(rubbish), memory.bearable]).toEqual(["pass", false]);
  });
});

describe("frames", () => {
  const some = (): Loose[] => [publish(1, 1, "a", "one"), ack("puback", 9), publish(2, 2, "b", "x".repeat(300)), { cmd: "pingreq" }, subscribe(3, "c", "d")];
  const cut = (bytes: Uint8Array, cuts: readonly number[]): ArrayBuffer[] => {
    const at = [0, ...cuts.map((each) => each % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
    return at.slice(1).map((end, n) => bytes.slice(at[n], end).buffer);
  };

  test("cut anywhere: whole packets are passed on, in order, and nothing else, either way", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(2_000), { maxLength: 30 }), fc.boolean(), (cuts, toVisitor) => {
        memory = mqtt.begin();
        connected();
        const bytes = bytesOf(...some());
        const onward: Frame[] = [];
        for (const each of cut(bytes, cuts)) {
          const passage = toVisitor ? memory.heard(each) : memory.sent(each);
          if (passage === "refused") throw new Error(passage);
          const frames = passage === "pass" ? [each] : passage === "swallow" ? [] : toVisitor ? passage.visitor : passage.origin;
          for (const one of frames) expect(read([one]).join()).not.toBe(one instanceof ArrayBuffer && one.byteLength > 0 ? "" : undefined);
          onward.push(...frames);
        }
        expect(Buffer.concat(onward.map((each) => Buffer.from(each as ArrayBuffer)))).toEqual(Buffer.from(bytes));
      }),
    );
  });

  test("what an old broker began and did not end is not passed on; what the visitor began is ended at the new one", () => {
    connected();
    const bytes = bytesOf(publish(1, 0, "t", "whole"));
    expect(memory.heard(bytes.slice(0, 5).buffer)).toEqual({ origin: [], visitor: [] });
    expect(memory.sent(bytes.slice(0, 5).buffer)).toEqual({ origin: [], visitor: [] });
    expect(moved()).toEqual(NOTHING);
    expect(hear(publish(2, 0, "t", "new"))).toEqual(passed("publish qos0 t new"));
    expect(memory.sent(bytes.slice(5).buffer)).toEqual({ origin: [bytes.buffer], visitor: [] });
  });
});

test("rubbish never throws, and passes whole", () => {
  const typed = fc.tuple(fc.nat(15), fc.nat(15), fc.uint8Array({ maxLength: 20 })).map(([type, flags, body]) => Uint8Array.of(type * 16 + flags, body.length, ...body));
  const any = fc.oneof(fc.uint8Array({ maxLength: 30 }), typed, fc.constantFrom(bytesOf(connect()), bytesOf(connack()), bytesOf(subscribe(1, "a")), bytesOf(suback(1, 0))));
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom("sent", "heard", "replay", "farewell"), any), { maxLength: 20 }), (steps) => {
      const memory = mqtt.begin();
      for (const [step, bytes] of steps) {
        if (step === "sent" || step === "heard") memory[step](bytes.slice().buffer);
        else memory[step as "replay" | "farewell"]();
      }
    }),
    { numRuns: 2_000 },
  );
});
