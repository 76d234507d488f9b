// The handshakes of one carrier object. The platform lets six wait for their answer at once (November 2026) and queues or fails what goes
// beyond; here a queue of our own decides who is next. Moves and arrivals take turns, so that neither a storm of new visitors nor a drain
// holds up the other, and one slot is always left to other origins than one that may be hanging. Event streams have a part of the slots: their
// origins may think long before they send headers. Arrivals whose turn would come too late are told so at once, by the time that handshakes have
// taken lately.

import { ARRIVAL_SLOT_WITHIN_MS, ARRIVALS_WAITING_MAX, HANDSHAKE_SLOTS, SLOW_HANDSHAKE_MS, STREAM_SLOTS, STREAM_SLOTS_PER_ORIGIN } from "./limits.ts";
import { PastTimes } from "./past-times.ts";

const LOOK_EVERY_MS = 50;
/** Of an origin whose first handshake has not ended. Those who are told to come back are told by it; nobody is refused for a guess. */
const GUESSED_MS = 100;

export type Lane = "moves" | "arrivals";

/** What is opened: a WebSocket (or something as short), or an event stream. */
export type Kind = (typeof KINDS)[number];
const KINDS = ["socket", "stream"] as const;

/** Gives the slot back; harmless when repeated. */
export type Release = () => void;

interface Waiter {
  readonly origin: string;
  readonly kind: Kind;
  readonly grant: (release: Release) => void;
  readonly turnAway: () => void;
  readonly signal: AbortSignal;
}

export class Handshakes {
  readonly #waiting: Record<Lane, Waiter[]> = { moves: [], arrivals: [] };
  readonly #underWay = new Counts();
  readonly #streamsUnderWay = new Counts();
  readonly #past = new PastTimes();
  #lookAgainAtMs = 0;
  #free: number = HANDSHAKE_SLOTS;
  #turn: Lane = "moves";

  /** A slot, once there is one; `full`: it would come too late for an arrival; `aborted`: the signal came first. */
  take(lane: Lane, origin: string, signal: AbortSignal, kind: Kind = "socket"): Promise<Release | "full" | "aborted"> {
    if (signal.aborted) return Promise.resolve("aborted");
    const queue = this.#waiting[lane];
    if (lane === "arrivals" && this.isFull(origin, kind)) return Promise.resolve("full");
    return new Promise((resolve) => {
      const abort = (): void => {
        const index = queue.indexOf(waiter);
        if (index >= 0) queue.splice(index, 1);
        resolve("aborted");
      };
      const waiter: Waiter = {
        origin,
        kind,
        signal,
        grant: (release) => {
          signal.removeEventListener("abort", abort);
          resolve(release);
        },
        turnAway: () => {
          signal.removeEventListener("abort", abort);
          resolve("full");
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

  /** Whether one more arrival would get its slot too late: at that origin, or anywhere. */
  isFull(origin?: string, kind: Kind = "socket"): boolean {
    const ahead = this.#waiting.arrivals.filter((waiter) => waiter.kind === kind);
    return ahead.length >= ARRIVALS_WAITING_MAX || this.#waitMs(ahead, origin, kind) > ARRIVAL_SLOT_WITHIN_MS;
  }

  /** How long the arrivals that wait need, as far as handshakes lately tell, and how many they are. */
  get arrivalsNeed(): { readonly ms: number; readonly count: number } {
    const { arrivals } = this.#waiting;
    return {
      ms: this.#needMs(arrivals, HANDSHAKE_SLOTS, ({ origin, kind }) => this.#past.of(pastOf(origin, kind)) ?? GUESSED_MS),
      count: arrivals.length,
    };
  }

  /** Those who wait for an origin that hangs are not counted for others: it never has all slots. */
  #waitMs(ahead: readonly Waiter[], origin: string | undefined, kind: Kind): number {
    const slots = kind === "stream" ? STREAM_SLOTS : HANDSHAKE_SLOTS - this.#streamsUnderWay.total;
    return this.#needMs(ahead, slots, (waiter) => {
      const ms = this.#past.of(pastOf(waiter.origin, waiter.kind)) ?? 0;
      return waiter.origin === origin || ms < SLOW_HANDSHAKE_MS ? ms : 0;
    });
  }

  /** The lanes take turns: as many moves as there are arrivals go before them. */
  #needMs(arrivals: readonly Waiter[], slots: number, eachMs: (waiter: Waiter) => number): number {
    const before = [...arrivals, ...this.#waiting.moves.slice(0, arrivals.length)];
    return before.reduce((sum, waiter) => sum + eachMs(waiter), 0) / slots;
  }

  /** The last of those who wait are told as soon as it is known that their turn comes too late. */
  #turnAwayLate(): void {
    const nowMs = Date.now();
    if (nowMs < this.#lookAgainAtMs) return; // each look goes through the queue
    this.#lookAgainAtMs = nowMs + LOOK_EVERY_MS;
    for (const kind of KINDS) {
      const ahead = this.#waiting.arrivals.filter((waiter) => waiter.kind === kind);
      for (let last = ahead.pop(); last && this.#waitMs(ahead, last.origin, kind) > ARRIVAL_SLOT_WITHIN_MS; last = ahead.pop()) {
        this.#waiting.arrivals.splice(this.#waiting.arrivals.indexOf(last), 1);
        last.turnAway();
      }
    }
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

  #hold({ origin, kind, signal }: Waiter): Release {
    const counts = kind === "stream" ? [this.#underWay, this.#streamsUnderWay] : [this.#underWay];
    this.#free--;
    for (const each of counts) each.add(origin, 1);
    const sinceMs = Date.now();
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#free++;
      for (const each of counts) each.add(origin, -1);
      if (!signal.aborted) this.#past.add(pastOf(origin, kind), Date.now() - sinceMs); // else somebody else has ended it
      this.#next();
      this.#turnAwayLate();
    };
  }
}

/** Whoever opens sockets at once may think long before the headers of a stream. */
const pastOf = (origin: string, kind: Kind): string => `${kind} ${origin}`;

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

/** Of a visitor's request. */
export function kindOf({ headers }: Request): Kind {
  return headers.get("upgrade") === "websocket" ? "socket" : "stream";
}
