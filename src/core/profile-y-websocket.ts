// y-websocket (y-protocols 1): the visitor's sync step 1 makes the new origin send what the visitor lacks, and the new origin's own step
// 1 makes the visitor bring what the origin lacks. Awareness needs care:
// - a provider repeats everyone's states, so only the visitor's own is remembered: the client named beside its opening hello, before it
//   has heard of anybody. A visitor that shows itself only later is not replayed: its provider does so within 15 s;
// - an origin that drops a leg tells the others that this client left, and keeps its clock: the same state again is ignored. So the
//   visitor is told that its own state was removed, and answers at once with a higher clock, as y-protocols has it;
// - an origin that closes announces everyone's departure on the legs still open: they are muted before the first is closed.

import { createDecoder, hasContent, readVarString, readVarUint, readVarUint8Array } from "lib0/decoding";
import { createEncoder, toUint8Array, writeVarString, writeVarUint, writeVarUint8Array } from "lib0/encoding";
import { REMEMBERED_MAX_BYTES, type Frame, type FrameRules } from "./profile.ts";

/** Kinds of frames, and of sync messages: y-protocols' `messageYjs…`. */
const SYNC = 0;
const SYNC_STEP_1 = 0;
const AWARENESS = 1;

/** The last of a visitor's frames (from 0) that are sent as the socket opens: hello and its own awareness. */
const OPENING = 1;

interface ClientState {
  readonly client: number;
  readonly clock: number;
  /** JSON; "null" for one that left. */
  readonly state: string;
}

export const yWebsocket: FrameRules = {
  remember(memory, frame, index) {
    const hello = memory.find(isHello);
    const own = memory.find((each) => !isHello(each));
    if (!hello && isHello(frame)) return own === undefined ? [frame] : [frame, own];
    const next = ownState(awarenessOf(frame), own, index <= OPENING);
    if (next === undefined) return memory;
    return hello === undefined ? [awarenessFrame(next)] : [hello, awarenessFrame(next)];
  },
  greet(memory) {
    const own = memory.flatMap(awarenessOf)[0];
    return own === undefined || own.state === "null" ? [] : [awarenessFrame({ ...own, state: "null" })];
  },
  swallow: 0,
  bytesMax: REMEMBERED_MAX_BYTES,
  mute: true,
};

function isHello(frame: Frame): boolean {
  const bytes = bytesOf(frame);
  return bytes?.[0] === SYNC && bytes[1] === SYNC_STEP_1;
}

/** The newest of the visitor's own states in a frame, if it is newer than the remembered one. */
function ownState(states: readonly ClientState[], remembered: Frame | undefined, opening: boolean): ClientState | undefined {
  const known = remembered === undefined ? undefined : awarenessOf(remembered)[0];
  const introduced = opening && states.length === 1 && states[0]?.state !== "null" ? states[0] : undefined;
  const mine = known ? states.find(({ client }) => client === known.client) : introduced;
  return mine && (!known || mine.clock >= known.clock) ? mine : undefined;
}

/** The states in an awareness frame; none in any other, nor in one that cannot be read. */
function awarenessOf(frame: Frame): ClientState[] {
  const bytes = bytesOf(frame);
  if (bytes?.[0] !== AWARENESS) return [];
  try {
    const outer = createDecoder(bytes);
    readVarUint(outer);
    const decoder = createDecoder(readVarUint8Array(outer));
    const count = readVarUint(decoder);
    const states: ClientState[] = [];
    while (states.length < count && hasContent(decoder)) {
      states.push({ client: readVarUint(decoder), clock: readVarUint(decoder), state: readVarString(decoder) });
    }
    return states;
  } catch {
    return []; // the visitor sent rubbish: the origin's to judge
  }
}

function awarenessFrame({ client, clock, state }: ClientState): ArrayBuffer {
  const update = createEncoder();
  writeVarUint(update, 1);
  writeVarUint(update, client);
  writeVarUint(update, clock);
  writeVarString(update, state);
  const frame = createEncoder();
  writeVarUint(frame, AWARENESS);
  writeVarUint8Array(frame, toUint8Array(update));
  return toUint8Array(frame).slice().buffer;
}

function bytesOf(frame: Frame): Uint8Array | undefined {
  return typeof frame === "string" ? undefined : new Uint8Array(frame);
}
