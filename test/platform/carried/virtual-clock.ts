// Time for tests of what runs on the platform: the globals' timers and `Date.now`, advanced by hand. Its own, not vitest's: that gives the
// real loop a turn of a millisecond for each timer, and a property test has millions. What is still to come can be counted.

interface Timer {
  readonly run: () => void;
  readonly everyMs: number | undefined;
  atMs: number;
}

/** Not far from the real time: what the test's own runner has measured before and measures after must still make sense. */
const START_MS = Date.now();

export class VirtualClock {
  nowMs = START_MS;
  readonly #timers = new Map<number, Timer>();
  #lastId = 0;

  /** From here on the globals are this clock's; the returned function gives them back. */
  install(): () => void {
    const { setTimeout, clearTimeout, setInterval, clearInterval } = globalThis;
    const { now } = Date;
    const clear = (id: number | undefined): void => void this.#timers.delete(id ?? 0);
    Object.assign(globalThis, {
      setTimeout: (run: () => void, ms = 0) => this.#add(run, ms, undefined),
      setInterval: (run: () => void, ms = 0) => this.#add(run, ms, ms),
      clearTimeout: clear,
      clearInterval: clear,
    });
    Date.now = () => this.nowMs;
    return () => {
      Object.assign(globalThis, { setTimeout, clearTimeout, setInterval, clearInterval });
      Date.now = now;
    };
  }

  /** Everything that is due within this time happens, in its order, and all that follows from it. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.nowMs + ms;
    await settled();
    for (let next = this.#next(untilMs); next; next = this.#next(untilMs)) {
      const [id, timer] = next;
      this.nowMs = Math.max(this.nowMs, timer.atMs);
      if (timer.everyMs === undefined) this.#timers.delete(id);
      else timer.atMs = this.nowMs + Math.max(1, timer.everyMs);
      timer.run();
      await settled();
    }
    this.nowMs = untilMs;
  }

  get pendingCount(): number {
    return this.#timers.size;
  }

  #add(run: () => void, ms: number, everyMs: number | undefined): number {
    this.#timers.set(++this.#lastId, { run, everyMs, atMs: this.nowMs + Math.max(0, Math.trunc(ms)) }); // whole milliseconds, as in workerd
    return this.#lastId;
  }

  #next(untilMs: number): [id: number, timer: Timer] | undefined {
    let first: [number, Timer] | undefined;
    for (const each of this.#timers) if (each[1].atMs <= untilMs && (!first || each[1].atMs < first[1].atMs)) first = each;
    return first;
  }
}

/** All promises that can go on without time have. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
