// Who hears visitors' sockets that were accepted for hibernation, while their sessions are awake: by the socket itself, whose badge would have to be
// read for every frame, and by the socket's id, which outlives them.

import type { Connection, VisitorEvents } from "./connection.ts";

interface Hearer {
  readonly socket: WebSocket;
  readonly visitor: VisitorEvents;
}

export class Hearers {
  readonly #byId = new Map<string, Hearer>();
  readonly #bySocket = new Map<WebSocket, VisitorEvents>();
  readonly #ids = new Map<VisitorEvents | Connection, string>();

  hear(socket: WebSocket, id: string, visitor: VisitorEvents): void {
    this.#byId.set(id, { socket, visitor });
    this.#bySocket.set(socket, visitor);
    this.#ids.set(visitor, id);
  }

  /** From now on nobody does. */
  unhear(id: string): Hearer | undefined {
    const hearer = this.#byId.get(id);
    if (!hearer) return undefined;
    this.#byId.delete(id);
    this.#bySocket.delete(hearer.socket);
    this.#ids.delete(hearer.visitor);
    return hearer;
  }

  of(socket: WebSocket): VisitorEvents | undefined {
    return this.#bySocket.get(socket);
  }

  at(id: string): VisitorEvents | undefined {
    return this.#byId.get(id)?.visitor;
  }

  idOf(hearer: Connection): string | undefined {
    return this.#ids.get(hearer);
  }
}
