// Whether a request came from the router: its HTTP message signature (RFC 9421, HMAC-SHA256) verified by `http-message-sig`, over Node's
// own request. What must stay true: no part of the request that the application acts on is left to the visitor's word.

import { createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { verifySignature, type Verifier } from "http-message-sig";

export interface SignatureOptions {
  /** Host, and port where it is not the scheme's own, as the router's configuration names this origin. Never the request's own `Host`. */
  readonly authority: string;
  /** The keys that count: while one is being changed, the old one and the new. */
  readonly keys: readonly string[];
  /** `signature.keyId` of the router's configuration. */
  readonly keyId?: string;
}

const ALGORITHM = "hmac-sha256";
const COMPONENTS = ["@method", "@authority", "@path", "@query"] as const;
const PARAMETERS = ["created", "expires", "keyid", "alg"] as const;
const MAX_AGE_S = 60;
/** By how much the clocks may differ. */
const CLOCK_SKEW_S = 5;

/** What is wrong with a request's signature; `undefined` for a good one. Never throws for anything that a request may be. */
export async function signatureFault(request: IncomingMessage, { authority, keys, keyId = "limpet" }: SignatureOptions): Promise<string | undefined> {
  const { method = "", url = "", headers } = request;
  const fields = ["signature", "signature-input", "limpet"].flatMap((name) => {
    const value = headers[name];
    return typeof value === "string" ? [{ name, value }] : [];
  });
  try {
    // A target that is no path (`GET http://other/x HTTP/1.1`) makes no address that was ever signed.
    await verifySignature(
      { kind: "request", method, targetUri: `https://${authority}${url}`, fields },
      {
        label: "limpet",
        policy: {
          algorithms: [ALGORITHM],
          // Only the router's health checks bear no Limpet field. One that is there must be signed: it says whose request this is.
          requiredComponents: headers["limpet"] === undefined ? COMPONENTS : [...COMPONENTS, "limpet"],
          requiredParameters: PARAMETERS,
          maxAge: MAX_AGE_S,
          clockSkew: CLOCK_SKEW_S,
        },
        resolveVerifier: ({ parameters }) => {
          if (parameters.keyid !== keyId) throw new Error("unknown key");
          return verifierOf(keys);
        },
      },
    );
    return undefined;
  } catch (error) {
    return String(error); // whatever keeps it from being verified, it is not verified
  }
}

/** A signature by any of the keys is good: which one is not told. */
function verifierOf(keys: readonly string[]): Verifier {
  return {
    algorithm: ALGORITHM,
    verify: (base, signature) =>
      keys.some((key) => {
        const own = createHmac("sha256", key).update(base).digest();
        return own.length === signature.length && timingSafeEqual(own, signature);
      }),
  };
}
