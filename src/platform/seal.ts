// Sealing what visitors keep for us, the affinity cookie and the tags of learned keys: opaque and authenticated by JWE (direct A256GCM, jose),
// keyed by LIMPET_SECRET; the first secret seals, all open. What does not open is no cookie, and no tag. Sealing is jose's; opening, which every
// request of a known session does, is RFC 7516 §5.2 for this one header by Web Crypto, at a third of the time.

import { base64url, CompactEncrypt } from "jose";
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
  const [header, encryptedKey, iv, ciphertext, tag, ...more] = value.slice(COOKIE_FORMAT.length + 1).split(".");
  if (header !== HEADER || encryptedKey !== "" || iv === undefined || ciphertext === undefined || tag === undefined || more.length > 0)
    return undefined;
  for (const secret of secrets) {
    try {
      const algorithm = { name: "AES-GCM", iv: bytesOf(iv), additionalData: HEADER_BYTES, tagLength: TAG_BYTES * 8 };
      const opened = await crypto.subtle.decrypt(
        algorithm,
        keys.get(`${purpose} ${secret}`) ?? (await sealingKey(secret, purpose)),
        joined(bytesOf(ciphertext), bytesOf(tag)),
      );
      return JSON.parse(DECODER.decode(opened));
    } catch {
      // Forged, truncated or sealed by another secret: the next one may open it.
    }
  }
  return undefined;
}

/** The only header that we write; a value with another algorithm is not ours. */
const HEADER = base64url.encode('{"alg":"dir","enc":"A256GCM"}');
const HEADER_BYTES = new TextEncoder().encode(HEADER);
/** RFC 7518 §5.3: no shorter one. */
const TAG_BYTES = 16;

const DECODER = new TextDecoder();

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return base64url.decode(text) as Uint8Array<ArrayBuffer>; // made for us: no shared memory
}

function joined(ciphertext: Uint8Array, tag: Uint8Array): Uint8Array<ArrayBuffer> {
  if (tag.length !== TAG_BYTES) throw new Error("no tag of AES-GCM");
  const both = new Uint8Array(ciphertext.length + TAG_BYTES);
  both.set(ciphertext);
  both.set(tag, ciphertext.length);
  return both;
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
