// What visitors see of an error: a code, a sentence and a request id.

import { expect, test } from "vitest";
import { requestProblem, type ProblemCode } from "../../src/core/problem.ts";

test.each<[code: ProblemCode, status: number, proxyError: string]>([
  ["invalid-session-key", 400, "http_request_error"],
  ["unauthorized", 401, "http_request_denied"],
  ["origin-not-allowed", 403, "http_request_denied"],
  ["no-route", 404, "destination_not_found"],
  ["internal", 500, "proxy_internal_error"],
  ["origin-unreachable", 503, "destination_unavailable"],
  ["no-origin", 503, "destination_unavailable"],
  ["owner-lost", 503, "destination_unavailable"],
  ["origin-timeout", 504, "http_response_timeout"],
])("%s is a %i, for machines on the way too", async (code, status, proxyError) => {
  const response = requestProblem(code, "Try again shortly.", "r-1", { "retry-after": "1" });
  expect(response.status).toBe(status);
  expect(Object.fromEntries(response.headers)).toEqual({
    "content-type": "application/problem+json",
    "cache-control": "no-store",
    "proxy-status": `limpet; error=${proxyError}`,
    "retry-after": "1",
  });
  expect(await response.json()).toEqual({
    type: `urn:limpet:problem:${code}`, title: expect.stringMatching(/^[A-Z]/), status, detail: "Try again shortly.", code, requestId: "r-1",
  });
});
