// Limpet's Worker, whose objects can be made to die as by a deploy: `POST /abort/<binding>/<name>`. For tests of what is left after it, and of
// what lies in the storage of a carrier: `GET /stored/CARRIER/<name>`.

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

  /** Every row of what is parked, and all that it says as text. */
  stored(): { rows: number; text: string } {
    const { sql } = this.ctx.storage;
    const rows = ["parked_sessions", "parked_connections"].flatMap((table) => [...sql.exec(`SELECT * FROM ${table}`)]);
    const textOf = (value: unknown): string => (value instanceof ArrayBuffer ? new TextDecoder("latin1").decode(value) : String(value));
    return { rows: rows.length, text: rows.flatMap((row) => Object.values(row).map(textOf)).join("\n") };
  }
}

type Env = Parameters<typeof limpet.fetch>[1];

export default {
  async fetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
    const [, order, binding, name = ""] = new URL(request.url).pathname.split("/");
    if (order === "stored") {
      const carriers = env.CARRIER as unknown as DurableObjectNamespace<CarrierObject>;
      return Response.json(await carriers.get(carriers.idFromName(decodeURIComponent(name))).stored());
    }
    if (order !== "abort") return limpet.fetch(request, env, ctx);
    const objects = (binding === "RING" ? env.RING : env.CARRIER) as unknown as DurableObjectNamespace<RingObject | CarrierObject>;
    await objects
      .get(objects.idFromName(decodeURIComponent(name)))
      .abortNow()
      .catch(() => undefined); // it died in the middle of the call
    return new Response("dead");
  },
};
