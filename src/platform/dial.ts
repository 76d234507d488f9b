// Dialling an origin for a live connection: the remembered handshake, the Limpet field of this leg, and a time-out that ends with the
// answer's headers (left in place, it would cut the established socket when it fires: seen on workerd 1.20261117).

import type { HeaderRecord } from "../core/headers.ts";
import { fieldForOrigin, LIMPET_FIELD } from "../core/limpet-field.ts";
import type { Placement } from "../core/protocol.ts";
import { HANDSHAKE_TIMEOUT_MS } from "./limits.ts";
import type { OriginFetch } from "./origin-fetch.ts";

/** What is remembered of a visitor's handshake, so that every later leg opens like the first. */
export interface Handshake {
  /** Path and query, as the visitor sent them. */
  readonly target: string;
  /** A plain record: thousands of handshakes are remembered for as long as their connections live. */
  readonly headers: Readonly<HeaderRecord>;
  /** The session key; absent where nothing names a session. */
  readonly key: string | undefined;
  readonly send: OriginFetch;
}

/** Resolves with the origin's answer once its headers are here; rejects when it cannot be reached or is late. `abort` ends it any time. */
export async function dial(
  handshake: Handshake,
  placement: Placement,
  extra: Readonly<Record<string, string>>,
  abort = new AbortController(),
): Promise<Response> {
  const headers = new Headers(handshake.headers);
  const { origin, region, epoch, fence, reason, replicas, movedFrom } = placement;
  headers.set(LIMPET_FIELD, fieldForOrigin({ session: handshake.key, origin, region, epoch, fence, reason, replicas, movedFrom }));
  for (const [name, value] of Object.entries(extra)) headers.set(name, value);
  const timer = setTimeout(() => abort.abort(new Error("handshake time-out")), HANDSHAKE_TIMEOUT_MS);
  try {
    return await handshake.send(origin, placement.url + handshake.target, { headers, signal: abort.signal, redirect: "manual" });
  } finally {
    clearTimeout(timer);
  }
}

/** What a gateway in front of an origin says for "cannot be reached": no word of the application's. */
export function isGatewayFault(status: number): boolean {
  return status === 502 || status === 504 || (status >= 520 && status <= 530);
}
