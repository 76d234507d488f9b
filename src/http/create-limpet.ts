// Limpet as a part: a Hono app and the Durable Object classes, made from one configuration. index.ts deploys them as they are; an existing
// Worker mounts the app among its own routes (examples/hono). One Limpet to a Worker: isolates share what they know of its rings.

import { Hono, type ExecutionContext as HonoContext } from "hono";
import type { ConfigInput } from "../core/config.ts";
import { recordOf, type HeaderRecord } from "../core/headers.ts";
import { requestProblem } from "../core/problem.ts";
import { CarrierObject } from "../platform/carrier-object.ts";
import { ControlObject } from "../platform/control-object.ts";
import { CodeSettings, SettingsFault, type Env } from "../platform/env.ts";
import { IsolateSettings } from "../platform/isolate-settings.ts";
import { RingObject } from "../platform/ring-object.ts";
import { admin } from "./admin.ts";
import { problemPage } from "./problem-pages.ts";
import { route, type Arrival } from "./route.ts";

/**
 * `app` answers every request that a route of the configuration or `/_limpet` matches, and leaves the others to whatever is registered after it
 * in the Worker that mounts it (`worker.route("/", app)`); alone, it answers them 404. Paths are the request's own, wherever it is mounted.
 * `fetch` is the same without Hono in between, for a Worker that is nothing but Limpet. The classes must be exported by the Worker's main module
 * under the names that its wrangler.toml binds to RING, CARRIER and CONTROL. A configuration that is wrong is told at the first request, all its faults in
 * the log, and nothing is served.
 */
export function createLimpet(config: ConfigInput) {
  const source = new CodeSettings(config);
  const settings = new IsolateSettings(source);
  const fetch = (request: Request, env: Env, ctx: HonoContext): Promise<Response> => arrive({ request, env, ctx }, settings, () => noRoute(request));
  const app = new Hono<{ Bindings: Env }>()
    .all("*", (c, next) => arrive({ request: c.req.raw, env: c.env, ctx: c.executionCtx }, settings, next))
    .notFound((c) => noRoute(c.req.raw));
  return {
    app,
    fetch,
    RingObject: class extends RingObject {
      constructor(ctx: DurableObjectState, env: Env) {
        super(ctx, env, source);
      }
    },
    ControlObject: class extends ControlObject {
      constructor(ctx: DurableObjectState, env: Env) {
        super(ctx, env, source);
      }
    },
    CarrierObject: class extends CarrierObject {
      constructor(ctx: DurableObjectState, env: Env) {
        super(ctx, env, source);
      }
    },
  };
}

/** `otherwise` answers what is neither a route's nor ours. */
async function arrive<T>(
  { request, env, ctx }: Pick<Arrival, "request" | "env" | "ctx">,
  known: IsolateSettings,
  otherwise: () => T,
): Promise<Response | Awaited<T>> {
  const given = recordOf(request.headers);
  const requestId = requestIdOf(given);
  const startedAtMs = Date.now();
  try {
    const settings = await known.of(env, ctx);
    const answered = await answer({ request, env, ctx, settings, url: new URL(request.url), requestId, given, startedAtMs });
    if (answered) return answered;
  } catch (error) {
    const misconfigured = error instanceof SettingsFault;
    console.error(
      JSON.stringify({
        limpet: misconfigured ? "misconfigured" : "failed",
        requestId,
        error: String(error),
        stack: misconfigured ? undefined : (error as Error).stack,
      }),
    );
    return misconfigured
      ? requestProblem("misconfigured", "The router's configuration or a secret is missing or wrong; its log says what.", requestId)
      : requestProblem("internal", "Something broke in the router; its log says what, under this request id.", requestId);
  }
  return await otherwise();
}

const LOOPBACK: ReadonlySet<string> = new Set(["127.0.0.1", "localhost", "[::1]"]);

function answer(arrival: Arrival): Promise<Response | undefined> {
  const { url, settings } = arrival;
  if (url.pathname === "/_limpet" || url.pathname.startsWith("/_limpet/")) return answerOurselves(arrival);
  return settings.dev && url.pathname === "/" ? routeOrTry(arrival) : route(arrival);
}

/** In dev the page to try it is at the root, where no route has that. */
async function routeOrTry(arrival: Arrival): Promise<Response | undefined> {
  const { request, env, url } = arrival;
  const routed = await route(arrival);
  if (routed || request.method !== "GET" || !env.ASSETS) return routed;
  return adminAnswer({ ...arrival, request: new Request(new URL("/_limpet/try", url), request) });
}

async function answerOurselves(arrival: Arrival): Promise<Response> {
  const { url, settings, requestId } = arrival;
  const { pathname, hostname } = url;
  const { config, dev } = settings;
  const page = await problemPage(pathname);
  if (page) return page;
  const adminHost = config.admin === false ? undefined : config.admin.host;
  // dev's token is no secret: a page whose name was made to lead to this machine (DNS rebinding) must not get to use it.
  if (dev && hostname !== adminHost && !LOOPBACK.has(hostname))
    return requestProblem("misdirected", "In dev this is answered for 127.0.0.1, localhost and admin.host only.", requestId);
  if (config.admin === false || (adminHost !== undefined && adminHost !== hostname))
    return requestProblem("not-found", "There is no such page.", requestId);
  return adminAnswer(arrival);
}

async function adminAnswer({ request, env, ctx, settings, requestId }: Arrival): Promise<Response> {
  const url = new URL(request.url);
  if (url.pathname === "/_limpet") return Response.redirect(new URL("/_limpet/", url).href, 308);
  return admin.fetch(request, { env, settings, requestId }, ctx);
}

function noRoute(request: Request): Response {
  const { hostname } = new URL(request.url);
  return requestProblem(
    "no-route",
    `No route of the configuration matches ${hostname} and this path. Routes are listed in limpet.config.ts.`,
    requestIdOf(recordOf(request.headers)),
  );
}

/** The platform's own id of the request, so that its logs and ours meet. */
function requestIdOf(given: Readonly<HeaderRecord>): string {
  return given["cf-ray"] ?? crypto.randomUUID();
}
