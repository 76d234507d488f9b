// A router whose every request goes through a Durable Object, which forwards it as worker-bare does.

import { DurableObject } from "cloudflare:workers";
import bare from "./bare.ts";

interface Env {
  readonly FORWARDER: DurableObjectNamespace<Forwarder>;
}

export class Forwarder extends DurableObject<Env> {
  override fetch(request: Request): Promise<Response> {
    return bare.fetch(request);
  }
}

export default {
  fetch(request, env): Promise<Response> {
    return env.FORWARDER.get(env.FORWARDER.idFromName("one")).fetch(request);
  },
} satisfies ExportedHandler<Env>;
