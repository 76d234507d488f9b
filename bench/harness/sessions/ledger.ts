// The ledger of every frame: what visitors wrote down, what the store did, what origins pushed; and what of it must not be. Pure, and fed
// in any order between the two sides: only what one side says must come in its own order.
//
// Lost         a frame that went out on a socket and was never answered, unless it is unanswered as below; and a push that never came, out
//              of the middle of its leg's or, where both the leg's origin and its visitor lived on, off its end.
// Unanswered   a frame that was never answered because its origin died or hung: the visitor was on a leg to that origin, and it went out
//              before the hold could begin. A hold has begun, at the latest, when the router knew (`heldByMs`), when the visitor's next leg
//              was opened at an origin, and when the visitor's socket was closed. Or because its socket was cut, by the death of the router:
//              it went out on that socket, and was still under way then. (What was pushed on that socket's leg may be missing off its end.)
// Duplicated   a frame that the store took twice or that was answered twice, a push that came twice, an answer to somebody else's frame.
// Reordered    a frame that the store took, or an answer that came, after that of a later frame of its visitor; a push that came after a
//              later one of its leg, or from a leg that another has followed.
// A frame is judged in the period in which it was made, every other fault in the period in which it showed.

import { longestGapMs } from "./gaps.ts";
import { Pushes } from "./pushes.ts";
import { returnOf, type Return } from "./returns.ts";

export interface Period {
  readonly fromMs: number;
  /** Exclusive. */
  readonly toMs: number;
}

/** Origins that died or hung in a period. */
export interface Deaths {
  readonly kind: "deaths";
  readonly origins: ReadonlySet<string>;
  readonly atMs: number;
  /** When the router surely held back what is for them; Infinity where nothing is held. */
  readonly heldByMs: number;
}

/** The router died in a period, or a part of it. */
export interface Cut {
  readonly kind: "cut";
  readonly atMs: number;
}

export interface Judgement {
  readonly visitorCloses: number;
  readonly lost: number;
  readonly unanswered: number;
  /** When the last of them went out. */
  readonly unansweredUntilMs: number | undefined;
  readonly duplicated: number;
  readonly reordered: number;
  /** The first faults in words, for whoever looks for their cause. */
  readonly examples: readonly string[];
}

export interface Leg {
  readonly leg: number;
  readonly visitor: number;
  readonly origin: string;
  readonly atMs: number;
}

/** All of one visitor; arrays by the frame's number unless they say otherwise. */
interface Book {
  readonly madeAtMs: number[];
  readonly sentAtMs: (number | undefined)[];
  readonly answeredAtMs: (number | undefined)[];
  readonly handled: (true | undefined)[];
  /** In the order of time, as are the next two. */
  readonly deliveriesAtMs: number[];
  readonly closesAtMs: number[];
  readonly legs: Leg[];
  lastAnswered: number;
  lastHandled: number;
}

interface Fault {
  readonly kind: "duplicated" | "reordered";
  readonly what: string;
  readonly atMs: number;
}

const EXAMPLES_MAX = 5;
/** What went out so long before a cut had been answered by then. */
const UNDER_WAY_MS = 500;
/** Sockets that are closed later are closed for another reason. */
const CUT_SHOWS_WITHIN_MS = 1_000;
const NOBODY: ReadonlySet<string> = new Set();

export class Ledger {
  readonly #books = new Map<number, Book>();
  readonly #pushes = new Pushes((kind, what, atMs) => this.#fault(kind, what, atMs));
  /** By kind and frame: what shows on both sides is one fault. */
  readonly #faults = new Map<string, Fault>();

  /** A visitor made their next frame; `sent` tells when it went out, which is later where there was no socket. */
  made(visitor: number, n: number, atMs: number): void {
    this.#book(visitor).madeAtMs[n] = atMs;
  }

  sent(visitor: number, n: number, atMs: number): void {
    this.#book(visitor).sentAtMs[n] ??= atMs;
  }

  /** An answer came to `visitor`, for a frame of `whose`. */
  answered(visitor: number, whose: number, n: number, atMs: number): void {
    const book = this.#book(visitor);
    const frame = `${whose}.${n}`;
    if (whose !== visitor || book.madeAtMs[n] === undefined) return this.#fault("duplicated", `${frame} was answered to ${visitor}`, atMs, frame);
    book.deliveriesAtMs.push(atMs);
    if (book.answeredAtMs[n] !== undefined) return this.#fault("duplicated", `${frame} was answered twice`, atMs, frame);
    book.answeredAtMs[n] = atMs;
    if (n < book.lastAnswered) this.#fault("reordered", `${frame} was answered after ${book.lastAnswered}`, atMs, frame);
    book.lastAnswered = Math.max(book.lastAnswered, n);
  }

  /** The router closed the visitor's socket. */
  closed(visitor: number, atMs: number): void {
    this.#book(visitor).closesAtMs.push(atMs);
  }

  pushed(visitor: number, leg: number, n: number, atMs: number): void {
    this.#pushes.came(visitor, leg, n, atMs);
  }

  /** The store took a frame. */
  handled(visitor: number, n: number, atMs: number): void {
    const book = this.#book(visitor);
    const frame = `${visitor}.${n}`;
    if (book.handled[n]) return this.#fault("duplicated", `${frame} was handled twice`, atMs, frame);
    book.handled[n] = true;
    if (n < book.lastHandled) this.#fault("reordered", `${frame} was handled after ${book.lastHandled}`, atMs, frame);
    book.lastHandled = Math.max(book.lastHandled, n);
  }

  legOpened(leg: Leg): void {
    this.#book(leg.visitor).legs.push(leg);
    this.#pushes.opened(leg);
  }

