// What passes between visitor and origin, for plain requests and live ones alike: the request as the origin gets it, the answer as the visitor
// does, and what the visitor brings of where the session is.

import type { Claim } from "../core/situation.ts";
import { mayPass, requestHeaders, responseHeaders, type HeaderRecord } from "../core/headers.ts";
import { queryWithoutTags, withoutTags } from "../core/learned.ts";
import type { Route } from "../core/config-types.ts";
import { requestProblem } from "../core/problem.ts";
import { hex } from "../platform/keyed-hash.ts";
import type { Identified } from "./request.ts";
import type { Arrival } from "./route.ts";

/** A visitor's headers as the origin gets them, without the tags that only we read. */
export function originHeaders({ request, given, url, settings }: Arrival, { route }: Identified): HeaderRecord {
  const headers = requestHeaders(given, {
    visitorIp: given["cf-connecting-ip"] ?? null,
    host: url.host,
    scheme: url.protocol.slice(0, -1),
    style: settings.config.forwarded,
    newSpanId: () => hex(crypto.getRandomValues(new Uint8Array(8))),
  });
  // Every origin is asked for compressed answers. A visitor who names no encoding may know none, and the local runtime decodes for nobody.
  if (settings.dev && request.cf?.["clientAcceptEncoding"] === "") headers["accept-encoding"] = "identity";
  for (const source of route.session) {
    if (source.kind !== "header" || !source.learn) continue;
    const value = headers[source.name];
    if (value !== undefined) headers[source.name] = withoutTags(value);
  }
  return headers;
}

/** Path and query as the origin gets them. */
export function targetOf(url: URL, { session }: Route): string {
  if (url.search === "") return url.pathname;
  const learned = session.find((source) => source.kind === "query" && source.learn);
  return url.pathname + queryWithoutTags(url.search, learned?.kind === "query" ? learned.name : undefined);
}

/** The origin's answer as the visitor gets it: the very same, unless something has to be taken out or is added. */
export class Draft {
  #response: Response;
  #isOurs = false;

  constructor(response: Response, requestId: string) {
    this.#response = response;
    const { status } = response;
    if (status < 200 || status > 599) {
      this.#response = requestProblem("origin-protocol", `The origin answered with status ${status}, which is none for this request.`, requestId);
      this.#isOurs = true;
    } else if (!mayPass(response.headers)) this.change();
  }

  get response(): Response {
    return this.#response;
  }

  /** To be read only. */
  get headers(): Headers {
    return this.#response.headers;
  }

  /** To be changed. */
  change(): Headers {
    if (!this.#isOurs) {
      const { status, statusText, body, headers } = this.#response;
      this.#response = new Response(body, { status, statusText, headers: responseHeaders(headers) });
      this.#isOurs = true;
    }
    return this.#response.headers;
  }
}

/** A cookie names an origin only for keys of one visitor: of a shared key everyone must agree. A tag everyone of its session brings. */
export function claimOf({ route: { home }, claims, tag }: Identified): Claim | undefined {
  if (tag) return { origin: tag.origin, fence: tag.fence, from: "tag" };
  if (home.kind !== "visitor" || claims?.origin === undefined) return undefined;
  return { origin: claims.origin, fence: claims.fence, from: "cookie" };
}
