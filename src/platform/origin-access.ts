// What requests to origins that are not open to the world need: headers, a binding, a signature. Worked out once, when the settings are
// read. A pool that asks for none of it is not in the result, and its requests pay nothing.

import { originHeaderFault } from "../core/config-texts.ts";
import type { Config, HeaderText, Origin, OriginHeaders, Pool } from "../core/config-types.ts";
import { requestSigner, type RequestSigner } from "./sign-request.ts";

export interface OriginAccess {
  /** Names in lower case, with the values that are sent. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** The name in the environment of what requests go through. */
  readonly binding: string | undefined;
  readonly sign: RequestSigner | undefined;
}

export interface PoolAccess {
  readonly byOrigin: ReadonlyMap<string, OriginAccess>;
  /** Of an origin that a ring still knows and this configuration does not, or not yet. */
  readonly others: OriginAccess;
}

type Secrets = ReadonlyMap<string, string>;

/** As much as a hash of SHA-256 has: RFC 2104 §3 discourages less. */
const SIGNATURE_KEY_BYTES = 32;

/** What is wrong with the secrets and bindings that the configuration names, a sentence each; no sentence repeats a secret. */
export function accessFaults({ pools }: Config, secrets: Secrets, bindingOf: (name: string) => unknown, dev: boolean): string[] {
  const faults = Object.values(pools).flatMap((pool) => [
    ...[pool, ...pool.origins].flatMap(({ headers }) => headerFaults(headers, secrets)),
    ...(pool.signature ? keyFaults(pool.signature.secret, secrets) : []),
    ...pool.origins.flatMap((origin) => bindingFaults(origin, bindingOf, dev)),
  ]);
  return [...new Set(faults)];
}

/** By pool. */
export function accessOf({ pools }: Config, secrets: Secrets): ReadonlyMap<string, PoolAccess> {
  return new Map(
    Object.values(pools).flatMap((pool) => {
      const { origins, headers, signature } = pool;
      const needed = [headers, signature, ...origins.flatMap((origin) => [origin.headers, origin.binding])].some((each) => each !== undefined);
      return needed ? [[pool.id, accessToPool(pool, secrets)] as const] : [];
    }),
  );
}

function accessToPool({ headers, signature, origins }: Pool, secrets: Secrets): PoolAccess {
  const key = signature && signatureKeys(signature.secret, secrets)[0];
  const sign = signature && key && requestSigner(key, signature.keyId);
  const access = (own: OriginHeaders | undefined, binding: string | undefined): OriginAccess => ({
    headers: Object.entries({ ...headers, ...own }).map(([name, text]) => [name, valueOf(text, secrets)] as const),
    binding,
    sign,
  });
  return {
    byOrigin: new Map(origins.map((origin) => [origin.id, access(origin.headers, origin.binding)])),
    others: access(undefined, undefined),
  };
}

function headerFaults(headers: OriginHeaders | undefined, secrets: Secrets): string[] {
  return Object.values(headers ?? {}).flatMap((text) => {
    if (typeof text === "string" || originHeaderFault(valueOf(text, secrets)) === undefined) return [];
    return [`${text.secret} cannot be sent as a header: it needs printable ASCII without blanks or line breaks at its ends.`];
  });
}

function keyFaults(name: string, secrets: Secrets): string[] {
  const keys = signatureKeys(name, secrets);
  if (keys.length === 0) return [`${name} is empty: signatures need a key, like the output of \`openssl rand -hex 32\`.`];
  return keys
    .filter((key) => key.length < SIGNATURE_KEY_BYTES)
    .map((key) => `A key of ${name} has ${key.length} bytes; a signature's needs at least ${SIGNATURE_KEY_BYTES}.`);
}

function bindingFaults({ id, binding }: Origin, bindingOf: (name: string) => unknown, dev: boolean): string[] {
  const bound = binding === undefined ? undefined : bindingOf(binding);
  if (binding === undefined || isFetcher(bound) || (bound === undefined && dev)) return [];
  return bound === undefined
    ? [`${binding}, the binding of origin ${id}, is not there: add it to wrangler.toml (services, vpc_services or mtls_certificates).`]
    : [`${binding}, the binding of origin ${id}, is nothing that requests can go through: bind a service, a VPC service or an mTLS certificate.`];
}

export function isFetcher(bound: unknown): bound is Fetcher {
  return typeof bound === "object" && bound !== null && "fetch" in bound && typeof bound.fetch === "function";
}

function valueOf(text: HeaderText, secrets: Secrets): string {
  return typeof text === "string" ? text : (secrets.get(text.secret) ?? "");
}

/** Comma-separated: the first signs, and the origins know the others too, so that keys can be changed. */
function signatureKeys(name: string, secrets: Secrets): Uint8Array[] {
  const texts = (secrets.get(name) ?? "").split(",").map((text) => text.trim());
  return texts.filter((text) => text !== "").map((text) => new TextEncoder().encode(text));
}
