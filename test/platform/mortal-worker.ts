// Limpet's Worker, whose objects can be made to die as by a deploy: `POST /abort/<binding>/<name>`. For tests of what is left after it.

import limpetConfig from "../../limpet.config.ts";
import { createLimpet } from "../../src/http/create-limpet.ts";

const limpet = createLimpet(limpetConfig);

export class RingObject extends limpet.RingObject {
  abortNow(): void {
    this.ctx.abort("a test's word");
  }
}

export class CarrierObject extends limpet.CarrierObject {
  abortNow(): void {
    this.ctx.abort("a test's word");
  }
}

type Env = Parameters<typeof limpet.fetch>[1];

export default {
  async fetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
    const [, order, binding, name = ""] = new URL(request.url).pathname.split("/");
    if (order !== "abort") return limpet.fetch(request, env, ctx);
    const objects = (binding === "RING" ? env.RING : env.CARRIER) as unknown as DurableObjectNamespace<RingObject | CarrierObject>;
    await objects
      .get(objects.idFromName(decodeURIComponent(name)))
      .abortNow()
      .catch(() => undefined); // it died in the middle of the call
    return new Response("dead");
  },
};
