// Which events of a stream its visitor has: the newest id, after which the next origin is asked to go on (WHATWG HTML §9.2.6), and the latest ids,
// by which events are known that this origin says again. Only the beginning of a leg is compared, up to its first event that is new: what comes
// again later is the application's own doing.

import { EVENT_ID_MAX_BYTES } from "./event-blocks.ts";

/** Ids that are remembered; past either bound the oldest are forgotten. A character counts as two bytes. */
export const IDS_MAX = 1_000;
export const IDS_MAX_BYTES = 64 * 1024;

export class DeliveredIds {
  /** `undefined`: none is known. Empty: the stream has taken it back. */
  #newest: string | undefined;
  #bearable: boolean;
  /** Each with the number of the leg that said it last. */
  readonly #legs = new Map<string, number>();
  #bytes = 0;
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
    const saidBy = id === undefined ? undefined : this.#legs.get(id);
    if (id !== undefined && saidBy !== undefined && saidBy !== this.#leg && this.#resumed) {
      this.#legs.set(id, this.#leg);
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
    if (this.#legs.delete(id)) this.#bytes -= bytesOf(id);
    this.#legs.set(id, this.#leg);
    this.#bytes += bytesOf(id);
    for (const old of this.#legs.keys()) {
      if (this.#legs.size <= IDS_MAX && this.#bytes <= IDS_MAX_BYTES) break;
      this.#legs.delete(old);
      this.#bytes -= bytesOf(old);
    }
  }

  #forgetAll(): void {
    this.#legs.clear();
    this.#bytes = 0;
  }
}

const bytesOf = (id: string): number => 2 * id.length;

function fits(id: string): boolean {
  return new TextEncoder().encode(id).byteLength <= EVENT_ID_MAX_BYTES;
}
