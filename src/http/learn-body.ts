// The key that an origin issues in a body: the `sid` of Engine.IO's open packet, in the answer to Socket.IO's polling handshake. Everything else
// passes as it is, unread.

import type { LearnedSource } from "../core/config-types.ts";
import { engineIoSid, withEngineIoSid } from "../core/learned.ts";
import type { Arrival } from "./route.ts";
import { wrapped, type Served } from "./tell.ts";

/** An open packet is about a hundred bytes; what a server sends along with it may be more. */
const OPENING_MAX_BYTES = 65_536;

/** Where the route's key is issued in a body, if this answer may be such a one. */
export function bodySource({ identified, arrival }: Served, response: Response): LearnedSource | undefined {
  const source = identified.route.session.find((each) => each.kind === "query" && each.learn);
  return source?.kind === "query" && isOpening(arrival, response, source) ? source : undefined;
}

/** The answer with a wrapped key in its body. */
export async function learnFromBody(served: Served, response: Response, source: LearnedSource): Promise<Response> {
  const text = await response.text();
  const sid = engineIoSid(text);
  const headers = new Headers(response.headers);
  for (const name of ["content-length", "content-encoding", "etag"]) headers.delete(name); // `text` is decoded, and may be another
  const body = sid === undefined ? text : withEngineIoSid(text, await wrapped(served, source, sid));
  return new Response(body, { status: response.status, statusText: response.statusText, headers });
}

/** A handshake of protocol 4 without a session yet, whose answer is of a known, small size. (JSONP has another form.) */
function isOpening({ request, url }: Arrival, response: Response, { name }: LearnedSource): boolean {
  const { searchParams } = url;
  if (request.method !== "GET" || response.status !== 200 || searchParams.has(name) || searchParams.has("j")) return false;
  const length = Number(response.headers.get("content-length") ?? NaN);
  return searchParams.get("EIO") === "4" && searchParams.get("transport") === "polling" && length <= OPENING_MAX_BYTES;
}
