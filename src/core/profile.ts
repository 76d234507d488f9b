// What a protocol needs when its origin leg is replaced: the contract of every profile. One `Memory` a connection: it sees the frames of
// both sides as they pass, and says what the new origin is told and what of its answers the visitor must not see. Deterministic, no I/O.

export type Frame = string | ArrayBuffer;

export interface Profile {
  /** Nothing an old leg still says is delivered, from when it is told to close. */
  readonly mute: boolean;
  /** The memory of a new connection, or of one that was parked. */
  begin(kept?: Kept): Memory;
}

/** What is kept of a parked connection's memory: plain values and bytes. What a profile has written it reads again itself, in its own or the next version. */
export type Kept = Readonly<Record<string, unknown>>;

export interface Memory {
  /** `false`: this connection cannot bear a replaced leg, now or ever; its visitor is told to come back instead. */
  readonly bearable: boolean;
  /** `false` from a replay until the new origin has taken it. So long the visitor's frames are held back, and an origin that closes refuses. */
  readonly ready: boolean;
  /** A frame of the visitor's is about to be handed to the origin. Never called for what is replayed, nor while not `ready`. */
  sent(frame: Frame): Passage;
  /** A frame of the present origin's, before the visitor gets it. */
  heard(frame: Frame): Passage | "refused";
  /** A new leg begins: what each side is told before anything else passes. */
  replay(): Told;
  /** What the old origin is told before its leg is closed by us, so that it does not take the visitor for lost. */
  farewell(): readonly Frame[];
  /** What the visitors that stay must be told when this one has left without its origin hearing of it. */
  lastWords(): readonly Frame[];
  // Only of protocols whose visitors can be without an origin for a while (parking):
  /** What this memory goes on from afterwards; `undefined`: its origin cannot be given up now. */
  keep?(): Kept | undefined;
  /** Of a visitor's frame that only says "still here", or repeats others: the clock that its presence has reached; nobody is woken for it. `undefined`: it says more. */
  renewal?(frame: Frame): number | undefined;
  /** The clock of its visitor's presence; `undefined`: it shows none. */
  readonly clock?: number | undefined;
  /** It was renewed up to that clock meanwhile. */
  renewed?(clock: number): void;
  /** Whether an origin's frame only repeats what visitors show of themselves: no sign that anything happens. */
  isPresence?(frame: Frame): boolean;
}

/** What becomes of a frame. `refused`: the new origin does not take the replay, and the visitor must come back with a fresh handshake. */
export type Passage =
  | "pass"
  /** An answer to the replay, which the visitor must not see twice. */
  | "swallow"
  /** These are passed on instead. */
  | Told;

export interface Told {
  readonly origin: readonly Frame[];
  readonly visitor: readonly Frame[];
}

/** What a connection may remember in all; past it a profile gives up rather than replay with a hole. */
export const REMEMBERED_MAX_BYTES = 262_144;

/** Rules of a protocol for which it is enough to remember some of the visitor's frames. */
export interface FrameRules {
  /** The frames to replay, after the visitor sent this one as its `index`-th (from 0); the same array when it adds nothing. */
  readonly remember: (memory: readonly Frame[], frame: Frame, index: number) => readonly Frame[];
  /** What the visitor gets when a new leg has begun. */
  readonly greet: (memory: readonly Frame[]) => readonly Frame[];
  /** How many of the new origin's answers to the replay the visitor must not see. */
  readonly swallow: number;
  /** A connection whose memory is larger cannot bear a replaced leg. */
  readonly bytesMax: number;
  readonly mute: boolean;
  /** What the protocol shows of visitors, where it does. */
  readonly presence?: {
    readonly renewal: (memory: readonly Frame[], frame: Frame) => number | undefined;
    readonly clock: (memory: readonly Frame[]) => number | undefined;
    /** The memory with that clock in it. */
    readonly renewed: (memory: readonly Frame[], clock: number) => readonly Frame[];
    readonly isPresence: (frame: Frame) => boolean;
  };
}

export function byFrames(rules: FrameRules): Profile {
  return { mute: rules.mute, begin: (kept) => new FrameMemory(rules, kept) };
}

class FrameMemory implements Memory {
  readonly ready = true;
  readonly #rules: FrameRules;
  #frames: readonly Frame[] = [];
  #sentCount = 0;
  #passedCount = 0;
  #swallow = 0;
  #bearable = true;

  constructor(rules: FrameRules, kept: Kept | undefined) {
    this.#rules = rules;
    if (!kept) return;
    const { frames, sentCount, passedCount } = kept as unknown as KeptFrames;
    this.#frames = frames.map(unpacked);
    this.#sentCount = sentCount;
    this.#passedCount = passedCount;
  }

  get bearable(): boolean {
    return this.#bearable;
  }

  sent(frame: Frame): Passage {
    if (this.#bearable) this.#remember(frame);
    return "pass";
  }

  heard(): Passage {
    if (this.#swallow > 0) {
      this.#swallow--;
      return "swallow";
    }
    this.#passedCount++;
    return "pass";
  }

  replay(): Told {
    // What the visitor has not had yet is none that they must not see twice: a leg may be lost before it has answered.
    this.#swallow = Math.min(this.#rules.swallow, this.#frames.length === 0 ? 0 : this.#passedCount);
    return { origin: this.#frames, visitor: this.#rules.greet(this.#frames) };
  }

  farewell(): readonly Frame[] {
    return [];
  }

  lastWords(): readonly Frame[] {
    return this.#rules.greet(this.#frames);
  }

  keep(): Kept | undefined {
    const kept: KeptFrames = { frames: this.#frames.map(packed), sentCount: this.#sentCount, passedCount: this.#passedCount };
    return this.#bearable ? { ...kept } : undefined;
  }

  renewal(frame: Frame): number | undefined {
    return this.#rules.presence?.renewal(this.#frames, frame);
  }

  get clock(): number | undefined {
    return this.#rules.presence?.clock(this.#frames);
  }

  renewed(clock: number): void {
    this.#frames = this.#rules.presence?.renewed(this.#frames, clock) ?? this.#frames;
  }

  isPresence(frame: Frame): boolean {
    return this.#rules.presence?.isPresence(frame) ?? false;
  }

  #remember(frame: Frame): void {
    const frames = this.#rules.remember(this.#frames, frame, this.#sentCount++);
    if (frames === this.#frames) return;
    this.#bearable = frames.reduce((sum, each) => sum + frameBytes(each), 0) <= this.#rules.bytesMax;
    this.#frames = this.#bearable ? frames : [];
  }
}

interface KeptFrames {
  readonly frames: readonly PackedFrame[];
  readonly sentCount: number;
  readonly passedCount: number;
}

/** A frame as it is kept: binary ones as bytes. */
export type PackedFrame = string | Uint8Array;

export const packed = (frame: Frame): PackedFrame => (typeof frame === "string" ? frame : new Uint8Array(frame));

export const unpacked = (frame: PackedFrame): Frame => (typeof frame === "string" ? frame : frame.slice().buffer);

/** Size of a frame as bounds count it; a text counts two bytes a UTF-16 unit, which is what it takes in memory. */
export function frameBytes(frame: Frame): number {
  return typeof frame === "string" ? frame.length * 2 : frame.byteLength;
}
