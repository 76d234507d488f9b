// WebSocket upgrades and event streams: handed to the carrier object of their session's slice, which holds both legs and can re-home them.

import { GENERATION, sliceOf } from "../core/names.ts";
import { responseHeaders, type HeaderRecord } from "../core/headers.ts";
import { subprotocols } from "../core/identity.ts";
import { encodeLiveRequest, LIVE_HEADER, PROTOCOL_VERSION, type LiveRequest } from "../core/protocol.ts";
import { PLACED_HEADER, type Placed } from "../platform/carrier-answers.ts";
import { isDrawn, record, type Recorded } from "../platform/record.ts";
import { carrierStub } from "../platform/stubs.ts";
import { claimOf, Draft, originHeaders, targetOf } from "./messages.ts";
import type { Identified } from "./request.ts";
import type { Arrival } from "./route.ts";
import { tell } from "./tell.ts";

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

/**
 * Each leg is compressed by itself: the visitor's by the runtime, the origin's where it takes the offer too. Only the offer is the visitor's:
 * windows and whatever else is negotiated belong to one connection (RFC 7692 §7).
 */
function offersCompression(given: Readonly<HeaderRecord>): boolean {
  return /(^|,)\s*permessage-deflate\s*($|[;,])/i.test(given["sec-websocket-extensions"] ?? "");
}

export async function carryLive(arrival: Arrival, identified: Identified, home: string): Promise<Response> {
  const { env, settings, request, url, requestId } = arrival;
  const {
    route: { resume, rehomeOn, quietMs, originSilenceMs, park },
    pool,
    key,
    point,
    learned,
  } = identified;
  const keyHash = await identified.keyHash();
  const claim = claimOf(identified);
  const live: LiveRequest = {
    version: PROTOCOL_VERSION,
    ...point,
    keyHash,
    keyed: key !== undefined,
    ...(learned ? { learned } : {}),
    key,
    claim: claim && { origin: claim.origin, fence: claim.fence },
    requestId,
    resume,
    rehomeOn,
    quietMs,
    ...(originSilenceMs === undefined ? {} : { originSilenceMs }),
    ...(park === undefined ? {} : { parkAfterMs: park.afterMs }),
  };
  const headers = new Headers(originHeaders(arrival, identified));
  headers.set(LIVE_HEADER, encodeLiveRequest(live));
  if (isUpgrade(arrival.given)) {
    headers.set("upgrade", "websocket");
    if (offersCompression(arrival.given)) headers.set("sec-websocket-extensions", "permessage-deflate");
  }
  const own = takeOwnSubprotocol(headers, identified.route);
  const ring = { pool: pool.id, region: home, generation: GENERATION };
  const carrier = carrierStub(env, settings.config, ring, sliceOf(point.lot, pool.carriers));
  const target = new URL(targetOf(url, identified.route), url);
  // A socket says itself that its visitor has left; a signal would be kept beside it for as long as it lives.
  const gone = isUpgrade(arrival.given) ? {} : { signal: request.signal };
  const response = await carrier.fetch(new Request(target, { headers, method: request.method, ...gone, redirect: "manual" }));

  const placed = readPlaced(response.headers.get(PLACED_HEADER));
  const recorded: Recorded = { requestId, pool: pool.id, kind: "live", keyHash, ...placed, status: response.status };
  if (response.status >= 500) record({ ...recorded, fault: "not-carried" });
  else if (isDrawn(settings.config.record.sampleShare)) record(recorded);
  const draft = response.webSocket ? upgraded(response, response.webSocket, own) : new Draft(response, requestId);
  if (placed) await tell({ arrival, identified, home, placed }, draft);
  return draft.response;
}

/** A browser that offers subprotocols and is given none closes the socket; one that named only its session is given that. */
function upgraded({ headers: given }: Response, webSocket: WebSocket, own: string | undefined): Pick<Draft, "response" | "headers" | "change"> {
  const headers = responseHeaders(given);
  if (own !== undefined && !headers.has(SUBPROTOCOL)) headers.set(SUBPROTOCOL, own);
  const response = new Response(null, { status: 101, webSocket, headers });
  return { response, headers: response.headers, change: () => response.headers };
}

const SUBPROTOCOL = "sec-websocket-protocol";

/** Takes the entries that name a session out of what the origin is offered; the first of them. */
function takeOwnSubprotocol(headers: Headers, { session }: Identified["route"]): string | undefined {
  const prefixes = session.flatMap((source) => (source.kind === "subprotocol" ? [source.prefix] : []));
  const offered = subprotocols(headers.get(SUBPROTOCOL));
  const others = offered.filter((entry) => !prefixes.some((prefix) => entry.startsWith(prefix)));
  if (others.length === offered.length) return undefined;
  if (others.length > 0) headers.set(SUBPROTOCOL, others.join(", "));
  else headers.delete(SUBPROTOCOL);
  return offered.find((entry) => !others.includes(entry));
}

/** Written by our own carrier and by nobody else: an origin's header of that name is taken out there. */
function readPlaced(header: string | null): Placed | undefined {
  return header === null ? undefined : (JSON.parse(header) as Placed);
}
