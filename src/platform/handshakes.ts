// The handshakes of one carrier object. The platform lets six wait for their answer at once (November 2026) and queues or fails what goes
// beyond; here a queue of our own decides who is next. Moves and arrivals take turns, so that neither a storm of new visitors nor a drain
// holds up the other, and one slot is always left to other origins than one that may be hanging. Event streams have a part of the slots: their
// origins may think long before they send headers.

import { ARRIVALS_WAITING_MAX, HANDSHAKE_SLOTS, STREAM_SLOTS, STREAM_SLOTS_PER_ORIGIN } from "./limits.ts";

export type Lane = "moves" | "arrivals";

/** What is opened: a WebSocket (or something as short), or an event stream. */
export type Kind = "socket" | "stream";

/** Gives the slot back; harmless when repeated. */
export type Release = () => void;

interface Waiter {
  readonly origin: string;
  readonly kind: Kind;
  readonly grant: (release: Release) => void;
}

export class Handshakes {
  readonly #waiting: Record<Lane, Waiter[]> = { moves: [], arrivals: [] };
  readonly #underWay = new Counts();
  readonly #streamsUnderWay = new Counts();
  #free: number = HANDSHAKE_SLOTS;
  #turn: Lane = "moves";

  /** A slot, once there is one; `full`: too many arrivals of its kind wait; `aborted`: the signal came first. */
  take(lane: Lane, origin: string, signal: AbortSignal, kind: Kind = "socket"): Promise<Release | "full" | "aborted"> {
    if (signal.aborted) return Promise.resolve("aborted");
    const queue = this.#waiting[lane];
    if (lane === "arrivals" && queue.filter((other) => other.kind === kind).length >= ARRIVALS_WAITING_MAX) return Promise.resolve("full");
    return new Promise((resolve) => {
      const abort = (): void => {
        const index = queue.indexOf(waiter);
        if (index >= 0) queue.splice(index, 1);
        resolve("aborted");
      };
      const waiter: Waiter = {
        origin,
        kind,
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
      waiter.grant(this.#hold(waiter));
    }
  }

  /** The first of a lane who may have a slot. */
  #pick(lane: Lane): Waiter | undefined {
    const queue = this.#waiting[lane];
    const index = queue.findIndex((waiter) => this.#mayHold(waiter));
    if (index < 0) return undefined;
    this.#turn = other(lane);
    return queue.splice(index, 1)[0];
  }

  #mayHold({ origin, kind }: Waiter): boolean {
    if (this.#underWay.of(origin) >= HANDSHAKE_SLOTS - 1) return false;
    const streams = this.#streamsUnderWay;
    return kind === "socket" || (streams.total < STREAM_SLOTS && streams.of(origin) < STREAM_SLOTS_PER_ORIGIN);
  }

  #hold({ origin, kind }: Waiter): Release {
    const counts = kind === "stream" ? [this.#underWay, this.#streamsUnderWay] : [this.#underWay];
    this.#free--;
    for (const each of counts) each.add(origin, 1);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#free++;
      for (const each of counts) each.add(origin, -1);
      this.#next();
    };
  }
}

/** How many of each origin, and altogether. */
class Counts {
  readonly #byOrigin = new Map<string, number>();
  total = 0;

  of(origin: string): number {
    return this.#byOrigin.get(origin) ?? 0;
  }

  add(origin: string, change: 1 | -1): void {
    this.total += change;
    const count = this.of(origin) + change;
    if (count > 0) this.#byOrigin.set(origin, count);
    else this.#byOrigin.delete(origin);
  }
}

function other(lane: Lane): Lane {
  return lane === "moves" ? "arrivals" : "moves";
}
