// The way of a request: identify, locate, decide, carry, record. Start reading here.

import type { ExecutionContext as HonoContext } from "hono";
import { expireCookie, needsRewrite, setCookie, type Claims } from "../core/cookie.ts";
import type { Claim } from "../core/situation.ts";
import { isLoop, requestHeaders, responseHeaders } from "../core/headers.ts";
import { subprotocols } from "../core/identity.ts";
import { GENERATION, sliceOf } from "../core/names.ts";
import { requestProblem, type ProblemCode } from "../core/problem.ts";
import { encodeLiveRequest, LIVE_HEADER, PROTOCOL_VERSION, type LiveRequest } from "../core/protocol.ts";
import { carryPlain } from "../platform/carry-http.ts";
import { PLACED_HEADER, type Placed } from "../platform/carrier-object.ts";
import type { Env, Settings } from "../platform/env.ts";
import { hex } from "../platform/keyed-hash.ts";
import { exposeTo, record } from "../platform/record.ts";
import { seal } from "../platform/seal.ts";
import { carrierStub } from "../platform/stubs.ts";
import { factsOf, identify, locate, placeOf, type Identified } from "./request.ts";

/** One request at the front door. */
export interface Arrival {
  readonly env: Env;
  readonly ctx: HonoContext;
  readonly settings: Settings;
  readonly request: Request;
  readonly url: URL;
  readonly requestId: string;
}

/** One request on its way: what every step may read. */
interface Passage extends Arrival {
  readonly startedAtMs: number;
}

/** Routes a request. `undefined`: no route matches it. */
export async function route(arrival: Arrival): Promise<Response | undefined> {
  const passage: Passage = { ...arrival, startedAtMs: Date.now() };
  const { settings, request, requestId } = passage;
  const identified = await identify(settings, factsOf(request, passage.url));
  if (identified.kind === "no-route") return undefined;
  if (identified.kind === "unusable") return requestProblem("invalid-session-key", `The path names a session, but ${identified.fault}.`, requestId);
  if (identified.kind === "missing") {
    const detail = "This route serves only requests that name their session, and this one names none, or none that is valid.";
    return requestProblem("session-required", detail, requestId, { "www-authenticate": "Session" });
  }
  if (identified.kind === "unverifiable") {
    const detail = "The keys that this request's token is verified with cannot be fetched now. Try again shortly.";
    return requestProblem("keys-unreachable", detail, requestId, { "retry-after": "1" });
  }
  if (isLoop(request.headers))
    return requestProblem("loop", "This request has come through here before: an origin's URL leads back to the router.", requestId);
  const foreign = foreignPage(passage, identified);
  if (foreign !== undefined) return requestProblem("origin-not-allowed", `The page's origin is ${foreign}; this route allows others.`, requestId);
  if (isUpgrade(request)) {
    const fault = handshakeFault(request);
    if (fault !== undefined) return requestProblem("bad-request", fault, requestId, { "sec-websocket-version": "13" });
  }
  const home = locate(settings, identified, placeOf(request, settings.dev));
  return isLive(request) ? carryLive(passage, identified, home) : carryHttp(passage, identified, home);
}

/** WebSocket upgrades and event streams live long: a carrier object holds them, and can re-home them. */
function isLive(request: Request): boolean {
  if (isUpgrade(request)) return true;
  return (
    request.method === "GET" &&
    (request.headers.get("accept") ?? "").split(",").some((type) => type.trim().toLowerCase().startsWith("text/event-stream"))
  );
}

function isUpgrade(request: Request): boolean {
  return request.headers.get("upgrade")?.toLowerCase() === "websocket";
}

/** What is wrong with an opening handshake (RFC 6455 §4.1), before an origin is troubled with it. */
function handshakeFault({ method, headers }: Request): string | undefined {
  if (method !== "GET") return `A WebSocket is opened by GET, not by ${method}.`;
  if (headers.get("sec-websocket-version") !== "13") return "A WebSocket handshake needs Sec-WebSocket-Version: 13.";
  return headers.has("sec-websocket-key") ? undefined : "A WebSocket handshake needs a Sec-WebSocket-Key.";
}

