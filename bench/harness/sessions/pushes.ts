// What origins push, numbered from 0 on each leg: what came out of its order, what came twice, and what never came. Part of the ledger.

import type { Leg, Period } from "./ledger.ts";

interface LegBook {
  readonly visitor: number;
  /** Legs in the order in which they were opened. */
  readonly order: number;
  /** The number that should come next. */
  next: number;
  /** Passed over, and since when that is known. */
  readonly missing: Map<number, number>;
  /** Known from its origin. */
  origin: string | undefined;
  ended: { readonly pushes: number; readonly atMs: number } | undefined;
}

/** Who cannot be asked for what they had still under way. */
export interface Dead {
  readonly origins: ReadonlySet<string>;
  readonly legs: ReadonlySet<number>;
}

type Report = (kind: "duplicated" | "reordered", what: string, atMs: number) => void;

export class Pushes {
  readonly #legs = new Map<number, LegBook>();
  /** The latest leg that each visitor has heard. */
  readonly #latest = new Map<number, LegBook>();
  readonly #report: Report;

  constructor(report: Report) {
    this.#report = report;
  }

  opened({ leg, visitor, origin }: Leg): void {
    this.#leg(leg, visitor).origin = origin;
  }

  ended(leg: number, pushes: number, atMs: number): void {
    const book = this.#legs.get(leg);
    if (book) book.ended = { pushes, atMs };
  }

  came(visitor: number, leg: number, n: number, atMs: number): void {
    const book = this.#leg(leg, visitor);
    const push = `push ${leg}.${n} to ${visitor}`;
    if (book.visitor !== visitor) return this.#report("duplicated", `${push} was for ${book.visitor}`, atMs);
    if (n < book.next && !book.missing.delete(n)) return this.#report("duplicated", `${push} came twice`, atMs);
    const latest = this.#latest.get(visitor);
    const followed = latest !== undefined && latest.order > book.order;
    if (!followed) this.#latest.set(visitor, book);
    if (followed) this.#report("reordered", `${push} came from a leg that another had followed`, atMs);
    else if (n < book.next) this.#report("reordered", `${push} came after ${book.next - 1}`, atMs);
    for (; book.next < n; book.next++) book.missing.set(book.next, atMs);
    book.next = Math.max(book.next, n + 1);
  }

  /** What never came; nothing is missing at the end of a leg whose origin died or hung, or that was cut. */
  lost({ fromMs, toMs }: Period, dead: Dead): string[] {
    const within = (atMs: number): boolean => atMs >= fromMs && atMs < toMs;
    return [...this.#legs].flatMap(([leg, { visitor, next, missing, origin, ended }]) => {
      const holes = [...missing].filter(([, atMs]) => within(atMs)).map(([n]) => n);
      const cut = ended && within(ended.atMs) && !dead.origins.has(origin ?? "") && !dead.legs.has(leg) ? Math.max(0, ended.pushes - next) : 0;
      const tail = Array.from({ length: cut }, (_, index) => next + index);
      return [...holes, ...tail].map((n) => `push ${leg}.${n} of ${origin ?? "?"} never came to ${visitor}`);
    });
  }

  #leg(leg: number, visitor: number): LegBook {
    const known = this.#legs.get(leg);
    if (known) return known;
    const book: LegBook = { visitor, order: this.#legs.size, next: 0, missing: new Map(), origin: undefined, ended: undefined };
    this.#legs.set(leg, book);
    return book;
  }
}
