// Hocuspocus 4: y-protocols behind authentication, each frame addressed to a document. One document a socket can be carried: its latest
// token, its sync step 1 and the visitor's own presence are replayed. What else a provider needs:
// - it is told once that it is authenticated, unless what it may do has changed, and of a refusal by a close: then it asks its
//   application for a fresh token;
// - it says by itself what its document has that the new origin lacks, when asked by the origin's step 1; and it counts its edits that no
//   origin has acknowledged: those that the old one never did are acknowledged with what it brings (`Edits`);
// - told that its own state was removed it takes a higher clock (y-awareness.ts), but says so only when asked: so it is asked, and of its
//   answer, which is everyone's states, the new origin gets its own alone;
// - an origin that closes announces departures and says CLOSE, which detaches a provider: old legs are muted first.

import { createDecoder, readVarInt, readVarString, readVarUint, readVarUint8Array, type Decoder } from "lib0/decoding";
import { createEncoder, toUint8Array, writeVarString, writeVarUint, writeVarUint8Array, type Encoder } from "lib0/encoding";
import {
  frameBytes,
  packed,
  REMEMBERED_MAX_BYTES,
  unpacked,
  type Frame,
  type Kept,
  type Memory,
  type PackedFrame,
  type Passage,
  type Profile,
  type Told,
} from "./profile.ts";
import { newerOwn, readStates, removal, renewalOf, stateUpdate, type ClientState } from "./y-awareness.ts";

/** Kinds of frames, of sync and of authentication messages: Hocuspocus's `MessageType`, y-protocols' and `AuthMessageType`. */
const SYNC = 0;
const AWARENESS = 1;
const AUTH = 2;
const QUERY_AWARENESS = 3;
const SYNC_REPLY = 4;
const CLOSE = 7;
const SYNC_STATUS = 8;
const STEP_1 = 0;
const STEP_2 = 1;
const TOKEN = 0;
const PERMISSION_DENIED = 1;
const AUTHENTICATED = 2;

/** How many edits are acknowledged for a dead origin: more are no person's typing. */
const TIMES_MAX = 4_096;

export const hocuspocus: Profile = { mute: true, begin: (kept) => new DocumentMemory(kept) };

interface KeptDocument {
  readonly document: string | undefined;
  readonly token: PackedFrame | undefined;
  readonly step1: PackedFrame | undefined;
  readonly own: ClientState | undefined;
  readonly scope: string | undefined;
  readonly openEdits: number;
}

class DocumentMemory implements Memory {
  readonly #edits = new Edits();
  #document: string | undefined;
  #token: Frame | undefined;
  #step1: Frame | undefined;
  #own: ClientState | undefined;
  /** What the visitor knows that it may do. */
  #scope: string | undefined;
  #ready = true;
  #detached = false;
  #queried = false;

  constructor(kept?: Kept) {
    if (!kept) return;
    const { document, token, step1, own, scope, openEdits } = kept as unknown as KeptDocument;
    this.#document = document;
    this.#token = token && unpacked(token);
    this.#step1 = step1 && unpacked(step1);
    this.#own = own;
    this.#scope = scope;
    this.#edits.open = openEdits;
  }

  get bearable(): boolean {
    return !this.#detached;
  }

  get ready(): boolean {
    return this.#ready;
  }

