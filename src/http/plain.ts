// Plain HTTP, and live connections that are spliced: carried by the Worker itself, and what the visitor is told when it could not be.

import { PROBLEMS, requestProblem, type ProblemCode } from "../core/problem.ts";
import type { Routed } from "../core/decision.ts";
import { carryPlain, type Failed } from "../platform/carry-http.ts";
import type { Placed } from "../platform/carrier-answers.ts";
import type { PlainRequest } from "../platform/decide-http.ts";
import { tally } from "../platform/outcomes.ts";
import { endAtRing } from "../platform/ring-words.ts";
import { isDrawn, record, type Recorded } from "../platform/record.ts";
import { handshakeHeaders, upgraded } from "./handshake.ts";
import { bodySource, learnFromBody } from "./learn-body.ts";
import { claimOf, Draft, originHeaders, targetOf } from "./messages.ts";
import type { Identified } from "./request.ts";
import type { Arrival } from "./route.ts";
import { tell, type Served } from "./tell.ts";

/** `spliced`: a WebSocket or an event stream, handed through. */
export async function carryHttp(arrival: Arrival, identified: Identified, home: string, spliced: boolean): Promise<Response> {
  const { settings, request, url, requestId } = arrival;
  const { pool, key, point, route, draw, keyHash } = identified;
  const identifiedAtMs = Date.now();
  const plain: PlainRequest = {
    request,
    requestId,
    spliced,
    headers: () => (spliced ? handshakeHeaders : originHeaders)(arrival, identified),
    target: targetOf(url, route),
    route,
    pool,
    home,
    key,
    point,
    draw,
    keyHash,
    claim: claimOf(identified),
    remembered: identified.remembers && route.home.kind === "visitor",
  };
  const carried = await carryPlain(arrival, plain);
  const recorded = async (status: number): Promise<Recorded> => ({
    requestId,
    pool: pool.id,
    kind: spliced ? "live" : "http",
    ...(carried.last ? placedBy(carried.last) : {}),
    ...(key === undefined ? {} : { keyHash: await keyHash() }),
    status,
    attempts: carried.attempts,
    layer: carried.layer,
  });
  if (carried.kind === "failed") {
    const { code, detail, retryable } = FAILURES[carried.why];
    record({ ...(await recorded(PROBLEMS[code].status)), fault: carried.why });
    return requestProblem(code, detail, requestId, retryable ? { "retry-after": "1" } : {});
  }
  const { decision, originMs, ended } = carried;
  const placed = placedBy(decision);
  const served: Served = { arrival, identified, home, placed };
  // What another attempt has saved was a fault all the same.
  if (carried.attempts > 1 || isDrawn(settings.config.record.sampleShare)) record(await recorded(carried.response.status));
  const source = bodySource(served, carried.response);
  const response = source ? await learnFromBody(served, carried.response, source) : carried.response;
  if (!response) {
    tally(arrival, pool, decision.region, decision.origin.id, "origin-fault");
    record({ ...(await recorded(502)), fault: "half-answer" });
    return requestProblem("origin-protocol", "The origin broke off its answer.", requestId);
  }
  const draft = response.webSocket ? upgraded(response, response.webSocket, arrival, identified) : new Draft(response, requestId);
  if (settings.config.expose) {
    const decideMs = Date.now() - identifiedAtMs - originMs;
    draft.change().append("server-timing", serverTiming({ identify: identifiedAtMs - arrival.startedAtMs, decide: decideMs, origin: originMs }));
  }
  if (ended && key !== undefined) arrival.ctx.waitUntil(endAtRing(arrival, plain, decision));
  await tell(served, draft, carried);
  return draft.response;
}

function placedBy({ origin, region, epoch, reason, fence }: Routed): Placed {
  return { origin: origin.id, region, epoch, reason, fence: fence ?? origin.bornFence ?? 0 }; // what is remembered of an id's former origin is older
}

interface Failure {
  readonly code: ProblemCode;
  readonly detail: string;
  /** Whether another try may well succeed. */
  readonly retryable: boolean;
}

const FAILURES: Readonly<Record<Failed["why"], Failure>> = {
  "no-origin": { code: "no-origin", detail: "No origin of this pool can serve now. Try again shortly.", retryable: true },
  "owner-lost": {
    code: "owner-lost",
    detail: "The origin that holds this session is away, and this pool waits for it. Try again shortly.",
    retryable: true,
  },
  unreachable: { code: "origin-unreachable", detail: "The origin of this session did not answer. Try again shortly.", retryable: true },
  timeout: { code: "origin-timeout", detail: "The origin did not begin its answer in time.", retryable: false },
  "client-gone": { code: "client-gone", detail: "The visitor left before the origin answered.", retryable: false },
  "replay-loop": { code: "loop", detail: "The origins of this session send it to each other; none of them serves it.", retryable: false },
  "replay-unknown": {
    code: "origin-protocol",
    detail: "The origin sends this session to one that its pool does not have in the session's regions.",
    retryable: false,
  },
  "replay-unavailable": {
    code: "no-origin",
    detail: "The origin sends this session to one that takes nobody now. Try again shortly.",
    retryable: true,
  },
  "replay-body": {
    code: "replay-body",
    detail: "The session is at another origin now. Send the request again: its body was given away already, and the one that got it has not used it.",
    retryable: true,
  },
  "replay-body-lost": {
    code: "replay-body",
    detail: "The origin sends this request to another, but its body was given away already, and the one that got it has not used it.",
    retryable: true,
  },
};

/** What each step took, in milliseconds (W3C Server Timing). The platform's clock stands still while a Worker computes. */
function serverTiming(steps: Readonly<Record<string, number>>): string {
  return Object.entries(steps)
    .map(([step, ms]) => `${step};dur=${Math.max(0, ms)}`)
    .join(", ");
}
