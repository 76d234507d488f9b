// Sealing what visitors keep for us, the affinity cookie and the tags of learned keys: opaque and authenticated by JWE (direct A256GCM, jose),
// keyed by LIMPET_SECRET; the first secret seals, all open. What does not open is no cookie, and no tag.

import { CompactEncrypt, compactDecrypt } from "jose";
import { COOKIE_FORMAT } from "../core/cookie.ts";

/** A value longer than this is not ours: not worth a decryption. */
const SEALED_MAX_LENGTH = 4096;

/** What is sealed with a key of its own, so that one is never taken for the other. */
export type Purpose = "cookie" | "tag";

const keys = new Map<string, CryptoKey>();

export async function seal(secrets: readonly string[], purpose: Purpose, claims: object): Promise<string> {
  const key = await sealingKey(secrets[0] ?? "", purpose);
  const plain = new TextEncoder().encode(JSON.stringify(claims));
  return `${COOKIE_FORMAT}.${await new CompactEncrypt(plain).setProtectedHeader({ alg: "dir", enc: "A256GCM" }).encrypt(key)}`;
}

/** What was sealed, or `undefined` for anything that none of our secrets sealed in this format. */
export async function open(secrets: readonly string[], purpose: Purpose, value: string | undefined): Promise<unknown> {
  if (value === undefined || value.length > SEALED_MAX_LENGTH || !value.startsWith(`${COOKIE_FORMAT}.`)) return undefined;
  const sealed = value.slice(COOKIE_FORMAT.length + 1);
  for (const secret of secrets) {
    try {
      const { plaintext } = await compactDecrypt(sealed, await sealingKey(secret, purpose), {
        keyManagementAlgorithms: ["dir"],
        contentEncryptionAlgorithms: ["A256GCM"],
      });
      return JSON.parse(new TextDecoder().decode(plaintext));
    } catch {
      // Forged, truncated or sealed by another secret: the next one may open it.
    }
  }
  return undefined;
}

/** HKDF with a label of its own, so that the secret that seals cookies never keys anything else with the same bits. */
async function sealingKey(secret: string, purpose: Purpose): Promise<CryptoKey> {
  const name = `${purpose} ${secret}`;
  const known = keys.get(name);
  if (known) return known;
  const encoder = new TextEncoder();
  const base = await crypto.subtle.importKey("raw", encoder.encode(secret), "HKDF", false, ["deriveKey"]);
  const key = await crypto.subtle.deriveKey(
    { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info: encoder.encode(`limpet ${purpose} 1`) },
    base,
    { name: "AES-GCM", length: 256 },
    false,
    ["encrypt", "decrypt"],
  );
  keys.set(name, key);
  return key;
}
