// y-websocket (y-protocols 1): the visitor's sync step 1 makes the new origin send what the visitor lacks, and the new origin's own step
// 1 makes the visitor bring what the origin lacks. Awareness needs care:
// - a provider repeats everyone's states, so only the visitor's own is remembered: the client named beside its opening hello, before it
//   has heard of anybody. A visitor that shows itself only later is not replayed: its provider does so within 15 s;
// - an origin that has seen this visitor before ignores the same state again: the visitor is told that its own was removed, and answers
//   at once with a higher clock (y-awareness.ts);
// - an origin that closes announces everyone's departure on the legs still open: they are muted before the first is closed.

import { createDecoder, readVarUint, readVarUint8Array } from "lib0/decoding";
import { createEncoder, toUint8Array, writeVarUint, writeVarUint8Array } from "lib0/encoding";
import { REMEMBERED_MAX_BYTES, type Frame, type FrameRules } from "./profile.ts";
import { newerOwn, readStates, removal, renewalOf, stateUpdate, type ClientState } from "./y-awareness.ts";

/** Kinds of frames, and of sync messages: y-protocols' `messageYjs…`. */
const SYNC = 0;
const SYNC_STEP_1 = 0;
const AWARENESS = 1;

/** The last of a visitor's frames (from 0) that are sent as the socket opens: hello and its own awareness. */
const OPENING = 1;

export const yWebsocket: FrameRules = {
  remember(memory, frame, index) {
    const hello = memory.find(isHello);
    const own = memory.find((each) => !isHello(each));
    if (!hello && isHello(frame)) return own === undefined ? [frame] : [frame, own];
    const next = newerOwn(awarenessOf(frame), own === undefined ? undefined : awarenessOf(own)[0], index <= OPENING);
    if (next === undefined) return memory;
    return hello === undefined ? [awarenessFrame(next)] : [hello, awarenessFrame(next)];
  },
  greet(memory) {
    const removed = removal(memory.flatMap(awarenessOf)[0]);
    return removed === undefined ? [] : [awarenessFrame(removed)];
  },
  swallow: 0,
  bytesMax: REMEMBERED_MAX_BYTES,
  mute: true,
  presence: {
    renewal: (memory, frame) => renewalOf(awarenessOf(frame), memory.flatMap(awarenessOf)[0]),
    clock: (memory) => memory.flatMap(awarenessOf)[0]?.clock,
    renewed: (memory, clock) => memory.map((frame) => awarenessOf(frame).map((own) => awarenessFrame({ ...own, clock }))[0] ?? frame),
    isPresence: (frame) => bytesOf(frame)?.[0] === AWARENESS,
  },
};

function isHello(frame: Frame): boolean {
  const bytes = bytesOf(frame);
  return bytes?.[0] === SYNC && bytes[1] === SYNC_STEP_1;
}

/** The states in an awareness frame; none in any other, nor in one that cannot be read. */
function awarenessOf(frame: Frame): ClientState[] {
  const bytes = bytesOf(frame);
  if (bytes?.[0] !== AWARENESS) return [];
  try {
    const outer = createDecoder(bytes);
    readVarUint(outer);
    return readStates(readVarUint8Array(outer));
  } catch {
    return []; // the visitor sent rubbish: the origin's to judge
  }
}

function awarenessFrame(state: ClientState): ArrayBuffer {
  const frame = createEncoder();
  writeVarUint(frame, AWARENESS);
  writeVarUint8Array(frame, stateUpdate(state));
  return toUint8Array(frame).slice().buffer;
}

function bytesOf(frame: Frame): Uint8Array | undefined {
  return typeof frame === "string" ? undefined : new Uint8Array(frame);
}
