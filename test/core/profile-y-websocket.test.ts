// The y-websocket profile against y-protocols itself: real frames in, and what is replayed is understood by real peers.

import fc from "fast-check";
import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import { afterEach, describe, expect, test } from "vitest";
import { applyAwarenessUpdate, Awareness, encodeAwarenessUpdate } from "y-protocols/awareness";
import { writeSyncStep1, writeSyncStep2, writeUpdate } from "y-protocols/sync";
import * as Y from "yjs";
import { yWebsocket } from "../../src/core/profile-y-websocket.ts";
import { byFrames, type Frame, type Memory } from "../../src/core/profile.ts";

const opened: Awareness[] = [];
afterEach(() => {
  for (const awareness of opened.splice(0)) awareness.destroy();
});

/** A peer with an awareness, as a y-websocket provider has one; destroyed with the test, because it holds a timer. */
function peer(name: string): Awareness {
  const awareness = new Awareness(new Y.Doc());
  opened.push(awareness);
  awareness.setLocalState({ name });
  return awareness;
}

function frame(write: (encoder: encoding.Encoder) => void): ArrayBuffer {
  const encoder = encoding.createEncoder();
  write(encoder);
  return encoding.toUint8Array(encoder).slice().buffer;
}

const sync = (write: (encoder: encoding.Encoder) => void): ArrayBuffer =>
  frame((encoder) => {
    encoding.writeVarUint(encoder, 0);
    write(encoder);
  });

const presence = (awareness: Awareness, clients: number[] = [awareness.clientID]): ArrayBuffer =>
  frame((encoder) => {
    encoding.writeVarUint(encoder, 1);
    encoding.writeVarUint8Array(encoder, encodeAwarenessUpdate(awareness, clients));
  });

/** What a peer makes of an awareness frame. */
function receive(awareness: Awareness, data: Frame): void {
  if (typeof data === "string") throw new Error("an awareness frame is binary");
  const decoder = decoding.createDecoder(new Uint8Array(data));
  expect(decoding.readVarUint(decoder)).toBe(1);
  applyAwarenessUpdate(awareness, decoding.readVarUint8Array(decoder), "router");
}

/** Frames as lists of bytes: two buffers are equal to `toEqual` whatever they hold. */
const read = (frames: readonly Frame[]): unknown[] => frames.map((each) => (typeof each === "string" ? each : [...new Uint8Array(each)]));
const remember = (frames: readonly Frame[]): readonly Frame[] => frames.reduce<readonly Frame[]>((memory, each, index) => yWebsocket.remember(memory, each, index), []);
const docWith = (text: string): Y.Doc => {
  const doc = new Y.Doc();
  doc.getText().insert(0, text);
  return doc;
};
const hello = sync((encoder) => writeSyncStep1(encoder, docWith("hello")));
/** What a provider answers to its origin's own step 1: the third frame of a visitor, or the second of one that shows no state. */
const answer = sync((encoder) => writeSyncStep2(encoder, docWith("answer")));

describe("it remembers", () => {
  test("the first sync step 1 and nothing else of the document", () => {
    const doc = docWith("more");
    const others: Frame[] = [
      sync((encoder) => writeSyncStep2(encoder, doc)),
      sync((encoder) => writeUpdate(encoder, Y.encodeStateAsUpdate(doc))),
      sync((encoder) => writeSyncStep1(encoder, doc)),
    ];
    expect(read(remember([hello, ...others]))).toEqual(read([hello]));
  });

  test("the visitor's newest own state, behind the hello whichever came first", () => {
    const ann = peer("Ann");
    const first = presence(ann);
    expect(read(remember([hello, first]))).toEqual(read([hello, first]));
    expect(read(remember([first, hello]))).toEqual(read([hello, first]));
    ann.setLocalState({ name: "Ann", cursor: 7 });
    const second = presence(ann);
    expect(read(remember([hello, first, second]))).toEqual(read([hello, second]));
    expect(read(remember([hello, second, first]))).toEqual(read([hello, second]));
  });

  test("none of the others' states that a provider repeats", () => {
    const [ann, bo] = [peer("Ann"), peer("Bo")];
    const own = presence(ann);
    receive(ann, presence(bo));
    expect(read(remember([hello, own, presence(ann, [bo.clientID])]))).toEqual(read([hello, own]));
    expect(read(remember([hello, own, presence(ann, [bo.clientID, ann.clientID])]))).toEqual(read([hello, own]));
  });

  test("the visitor's later states, for as long as they are its own", () => {
    const [ann, bo] = [peer("Ann"), peer("Bo")];
    const opening = [hello, presence(ann), answer];
    receive(ann, presence(bo));
    ann.setLocalState({ name: "Ann", cursor: 7 });
    const both = presence(ann, [bo.clientID, ann.clientID]);
    expect(read(remember([...opening, both]))).toEqual(read([hello, presence(ann)]));
  });

  test("not more, however long the visitor stays", () => {
    const ann = peer("Ann");
    let memory = remember([hello, presence(ann)]);
    for (let n = 0; n < 100; n++) {
      ann.setLocalState({ cursor: n });
      memory = yWebsocket.remember(memory, presence(ann), n + 2);
    }
    expect(read(memory)).toEqual(read([hello, presence(ann)]));
  });
});

