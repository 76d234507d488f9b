// The ledger of event streams: each event of a session's log must come to its listener once and in its order, from the one on that it was told
// when it first came. A stream that was cut and resumed excuses nothing: that is what `Last-Event-ID` is for. Pure.
//
// Lost         an event that never came.
// Duplicated   an event that came twice, one from before the listener's time, one of another session or that was never logged.
// Reordered    an event that came after a later one.
// An event is judged lost in the period in which it was logged, every other fault in the period in which it showed.

import { longestGapMs } from "./gaps.ts";
import type { Period } from "./ledger.ts";
import type { Logs } from "./logs.ts";
import { returnOf, type Return } from "./returns.ts";

export interface StreamJudgement {
  /** Streams that ended under their listeners. */
  readonly closes: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly reordered: number;
  /** The first faults in words, for whoever looks for their cause. */
  readonly examples: readonly string[];
}

/** An origin's side of a stream. */
interface Leg {
  readonly origin: string;
  readonly atMs: number;
}

/** All of one listener. */
interface Book {
  /** The number before that of the first event which is owed. */
  joined: number | undefined;
  last: number;
  readonly came: Set<number>;
  /** In the order of time, as are the next two. */
  readonly deliveriesAtMs: number[];
  readonly closesAtMs: number[];
  readonly legs: Leg[];
}

interface Fault {
  readonly kind: "duplicated" | "reordered";
  readonly what: string;
  readonly atMs: number;
}

const EXAMPLES_MAX = 5;

export class Streams {
  readonly #logs: Logs;
  readonly #books = new Map<number, Book>();
  readonly #faults: Fault[] = [];

  constructor(logs: Logs) {
    this.#logs = logs;
  }

  /** The listener was told where its stream begins. Only the first time counts: whoever is told again has lost its place, and misses what lies between. */
  joined(session: number, event: number): void {
    this.#book(session).joined ??= event;
  }

  /** An event came with an id, and its data say whose it is and which. */
  came(session: number, event: number, whose: number, which: number, atMs: number): void {
    const book = this.#book(session);
    book.deliveriesAtMs.push(atMs);
    const what = `event ${event} of session ${session}`;
    const isLogged = whose === session && which === event && event >= 1 && event <= this.#logs.head(session);
    if (!isLogged) return this.#fault("duplicated", `${what} came as ${whose}.${which}, which it is not`, atMs);
    if (event <= (book.joined ?? Infinity)) return this.#fault("duplicated", `${what} came, which is older than its listener`, atMs);
    if (book.came.has(event)) return this.#fault("duplicated", `${what} came twice`, atMs);
    book.came.add(event);
    if (event < book.last) this.#fault("reordered", `${what} came after ${book.last}`, atMs);
    book.last = Math.max(book.last, event);
  }

  /** The stream ended under its listener. */
  closed(session: number, atMs: number): void {
    this.#book(session).closesAtMs.push(atMs);
  }

  legOpened(session: number, leg: Leg): void {
    this.#book(session).legs.push(leg);
  }

  /** The origin that serves a listener, or did last. */
  placeOf(session: number): string | undefined {
    return this.#books.get(session)?.legs.at(-1)?.origin;
  }

  judge(period: Period): StreamJudgement {
    const within = (atMs: number): boolean => atMs >= period.fromMs && atMs < period.toMs;
    const faults = this.#faults.filter(({ atMs }) => within(atMs));
    const lost: string[] = [];
    let closes = 0;
    for (const [session, { joined, came, closesAtMs }] of this.#books) {
      closes += closesAtMs.filter(within).length;
      if (joined === undefined) continue;
      for (const { event, atMs } of this.#logs.after(session, joined)) {
        if (within(atMs) && !came.has(event)) lost.push(`event ${event} of session ${session}, logged at ${atMs}, never came`);
      }
    }
    return {
      closes,
      lost: lost.length,
      duplicated: faults.filter(({ kind }) => kind === "duplicated").length,
      reordered: faults.filter(({ kind }) => kind === "reordered").length,
      examples: [...lost.slice(0, EXAMPLES_MAX), ...faults.slice(0, EXAMPLES_MAX).map(({ what, atMs }) => `${what}, at ${atMs}`)],
    };
  }

  /** Listeners whose stream an event touched: closed, or on a new leg since. */
  touched({ fromMs, toMs }: Period): Set<number> {
    const since = (atMs: number): boolean => atMs >= fromMs && atMs < toMs;
    const touched = [...this.#books].filter(([, { legs, closesAtMs }]) => legs.some(({ atMs }) => since(atMs)) || closesAtMs.some(since));
    return new Set(touched.map(([session]) => session));
  }

  /** Each listener's longest time from an event of the period to the next, whichever event, that came. */
  gapsMs(period: Period, nowMs: number, sessions: ReadonlySet<number>): number[] {
    return [...this.#books].flatMap(([session, { joined, deliveriesAtMs }]) => {
      if (joined === undefined || !sessions.has(session)) return [];
      const loggedAtMs = this.#logs.after(session, joined).map(({ atMs }) => atMs);
      return [longestGapMs(loggedAtMs, deliveriesAtMs, period, nowMs)];
    });
  }

  /** How those came back whose streams were cut in a period. */
  returns(period: Period): Return[] {
    return [...this.#books.values()].flatMap(({ legs, closesAtMs }) => returnOf(legs, closesAtMs, period) ?? []);
  }

  #book(session: number): Book {
    const known = this.#books.get(session);
    if (known) return known;
    const book: Book = { joined: undefined, last: 0, came: new Set(), deliveriesAtMs: [], closesAtMs: [], legs: [] };
    this.#books.set(session, book);
    return book;
  }

  #fault(kind: Fault["kind"], what: string, atMs: number): void {
    this.#faults.push({ kind, what, atMs });
  }
}
