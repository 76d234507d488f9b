// The carriers of a ring as callers: which life of each is known, which calls were answered. Makes a repeated call harmless and
// notices a lost one. See docs/formats.md, "Carrier and ring object".

import { isUnderstood, type Envelope } from "../core/protocol.ts";
import { ANSWERS_KEPT } from "./limits.ts";

interface Caller {
  readonly incarnation: string;
  lastSeq: number;
  readonly answers: Map<number, Promise<unknown>>;
  /** All its sessions are parked. It wakes for a call of its own, in another life or this one, and wants to hear of nothing before. */
  isAsleep: boolean;
}

export type Noticed =
  /** The first call of a life, and the first of that carrier that is heard: what was read of it may be an earlier life's. */
  | "first"
  /** Calls are missing: what this carrier holds must be pulled. */
  | "gap"
  /** This call was overtaken by later ones: it must change nothing that they may have built on. */
  | "late"
  /** It has slept, and was told of nothing meanwhile. */
  | "awake"
  /** Another life of this carrier: what the last one held is gone. */
  | "reborn";

export class Callers {
  readonly #callers = new Map<number, Caller>();

  /** The slices that have called in this life of the ring object, and may need to hear of changes. */
  listening(): number[] {
    return [...this.#callers].flatMap(([slice, { isAsleep }]) => (isAsleep ? [] : [slice]));
  }

  /** Said in a call of its own, which is its last for a while. */
  asleep(slice: number): void {
    const caller = this.#callers.get(slice);
    if (caller) caller.isAsleep = true;
  }

  /** Answers a call once: a repeated `seq` gets the first answer. `notice` hears of gaps and rebirths before the work is done. */
  once<T>(envelope: Envelope, notice: (what: Noticed) => void, work: (late: boolean) => Promise<T>): Promise<T> {
    const { version, slice, incarnation, seq } = envelope;
    if (!isUnderstood(version)) throw new Error(`protocol version ${version} is not understood here`);
    let caller = this.#callers.get(slice);
    if (caller && incarnation < caller.incarnation) throw new Error("superseded: a younger life of this carrier has called");
    if (caller?.incarnation !== incarnation) {
      const known = caller !== undefined && !caller.isAsleep; // who slept holds what it held
      caller = { incarnation, lastSeq: seq - 1, answers: new Map(), isAsleep: false };
      this.#callers.set(slice, caller);
      notice(known ? "reborn" : seq === 1 ? "first" : "gap");
    }
    const given = caller.answers.get(seq);
    if (given) return given as Promise<T>; // the same seq of the same life is the same call
    if (caller.isAsleep) notice("awake");
    caller.isAsleep = false;
    const late = seq <= caller.lastSeq;
    if (late) notice("late");
    else if (seq > caller.lastSeq + 1) notice("gap");
    caller.lastSeq = Math.max(caller.lastSeq, seq);
    const answer = work(late);
    this.#keep(caller, seq, answer);
    return answer;
  }

  #keep(caller: Caller, seq: number, answer: Promise<unknown>): void {
    caller.answers.set(seq, answer);
    answer.catch(() => caller.answers.delete(seq)); // a failed call may be repeated for a better answer
    for (const old of caller.answers.keys()) {
      if (caller.answers.size <= ANSWERS_KEPT) break;
      caller.answers.delete(old);
    }
  }
}
