// The hocuspocus profile against Hocuspocus's own encodings: the server's OutgoingMessage, and what its provider writes with y-protocols.

import { OutgoingMessage } from "@hocuspocus/server";
import fc from "fast-check";
import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { applyAwarenessUpdate, Awareness, encodeAwarenessUpdate } from "y-protocols/awareness";
import { writeSyncStep1, writeSyncStep2, writeUpdate } from "y-protocols/sync";
import * as Y from "yjs";
import { hocuspocus } from "../../src/core/profile-hocuspocus.ts";
import { REMEMBERED_MAX_BYTES, type Frame, type Memory } from "../../src/core/profile.ts";

const DOC = "shelf/book";
const opened: Awareness[] = [];
let memory: Memory;
beforeEach(() => (memory = hocuspocus.begin()));
afterEach(() => {
  for (const awareness of opened.splice(0)) awareness.destroy();
});

function peer(name: string): Awareness {
  const awareness = new Awareness(new Y.Doc());
  opened.push(awareness);
  awareness.setLocalState({ name });
  return awareness;
}

/** As a provider writes it: the document's name, the kind, the rest. */
function frame(kind: number, write: (encoder: encoding.Encoder) => void = () => undefined, name = DOC): ArrayBuffer {
  const encoder = encoding.createEncoder();
  encoding.writeVarString(encoder, name);
  encoding.writeVarUint(encoder, kind);
  write(encoder);
  return encoding.toUint8Array(encoder).slice().buffer;
}
const doc = new Y.Doc();
doc.getText().insert(0, "hello");
const token = (text: string, name = DOC): ArrayBuffer =>
  frame(2, (encoder) => { encoding.writeVarUint(encoder, 0); encoding.writeVarString(encoder, text); encoding.writeVarString(encoder, "4.8.0"); }, name);
const step1 = frame(0, (encoder) => writeSyncStep1(encoder, doc));
const step2 = frame(0, (encoder) => writeSyncStep2(encoder, doc));
const update = frame(0, (encoder) => writeUpdate(encoder, Y.encodeStateAsUpdate(doc)));
const presence = (awareness: Awareness, clients = [awareness.clientID]): ArrayBuffer =>
  frame(1, (encoder) => encoding.writeVarUint8Array(encoder, encodeAwarenessUpdate(awareness, clients)));

/** As a server writes it. */
const said = (write: (message: OutgoingMessage) => OutgoingMessage, name = DOC): ArrayBuffer => write(new OutgoingMessage(name)).toUint8Array().slice().buffer;
const authenticated = said((message) => message.writeAuthenticated(false));
const readonly = said((message) => message.writeAuthenticated(true));
const denied = said((message) => message.writePermissionDenied("no"));
const asks = said((message) => message.createSyncMessage().writeFirstSyncStepFor(doc as never));
const saved = said((message) => message.writeSyncStatus(true));
const notSaved = said((message) => message.writeSyncStatus(false));

const read = (frames: readonly Frame[]): unknown[] => frames.map((each) => (typeof each === "string" ? each : [...new Uint8Array(each)]));
const send = (...frames: Frame[]): unknown[] => frames.map((each) => memory.sent(each));
const hear = (...frames: Frame[]): unknown[] => frames.map((each) => memory.heard(each));
/** The states that an awareness frame tells a peer. */
function told(data: Frame | undefined): Map<number, unknown> {
  if (data === undefined || typeof data === "string") throw new Error("an awareness frame is binary");
  const decoder = decoding.createDecoder(new Uint8Array(data));
  expect([decoding.readVarString(decoder), decoding.readVarUint(decoder)]).toEqual([DOC, 1]);
  const listener = peer("listener");
  listener.setLocalState(null);
  applyAwarenessUpdate(listener, decoding.readVarUint8Array(decoder), "router");
  return new Map(listener.getStates());
}

test("the latest token, the latest sync step 1 and the visitor's own newest state are replayed, in the order of a provider", () => {
  const ann = peer("Ann");
  const [first, newer] = [token("t1"), token("t2")];
  send(first, step1, presence(ann), update, step2);
  ann.setLocalState({ name: "Ann", cursor: 7 });
  send(newer, presence(ann));
  expect(read(memory.replay().origin)).toEqual(read([newer, step1, presence(ann)]));
});

test("a session-aware provider's address is its document's", () => {
  const address = `${DOC}\0session`;
  send(token("t", address));
  memory.replay();
  expect(hear(said((message) => message.writeAuthenticated(false), address))).toEqual(["pass"]);
  expect(memory.ready).toBe(true);
});