  sent(frame: Frame): Passage {
    return this.#read(frame, (document, type, rest) => {
      this.#document ??= document;
      if (document !== this.#document) return this.#giveUp(); // several documents on one socket, each with a token of its own
      if (type === AUTH && readVarUint(rest) === TOKEN) this.#token = frame;
      if (type === SYNC) this.#sync(readVarUint(rest), frame);
      if (type === AWARENESS) return this.#presence(readStates(readVarUint8Array(rest)));
      if (type === CLOSE) return this.#giveUp();
      return this.#bounded();
    });
  }

  heard(frame: Frame): Passage | "refused" {
    return this.#read<Passage | "refused">(frame, (document, type, rest) => {
      if (document !== this.#document) return "pass";
      if (type === AUTH) return this.#authentication(readVarUint(rest), rest);
      if (type === CLOSE) return this.#giveUp();
      if ((type === SYNC || type === SYNC_REPLY) && readVarUint(rest) === STEP_1) this.#edits.asked();
      if (type === SYNC_STATUS) return this.#acknowledged(frame, readVarInt(rest) === 1);
      return "pass";
    });
  }

  replay(): Told {
    this.#edits.newLeg();
    this.#ready = this.#token === undefined;
    const removed = removal(this.#own);
    this.#queried = removed !== undefined;
    return {
      origin: [this.#token, this.#step1, this.#own && this.#presenceFrame(this.#own)].filter((each) => each !== undefined),
      visitor: removed === undefined ? [] : [this.#presenceFrame(removed), this.#frame((to) => writeVarUint(to, QUERY_AWARENESS))],
    };
  }

  farewell(): readonly Frame[] {
    return [];
  }

  lastWords(): readonly Frame[] {
    const removed = removal(this.#own);
    return removed === undefined ? [] : [this.#presenceFrame(removed)];
  }

  keep(): Kept | undefined {
    if (this.#detached || !this.#ready) return undefined;
    const kept: KeptDocument = {
      document: this.#document,
      token: this.#token && packed(this.#token),
      step1: this.#step1 && packed(this.#step1),
      own: this.#own,
      scope: this.#scope,
      openEdits: this.#edits.open,
    };
    return { ...kept };
  }

  renewal(frame: Frame): number | undefined {
    const clock = this.#read(frame, (document, type, rest) =>
      document === this.#document && type === AWARENESS ? renewalOf(readStates(readVarUint8Array(rest)), this.#own) : undefined,
    );
    return clock === "pass" ? undefined : clock;
  }

  get clock(): number | undefined {
    return this.#own?.clock;
  }

  renewed(clock: number): void {
    if (this.#own) this.#own = { ...this.#own, clock };
  }

  isPresence(frame: Frame): boolean {
    return this.#read(frame, (_document, type) => type === AWARENESS || type === QUERY_AWARENESS) === true;
  }

  #sync(kind: number, frame: Frame): void {
    if (kind === STEP_1) this.#step1 = frame;
    this.#edits.sent(kind);
  }

  #presence(states: readonly ClientState[]): Passage {
    const own = newerOwn(states, this.#own, true);
    if (own) this.#own = own;
    const bounded = this.#bounded();
    const others = own && this.#queried && states.length > 1;
    return others ? { origin: [this.#presenceFrame(own)], visitor: [] } : bounded;
  }

  #authentication(kind: number, rest: Decoder): Passage | "refused" {
    const replayed = !this.#ready;
    if (kind === PERMISSION_DENIED && replayed) return "refused";
    if (kind !== AUTHENTICATED) return "pass";
    const known = this.#scope;
    this.#ready = true;
    this.#scope = readVarString(rest);
    return replayed && known === this.#scope ? "swallow" : "pass";
  }

  #acknowledged(frame: Frame, applied: boolean): Passage {
    const times = this.#edits.acknowledged(applied);
    return times === 1 ? "pass" : { origin: [], visitor: Array.from({ length: times }, () => frame) };
  }

  #giveUp(): "pass" {
    this.#detached = true;
    this.#token = this.#step1 = this.#own = undefined;
    return "pass";
  }

  #bounded(): "pass" {
    const bytes = [this.#token, this.#step1, this.#own?.state, this.#document].reduce(
      (sum, each) => sum + (each === undefined ? 0 : frameBytes(each)),
      0,
    );
    return bytes > REMEMBERED_MAX_BYTES ? this.#giveUp() : "pass";
  }

  /** What `look` makes of a document's frame. Others pass: pings have no address, and what cannot be read is the other side's to judge. */
  #read<T>(frame: Frame, look: (document: string, type: number, rest: Decoder) => T): T | "pass" {
    if (typeof frame === "string" || frame.byteLength < 2 || this.#detached) return "pass";
    try {
      const decoder = createDecoder(new Uint8Array(frame));
      return look(readVarString(decoder), readVarUint(decoder), decoder);
    } catch {
      return "pass"; // it breaks off, or is something else
    }
  }

  #presenceFrame(own: ClientState): ArrayBuffer {
    return this.#frame((to) => {
      writeVarUint(to, AWARENESS);
      writeVarUint8Array(to, stateUpdate(own));
    });
  }

  #frame(write: (to: Encoder) => void): ArrayBuffer {
    const encoder = createEncoder();
    writeVarString(encoder, this.#document ?? "");
    write(encoder);
    return toUint8Array(encoder).slice().buffer;
  }
}

/**
 * A provider's count of edits that are not acknowledged: one for its step 1 instead of all before, one more for each update. An origin
 * acknowledges updates and step 2, in their order. On a new leg the step 2 that answers the new origin's step 1 brings everything of
 * before: with its acknowledgement all that is open is acknowledged, but for what was sent since.
 */
class Edits {
  /** Edits of the visitor's that nobody has acknowledged. */
  open = 0;
  /** Acknowledgements that the present origin owes. */
  #owed = 0;
  /** How many of them are left up to the one that settles; before that, whether the step 2 was asked for. */
  #settles: number | "unasked" | "asked" | "settled" = "settled";

  newLeg(): void {
    this.#owed = 0;
    this.#settles = "unasked";
  }

  asked(): void {
    if (this.#settles === "unasked") this.#settles = "asked";
  }

  sent(kind: number): void {
    if (kind === STEP_1) {
      this.open = 1;
      return;
    }
    this.#owed++;
    if (kind !== STEP_2) this.open++;
    else if (this.#settles === "asked") this.#settles = this.#owed;
  }

  /** How often the visitor gets this acknowledgement. */
  acknowledged(applied: boolean): number {
    if (this.#owed > 0) this.#owed--;
    const settling = typeof this.#settles === "number" && --this.#settles === 0;
    if (settling) this.#settles = "settled";
    const times = settling && applied ? within(this.open - this.#owed, TIMES_MAX) : 1;
    if (applied) this.open = within(this.open - times, this.open);
    return times;
  }
}

function within(value: number, max: number): number {
  return Math.max(0, Math.min(value, max));
}
