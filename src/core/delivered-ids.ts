// Which events of a stream its visitor has: the newest id, after which the next origin is asked to go on (WHATWG HTML §9.2.6), and the latest ids,
// by which events are known that this origin says again. Only the beginning of a leg is compared, up to its first event that is new: what comes
// again later is the application's own doing.

import { EVENT_ID_MAX_BYTES } from "./event-blocks.ts";

/** Ids that are remembered, at most; the latest half of either bound always is. A character counts as two bytes. */
export const IDS_MAX = 1_000;
export const IDS_MAX_BYTES = 64 * 1024;

export class DeliveredIds {
  /** `undefined`: none is known. Empty: the stream has taken it back. */
  #newest: string | undefined;
  #bearable: boolean;
  /** Each with the number of the leg that said it last: those since the last turn, and those of the turn before, which are forgotten at the next. */
  #latest = new Map<string, number>();
  #earlier = new Map<string, number>();
  #latestBytes = 0;
  #leg = 0;
  /** This leg has said nothing yet that is new. */
  #resumed = false;
  /** `false` once a leg has said an id twice: then it tells no event from another. */
  #telling = true;

  /** `asked`: what the visitor itself wants to go on after. */
  constructor(asked: string | undefined) {
    this.#newest = asked;
    this.#bearable = asked === undefined || fits(asked);
  }

  /** `undefined`: the next leg begins where its origin thinks best. */
  get newest(): string | undefined {
    return this.#newest === "" ? undefined : this.#newest;
  }

  /** `false`: the newest id is too long to go on after. */
  get bearable(): boolean {
    return this.#bearable;
  }

  legBegan(): void {
    this.#leg++;
    this.#resumed = true;
  }

  /** A block with this id has come; `undefined`: one that is too long. `false`: an older leg has delivered it. */
  take(id: string | undefined): boolean {
    const saidBy = id === undefined ? undefined : (this.#latest.get(id) ?? this.#earlier.get(id));
    if (id !== undefined && saidBy !== undefined && saidBy !== this.#leg && this.#resumed) {
      (this.#latest.has(id) ? this.#latest : this.#earlier).set(id, this.#leg);
      return false;
    }
    this.#newest = id;
    this.#bearable = id !== undefined;
    if (saidBy === this.#leg) this.#telling = false;
    if (!this.#telling || id === "") this.#forgetAll();
    if (id !== undefined && id !== "") {
      this.#resumed = false;
      if (this.#telling) this.#remember(id);
    }
    return true;
  }

  #remember(id: string): void {
    if (!this.#latest.has(id)) {
      if (this.#latest.size >= IDS_MAX / 2 || this.#latestBytes + bytesOf(id) > IDS_MAX_BYTES / 2) {
        this.#earlier = this.#latest;
        this.#latest = new Map();
        this.#latestBytes = 0;
      }
      this.#latestBytes += bytesOf(id);
    }
    this.#latest.set(id, this.#leg);
  }

  #forgetAll(): void {
    this.#latest.clear();
    this.#earlier.clear();
    this.#latestBytes = 0;
  }
}

const bytesOf = (id: string): number => 2 * id.length;

function fits(id: string): boolean {
  return new TextEncoder().encode(id).byteLength <= EVENT_ID_MAX_BYTES;
}
