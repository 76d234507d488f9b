// Errors as visitors see them: RFC 9457 problem+json with a code, a sentence that says what to do, and a request id; never a stack
// trace. `Proxy-Status` (RFC 9209) says the same to machines on the way.

const PROBLEMS = {
  "bad-request": { status: 400, title: "The request cannot be understood", proxyError: "http_request_error" },
  "invalid-session-key": { status: 400, title: "The path names a session that cannot be one", proxyError: "http_request_error" },
  "origin-not-allowed": { status: 403, title: "Pages of this origin may not open connections here", proxyError: "http_request_denied" },
  "no-route": { status: 404, title: "No route matches this request", proxyError: "destination_not_found" },
  "session-required": { status: 401, title: "This route needs a session", proxyError: "http_request_denied" },
  unauthorized: { status: 401, title: "A valid token is needed", proxyError: "http_request_denied" },
  forbidden: { status: 403, title: "This token may not do that", proxyError: "http_request_denied" },
  misdirected: { status: 421, title: "This hostname is not answered for", proxyError: "http_request_denied" },
  "not-found": { status: 404, title: "There is no such thing", proxyError: "destination_not_found" },
  "method-not-allowed": { status: 405, title: "This method is not offered here", proxyError: "http_request_denied" },
  "origin-unreachable": { status: 503, title: "The origin cannot be reached", proxyError: "destination_unavailable" },
  "ring-unreachable": { status: 503, title: "A ring cannot be reached", proxyError: "destination_unavailable" },
  "keys-unreachable": { status: 503, title: "Tokens cannot be verified now", proxyError: "destination_unavailable" },
  "origin-timeout": { status: 504, title: "The origin did not answer in time", proxyError: "http_response_timeout" },
  "origin-protocol": { status: 502, title: "The origin's answer cannot be passed on", proxyError: "http_protocol_error" },
  loop: { status: 508, title: "This request goes in a circle", proxyError: "proxy_loop_detected" },
  "no-origin": { status: 503, title: "No origin can serve now", proxyError: "destination_unavailable" },
  "owner-lost": { status: 503, title: "The origin of this session is away", proxyError: "destination_unavailable" },
  overloaded: { status: 503, title: "Too much at once", proxyError: "connection_limit_reached" },
  misconfigured: { status: 500, title: "This router is not configured", proxyError: "proxy_configuration_error" },
  internal: { status: 500, title: "Something broke in the router", proxyError: "proxy_internal_error" },
} as const;

export type ProblemCode = keyof typeof PROBLEMS;

export function requestProblem(code: ProblemCode, detail: string, requestId: string, headers: Readonly<Record<string, string>> = {}): Response {
  const { status, title, proxyError } = PROBLEMS[code];
  return Response.json(
    { type: `urn:limpet:problem:${code}`, title, status, detail, code, requestId },
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