/** The web origin of a page that the route does not allow. A page's own GETs say none; its sockets always do. */
function foreignPage({ request }: Passage, { route: { allowedOrigins } }: Identified): string | undefined {
  if (!allowedOrigins) return undefined;
  const pageOrigin = request.headers.get("origin");
  if (pageOrigin === null) return isUpgrade(request) ? "not given" : undefined;
  return allowedOrigins.includes(pageOrigin) ? undefined : pageOrigin;
}

async function carryLive(passage: Passage, identified: Identified, home: string): Promise<Response> {
  const { env, settings, request, url, requestId } = passage;
  const {
    route: { resume, rehomeOn, quietMs },
    pool,
    key,
    point,
  } = identified;
  const keyHash = await identified.keyHash();
  const live: LiveRequest = {
    version: PROTOCOL_VERSION,
    ...point,
    keyHash,
    keyed: key !== undefined,
    key,
    claim: claimOf(identified),
    requestId,
    resume,
    rehomeOn,
    quietMs,
  };
  const headers = originHeaders(passage);
  headers.set(LIVE_HEADER, encodeLiveRequest(live));
  if (isUpgrade(request)) headers.set("upgrade", "websocket");
  const own = takeOwnSubprotocol(headers, identified.route);
  const ring = { pool: pool.id, region: home, generation: GENERATION };
  const carrier = carrierStub(env, settings.config, ring, sliceOf(point.lot, pool.carriers));
  const response = await carrier.fetch(new Request(url, { headers, method: request.method, signal: request.signal, redirect: "manual" }));

  const placed = readPlaced(response.headers.get(PLACED_HEADER));
  record(
    {
      requestId,
      pool: pool.id,
      kind: "live",
      keyHash,
      ...placed,
      status: response.status,
      fault: response.status >= 500 ? "not-carried" : undefined,
    },
    settings.config.record.sampleShare,
  );
  const answer = response.webSocket
    ? new Response(null, { status: 101, webSocket: response.webSocket, headers: responseHeaders(response.headers) })
    : forVisitor(response, requestId);
  // A browser that offers subprotocols and is given none closes the socket; one that named only its session is given that.
  if (response.webSocket && own !== undefined && !answer.headers.has(SUBPROTOCOL)) answer.headers.set(SUBPROTOCOL, own);
  if (placed) await tell(passage, identified, home, placed, answer.headers);
  return answer;
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

async function carryHttp(passage: Passage, identified: Identified, home: string): Promise<Response> {
  const { env, ctx, settings, request, url, requestId } = passage;
  const { pool, key, point } = identified;
  const identifiedAtMs = Date.now();
  const headers = originHeaders(passage);
  const carried = await carryPlain(env, ctx, settings, {
    request,
    headers,
    target: url.pathname + url.search,
    pool,
    home,
    key,
    point,
    draw: identified.draw,
    keyHash: identified.keyHash,
    claim: claimOf(identified),
    remembered: identified.remembers && identified.route.home.kind === "visitor",
  });
  const facts = { requestId, pool: pool.id, kind: "http", attempts: carried.attempts } as const;
  const { sampleShare } = settings.config.record;
  if (carried.kind !== "answered") {
    const [code, detail]: [ProblemCode, string] =
      carried.kind === "unreachable"
        ? ["origin-unreachable", "The origin of this session did not answer. Try again shortly."]
        : carried.why === "owner-lost"
          ? ["owner-lost", "The origin that holds this session is away, and this pool waits for it. Try again shortly."]
          : ["no-origin", "No origin of this pool can serve now. Try again shortly."];
    record({ ...facts, status: 503, fault: code }, sampleShare);
    return requestProblem(code, detail, requestId, { "retry-after": "1" });
  }
  const { response, decision, originMs, passing } = carried;
  const placed: Placed = {
    origin: decision.origin.id,
    region: decision.region,
    epoch: decision.epoch,
    reason: decision.reason,
    fence: decision.fence ?? 0,
  };
  record({ ...facts, ...placed, status: response.status }, sampleShare);
  const answer = forVisitor(response, requestId);
  if (settings.config.expose) {
    const decideMs = Date.now() - identifiedAtMs - originMs;
    answer.headers.append("server-timing", serverTiming({ identify: identifiedAtMs - passage.startedAtMs, decide: decideMs, origin: originMs }));
  }
  await tell(passage, identified, home, placed, answer.headers, passing);
  return answer;
}

/** What each step took, in milliseconds (W3C Server Timing). The platform's clock stands still while a Worker computes. */
function serverTiming(steps: Readonly<Record<string, number>>): string {
  return Object.entries(steps)
    .map(([step, ms]) => `${step};dur=${Math.max(0, ms)}`)
    .join(", ");
}

/** The origin's answer as the visitor gets it; one that HTTP does not know is a fault of the origin's. */
function forVisitor(response: Response, requestId: string): Response {
  const { status, statusText, body } = response;
  if (status < 200 || status > 599)
    return requestProblem("origin-protocol", `The origin answered with status ${status}, which is none for this request.`, requestId);
  return new Response(body, { status, statusText, headers: responseHeaders(response.headers) });
}

/** What the visitor is told beside the answer: who serves (where exposed), and the cookie that remembers it. */
async function tell(passage: Passage, identified: Identified, home: string, placed: Placed, headers: Headers, passing = false): Promise<void> {
  const { config, dev, secrets } = passage.settings;
  if (config.expose) exposeTo(headers, placed);
  const { pool, remembers, claims, issued, source, bound } = identified;
  // What has no affinity any more keeps its place until that ends, and the visitor their cookie.
  const kept = bound || placed.reason === "claim" || placed.reason === "pin";
  const visitors = identified.route.home.kind === "visitor";
  // Only where its claim was looked at and is over: not on another route of the pool, nor for one request's bad luck.
  if (identified.forgets && !kept && visitors && !passing && placed.reason !== "panic" && placed.epoch > 0 && !isPublic(headers)) {
    headers.append("set-cookie", expireCookie(pool, dev));
    if (!headers.has("cache-control")) headers.set("cache-control", "private");
  }
  // Without affinity there is nothing to remember but a key that was issued: with the next one the visitor might have drawn affinity.
  const remembersKey = remembers && (kept || (pool.affinity === "on" && issued !== undefined));
  if (!remembersKey || passing || placed.reason === "panic") return;
  const nowMs = Date.now();
  const times = { issuedAtMs: claims?.issuedAtMs ?? nowMs, seenAtMs: nowMs };
  const keyHash = await identified.ownHash();
  // A shared key's placement is nobody's claim, nor is one that the bare configuration gave, which may be another than the ring's; what the
  // cookie says of the visitor's own session stays.
  const own = visitors && placed.epoch > 0 && kept;
  const bare: Claims = { pool: pool.id, issued, keyHash, source, fence: 0, ...times };
  const shared: Claims = kept || !visitors ? { ...bare, ...claims, pool: pool.id, issued, ...times } : bare;
  const next: Claims = own ? { ...bare, home, origin: placed.origin, fence: placed.fence } : shared;
  if (!needsRewrite(claims, next, pool.session.idleMs) || isPublic(headers)) return;
  headers.append("set-cookie", setCookie(pool, dev, await seal(secrets, next), next));
  if (!headers.has("cache-control")) headers.set("cache-control", "private");
}

/** An answer that shared caches may keep bears no visitor's cookie: others would get it. */
function isPublic(headers: Headers): boolean {
  return /(^|[\s,])(public|s-maxage)\b/i.test(headers.get("cache-control") ?? "");
}

/** A cookie names an origin only for keys of one visitor: of a shared key everyone must agree. */
function claimOf({ route: { home }, claims }: Identified): Claim | undefined {
  if (home.kind !== "visitor" || claims?.origin === undefined) return undefined;
  return { origin: claims.origin, fence: claims.fence, from: "cookie" };
}

function originHeaders({ request, url, settings }: Passage): Headers {
  return requestHeaders(request.headers, {
    visitorIp: request.headers.get("cf-connecting-ip"),
    host: url.host,
    scheme: url.protocol.slice(0, -1),
    style: settings.config.forwarded,
    newSpanId: () => hex(crypto.getRandomValues(new Uint8Array(8))),
  });
}

/** Written by our own carrier and by nobody else: an origin's header of that name is taken out there. */
function readPlaced(header: string | null): Placed | undefined {
  return header === null ? undefined : (JSON.parse(header) as Placed);
}
