// The one way to an origin, for plain requests, live connections and health checks: its headers, its signature, its binding.

import type { HeaderRecord } from "../core/headers.ts";
import { bindingOf, type Env, type Settings } from "./env.ts";
import { isFetcher } from "./origin-access.ts";

/** Sends a request to an origin of one pool. */
export type OriginFetch = (originId: string, url: string, init: OriginRequestInit) => Promise<Response>;

export type OriginRequestInit = Pick<RequestInit<RequestInitCfProperties>, "method" | "body" | "redirect" | "cache" | "signal"> & {
  readonly headers: Headers | HeaderRecord;
};

/** Each request goes by the settings of its moment. */
export function originFetch(env: Env, settings: Pick<Settings, "access">, poolId: string): OriginFetch {
  return async (originId, url, init) => {
    const pool = settings.access.get(poolId);
    if (!pool) return fetch(url, init);
    const request = new Request(url, init);
    const { headers, binding, sign } = pool.byOrigin.get(originId) ?? pool.others;
    for (const [name, value] of headers) request.headers.set(name, value);
    await sign?.(request);
    const bound = binding === undefined ? undefined : bindingOf(env, binding);
    return isFetcher(bound) ? bound.fetch(request) : fetch(request); // in dev a binding may be absent
  };
}