describe("authentication", () => {
  beforeEach(() => send(token("t"), step1));

  test("the first answer passes; after a replay it is waited for, and the same again is swallowed", () => {
    expect([...hear(authenticated), memory.ready]).toEqual(["pass", true]);
    for (const _leg of ["second", "third"]) {
      memory.replay();
      expect(memory.ready).toBe(false);
      expect([...hear(asks, authenticated), memory.ready]).toEqual(["pass", "swallow", true]);
      expect(hear(authenticated)).toEqual(["pass"]);
    }
  });

  test("another permission than before is the visitor's to know", () => {
    hear(authenticated);
    memory.replay();
    expect(hear(readonly)).toEqual(["pass"]);
    memory.replay();
    expect(hear(readonly)).toEqual(["swallow"]);
  });

  test("an answer that the old origin still owed reaches the visitor from the new one", () => {
    memory.replay();
    expect(hear(authenticated)).toEqual(["pass"]);
  });

  test("a refusal is refused after a replay only, and for this document only", () => {
    expect(hear(denied)).toEqual(["pass"]);
    hear(authenticated);
    memory.replay();
    expect(hear(said((message) => message.writePermissionDenied("no"), "other"), denied)).toEqual(["pass", "refused"]);
  });

  test("nobody waits where no token was sent", () => {
    memory = hocuspocus.begin();
    send(step1);
    memory.replay();
    expect(memory.ready).toBe(true);
  });
});

describe("presence", () => {
  test("the visitor is told that its state was removed, and asked for the newer one; the new origin gets that alone", () => {
    const [ann, bo] = [peer("Ann"), peer("Bo")];
    send(token("t"), step1, presence(ann));
    applyAwarenessUpdate(ann, encodeAwarenessUpdate(bo, [bo.clientID]), "origin");
    const [removed, question, ...more] = memory.replay().visitor;
    expect(more).toEqual([]);
    const clock = ann.meta.get(ann.clientID)?.clock ?? 0;
    const decoder = decoding.createDecoder(new Uint8Array(removed as ArrayBuffer));
    expect([decoding.readVarString(decoder), decoding.readVarUint(decoder)]).toEqual([DOC, 1]);
    applyAwarenessUpdate(ann, decoding.readVarUint8Array(decoder), "origin");
    expect([ann.getLocalState(), ann.meta.get(ann.clientID)?.clock]).toEqual([{ name: "Ann" }, clock + 1]);
    expect(read([question as Frame])).toEqual(read([said((message) => message.writeQueryAwareness())]));

    const [passage] = send(presence(ann, [...ann.getStates().keys()])); // as a provider answers
    expect(passage).toMatchObject({ visitor: [] });
    expect(told((passage as { origin: Frame[] }).origin[0])).toEqual(new Map([[ann.clientID, { name: "Ann" }]]));
    ann.setLocalState({ name: "Ann", cursor: 1 });
    expect(send(presence(ann))).toEqual(["pass"]);
  });

  test("a visitor that shows none is told and asked nothing", () => {
    const ann = peer("Ann");
    send(token("t"), step1);
    expect(memory.replay().visitor).toEqual([]);
    send(presence(ann));
    expect(memory.lastWords()).toHaveLength(1);
    ann.setLocalState(null);
    send(presence(ann));
    expect([memory.replay().visitor, memory.lastWords()]).toEqual([[], []]);
  });
});

describe("edits are acknowledged as often as a provider counts them", () => {
  /** What the visitor gets of acknowledgements. */
  const heardSaves = (...frames: Frame[]): number => frames.reduce((sum, each) => {
    const heard = memory.heard(each);
    return sum + (heard === "pass" ? 1 : heard === "swallow" || heard === "refused" ? 0 : heard.visitor.length);
  }, 0);
  const live = (): void => {
    send(token("t"), step1);
    hear(authenticated, asks);
    send(step2);
    expect(heardSaves(saved)).toBe(1); // its step 1 counts as one
  };
  const move = (): void => {
    memory.replay();
    hear(authenticated);
  };

  test("none but those of the frames, as long as its origin stays", () => {
    live();
    send(update, update, update);
    expect(heardSaves(saved, saved, saved)).toBe(3);
  });

  test("what the old origin owed is given with what the new one acknowledges of everything", () => {
    live();
    send(update, update, update);
    expect(heardSaves(saved)).toBe(1);
    move();
    send(update); // held in the move
    hear(asks);
    send(step2, update);
    expect(heardSaves(saved)).toBe(1); // of the held one
    expect(heardSaves(saved)).toBe(2); // of step 2: the two that were lost
    expect(heardSaves(saved)).toBe(1);
  });

  test("nothing was owed: step 2's own acknowledgement is none of the visitor's", () => {
    live();
    move();
    hear(asks);
    send(step2);
    expect([heardSaves(saved), heardSaves(saved)]).toEqual([0, 1]);
  });

  test("an answer to the old origin's question, held in the move, settles nothing", () => {
    live();
    send(update, update);
    move();
    send(step2);
    hear(asks);
    send(step2);
    expect([heardSaves(saved), heardSaves(saved)]).toEqual([1, 1]);
  });

  test("a second move before the first is settled", () => {
    live();
    send(update, update);
    move();
    send(update);
    hear(asks);
    send(step2);
    move();
    hear(asks);
    send(step2);
    expect(heardSaves(saved)).toBe(3);
  });

  test("an origin that does not save is believed", () => {
    live();
    send(update, update);
    move();
    hear(asks);
    send(step2);
    expect(hear(notSaved)).toEqual(["pass"]);
  });
});

