// A small state per session, in the memory of one origin: whoever comes to another origin finds another count. That is the point.

/** Kept at most; the one not used for longest goes first. */
const SESSIONS_MAX = 10_000;

export class Counters {
  readonly #counts = new Map<string, number>();

  read(session: string): number {
    return this.#counts.get(session) ?? 0;
  }

  increment(session: string): number {
    const count = this.read(session) + 1;
    this.#counts.delete(session);
    this.#counts.set(session, count);
    if (this.#counts.size > SESSIONS_MAX) this.#dropOldest();
    return count;
  }

  #dropOldest(): void {
    for (const oldest of this.#counts.keys()) {
      this.#counts.delete(oldest);
      return;
    }
  }
}
