// The real Worker, with its bindings counted: nothing but calls of KV and of objects takes the longer way. A second entrypoint tells the
// counts, so that the way that is measured stays as it is.

import limpet from "../../../src/index.ts";
import type { Env } from "../../../src/platform/env.ts";
import type { Counts } from "../counts.ts";

export { CarrierObject, ControlObject, RingObject } from "../../../src/index.ts";

let kvReads = 0;
let objectCalls = 0;
let countedEnv: Env | undefined;

export default {
  async fetch(request, env, ctx): Promise<Response> {
    return limpet.fetch(request, (countedEnv ??= counted(env)), ctx);
  },
} satisfies ExportedHandler<Env>;

export const counts = {
  fetch: (): Response => Response.json({ kvReads, objectCalls } satisfies Counts),
};

function counted(env: Env): Env {
  const callOf = () => objectCalls++;
  return {
    ...env,
    AFFINITY: watched(env.AFFINITY, () => kvReads++),
    RING: watchedNamespace(env.RING, callOf),
    CARRIER: watchedNamespace(env.CARRIER, callOf),
  };
}

function watchedNamespace<Namespace extends object>(namespace: Namespace, onCall: () => void): Namespace {
  return new Proxy(namespace, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== "function") return member;
      return (...args: unknown[]): unknown => {
        const given: unknown = Reflect.apply(member, target, args);
        return name === "get" ? watched(given as object, onCall) : given; // a namespace's `get` gives a stub
      };
    },
  });
}

/** Every call of a method is told; other members are as they were. */
function watched<Target extends object>(target: Target, onCall: () => void): Target {
  return new Proxy(target, {
    get(_, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== "function") return member;
      return (...args: unknown[]): unknown => {
        onCall();
        return Reflect.apply(member, target, args);
      };
    },
  });
}
