// The ring object's orders to leave a place, known here or not: whoever waits for something goes on only where none has come meanwhile.

import type { Placement } from "../core/protocol.ts";

export class LeaveOrders {
  /** How many have come. */
  count = 0;
  /** Of the newest placement that was to be left. */
  #fence = 0;

  came(fence: number): void {
    this.count++;
    this.#fence = Math.max(this.#fence, fence);
  }

  /** Whether that place was to be left, by an order that came after so many. */
  isLeft({ fence }: Placement, count: number): boolean {
    return this.count > count && fence <= this.#fence;
  }
}