describe("a viewer, who opens without a state of its own, is taken for nobody", () => {
  /** The viewer, having heard of these; its provider repeats whatever it hears. */
  function viewer(...others: Awareness[]): Awareness {
    const awareness = peer("viewer");
    awareness.setLocalState(null);
    for (const other of others) receive(awareness, presence(other));
    return awareness;
  }
  const opening = [hello, answer];

  test("when it repeats the state of the only other one", () => {
    const bo = peer("Bo");
    const memory = remember([...opening, presence(viewer(bo), [bo.clientID])]);
    expect(read(memory)).toEqual(read([hello]));
    expect(yWebsocket.greet(memory)).toEqual([]);
  });

  test("when it repeats it again and again, newer each time, or that of several, or that somebody left", () => {
    const [bo, cy] = [peer("Bo"), peer("Cy")];
    const repeated = [presence(viewer(bo), [bo.clientID]), presence(viewer(bo, cy), [bo.clientID, cy.clientID])];
    for (const cursor of [1, 2, 3]) {
      bo.setLocalState({ name: "Bo", cursor });
      repeated.push(presence(viewer(bo), [bo.clientID]));
    }
    bo.setLocalState(null);
    repeated.push(presence(bo));
    const memory = remember([...opening, ...repeated]);
    expect(read(memory)).toEqual(read([hello]));
    expect(yWebsocket.greet(memory)).toEqual([]);
  });

  test("when several are named beside its hello", () => {
    const [bo, cy] = [peer("Bo"), peer("Cy")];
    expect(read(remember([hello, presence(viewer(bo, cy), [bo.clientID, cy.clientID])]))).toEqual(read([hello]));
  });

  test("not even for itself, when it shows a state only later: its provider says so again", () => {
    const late = viewer();
    late.setLocalState({ name: "late" });
    expect(read(remember([...opening, presence(late)]))).toEqual(read([hello]));
  });

  test.each<[index: number, remembered: boolean]>([[0, true], [1, true], [2, false], [3, false], [1_000_000, false]])("a first state as frame %i is remembered: %s", (index, remembered) => {
    const own = presence(peer("Ann"));
    expect(read(yWebsocket.remember([hello], own, index))).toEqual(read(remembered ? [hello, own] : [hello]));
  });

  test("whatever the frames after its opening are", () => {
    const states = fc.array(fc.tuple(fc.nat(3), fc.nat(9), fc.constantFrom("null", '{"name":"x"}')), { maxLength: 3 });
    const update = (rows: [client: number, clock: number, state: string][]): ArrayBuffer =>
      frame((encoder) => {
        const inner = encoding.createEncoder();
        encoding.writeVarUint(inner, rows.length);
        for (const [client, clock, state] of rows) {
          encoding.writeVarUint(inner, client);
          encoding.writeVarUint(inner, clock);
          encoding.writeVarString(inner, state);
        }
        encoding.writeVarUint(encoder, 1);
        encoding.writeVarUint8Array(encoder, encoding.toUint8Array(inner));
      });
    fc.assert(
      fc.property(fc.array(states, { maxLength: 8 }), (frames) => {
        expect(read(remember([...opening, ...frames.map(update)]))).toEqual(read([hello]));
      }),
    );
  });
});

describe("on a new leg", () => {
  test("the visitor is told that its own state was removed, and answers with a higher clock, which the new origin takes", () => {
    const [ann, origin] = [peer("Ann"), peer("origin")];
    const memory = remember([hello, presence(ann)]);
    receive(origin, presence(ann));
    const clock = ann.meta.get(ann.clientID)?.clock ?? 0;
    origin.states.delete(ann.clientID); // the leg went: the state is removed, its clock stays
    const answers: ArrayBuffer[] = [];
    ann.on("update", (changes: Record<"added" | "updated" | "removed", number[]>) => {
      answers.push(presence(ann, [...changes.added, ...changes.updated, ...changes.removed])); // as a y-websocket provider does
    });

    const greeting = yWebsocket.greet(memory);
    expect(greeting).toHaveLength(1);
    for (const each of greeting) receive(ann, each);

    expect(ann.getLocalState()).toEqual({ name: "Ann" });
    expect(ann.meta.get(ann.clientID)?.clock).toBeGreaterThan(clock);
    for (const answer of answers) receive(origin, answer);
    expect(origin.getStates().get(ann.clientID)).toEqual({ name: "Ann" });
  });

  test("the replayed state alone is enough for an origin that never saw the visitor", () => {
    const [ann, origin] = [peer("Ann"), peer("origin")];
    const [, own] = remember([hello, presence(ann)]);
    if (own !== undefined) receive(origin, own);
    expect(origin.getStates().get(ann.clientID)).toEqual({ name: "Ann" });
  });

  test("a visitor who has left, or never showed a state, is not greeted", () => {
    const ann = peer("Ann");
    const shown = presence(ann);
    ann.setLocalState(null);
    expect([remember([]), remember([hello]), remember([hello, shown, presence(ann)])].map(yWebsocket.greet)).toEqual([[], [], []]);
  });
});

