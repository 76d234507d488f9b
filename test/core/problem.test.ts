// What visitors see of an error: a code, a sentence and a request id.

import { expect, test } from "vitest";
import { faultyProblem, requestProblem, type ProblemCode } from "../../src/core/problem.ts";

/** Every code, so that the compiler notices one that was added. */
const CODES: Record<ProblemCode, readonly [status: number, proxyError: string]> = {
  "bad-request": [400, "http_request_error"],
  "invalid-session-key": [400, "http_request_error"],
  forbidden: [403, "http_request_denied"],
  misdirected: [421, "http_request_denied"],
  "ring-unreachable": [503, "destination_unavailable"],
  unauthorized: [401, "http_request_denied"],
  "session-required": [401, "http_request_denied"],
  "origin-not-allowed": [403, "http_request_denied"],
  conflict: [409, "http_request_denied"],
  "precondition-failed": [412, "http_request_denied"],
  "content-too-large": [413, "http_request_error"],
  "no-route": [404, "destination_not_found"],
  "not-found": [404, "destination_not_found"],
  "method-not-allowed": [405, "http_request_denied"],
  internal: [500, "proxy_internal_error"],
  misconfigured: [500, "proxy_configuration_error"],
  "origin-protocol": [502, "http_protocol_error"],
  "origin-unreachable": [503, "destination_unavailable"],
  "no-origin": [503, "destination_unavailable"],
  "owner-lost": [503, "destination_unavailable"],
  "keys-unreachable": [503, "destination_unavailable"],
  quarantined: [503, "destination_unavailable"],
  "too-many-failures": [429, "http_request_denied"],
  "too-many-sessions": [429, "http_request_denied"],
  overloaded: [503, "connection_limit_reached"],
  "replay-body": [503, "http_request_error"],
  "client-gone": [499, "connection_terminated"],
  "origin-timeout": [504, "http_response_timeout"],
  loop: [508, "proxy_loop_detected"],
};

test.each(Object.entries(CODES).map(([code, [status, proxyError]]) => [code as ProblemCode, status, proxyError] as const))("%s is a %i, for machines on the way too", async (code, status, proxyError) => {
  const response = requestProblem(code, "Try again shortly.", "r-1", { "retry-after": "1" });
  expect(response.status).toBe(status);
  expect(Object.fromEntries(response.headers)).toEqual({
    "content-type": "application/problem+json",
    "cache-control": "no-store",
    "proxy-status": `limpet; error=${proxyError}`,
    "retry-after": "1",
  });
  expect(await response.json()).toEqual({
    type: `/_limpet/problems/${code}`, title: expect.stringMatching(/^[A-Z]/), status, detail: "Try again shortly.", code, requestId: "r-1",
  });
});

test("a faulty body is one problem that tells every fault with its path, in a sentence and for machines", async () => {
  const faults = [
    { path: "", message: "found nothing" },
    { path: "url", message: "found 5" },
  ];
  expect(await faultyProblem(faults, "r-1").json()).toEqual({
    type: "/_limpet/problems/bad-request",
    title: "The request cannot be understood",
    status: 400,
    detail: "The request has 2 faults: found nothing; url: found 5.",
    code: "bad-request",
    requestId: "r-1",
    faults,
  });
});
