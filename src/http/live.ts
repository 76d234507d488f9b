// WebSocket upgrades and event streams that are relayed: handed to the carrier object of their session's slice, which holds both legs and can re-home them.

import { GENERATION, sliceOf } from "../core/names.ts";
import { encodeLiveRequest, LIVE_HEADER, PROTOCOL_VERSION, type LiveRequest } from "../core/protocol.ts";
import { PLACED_HEADER, type Placed } from "../platform/carrier-answers.ts";
import { isDrawn, record, type Recorded } from "../platform/record.ts";
import { carrierStub } from "../platform/stubs.ts";
import { handshakeHeaders, isUpgrade, upgraded } from "./handshake.ts";
import { claimOf, Draft, targetOf } from "./messages.ts";
import type { Identified } from "./request.ts";
import type { Arrival } from "./route.ts";
import { tell } from "./tell.ts";

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
  const headers = { ...handshakeHeaders(arrival, identified), [LIVE_HEADER]: encodeLiveRequest(live) };
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
  const draft = response.webSocket ? upgraded(response, response.webSocket, arrival, identified) : new Draft(response, requestId);
  if (placed) await tell({ arrival, identified, home, placed }, draft);
  return draft.response;
}

/** Written by our own carrier and by nobody else: an origin's header of that name is taken out there. */
function readPlaced(header: string | null): Placed | undefined {
  return header === null ? undefined : (JSON.parse(header) as Placed);
}
