// Sealing what visitors keep for us (the affinity cookie, the tags of learned keys) and what lies in storage of parked connections: opaque and authenticated by AES-256-GCM of Web Crypto (NIST SP
// 800-38D), keyed by LIMPET_SECRET; the first secret seals, all open. What does not open is no cookie, and no tag. Every request of a known
// session opens one: hence one encoding of nonce, ciphertext and tag together, and no envelope around them.

import { base64url } from "jose";
import { SEAL_FORMAT } from "../core/cookie.ts";

/** A value longer than this is not ours: not worth a decryption. */
const SEALED_MAX_LENGTH = 4096;
/** Drawn for each: 96 bits, as SP 800-38D §8.2.2 asks of random ones. Up to 2³² values under one key. */
const NONCE_BYTES = 12;

/** What is sealed with a key of its own, so that one is never taken for the other. */
export type Purpose = "cookie" | "tag" | "parked";

const keys = new Map<string, CryptoKey>();

export async function seal(secrets: readonly string[], purpose: Purpose, claims: object): Promise<string> {
  return `${SEAL_FORMAT}.${base64url.encode(await sealBytes(secrets, purpose, ENCODER.encode(JSON.stringify(claims)) as Uint8Array<ArrayBuffer>))}`;
}

/** Nonce, ciphertext and tag. */
export async function sealBytes(secrets: readonly string[], purpose: Purpose, bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const key = await sealingKey(secrets[0] ?? "", purpose);
  const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
  const encrypted = await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce }, key, bytes);
  const sealed = new Uint8Array(NONCE_BYTES + encrypted.byteLength);
  sealed.set(nonce);
  sealed.set(new Uint8Array(encrypted), NONCE_BYTES);
  return sealed;
}

/** What was sealed, or `undefined` for anything that none of our secrets sealed in this format. */
export async function open(secrets: readonly string[], purpose: Purpose, value: string | undefined): Promise<unknown> {
  if (value === undefined || value.length > SEALED_MAX_LENGTH || !value.startsWith(`${SEAL_FORMAT}.`)) return undefined;
  const bytes = bytesOf(value.slice(SEAL_FORMAT.length + 1));
  const opened = bytes && (await openBytes(secrets, purpose, bytes));
  return opened && JSON.parse(DECODER.decode(opened));
}

/** What was sealed, or `undefined` for anything that none of our secrets sealed. */
export async function openBytes(secrets: readonly string[], purpose: Purpose, sealed: Uint8Array<ArrayBuffer>): Promise<ArrayBuffer | undefined> {
  if (sealed.length <= NONCE_BYTES) return undefined;
  const algorithm = { name: "AES-GCM", iv: sealed.subarray(0, NONCE_BYTES) };
  for (const secret of secrets) {
    try {
      const key = keys.get(nameOf(secret, purpose)) ?? (await sealingKey(secret, purpose));
      return await crypto.subtle.decrypt(algorithm, key, sealed.subarray(NONCE_BYTES));
    } catch {
      // Forged, truncated or sealed by another secret: the next one may open it.
    }
  }
  return undefined;
}

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

/** Last characters whose unused bits are zero, by the number of characters in the last group. */
const LAST: Readonly<Record<number, string>> = { 2: "AQgw", 3: "AEIMQUYcgkosw048" };

/** Strictly the one text that the bytes have (RFC 4648 §3.5): neither padding nor blanks, and no other last character that decodes to the same. */
function bytesOf(text: string): Uint8Array<ArrayBuffer> | undefined {
  const rest = text.length % 4;
  if (rest === 1 || !/^[\w-]+$/.test(text)) return undefined;
  if (rest > 0 && !LAST[rest]?.includes(text.at(-1) ?? "")) return undefined;
  return base64url.decode(text) as Uint8Array<ArrayBuffer>; // made for us: no shared memory
}

const nameOf = (secret: string, purpose: Purpose): string => `${purpose} ${secret}`;

/** HKDF with a label of its own, so that the secret that seals cookies never keys anything else with the same bits. */
async function sealingKey(secret: string, purpose: Purpose): Promise<CryptoKey> {
  const name = nameOf(secret, purpose);
  const known = keys.get(name);
  if (known) return known;
  const base = await crypto.subtle.importKey("raw", ENCODER.encode(secret), "HKDF", false, ["deriveKey"]);
  const key = await crypto.subtle.deriveKey(
    { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info: ENCODER.encode(`limpet ${purpose} 1`) },
    base,
    { name: "AES-GCM", length: 256 },
    false,
    ["encrypt", "decrypt"],
  );
  keys.set(name, key);
  return key;
}
