// What a carrier counts for its ring: connections that got a new leg, by how long they had none; frames held back; connections refused.

import { GAP_BOUNDS_MS, type Tally } from "../core/protocol.ts";

export class CarrierTally {
  readonly #gaps = Array.from({ length: GAP_BOUNDS_MS.length + 1 }, () => 0);
  #heldFrames = 0;
  #refused = 0;

  resumed(heldMs: number, heldFrames: number): void {
    const bucket = GAP_BOUNDS_MS.findIndex((boundMs) => heldMs <= boundMs);
    const index = bucket < 0 ? GAP_BOUNDS_MS.length : bucket;
    this.#gaps[index] = (this.#gaps[index] ?? 0) + 1;
    this.#heldFrames += heldFrames;
  }

  refused(): void {
    this.#refused++;
  }

  read(): Tally {
    return { gaps: [...this.#gaps], heldFrames: this.#heldFrames, refused: this.#refused };
  }
}
