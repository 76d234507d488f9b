// What a visitor sends while their connection has no leg: kept in order, within bounds of its own and of its carrier's.

import { frameBytes, type Frame } from "../core/profile.ts";
import type { Budget } from "./connection.ts";
import { HELD_BYTES_MAX, HELD_FRAMES_MAX } from "./limits.ts";

export class HeldFrames {
  readonly #budget: Budget;
  #frames: Frame[] = [];
  #bytes = 0;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  get count(): number {
    return this.#frames.length;
  }

  /** `false`: it does not fit, and is not kept. */
  add(frame: Frame): boolean {
    const bytes = frameBytes(frame);
    if (this.#frames.length >= HELD_FRAMES_MAX || this.#bytes + bytes > HELD_BYTES_MAX || !this.#budget.add(bytes)) return false;
    this.#frames.push(frame);
    this.#bytes += bytes;
    return true;
  }

  /** All of them; none is left. */
  take(): readonly Frame[] {
    const frames = this.#frames;
    this.#frames = [];
    this.#budget.remove(this.#bytes);
    this.#bytes = 0;
    return frames;
  }
}
