// The handshakes of one carrier object. The platform lets six wait for their answer at once (November 2026) and queues or fails what goes
// beyond; here a queue of our own decides who is next. Moves and arrivals take turns, so that neither a storm of new visitors nor a drain
// holds up the other, and one slot is always left to other origins than one that may be hanging.

import { ARRIVALS_WAITING_MAX, HANDSHAKE_SLOTS } from "./limits.ts";

export type Lane = "moves" | "arrivals";

/** Gives the slot back; harmless when repeated. */
export type Release = () => void;

interface Waiter {
  readonly origin: string;
  readonly grant: (release: Release) => void;
}

export class Handshakes {
  readonly #waiting: Record<Lane, Waiter[]> = { moves: [], arrivals: [] };
  readonly #underWay = new Map<string, number>();
  #free: number = HANDSHAKE_SLOTS;
  #turn: Lane = "moves";

  /** A slot, once there is one; `full`: too many arrivals wait; `aborted`: the signal came first. */
  take(lane: Lane, origin: string, signal: AbortSignal): Promise<Release | "full" | "aborted"> {
    if (signal.aborted) return Promise.resolve("aborted");
    const queue = this.#waiting[lane];
    if (lane === "arrivals" && queue.length >= ARRIVALS_WAITING_MAX) return Promise.resolve("full");
    return new Promise((resolve) => {
      const abort = (): void => {
        const index = queue.indexOf(waiter);
        if (index >= 0) queue.splice(index, 1);
        resolve("aborted");
      };
      const waiter: Waiter = {
        origin,
        grant: (release) => {
          signal.removeEventListener("abort", abort);
          resolve(release);
        },
      };
      signal.addEventListener("abort", abort, { once: true });
      queue.push(waiter);
      this.#next();
    });
  }

  get waitingCount(): number {
    return this.#waiting.moves.length + this.#waiting.arrivals.length;
  }

  #next(): void {
    while (this.#free > 0) {
      const waiter = this.#pick(this.#turn) ?? this.#pick(other(this.#turn));
      if (!waiter) return;
      this.#free--;
      this.#underWay.set(waiter.origin, (this.#underWay.get(waiter.origin) ?? 0) + 1);
      waiter.grant(this.#releaseOf(waiter.origin));
    }
  }

  /** The first of a lane whose origin leaves a slot to others. */
  #pick(lane: Lane): Waiter | undefined {
    const queue = this.#waiting[lane];
    const index = queue.findIndex(({ origin }) => (this.#underWay.get(origin) ?? 0) < HANDSHAKE_SLOTS - 1);
    if (index < 0) return undefined;
    this.#turn = other(lane);
    return queue.splice(index, 1)[0];
  }

  #releaseOf(origin: string): Release {
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#free++;
      const count = (this.#underWay.get(origin) ?? 1) - 1;
      if (count > 0) this.#underWay.set(origin, count);
      else this.#underWay.delete(origin);
      this.#next();
    };
  }
}

function other(lane: Lane): Lane {
  return lane === "moves" ? "arrivals" : "moves";
}
