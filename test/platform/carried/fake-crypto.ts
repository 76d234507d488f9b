// Web Crypto whose work takes the test's time: what happens in the middle of a decryption can be said, and happens again the same. As far as
// sealing and hashing use it.

import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomFillSync, randomUUID } from "node:crypto";

interface FakeKey {
  readonly bytes: Uint8Array;
}

const TAG_BYTES = 16;

/** In place of `crypto`. `workMs`: how long a seal, an opening or a hash takes. */
export function fakeCrypto(workMs: () => number): object {
  const work = async <T>(done: () => T): Promise<T> => {
    const ms = workMs();
    if (ms > 0) await new Promise<void>((resolve) => setTimeout(resolve, ms));
    return done();
  };
  return {
    randomUUID,
    getRandomValues: (bytes: Uint8Array) => randomFillSync(bytes),
    subtle: {
      importKey: async (_format: string, bytes: Uint8Array): Promise<FakeKey> => ({ bytes }),
      deriveKey: async ({ info }: { info: Uint8Array }, { bytes }: FakeKey): Promise<FakeKey> => ({
        bytes: new Uint8Array(hkdfSync("sha256", bytes, new Uint8Array(), info, 32)),
      }),
      sign: (_name: string, { bytes }: FakeKey, text: Uint8Array) =>
        work(() => new Uint8Array(createHmac("sha256", bytes).update(text).digest()).buffer),
      encrypt: ({ iv }: { iv: Uint8Array }, { bytes }: FakeKey, plain: Uint8Array) =>
        work(() => {
          const cipher = createCipheriv("aes-256-gcm", bytes, iv);
          return new Uint8Array(Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()])).buffer;
        }),
      decrypt: ({ iv }: { iv: Uint8Array }, { bytes }: FakeKey, sealed: Uint8Array) =>
        work(() => {
          const decipher = createDecipheriv("aes-256-gcm", bytes, iv);
          decipher.setAuthTag(sealed.slice(-TAG_BYTES));
          return new Uint8Array(Buffer.concat([decipher.update(sealed.slice(0, -TAG_BYTES)), decipher.final()])).buffer;
        }),
    },
  };
}
