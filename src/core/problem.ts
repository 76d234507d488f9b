// Errors as visitors see them: RFC 9457 problem+json with a code, a sentence that says what to do, and a request id; never a stack
// trace. `Proxy-Status` (RFC 9209) says the same to machines on the way. Each type has a page (PROBLEMS_PATH), made of what stands here.

import type { ConfigFault } from "./config-faults.ts";

interface Problem {
  readonly status: number;
  readonly title: string;
  readonly proxyError: string;
  /** What it means, and who can do what about it. */
  readonly help: string;
}

export const PROBLEMS = {
  "bad-request": {
    status: 400,
    title: "The request cannot be understood",
    proxyError: "http_request_error",
    help: "Its `detail` says what is wrong. The client must be changed: the same request fails again.",
  },
  "invalid-session-key": {
    status: 400,
    title: "The path names a session that cannot be one",
    proxyError: "http_request_error",
    help: "A session key is valid percent-encoded UTF-8, at most 256 bytes, without control characters and empty segments. Served without its key, the document would be in two places.",
  },
  "origin-not-allowed": {
    status: 403,
    title: "Pages of this origin may not open connections here",
    proxyError: "http_request_denied",
    help: "The route lists the web origins that may use it (`allowedOrigins`). Add the page's, or open the page from one of them.",
  },
  "no-route": {
    status: 404,
    title: "No route matches this request",
    proxyError: "destination_not_found",
    help: "No entry of `routes` has this path, host and headers. A path is compared as it is: case and a closing slash matter.",
  },
  "session-required": {
    status: 401,
    title: "This route needs a session",
    proxyError: "http_request_denied",
    help: "The route is `required`, and the request names no session, or none that is valid: send the cookie, header or token that it asks for.",
  },
  unauthorized: {
    status: 401,
    title: "A valid token is needed",
    proxyError: "http_request_denied",
    help: "Send a token of `LIMPET_ADMIN_TOKENS` as `Authorization: Bearer …`.",
  },
  forbidden: {
    status: 403,
    title: "This token may not do that",
    proxyError: "http_request_denied",
    help: "The token lacks the scope that its `detail` names.",
  },
  misdirected: {
    status: 421,
    title: "This hostname is not answered for",
    proxyError: "http_request_denied",
    help: "On a developer's machine the admin API answers for 127.0.0.1, localhost and `admin.host` alone.",
  },
  "not-found": {
    status: 404,
    title: "There is no such thing",
    proxyError: "destination_not_found",
    help: "What the path names does not exist, or not any more.",
  },
  "method-not-allowed": {
    status: 405,
    title: "This method is not offered here",
    proxyError: "http_request_denied",
    help: "`Allow` lists the methods that are.",
  },
  conflict: {
    status: 409,
    title: "It cannot be done as things are",
    proxyError: "http_request_denied",
    help: "Its `detail` says what stands in the way, and what to do first.",
  },
  "precondition-failed": {
    status: 412,
    title: "It has changed meanwhile",
    proxyError: "http_request_denied",
    help: "`If-Match` names another state than the one that holds: look at it, and decide again.",
  },
  "content-too-large": {
    status: 413,
    title: "The body is too large",
    proxyError: "http_request_error",
    help: "The admin API reads bodies up to the size that its `detail` names.",
  },
  "origin-unreachable": {
    status: 503,
    title: "The origin cannot be reached",
    proxyError: "destination_unavailable",
    help: "The session's origin refused or reset the connection, and the request must not be sent twice, or the retries of this moment are used up. Try again: by then the session may have moved. Operators see the origin's health in the dashboard.",
  },
  "ring-unreachable": {
    status: 503,
    title: "A ring cannot be reached",
    proxyError: "destination_unavailable",
    help: "The object that holds a ring did not answer an operator's question. Visitors are served by what is known of it. Try again shortly.",
  },
  "keys-unreachable": {
    status: 503,
    title: "Tokens cannot be verified now",
    proxyError: "destination_unavailable",
    help: "The issuer's public keys cannot be fetched. Operators find the address and the reason in the log (`jwks-unreachable`).",
  },
  "replay-body": {
    status: 503,
    title: "The session has moved; send the request again",
    proxyError: "http_request_error",
    help: "The origin has sent this session to another, but the request's body was streamed and cannot be sent twice. Where the session could be remembered the next try goes to the right one. A route that keeps small bodies (`replay.bodyBytes`) spares visitors this.",
  },
  "client-gone": {
    status: 499,
    title: "The visitor left",
    proxyError: "connection_terminated",
    help: "The visitor closed the connection before the origin answered. Nobody's fault; seen in records alone.",
  },
  "origin-timeout": {
    status: 504,
    title: "The origin did not answer in time",
    proxyError: "http_response_timeout",
    help: "No byte of an answer came within `deadlines.firstByteMs`. Whether the origin has done what it was asked is not known: it is not sent again.",
  },
  "origin-protocol": {
    status: 502,
    title: "The origin's answer cannot be passed on",
    proxyError: "http_protocol_error",
    help: "The origin answered with a status that HTTP does not have, or sent the session to an origin that its pool does not have. The origin must be changed.",
  },
  loop: {
    status: 508,
    title: "This request goes in a circle",
    proxyError: "proxy_loop_detected",
    help: "It has come through a Limpet before (an origin's `url` leads back to the router), or origins send its session to each other (`Limpet: replay`).",
  },
  "no-origin": {
    status: 503,
    title: "No origin can serve now",
    proxyError: "destination_unavailable",
    help: "The pool has no origin, or none that takes sessions. Operators see in the dashboard which are drained or down, and in the configuration whether there is a secondary region.",
  },
  "owner-lost": {
    status: 503,
    title: "The origin of this session is away",
    proxyError: "destination_unavailable",
    help: "The pool is `strict`: the session waits for the origin that holds it. It comes back when that does, or when it is drained or removed.",
  },
  quarantined: {
    status: 503,
    title: "This session is in quarantine",
    proxyError: "destination_unavailable",
    help: "Several origins died soon after this session had been moved to them (`faultBudget`). It is served again when its time is over, or when an operator moves it. Plain requests are served.",
  },
  overloaded: {
    status: 503,
    title: "Too much at once",
    proxyError: "connection_limit_reached",
    help: "A carrier holds as many live connections as it may (`carrier.maxConnections`), or more are being opened at once than its handshakes allow. Try again; operators may raise `carriers` while no session is live.",
  },
  "too-many-sessions": {
    status: 429,
    title: "Too many new sessions",
    proxyError: "http_request_denied",
    help: "More sessions that nobody knew were begun from one address (the rate limit `NEW_SESSIONS` of wrangler.toml), or in one ring, than may be within a moment. Sessions that are known are served. Try again after `Retry-After`.",
  },
  "too-many-failures": {
    status: 429,
    title: "Too many wrong tokens",
    proxyError: "http_request_denied",
    help: "More requests with tokens that are not valid came from one address than may be within a minute. One with a valid token is answered all the same.",
  },
  misconfigured: {
    status: 500,
    title: "This router is not configured",
    proxyError: "proxy_configuration_error",
    help: "The configuration has faults, or a secret is missing. The router's log lists all of them, each with its path.",
  },
  internal: {
    status: 500,
    title: "Something broke in the router",
    proxyError: "proxy_internal_error",
    help: "A fault of Limpet's. Its log has the details under the request id.",
  },
} as const satisfies Readonly<Record<string, Problem>>;

