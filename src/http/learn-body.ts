// The key that an origin issues in a body: the `sid` of Engine.IO's open packet, in the answer to Socket.IO's polling handshake. Everything else
// passes as it is, unread.

import type { LearnedSource } from "../core/config-types.ts";
import { engineIoSid, withEngineIoSid } from "../core/learned.ts";
import { within } from "../platform/limits.ts";
import type { Arrival } from "./route.ts";
import { wrapped, type Served } from "./tell.ts";

/** An open packet is about a hundred bytes; what a server sends along with it may be more. */
const OPENING_MAX_BYTES = 65_536;
/** Its head is here: the rest of so small an answer comes with it. */
const OPENING_MS = 10_000;

/** Where the route's key is issued in a body, if this answer may be such a one. */
export function bodySource({ identified, arrival }: Served, response: Response): LearnedSource | undefined {
  const source = identified.route.session.find((each) => each.kind === "query" && each.learn);
  return source?.kind === "query" && isOpening(arrival, response, source) ? source : undefined;
}

/** The answer with a wrapped key in its body; `undefined` where the origin broke it off, or let it hang. */
export async function learnFromBody(served: Served, response: Response, source: LearnedSource): Promise<Response | undefined> {
  const text = await within(response.text(), OPENING_MS, "open packet").catch(() => undefined);
  if (text === undefined) return undefined;
  const sid = engineIoSid(text);
  const headers = new Headers(response.headers);
  for (const name of ["content-length", "etag"]) headers.delete(name); // the text may be another
  const body = sid === undefined ? text : withEngineIoSid(text, await wrapped(served, source, sid));
  return new Response(body, { status: response.status, statusText: response.statusText, headers });
}

/** A handshake of protocol 4 without a session yet, whose answer is plain and of a known, small size. (JSONP has another form.) */
function isOpening({ request, url }: Arrival, response: Response, { name }: LearnedSource): boolean {
  const { searchParams } = url;
  if (
    request.method !== "GET" ||
    response.status !== 200 ||
    response.headers.has("content-encoding") ||
    searchParams.has(name) ||
    searchParams.has("j")
  )
    return false;
  const length = Number(response.headers.get("content-length") ?? NaN);
  return searchParams.get("EIO") === "4" && searchParams.get("transport") === "polling" && length <= OPENING_MAX_BYTES;
}