  /** An origin's own count of what it had pushed when its leg was closed. */
  legEnded(leg: number, pushes: number, atMs: number): void {
    this.#pushes.ended(leg, pushes, atMs);
  }

  /** All that a visitor has had, in the order in which they were told. */
  legsOf(visitor: number): readonly Leg[] {
    return this.#books.get(visitor)?.legs ?? [];
  }

  judge(period: Period, harm?: Deaths | Cut): Judgement {
    const within = (atMs: number): boolean => atMs >= period.fromMs && atMs < period.toMs;
    const faults = [...this.#faults.values()].filter(({ atMs }) => within(atMs));
    const lost: string[] = [];
    const unanswered: number[] = [];
    let visitorCloses = 0;
    for (const [visitor, book] of this.#books) {
      visitorCloses += book.closesAtMs.filter(within).length;
      const { madeAtMs, sentAtMs, answeredAtMs } = book;
      for (let n = madeAtMs.length - 1; n >= 0; n--) {
        const [made, sent] = [madeAtMs[n] ?? 0, sentAtMs[n]];
        if (made < period.fromMs) break;
        if (made >= period.toMs || sent === undefined || answeredAtMs[n] !== undefined) continue;
        if (harm && (harm.kind === "deaths" ? diedWith(book, sent, harm) : cutWith(book, sent, harm))) unanswered.push(sent);
        else lost.push(`${visitor}.${n}, sent at ${sent}${book.handled[n] ? " and handled" : ""}, was never answered`);
      }
    }
    lost.push(...this.#pushes.lost(period, { origins: harm?.kind === "deaths" ? harm.origins : NOBODY, legs: this.#cutLegs(harm) }));
    return {
      visitorCloses,
      lost: lost.length,
      unanswered: unanswered.length,
      unansweredUntilMs: unanswered.toSorted((a, b) => a - b).at(-1),
      duplicated: faults.filter(({ kind }) => kind === "duplicated").length,
      reordered: faults.filter(({ kind }) => kind === "reordered").length,
      examples: [...lost.slice(0, EXAMPLES_MAX), ...faults.slice(0, EXAMPLES_MAX).map(({ what, atMs }) => `${what}, at ${atMs}`)],
    };
  }

  /** Each touched visitor's longest time from making a frame of the period to the next answer, any answer, that came. */
  gapsMs(period: Period, nowMs: number, touched: ReadonlySet<number>): number[] {
    return [...this.#books].flatMap(([visitor, book]) =>
      touched.has(visitor) ? [longestGapMs(book.madeAtMs, book.deliveriesAtMs, period, nowMs)] : [],
    );
  }

  /** The visitors whom an event touched: on a leg of one of its origins when it came, closed, or on a new leg since. */
  touched({ fromMs, toMs }: Period, origins: ReadonlySet<string>): Set<number> {
    const since = (atMs: number): boolean => atMs >= fromMs && atMs < toMs;
    const touched = [...this.#books].filter(([, book]) => {
      const before = book.legs.findLast(({ atMs }) => atMs < fromMs);
      return (before && origins.has(before.origin)) || book.legs.some(({ atMs }) => since(atMs)) || book.closesAtMs.some(since);
    });
    return new Set(touched.map(([visitor]) => visitor));
  }

  /** How those came back whose sockets were closed in a period. */
  returns(period: Period): Return[] {
    return [...this.#books.values()].flatMap(({ legs, closesAtMs }) => returnOf(legs, closesAtMs, period) ?? []);
  }

  /** The legs on which visitors were when their sockets were cut. */
  #cutLegs(harm: Deaths | Cut | undefined): Set<number> {
    if (harm?.kind !== "cut") return new Set();
    const cut = [...this.#books.values()].filter((book) => cutAtMs(book, harm) !== undefined);
    return new Set(cut.flatMap(({ legs }) => legs.findLast(({ atMs }) => atMs <= harm.atMs)?.leg ?? []));
  }

  #book(visitor: number): Book {
    const known = this.#books.get(visitor);
    if (known) return known;
    const book: Book = {
      madeAtMs: [],
      sentAtMs: [],
      answeredAtMs: [],
      handled: [],
      deliveriesAtMs: [],
      closesAtMs: [],
      legs: [],
      lastAnswered: -1,
      lastHandled: -1,
    };
    this.#books.set(visitor, book);
    return book;
  }

  #fault(kind: Fault["kind"], what: string, atMs: number, frame = what): void {
    const key = `${kind} ${frame}`;
    if (!this.#faults.has(key)) this.#faults.set(key, { kind, what, atMs });
  }
}

/** Whether a frame's origin took it with it: see "Unanswered" above. */
function diedWith({ legs, closesAtMs }: Book, sentAtMs: number, { origins, atMs, heldByMs }: Deaths): boolean {
  const leg = legs.findLast((each) => each.atMs <= atMs);
  if (!leg || !origins.has(leg.origin)) return false;
  const later = (time: number): boolean => time > atMs;
  const nextLegAtMs = legs.find((each) => later(each.atMs))?.atMs ?? Infinity;
  return sentAtMs < Math.min(heldByMs, nextLegAtMs, closesAtMs.find(later) ?? Infinity);
}

/** Whether a frame was under way on a socket when that was cut: see "Unanswered" above. */
function cutWith(book: Book, sentAtMs: number, cut: Cut): boolean {
  const closedAtMs = cutAtMs(book, cut);
  return closedAtMs !== undefined && sentAtMs >= cut.atMs - UNDER_WAY_MS && sentAtMs <= closedAtMs;
}

/** When the visitor's socket was, that was open when the router died. */
function cutAtMs({ closesAtMs }: Book, { atMs }: Cut): number | undefined {
  return closesAtMs.find((time) => time >= atMs && time < atMs + CUT_SHOWS_WITHIN_MS);
}