describe("rubbish", () => {
  const bytes = (...values: number[]): ArrayBuffer => Uint8Array.from(values).buffer;
  test.each<[what: string, frame: Frame]>([
    ["an empty frame", bytes()],
    ["a text", "0"],
    ["an awareness frame of nothing", bytes(1)],
    ["a length that goes beyond the frame", bytes(1, 255, 255, 255, 255, 15)],
    ["a number that never ends", bytes(1, ...Array.from({ length: 40 }, () => 255))],
    ["an update of four billion states", bytes(1, 5, 255, 255, 255, 255, 15)],
    ["a state that breaks off", bytes(1, 4, 1, 7, 1, 9)],
    ["a state that is not UTF-8", bytes(1, 6, 1, 7, 1, 2, 0xc3, 0x28)],
    ["a kind of message that nobody knows", bytes(42, 0, 0)],
  ])("%s is not remembered", (_, frame) => {
    const memory = [hello];
    expect(yWebsocket.remember(memory, frame, 9)).toBe(memory);
  });

  test("never throws, nor makes the memory grow", () => {
    const kind = fc.constantFrom(0, 1, 2, 255);
    const any = fc.oneof(fc.string(), fc.tuple(kind, fc.uint8Array({ maxLength: 40 })).map(([kind, rest]) => bytes(kind, ...rest)));
    fc.assert(
      fc.property(fc.array(any, { maxLength: 20 }), (frames) => {
        const memory = remember(frames);
        expect(memory.length).toBeLessThanOrEqual(2);
        expect(yWebsocket.greet(memory).length).toBeLessThanOrEqual(1);
      }),
      { numRuns: 500 },
    );
  });
});

describe("a parked connection", () => {
  const begin = (...frames: Frame[]): Memory => {
    const memory = byFrames(yWebsocket).begin();
    for (const each of frames) memory.sent(each);
    return memory;
  };
  const clockOf = (awareness: Awareness): number => awareness.meta.get(awareness.clientID)?.clock ?? -1;

  test("goes on from what it kept, as if it had never been parked", () => {
    const anna = peer("Anna");
    const memory = begin(hello, presence(anna));
    const kept = structuredClone(memory.keep?.());
    const revived = byFrames(yWebsocket).begin(kept);
    expect(read(revived.replay().origin)).toEqual(read(memory.replay().origin));
    expect(read(revived.lastWords())).toEqual(read(memory.lastWords()));
    const late = peer("Late");
    revived.sent(presence(late));
    expect(read(revived.replay().origin), "whoever shows itself after the opening is nobody that it remembers").toEqual(read(memory.replay().origin));
  });

  test("is renewed by its own unchanged state, and by what only repeats others; it remembers how far", () => {
    const [anna, ben] = [peer("Anna"), peer("Ben")];
    const memory = begin(hello, presence(anna));
    anna.setLocalState(anna.getLocalState());
    expect(memory.renewal?.(presence(anna))).toBe(clockOf(anna));
    expect(memory.renewal?.(presence(ben)), "it repeats another's").toBe(clockOf(anna) - 1);
    expect(begin(hello).renewal?.(presence(ben)), "who it is itself is not known").toBeUndefined();
    expect(memory.renewal?.(hello)).toBeUndefined();
    expect(memory.renewal?.("text")).toBeUndefined();
    applyAwarenessUpdate(anna, encodeAwarenessUpdate(ben, [ben.clientID]), "ben");
    expect(memory.renewal?.(presence(anna, [anna.clientID, ben.clientID]))).toBe(clockOf(anna));
    memory.renewed?.(clockOf(anna) + 5);
    const stale = presence(anna);
    expect(memory.renewal?.(stale), "an older clock renews nothing").toBeUndefined();
    receive(ben, memory.replay().origin[1] ?? "");
    expect(ben.meta.get(anna.clientID)?.clock).toBe(clockOf(anna) + 5);
    anna.setLocalState({ name: "Anna", cursor: 3 });
    expect(begin(hello, stale).renewal?.(presence(anna)), "a cursor that moves wakes").toBeUndefined();
  });

  test("what an origin says of presence is no sign that anything happens; anything else is", () => {
    const memory = begin(hello);
    expect([presence(peer("Anna")), hello, "text", new ArrayBuffer(0)].map((each) => memory.isPresence?.(each))).toEqual([true, false, false, false]);
  });
});
