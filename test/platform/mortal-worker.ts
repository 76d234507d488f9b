// Limpet's Worker, whose objects can be made to die as by a deploy: at once (`POST /abort/<binding>/<name>`), or when somebody next calls a method
// of one of them, before it is carried out or after that and before the answer: that object or another
// (`POST /doom/<binding>/<name>/<method>/<before|after>/<binding>/<name>`). For tests of what is left after it, of one that hangs for a while
// (`POST /hang/CARRIER/<name>/<ms>`) or is out of reach, and of what lies in the storage of a carrier: `GET /stored/CARRIER/<name>`.

import limpetConfig from "../../limpet.config.ts";
import { createLimpet } from "../../src/http/create-limpet.ts";

const limpet = createLimpet(limpetConfig);
type Env = Parameters<typeof limpet.fetch>[1];
type When = "before" | "after";

interface Doom {
  readonly method: string;
  readonly when: When;
  /** The object that dies. */
  readonly binding: string;
  readonly name: string;
}

/** What the next call of a method brings; forgotten by an object that dies meanwhile. */
const dooms = new WeakMap<object, Doom>();
/** Objects that cannot be reached, by name: what is asked of them fails, or is answered after a minute (`POST /mute/<name>/<throw|hang|no>`). */
const mute = new Map<string, "throw" | "hang">();

/** Who has died so, as `GET /struck` tells: objects and Worker are one isolate here. */
const struck: string[] = [];

export class RingObject extends limpet.RingObject {
  abortNow(): void {
    this.ctx.abort("a test's word");
  }

  doom(doom: Doom): void {
    dooms.set(this, doom);
  }
}

/** As long as it is so, KV takes no writes of the control object: `POST /kv/<fails|works>`. */
let kvFails = false;

export class ControlObject extends limpet.ControlObject {
  constructor(ctx: DurableObjectState, env: Env) {
    const put = async (...written: Parameters<KVNamespace["put"]>): Promise<void> => {
      if (kvFails) throw new Error("KV is down");
      await env.AFFINITY.put(...written);
    };
    super(ctx, { ...env, AFFINITY: { put } as KVNamespace });
  }

  abortNow(): void {
    this.ctx.abort("a test's word");
  }

  doom(doom: Doom): void {
    dooms.set(this, doom);
  }
}

export class CarrierObject extends limpet.CarrierObject {
  readonly #bornAtMs = Date.now();

  abortNow(): void {
    this.ctx.abort("a test's word");
  }

  doom(doom: Doom): void {
    dooms.set(this, doom);
  }

  /** It answers nobody for so long. */
  hang(forMs: number): void {
    void this.ctx.blockConcurrencyWhile(() => new Promise((resolve) => setTimeout(resolve, forMs)));
  }

  /** Every row of what is parked, and all that it says as text; when this life began. */
  stored(): { rows: number; text: string; bornAtMs: number } {
    const { sql } = this.ctx.storage;
    const rows = ["parked_sessions", "parked_connections"].flatMap((table) => [...sql.exec(`SELECT * FROM ${table}`)]);
    const textOf = (value: unknown): string => (value instanceof ArrayBuffer ? new TextDecoder("latin1").decode(value) : String(value));
    return { rows: rows.length, text: rows.flatMap((row) => Object.values(row).map(textOf)).join("\n"), bornAtMs: this.#bornAtMs };
  }
}

for (const { prototype } of [RingObject, CarrierObject, ControlObject]) {
  for (const method of methodsOf(Object.getPrototypeOf(prototype) as object)) {
    const own = Reflect.get(prototype, method) as (...values: unknown[]) => unknown;
    Reflect.set(prototype, method, async function (this: RingObject | CarrierObject | ControlObject, ...values: unknown[]) {
      const { env, ctx } = this as unknown as { readonly env: Env; readonly ctx: DurableObjectState };
      const muted = mute.get(ctx.id.name ?? "");
      if (muted === "hang") await new Promise((resolve) => setTimeout(resolve, 60_000));
      if (muted !== undefined) throw new Error("a test's word: out of reach");
      const doom = dooms.get(this);
      const strike = async (when: When): Promise<void> => {
        if (doom?.method !== method || doom.when !== when || !dooms.delete(this)) return;
        struck.push(`${doom.name}: ${when} ${method}`);
        await kill(env, doom.binding, doom.name);
      };
      await strike("before");
      const answer = await Reflect.apply(own, this, values);
      await strike("after");
      return answer;
    });
  }
}

/** Of an object's class and those above it, but for the platform's own. */
function methodsOf(prototype: object): string[] {
  if (!Object.hasOwn(Object.getPrototypeOf(prototype) as object, "constructor")) return [];
  if (Object.getPrototypeOf(Object.getPrototypeOf(prototype)) === null) return [];
  const own = Object.getOwnPropertyNames(prototype).filter((name) => name !== "constructor" && !name.startsWith("webSocket")); // frames keep their order
  return [...own, ...methodsOf(Object.getPrototypeOf(prototype) as object)];
}

async function kill(env: Env, binding: string, name: string): Promise<void> {
  await objectOf(env, binding, name)
    .abortNow()
    .catch(() => undefined); // it died in the middle of the call
}

function objectOf(env: Env, binding: string, name: string): DurableObjectStub<RingObject | CarrierObject | ControlObject> {
  const objects = Reflect.get(env, binding) as DurableObjectNamespace<RingObject | CarrierObject | ControlObject>;
  return objects.get(objects.idFromName(name));
}

export default {
  async fetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
    const [, order, ...words] = new URL(request.url).pathname.split("/").map(decodeURIComponent);
    const [binding = "", name = "", method = "", when = "before", ofBinding = "", ofName = ""] = words;
    if (order === "stored") return Response.json(await (objectOf(env, binding, name) as unknown as DurableObjectStub<CarrierObject>).stored());
    if (order === "kv") kvFails = binding === "fails";
    else if (order === "abort") await kill(env, binding, name);
    else if (order === "doom") await objectOf(env, binding, name).doom({ method, when: when as When, binding: ofBinding, name: ofName });
    else if (order === "hang") await (objectOf(env, binding, name) as unknown as DurableObjectStub<CarrierObject>).hang(Number(method));
    else if (order === "mute") {
      if (name === "throw" || name === "hang") mute.set(binding, name);
      else mute.delete(binding);
    } else if (order === "struck") return Response.json(struck);
    else return limpet.fetch(request, env, ctx);
    return new Response("done");
  },
};
