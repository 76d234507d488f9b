// Shared documents over the y-websocket protocol, by the published @y/websocket-server. This file only looks after the sockets:
// a broken or hostile one ends alone, and documents that nobody has open any more cannot grow without bound.

import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { docs, setupWSConnection } from "@y/websocket-server/utils";
import { WebSocketServer } from "ws";

/** The largest message taken; a bigger one closes that socket with 1009. A document's whole text must fit. */
const MESSAGE_MAX_BYTES = 16 * 1024 * 1024;

/** Documents kept in memory; past it those that nobody has open are forgotten, oldest first. */
const DOCUMENTS_MAX = 1_000;

/** The visitor should come back: this origin is leaving (RFC 6455 registry: Service Restart). */
const SERVICE_RESTART = 1012;

export class Documents {
  readonly #sockets = new WebSocketServer({ noServer: true, maxPayload: MESSAGE_MAX_BYTES, perMessageDeflate: false });

  open(name: string, request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#sockets.handleUpgrade(request, socket, head, (connection) => {
      // Broken frames end this connection only; `ws` closes it with the fitting code by itself.
      connection.on("error", () => connection.terminate());
      setupWSConnection(connection, request, { docName: name, gc: true });
      forgetUnused();
    });
  }

  /** Asks everybody to come back elsewhere; what has not closed by itself is cut with `cutAll`. */
  closeAll(): void {
    for (const connection of this.#sockets.clients) connection.close(SERVICE_RESTART, "origin is leaving: please reconnect");
  }

  cutAll(): void {
    for (const connection of this.#sockets.clients) connection.terminate();
  }
}

function forgetUnused(): void {
  for (const [name, document] of docs) {
    if (docs.size <= DOCUMENTS_MAX) return;
    if (document.conns.size > 0) continue;
    docs.delete(name);
    document.destroy();
  }
}
