// HTTP message signatures (RFC 9421, by `http-message-sig`): an origin that shares the key can tell that a request came from here, unchanged
// and lately. The body is not covered: it is streamed, and would have to be read first.

import { createSignature } from "http-message-sig";

export const SIGNATURE_LABEL = "limpet";
const ALGORITHM = "hmac-sha256";

/** How long a signature counts: for the way to the origin and clocks that differ, and for nobody to keep it. */
const SIGNATURE_LIFE_S = 60;

/** What a request is. With the Limpet field (session, origin, fence) a captured signature is of use for nothing else. */
const COMPONENTS = ["@method", "@authority", "@path", "@query"] as const;

/** Puts `Signature` and `Signature-Input` on a request that is complete otherwise, in the place of any that it bears. */
export type RequestSigner = (request: Request) => Promise<void>;

export function requestSigner(secret: Uint8Array, keyid: string): RequestSigner {
  let key: CryptoKey | undefined; // shared by this isolate's requests; a promise of it must not be
  const signer = {
    algorithm: ALGORITHM,
    async sign(base: Uint8Array): Promise<Uint8Array> {
      key ??= await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
      return new Uint8Array(await crypto.subtle.sign("HMAC", key, base));
    },
  };
  return async ({ method, url, headers }) => {
    // Health checks bear no Limpet field, and theirs is a signature without it: nobody's session can be asked for with that.
    const limpet = headers.get("limpet");
    const created = Math.floor(Date.now() / 1000);
    const message = { kind: "request", method, targetUri: url, fields: limpet === null ? [] : [{ name: "limpet", value: limpet }] } as const;
    const { signature, signatureInput } = await createSignature(message, {
      label: SIGNATURE_LABEL,
      components: limpet === null ? COMPONENTS : [...COMPONENTS, "limpet"],
      parameters: { created, expires: created + SIGNATURE_LIFE_S, keyid, alg: ALGORITHM },
      signer,
    });
    headers.set("signature", signature);
    headers.set("signature-input", signatureInput);
  };
}
