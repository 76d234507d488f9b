// The way of a request: identify, locate, decide, carry, record. Start reading here.

import type { ExecutionContext as HonoContext } from "hono";
import { isLoop, type HeaderRecord } from "../core/headers.ts";
import { plainPath } from "../core/hooks.ts";
import { requestProblem } from "../core/problem.ts";
import { tooManySessions } from "../platform/carrier-answers.ts";
import type { Env, Settings } from "../platform/env.ts";
import { handshakeFault, isLive, isUpgrade } from "./handshake.ts";
import { carryLive } from "./live.ts";
import { carryHttp } from "./plain.ts";
import { locate } from "./locate.ts";
import { factsOf, identify, type Identified } from "./request.ts";

/** One request at the front door. */
export interface Arrival {
  readonly env: Env;
  readonly ctx: HonoContext;
  readonly settings: Settings;
  readonly request: Request;
  readonly url: URL;
  readonly requestId: string;
  /** The request's headers, read once. */
  readonly given: Readonly<HeaderRecord>;
  readonly startedAtMs: number;
}

/** Routes a request. `undefined`: no route matches it. */
export async function route(arrival: Arrival): Promise<Response | undefined> {
  const { settings, requestId, given } = arrival;
  const identified = await identify(settings, factsOf(arrival));
  if (identified.kind === "no-route") return undefined;
  if (identified.kind === "foreign")
    return requestProblem("origin-not-allowed", `The page's origin is ${identified.origin}; this route allows others.`, requestId);
  if (identified.kind === "unusable") return requestProblem("invalid-session-key", `The path names a session, but ${identified.fault}.`, requestId);
  if (identified.kind === "missing") {
    const detail = "This route serves only requests that name their session, and this one names none, or none that is valid.";
    return requestProblem("session-required", detail, requestId, { "www-authenticate": "Session" });
  }
  if (identified.kind === "unverifiable") {
    const detail = "The keys that this request's token is verified with cannot be fetched now. Try again shortly.";
    return requestProblem("keys-unreachable", detail, requestId, { "retry-after": "1" });
  }
  if (isHook(arrival, identified)) return requestProblem("not-found", "There is nothing for visitors here.", requestId);
  if (isLoop(given["via"]))
    return requestProblem("loop", "This request has come through here before: an origin's URL leads back to the router.", requestId);
  if (isUpgrade(given)) {
    const fault = handshakeFault(arrival);
    if (fault !== undefined) return requestProblem("bad-request", fault, requestId, { "sec-websocket-version": "13" });
  }
  const home = await locate(arrival, identified);
  if (home.kind === "too-many-sessions") return tooManySessions(requestId);
  const live = isLive(arrival);
  return live && identified.route.carry === "relay" ? carryLive(arrival, identified, home.region) : carryHttp(arrival, identified, home.region, live);
}

/** Origins give a session's state away there, to Limpet alone. However it is spelt: an origin may decode it. */
function isHook({ settings, url }: Arrival, { pool }: Identified): boolean {
  const hooks = settings.hooks.get(pool.id);
  if (!hooks) return false;
  return hooks.has(plainPath(url.pathname));
}
