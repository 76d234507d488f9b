// Runs a piece of work again and again: every second, faster for a while after an action, not at all while nobody looks.

const EVERY_MS = 1_000;
const HURRIED_EVERY_MS = 150;
const HURRIED_FOR_MS = 6_000;

export class Poll {
  readonly #work: () => Promise<void>;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isRunning = false;
  #hurriedUntilMs = 0;

  /** `work` shows its own failures; it must not reject. */
  constructor(work: () => Promise<void>) {
    this.#work = work;
    document.addEventListener("visibilitychange", () => this.#now());
  }

  start(): void {
    this.#now();
  }

  /** Something is about to change: look closely. */
  hurry(): void {
    this.#hurriedUntilMs = performance.now() + HURRIED_FOR_MS;
    this.#now();
  }

  #now(): void {
    clearTimeout(this.#timer);
    if (document.hidden || this.#isRunning) return;
    void this.#turn();
  }

  async #turn(): Promise<void> {
    this.#isRunning = true;
    try {
      await this.#work();
    } finally {
      this.#isRunning = false;
      const everyMs = performance.now() < this.#hurriedUntilMs ? HURRIED_EVERY_MS : EVERY_MS;
      this.#timer = setTimeout(() => this.#now(), everyMs);
    }
  }
}
