// A bound on the bytes that are held back: of one session, within that of its carrier.

import type { Budget } from "./connection.ts";

/** `within`: what is taken is taken of that too. */
export function budgetOf(maxBytes: number, within?: Budget): Budget {
  let held = 0;
  return {
    add(bytes) {
      if (held + bytes > maxBytes || within?.add(bytes) === false) return false;
      held += bytes;
      return true;
    },
    remove(bytes) {
      held -= bytes;
      within?.remove(bytes);
    },
  };
}
