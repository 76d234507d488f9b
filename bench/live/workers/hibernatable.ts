// A relay whose visitor's leg the runtime holds (hibernatable). The origin's cannot be: it is an accepted socket, as everywhere.

import { DurableObject } from "cloudflare:workers";
import { dial, relayOf } from "./dial.ts";

interface Env {
  readonly RELAY: DurableObjectNamespace<Relay>;
}

export class Relay extends DurableObject<Env> {
  readonly #origins = new Map<WebSocket, WebSocket>();

  override async fetch(request: Request): Promise<Response> {
    const origin = await dial(request);
    const { 0: answered, 1: visitor } = new WebSocketPair();
    this.#origins.set(visitor, origin);
    origin.addEventListener("message", ({ data }) => visitor.send(data as ArrayBuffer)); // binaryType rules blobs out
    origin.accept({ allowHalfOpen: true });
    this.ctx.acceptWebSocket(visitor);
    return new Response(null, { status: 101, webSocket: answered });
  }

  override webSocketMessage(visitor: WebSocket, message: ArrayBuffer | string): void {
    this.#origins.get(visitor)?.send(message);
  }

  override webSocketClose(visitor: WebSocket): void {
    this.#origins.get(visitor)?.close();
    this.#origins.delete(visitor);
  }
}

export default {
  fetch(request, env): Promise<Response> {
    return relayOf(env.RELAY, request).fetch(request);
  },
} satisfies ExportedHandler<Env>;
