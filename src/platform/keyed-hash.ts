// The keyed hash of a session key: HMAC-SHA-256 cut to 128 bits, as 32 hex digits. What tables, records and KV hold instead of the key. And that of
// the network a visitor comes from, by which new sessions are counted.

const keys = new Map<string, CryptoKey>();

/** `pool` is part of the input, so that one key in two pools has two hashes. */
export function keyedHash(secret: string, pool: string, key: string): Promise<string> {
  return hashOf(secret, `key\u0000${pool}\u0000${key}`);
}

export function networkHash(secret: string, network: string): Promise<string> {
  return hashOf(secret, `network\u0000${network}`);
}

async function hashOf(secret: string, text: string): Promise<string> {
  const encoder = new TextEncoder();
  let hmac = keys.get(secret);
  if (!hmac) {
    hmac = await crypto.subtle.importKey("raw", encoder.encode(secret), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    keys.set(secret, hmac);
  }
  const digest = await crypto.subtle.sign("HMAC", hmac, encoder.encode(text));
  return hex(new Uint8Array(digest, 0, 16));
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

export function hex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += HEX[byte] ?? "";
  return text;
}