describe("it gives up, and its visitor is told to come back", () => {
  test.each<[what: string, act: () => void]>([
    ["when a second document comes", () => send(token("t", "another"))],
    ["when the provider detaches", () => send(frame(7))],
    ["when the origin detaches it", () => hear(said((message) => message.writeCloseMessage("bye")))],
    ["when there is too much to remember", () => send(token("x".repeat(REMEMBERED_MAX_BYTES)))],
  ])("%s", (_, act) => {
    send(token("t"), step1);
    expect(memory.bearable).toBe(true);
    act();
    expect([memory.bearable, memory.replay().origin]).toEqual([false, []]);
  });

  test("but pings and another document's frames of the origin's are nothing", () => {
    send(token("t"), Uint8Array.of(10).buffer);
    hear(Uint8Array.of(9).buffer, said((message) => message.writeCloseMessage("bye"), "other"));
    expect(memory.bearable).toBe(true);
  });
});

test("rubbish never throws, passes, and is not kept", () => {
  const kind = fc.constantFrom(0, 1, 2, 3, 4, 7, 8, 255);
  const addressed = fc.tuple(kind, fc.uint8Array({ maxLength: 30 })).map(([kind, rest]) => frame(kind, (encoder) => encoding.writeUint8Array(encoder, rest)));
  const any = fc.oneof(fc.string(), fc.uint8Array({ maxLength: 40 }).map((bytes) => bytes.slice().buffer), addressed);
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom("sent", "heard", "replay"), any), { maxLength: 20 }), (steps) => {
      const memory = hocuspocus.begin();
      for (const [step, data] of steps) {
        if (step === "replay") memory.replay();
        else memory[step as "sent" | "heard"](data);
      }
      const { origin, visitor } = memory.replay();
      expect([origin.length <= 3, visitor.length <= 2]).toEqual([true, true]);
    }),
    { numRuns: 1000 },
  );
});

describe("a parked connection", () => {
  test("goes on from what it kept: token, document, presence and what is not acknowledged", () => {
    const anna = peer("Anna");
    send(token("t"), step1, presence(anna), update);
    hear(authenticated);
    const kept = structuredClone(memory.keep?.());
    const revived = hocuspocus.begin(kept);
    expect(read(revived.replay().origin)).toEqual(read(memory.replay().origin));
    memory = revived;
    expect(hear(authenticated), "the visitor knows it already").toEqual(["swallow"]);
    hear(asks);
    send(step2);
    expect(hear(saved), "the edit of before is acknowledged with what it brings").toEqual([{ origin: [], visitor: [saved, saved] }]);
  });

  test("cannot begin before its origin has said yes, nor once it speaks of two documents", () => {
    send(token("t"), step1);
    memory.replay();
    expect(memory.keep?.()).toBeUndefined();
    hear(authenticated);
    expect(memory.keep?.()).toBeDefined();
    send(token("t", "another"));
    expect(memory.keep?.()).toBeUndefined();
  });

  test("is renewed by its own unchanged state in its own document, or by what repeats others", () => {
    const anna = peer("Anna");
    send(token("t"), step1, presence(anna));
    anna.setLocalState(anna.getLocalState());
    const clock = anna.meta.get(anna.clientID)?.clock;
    expect(memory.renewal?.(presence(anna))).toBe(clock);
    expect(memory.renewal?.(presence(peer("Ben"))), "it repeats another's").toBe((clock ?? 0) - 1);
    expect([update, token("t"), "text"].map((each) => memory.renewal?.(each))).toEqual([undefined, undefined, undefined]);
    anna.setLocalState({ name: "Anna", cursor: 3 });
    expect(memory.renewal?.(presence(anna)), "a cursor that moves wakes").toBeUndefined();
    expect([presence(anna), asks, saved].map((each) => memory.isPresence?.(each))).toEqual([true, false, false]);
  });
});
