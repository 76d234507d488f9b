// What asks for a live connection, what is wrong with how it asks, and what either side gets to see of the other's part of the handshake.

import { responseHeaders, type HeaderRecord } from "../core/headers.ts";
import { subprotocols } from "../core/identity.ts";
import type { Route } from "../core/config-types.ts";
import { originHeaders, type Draft } from "./messages.ts";
import type { Identified } from "./request.ts";
import type { Arrival } from "./route.ts";

/** A WebSocket's handshake, or the request for an event stream. */
export function isLive({ request, given }: Arrival): boolean {
  if (isUpgrade(given)) return true;
  const accept = given["accept"];
  if (accept === undefined || request.method !== "GET") return false;
  return accept.split(",").some((type) => type.trim().toLowerCase().startsWith("text/event-stream"));
}

export function isUpgrade(given: Readonly<HeaderRecord>): boolean {
  return given["upgrade"]?.toLowerCase() === "websocket";
}

/** What is wrong with an opening handshake (RFC 6455 §4.1), before an origin is troubled with it. */
export function handshakeFault({ request: { method }, given }: Arrival): string | undefined {
  if (method !== "GET") return `A WebSocket is opened by GET, not by ${method}.`;
  if (given["sec-websocket-version"] !== "13") return "A WebSocket handshake needs Sec-WebSocket-Version: 13.";
  return given["sec-websocket-key"] !== undefined ? undefined : "A WebSocket handshake needs a Sec-WebSocket-Key.";
}

/** What asks an origin for a live connection: the entries that only name a session are not offered to it. */
export function handshakeHeaders(arrival: Arrival, identified: Identified): HeaderRecord {
  const headers = originHeaders(arrival, identified);
  const offered = subprotocols(headers[SUBPROTOCOL] ?? null);
  const others = offered.filter((entry) => !namesSession(entry, identified.route));
  if (others.length < offered.length) {
    if (others.length > 0) headers[SUBPROTOCOL] = others.join(", ");
    else delete headers[SUBPROTOCOL];
  }
  if (!isUpgrade(arrival.given)) return headers;
  headers["upgrade"] = "websocket";
  const extensions = extensionsOffered(arrival.given, identified.route);
  if (extensions !== undefined) headers["sec-websocket-extensions"] = extensions;
  return headers;
}

/**
 * Spliced, the two agree with each other. Each leg of a relay is compressed by itself: the visitor's by the runtime, the origin's where it takes the
 * offer too. Only the offer is the visitor's then: windows and whatever else is negotiated belong to one connection (RFC 7692 §7).
 */
function extensionsOffered(given: Readonly<HeaderRecord>, { carry }: Route): string | undefined {
  const offered = given["sec-websocket-extensions"];
  if (carry === "splice" || offered === undefined) return offered;
  return /(^|,)\s*permessage-deflate\s*($|[;,])/i.test(offered) ? "permessage-deflate" : undefined;
}

/**
 * The origin's 101 as the visitor gets it, its socket not accepted. A browser that offers subprotocols and is given none closes the socket; one that
 * named only its session is given that.
 */
export function upgraded(
  { headers: answered }: Response,
  webSocket: WebSocket,
  { given }: Arrival,
  { route }: Identified,
): Pick<Draft, "response" | "headers" | "change"> {
  const headers = responseHeaders(answered);
  const own = subprotocols(given[SUBPROTOCOL] ?? null).find((entry) => namesSession(entry, route));
  if (own !== undefined && !headers.has(SUBPROTOCOL)) headers.set(SUBPROTOCOL, own);
  const response = new Response(null, { status: 101, webSocket, headers });
  return { response, headers: response.headers, change: () => response.headers };
}

const SUBPROTOCOL = "sec-websocket-protocol";

function namesSession(entry: string, { session }: Route): boolean {
  return session.some((source) => source.kind === "subprotocol" && entry.startsWith(source.prefix));
}
