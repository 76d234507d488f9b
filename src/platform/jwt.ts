// Tokens that name a session: verified by jose, with an HMAC key from a Worker secret or with the issuer's public keys. A token that cannot be
// verified names nobody, whatever the reason; what cannot be fetched is the operator's to know.

import { createLocalJWKSet, errors, jwtVerify, type JSONWebKeySet, type JWTPayload, type JWTVerifyOptions } from "jose";
import type { JwtSource } from "../core/config-types.ts";
import { claimAt } from "../core/identity.ts";

/** Bounds of the fetch of public keys. */
const JWKS_TIMEOUT_MS = 2_000;
const JWKS_MAX_BYTES = 262_144;
/** How long public keys are used, and how often they are fetched at most when a token names a key that is not among them (rotation). */
const JWKS_FRESH_MS = 10 * 60_000;
const JWKS_AGAIN_MS = 30_000;
/** How long an address that has failed is left alone. */
const FAILED_MS = 1_000;
/** Keys that a token without a name of one is tried with. */
const KEYS_TRIED = 8;
/** Longer tokens are not looked at. */
const TOKEN_MAX_LENGTH = 8_192;

/** Each only of its own kind, so that a public key is never taken for an HMAC key. */
const HMAC = ["HS256", "HS384", "HS512"];
const SIGNATURES = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"];

interface KeySet {
  readonly keys: ReturnType<typeof createLocalJWKSet>;
  readonly fetchedAtMs: number;
}

/** By address; as many as the configuration names. Results are shared by this isolate's requests, promises never. */
const keySets = new Map<string, KeySet>();
/** Until when an address that has failed is not asked again. */
const failedUntilMs = new Map<string, number>();

/** The issuer's keys are not to be had, so that nothing can be said of a token. */
export class KeysUnavailable extends Error {}

/** The claim that a source asks for, of a token that is valid now; `undefined` for any other. Throws only `KeysUnavailable`. */
export async function verifiedClaim(source: JwtSource, token: string, secrets: ReadonlyMap<string, Uint8Array>): Promise<string | undefined> {
  if (token.length > TOKEN_MAX_LENGTH) return undefined;
  try {
    return claimAt(await payloadOf(source, token, secrets), source);
  } catch (error) {
    if (error instanceof KeysUnavailable) throw error;
    return undefined; // forged, expired, for somebody else, or no token at all
  }
}

async function payloadOf(source: JwtSource, token: string, secrets: ReadonlyMap<string, Uint8Array>): Promise<JWTPayload> {
  const { keys, issuer, audience } = source;
  const options: JWTVerifyOptions = { ...(issuer === undefined ? {} : { issuer }), ...(audience === undefined ? {} : { audience }) };
  if ("secret" in keys) return (await jwtVerify(token, secrets.get(keys.secret) ?? new Uint8Array(), { ...options, algorithms: HMAC })).payload;
  const signed: JWTVerifyOptions = { ...options, algorithms: SIGNATURES };
  try {
    return await verifyBySet(token, await keySetAt(keys.jwks, JWKS_FRESH_MS), signed);
  } catch (error) {
    if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
    return verifyBySet(token, await keySetAt(keys.jwks, JWKS_AGAIN_MS), signed);
  }
}

/** A token that names no key is tried with each of its kind: issuers publish the next key beside the present one. */
async function verifyBySet(token: string, { keys }: KeySet, options: JWTVerifyOptions): Promise<JWTPayload> {
  try {
    return (await jwtVerify(token, keys, options)).payload;
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
    let tried = 0;
    for await (const key of error) {
      if (++tried > KEYS_TRIED) break;
      const verified = await jwtVerify(token, key, options).catch(() => undefined); // the next may be the one
      if (verified) return verified.payload;
    }
    throw error;
  }
}

/** The keys at an address, not older than that; the old ones where they cannot be fetched. */
async function keySetAt(url: string, freshMs: number): Promise<KeySet> {
  const known = keySets.get(url);
  if (known && Date.now() - known.fetchedAtMs < freshMs) return known;
  if (Date.now() < (failedUntilMs.get(url) ?? 0)) return orUnavailable(known);
  // One fetches, and the others go on with what there is. Where there is nothing each fetches for itself: nobody's promise can be awaited.
  if (known) keySets.set(url, { ...known, fetchedAtMs: Date.now() });
  try {
    const fetched: KeySet = { keys: createLocalJWKSet(await fetchKeys(url)), fetchedAtMs: Date.now() };
    keySets.set(url, fetched);
    failedUntilMs.delete(url);
    return fetched;
  } catch (error) {
    console.error(JSON.stringify({ limpet: "jwks-unreachable", url, error: String(error) }));
    failedUntilMs.set(url, Date.now() + FAILED_MS);
    return orUnavailable(keySets.get(url));
  }
}

function orUnavailable(known: KeySet | undefined): KeySet {
  if (!known) throw new KeysUnavailable();
  return known;
}

async function fetchKeys(url: string): Promise<JSONWebKeySet> {
  const response = await fetch(url, { headers: { accept: "application/json" }, redirect: "manual", signal: AbortSignal.timeout(JWKS_TIMEOUT_MS) });
  if (!response.ok) throw new Error(`status ${response.status}`);
  const text = await response.text();
  if (text.length > JWKS_MAX_BYTES) throw new Error(`${text.length} characters`);
  return JSON.parse(text) as JSONWebKeySet; // checked by createLocalJWKSet
}