export type ProblemCode = keyof typeof PROBLEMS;

/** Where the pages of the problems are, on every host that the router answers for: a type is a reference relative to the request (RFC 9457 §3.1.1). */
export const PROBLEMS_PATH = "/_limpet/problems/";

export function requestProblem(code: ProblemCode, detail: string, requestId: string, headers: Readonly<Record<string, string>> = {}): Response {
  return problemOf(code, { detail, requestId }, headers);
}

/** A body that was read and is wrong: all of its faults, each with its path, in the sentence and once more for machines. */
export function faultyProblem(faults: readonly ConfigFault[], requestId: string): Response {
  const said = faults.map(({ path, message }) => (path === "" ? message : `${path}: ${message}`));
  const count = faults.length === 1 ? "1 fault" : `${faults.length} faults`;
  return problemOf("bad-request", { detail: `The request has ${count}: ${said.join("; ")}.`, requestId, faults }, {});
}

/** Members of the problem's own stand before those that are an extension (RFC 9457 §3.2). */
function problemOf(
  code: ProblemCode,
  { detail, ...more }: { readonly detail: string; readonly requestId: string; readonly faults?: readonly ConfigFault[] },
  headers: Readonly<Record<string, string>>,
): Response {
  const { status, title, proxyError } = PROBLEMS[code];
  return Response.json(
    { type: PROBLEMS_PATH + code, title, status, detail, code, ...more },
    {
      status,
      headers: {
        "content-type": "application/problem+json",
        "cache-control": "no-store",
        "proxy-status": `limpet; error=${proxyError}`,
        ...headers,
      },
    },
  );
}
