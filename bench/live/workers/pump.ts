// The least that a Durable Object can be which carries an event stream in JavaScript: it reads the origin's body and writes it to the visitor's.
// It looks at nothing, bounds nothing and remembers nothing.

import { DurableObject } from "cloudflare:workers";
import { relayOf } from "./dial.ts";

interface Env {
  readonly RELAY: DurableObjectNamespace<Relay>;
}

const ORIGIN = "https://web-1.example.com";

export class Relay extends DurableObject<Env> {
  override async fetch(request: Request): Promise<Response> {
    const response = await fetch(ORIGIN + new URL(request.url).pathname, request);
    if (!response.body) throw new Error("the origin answered without a body");
    const { readable, writable } = new IdentityTransformStream();
    void pump(response.body, writable).catch(() => undefined); // the visitor left, or the origin did
    return new Response(readable, response);
  }
}

async function pump(from: ReadableStream<Uint8Array>, to: WritableStream<Uint8Array>): Promise<void> {
  const [reader, writer] = [from.getReader(), to.getWriter()];
  for (let read = await reader.read(); !read.done; read = await reader.read()) await writer.write(read.value);
  await writer.close();
}

export default {
  fetch(request, env): Promise<Response> {
    return relayOf(env.RELAY, request).fetch(request);
  },
} satisfies ExportedHandler<Env>;
