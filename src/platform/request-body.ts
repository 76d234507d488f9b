// The body of a plain request: streamed to the origin, or kept while the request is under way, where it is small enough and a route wants it.
// What was streamed is given away: it cannot be sent a second time.

export type Body =
  | { readonly kind: "none" }
  /** `letGo` when the request is over. */
  | { readonly kind: "kept"; readonly bytes: ArrayBuffer; readonly letGo: () => void }
  | { readonly kind: "streamed"; readonly stream: ReadableStream };

export const NO_BODY: Body = { kind: "none" };

/** Kept by all requests of this isolate at once: it has 128 MB. Past it bodies are streamed. */
export const KEPT_BYTES_MAX = 16 * 1024 * 1024;
let keptBytes = 0;

/** Kept is what says its length, up to `mostBytes`: what has none may be of any. `undefined`: the visitor left before it was here. */
export async function bodyOf(request: Request, mostBytes: number): Promise<Body | undefined> {
  if (request.body === null) return NO_BODY;
  const length = mostBytes > 0 ? Number(request.headers.get("content-length") ?? NaN) : NaN;
  if (!(length <= mostBytes) || keptBytes + length > KEPT_BYTES_MAX) return { kind: "streamed", stream: request.body };
  const letGo = kept(request, length);
  try {
    return { kind: "kept", bytes: await request.arrayBuffer(), letGo };
  } catch {
    letGo();
    return undefined;
  }
}

/** Counts bytes until they are let go; a request whose visitor leaves may never be heard of again. */
function kept({ signal }: Request, bytes: number): () => void {
  let held = bytes;
  keptBytes += held;
  const letGo = (): void => {
    keptBytes -= held;
    held = 0;
  };
  signal.addEventListener("abort", letGo);
  return letGo;
}

/** The body of a GET or HEAD has no meaning (RFC 9110 §9.3.1), and the platform sends none. */
export function mayHaveBody({ method }: Request): boolean {
  return method !== "GET" && method !== "HEAD";
}

/** Whether sending the request once more would need a body that is gone. */
export function isSentTwice(body: Body): boolean {
  return body.kind === "streamed";
}

const IDEMPOTENT: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]);

/** Idempotent by its method (RFC 9110 §9.2.2) or, where the route says that origins heed it, by an `Idempotency-Key`; and not given away. */
export function mayRepeat(request: Request, body: Body, byIdempotencyKey: boolean): boolean {
  if (isSentTwice(body)) return false;
  return IDEMPOTENT.has(request.method) || (byIdempotencyKey && request.headers.has("idempotency-key"));
}
