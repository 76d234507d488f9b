// Limpet's Worker, whose ring objects keep count of what their carriers call: `GET /calls/<name of the ring object>`.

import limpetConfig from "../../limpet.config.ts";
import { createLimpet } from "../../src/http/create-limpet.ts";

const limpet = createLimpet(limpetConfig);

export interface Call {
  readonly what: "place" | "ended" | "report";
  readonly atMs: number;
  readonly count: number;
}

export class RingObject extends limpet.RingObject {
  readonly #calls: Call[] = [];

  override place(...[envelope, items]: Parameters<InstanceType<typeof limpet.RingObject>["place"]>) {
    this.#note("place", items.length);
    return super.place(envelope, items);
  }

  override ended(...[envelope, items, accepted]: Parameters<InstanceType<typeof limpet.RingObject>["ended"]>) {
    this.#note("ended", items.length);
    return super.ended(envelope, items, accepted);
  }

  override report(...[envelope, connections, tally]: Parameters<InstanceType<typeof limpet.RingObject>["report"]>) {
    this.#note("report", 1);
    return super.report(envelope, connections, tally);
  }

  calls(): readonly Call[] {
    return this.#calls;
  }

  #note(what: Call["what"], count: number): void {
    this.#calls.push({ what, atMs: Date.now(), count });
  }
}

export const { CarrierObject, ControlObject } = limpet;

type Env = Parameters<typeof limpet.fetch>[1];

export default {
  async fetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
    const [, order, name = ""] = new URL(request.url).pathname.split("/");
    if (order !== "calls") return limpet.fetch(request, env, ctx);
    const rings = env.RING as unknown as DurableObjectNamespace<RingObject>;
    return Response.json(await rings.get(rings.idFromName(decodeURIComponent(name))).calls());
  },
};
