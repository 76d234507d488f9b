// WebSocket upgrades and event streams that are relayed: handed to the carrier object of their session's slice, which holds both legs and can re-home them.

import { requestProblem } from "../core/problem.ts";
import { encodeLiveRequest, LIVE_HEADER, PROTOCOL_VERSION, type LiveRequest } from "../core/protocol.ts";
import { ELSEWHERE_HEADER, PLACED_HEADER, type Placed } from "../platform/carrier-answers.ts";
import { askCarrier } from "../platform/reach-carrier.ts";
import { isAddressable } from "../platform/stubs.ts";
import { isDrawn, record, type Recorded } from "../platform/record.ts";
import { handshakeHeaders, isUpgrade, upgraded } from "./handshake.ts";
import { visitorOf } from "./locate.ts";
import { claimOf, Draft, targetOf } from "./messages.ts";
import type { Identified } from "./request.ts";
import type { Arrival } from "./route.ts";
import { tell } from "./tell.ts";

export async function carryLive(arrival: Arrival, identified: Identified, home: string): Promise<Response> {
  const { settings, request, given, url, requestId } = arrival;
  const {
    route: { home: drawing, resume, rehomeOn, quietMs, originSilenceMs, park },
    pool,
    key,
    point,
    learned,
  } = identified;
  const keyHash = await identified.keyHash();
  const claim = claimOf(identified);
  const visitor = await visitorOf(arrival);
  const live: LiveRequest = {
    version: PROTOCOL_VERSION,
    ...point,
    keyHash,
    keyed: key !== undefined,
    ...(learned ? { learned } : {}),
    ...(key !== undefined && drawing.kind === "session" ? { drawn: true } : {}),
    key,
    claim: claim && { origin: claim.origin, fence: claim.fence },
    requestId,
    ...(visitor === undefined ? {} : { visitor }),
    resume,
    rehomeOn,
    quietMs,
    ...(originSilenceMs === undefined ? {} : { originSilenceMs }),
    ...(park === undefined ? {} : { parkAfterMs: park.afterMs }),
  };
  const headers = handshakeHeaders(arrival, identified);
  const target = new URL(targetOf(url, identified.route), url);
  // A socket says itself that its visitor has left; a signal would be kept beside it for as long as it lives.
  const gone = isUpgrade(given) ? {} : { signal: request.signal };
  const asked = (standsIn: boolean, sentOn: boolean): Request => {
    const said = encodeLiveRequest({ ...live, ...(standsIn && { parkAfterMs: undefined }), ...(sentOn && { sentOn }) });
    return new Request(target, { headers: { ...headers, [LIVE_HEADER]: said }, method: request.method, ...gone, redirect: "manual" });
  };
  const askedAt = (region: string, sentOn: boolean): Promise<Response> =>
    askCarrier(arrival, { pool, home: region, lot: point.lot }, (standsIn) => asked(standsIn, sentOn)).catch((error: unknown) =>
      notCarried(error, requestId),
    );
  const first = await askedAt(home, false);
  const elsewhere = first.headers.get(ELSEWHERE_HEADER);
  // Once: whoever has it there, or had it a moment ago, knows best.
  const response = elsewhere === null ? first : isAddressable(settings.config, elsewhere) ? await askedAt(elsewhere, true) : notKnown(requestId);

  const placed = readPlaced(response.headers.get(PLACED_HEADER));
  const recorded: Recorded = { requestId, pool: pool.id, kind: "live", keyHash, ...placed, status: response.status };
  if (response.status >= 500 || (!placed && !response.ok)) record({ ...recorded, fault: "not-carried" });
  else if (isDrawn(settings.config.record.sampleShare)) record(recorded);
  const draft = response.webSocket ? upgraded(response, response.webSocket, arrival, identified) : new Draft(response, requestId);
  if (placed) await tell({ arrival, identified, home, placed }, draft);
  return draft.response;
}

/** A carrier that is reset in this moment, or has more to do than the platform lets it: an object's own errors say so. Nothing was sent to an origin twice. */
function notCarried(error: unknown, requestId: string): Response {
  const { retryable, overloaded, durableObjectReset } = error as { retryable?: boolean; overloaded?: boolean; durableObjectReset?: boolean }; // set by the runtime on its own errors
  if (retryable !== true && overloaded !== true && durableObjectReset !== true) throw error;
  const BACK_WITHIN_S = 10;
  return requestProblem("overloaded", "The carrier of this session cannot take it in this moment. Try again shortly.", requestId, {
    "retry-after": String(1 + Math.floor(Math.random() * BACK_WITHIN_S)), // nothing is known of how many others come back
  });
}

/** A region that this Worker's configuration does not name yet. */
function notKnown(requestId: string): Response {
  return requestProblem("no-origin", "This session is in a region that is not known here yet. Try again shortly.", requestId, { "retry-after": "1" });
}

/** Written by our own carrier and by nobody else: an origin's header of that name is taken out there. */
function readPlaced(header: string | null): Placed | undefined {
  return header === null ? undefined : (JSON.parse(header) as Placed);
}
