// After a move the connections of a session go on together: whoever has a new leg waits until the others have theirs, because those who are
// not there yet would never hear what the first have sent. Bounded: one that hangs holds nobody for long.

import type { Connection } from "./connection.ts";
import { GATHER_READY_MS } from "./limits.ts";

export class Regrouping {
  readonly #old: () => Iterable<Connection>;
  /** Those that have a new leg, and wait. */
  readonly #ready = new Set<Connection>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `old` gives the session's connections, without those that have had no leg yet: nobody waits for a newcomer. */
  constructor(old: () => Iterable<Connection>) {
    this.#old = old;
  }

  /** A new leg's origin is ready for what its visitor has said. */
  ready(connection: Connection): void {
    this.#ready.add(connection);
    this.#timer ??= setTimeout(() => this.#flow(), GATHER_READY_MS);
    this.#flowIfAll();
  }

  /** It is over, or looks for a leg again. */
  without(connection: Connection): void {
    this.#ready.delete(connection);
    if (this.#ready.size === 0) this.restart();
    else this.#flowIfAll();
  }

  /** Everyone leaves once more. */
  restart(): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#ready.clear();
  }

  #flowIfAll(): void {
    for (const connection of this.#old()) if (!connection.flowing && !this.#ready.has(connection)) return;
    this.#flow();
  }

  #flow(): void {
    const ready = [...this.#ready];
    this.restart();
    for (const connection of ready) connection.flow();
  }
}
