// The store that all origins share: it takes frames, refuses a fence lower than the session's highest, and remembers who wrote when. Pure.
// NGINX and HAProxy give no fence: what comes without one is taken, as any store must that has nothing to go by.

import { sessionOf } from "./names.ts";

export interface Writer {
  readonly origin: string;
  readonly leg: number;
  readonly fence: number | undefined;
}

/** A time in which one origin wrote for a session: by one placement where there are fences, by one leg where there are none. */
interface Tenure {
  readonly origin: string;
  readonly firstAtMs: number;
  lastAtMs: number;
}

interface Place {
  readonly origin: string;
  readonly atMs: number;
}

export class Store {
  readonly #fences = new Map<number, number>();
  readonly #tenures = new Map<number, Map<string, Tenure>>();
  readonly #places = new Map<number, Place>();
  #refusedCount = 0;

  /** Frames that came with a fence of the past. */
  get refusedCount(): number {
    return this.#refusedCount;
  }

  /** An origin begins to serve a visitor: whoever has an older fence is late from now on. */
  claim(visitor: number, fence: number | undefined): void {
    if (fence !== undefined) this.#fences.set(sessionOf(visitor), Math.max(fence, this.#fences.get(sessionOf(visitor)) ?? 0));
  }

  /** `false`: refused. */
  take(visitor: number, { origin, leg, fence }: Writer, atMs: number): boolean {
    const session = sessionOf(visitor);
    if (fence !== undefined && fence < (this.#fences.get(session) ?? 0)) {
      this.#refusedCount++;
      return false;
    }
    this.claim(visitor, fence);
    this.#places.set(visitor, { origin, atMs });
    const tenures = this.#tenures.get(session) ?? new Map<string, Tenure>();
    this.#tenures.set(session, tenures);
    const by = `${origin} ${fence ?? leg}`; // the same fence at two origins is two tenures: exactly that must never be
    const tenure = tenures.get(by);
    if (tenure) tenure.lastAtMs = atMs;
    else tenures.set(by, { origin, firstAtMs: atMs, lastAtMs: atMs });
    return true;
  }

  /** Who last wrote for a visitor, and when. */
  placeOf(visitor: number): Place | undefined {
    return this.#places.get(visitor);
  }

  /** Sessions for which two origins wrote in times that overlap, since a moment. */
  splitSessions(sinceMs: number): number[] {
    return [...this.#tenures].flatMap(([session, tenures]) => (isSplit([...tenures.values()], sinceMs) ? [session] : []));
  }
}

function isSplit(tenures: readonly Tenure[], sinceMs: number): boolean {
  return tenures.some((one, index) =>
    tenures.slice(index + 1).some((other) => {
      const endMs = Math.min(one.lastAtMs, other.lastAtMs);
      return one.origin !== other.origin && endMs >= sinceMs && Math.max(one.firstAtMs, other.firstAtMs) < endMs;
    }),
  );
}
