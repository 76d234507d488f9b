// The one way to an origin, for plain requests, live connections and health checks: its headers, its signature, its binding.

import { bindingOf, type Env, type Settings } from "./env.ts";
import { isFetcher } from "./origin-access.ts";

/** Sends a request to an origin of one pool. The request's headers may be changed by it. */
export type OriginFetch = (originId: string, request: Request) => Promise<Response>;

const openly: OriginFetch = (_, request) => fetch(request);

export function originFetch(env: Env, { access }: Settings, poolId: string): OriginFetch {
  const pool = access.get(poolId);
  if (!pool) return openly;
  return async (originId, request) => {
    const { headers, binding, sign } = pool.byOrigin.get(originId) ?? pool.others;
    for (const [name, value] of headers) request.headers.set(name, value);
    await sign?.(request);
    const bound = binding === undefined ? undefined : bindingOf(env, binding);
    return isFetcher(bound) ? bound.fetch(request) : fetch(request); // in dev a binding may be absent
  };
}
