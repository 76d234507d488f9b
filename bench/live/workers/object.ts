// The least relay that a Durable Object can be: two accepted sockets, two listeners. It does not even pass on a close, bounds nothing and
// remembers nothing.

import { DurableObject } from "cloudflare:workers";
import { dial, relayOf } from "./dial.ts";

interface Env {
  readonly RELAY: DurableObjectNamespace<Relay>;
}

export class Relay extends DurableObject<Env> {
  override async fetch(request: Request): Promise<Response> {
    const origin = await dial(request);
    const { 0: answered, 1: visitor } = new WebSocketPair();
    visitor.binaryType = "arraybuffer";
    origin.addEventListener("message", ({ data }) => visitor.send(data as ArrayBuffer)); // binaryType rules blobs out
    visitor.addEventListener("message", ({ data }) => origin.send(data as ArrayBuffer));
    origin.accept({ allowHalfOpen: true });
    visitor.accept({ allowHalfOpen: true });
    return new Response(null, { status: 101, webSocket: answered });
  }
}

export default {
  fetch(request, env): Promise<Response> {
    return relayOf(env.RELAY, request).fetch(request);
  },
} satisfies ExportedHandler<Env>;
