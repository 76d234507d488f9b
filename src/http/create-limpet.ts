// Limpet as a part: a Hono app and the Durable Object classes, made from one configuration. index.ts deploys them as they are; an existing
// Worker mounts the app among its own routes (examples/hono). One Limpet to a Worker: isolates share what they know of its rings.

import { Hono, type ExecutionContext as HonoContext } from "hono";
import type { ConfigInput } from "../core/config.ts";
import { recordOf, type HeaderRecord } from "../core/headers.ts";
import { requestProblem } from "../core/problem.ts";
import { CarrierObject } from "../platform/carrier-object.ts";
import { settingsReader, SettingsFault, type Env, type Settings } from "../platform/env.ts";
import { RingObject } from "../platform/ring-object.ts";
import { admin } from "./admin.ts";
import { problemPage } from "./problem-pages.ts";
import { route, type Arrival } from "./route.ts";

/**
 * `app` answers every request that a route of the configuration or `/_limpet` matches, and leaves the others to whatever is registered after it
 * in the Worker that mounts it (`worker.route("/", app)`); alone, it answers them 404. Paths are the request's own, wherever it is mounted.
 * `fetch` is the same without Hono
 * in between, for a Worker that is nothing but Limpet. The classes must be exported by the Worker's main module under the names that its wrangler.toml binds to RING and CARRIER.
 * A configuration that is wrong is told at the first request, all its faults in the log, and nothing is served.
 */
export function createLimpet(config: ConfigInput) {
  const settingsOf = settingsReader(config);
  const fetch = async (request: Request, env: Env, ctx: HonoContext): Promise<Response> =>
    (await arrive(request, env, ctx, settingsOf)) ?? noRoute(request);
  const app = new Hono<{ Bindings: Env }>()
    .all("*", async (c, next) => (await arrive(c.req.raw, c.env, c.executionCtx, settingsOf)) ?? next())
    .notFound((c) => noRoute(c.req.raw));
  return {
    app,
    fetch,
    RingObject: class extends RingObject {
      constructor(ctx: DurableObjectState, env: Env) {
        super(ctx, env, settingsOf(env));
      }
    },
    CarrierObject: class extends CarrierObject {
      constructor(ctx: DurableObjectState, env: Env) {
        super(ctx, env, settingsOf(env));
      }
    },
  };
}

/** `undefined`: neither a route's nor ours. */
async function arrive(request: Request, env: Env, ctx: HonoContext, settingsOf: (env: Env) => Settings): Promise<Response | undefined> {
  const given = recordOf(request.headers);
  const requestId = requestIdOf(given);
  try {
    const arrival: Arrival = { request, env, ctx, settings: settingsOf(env), url: new URL(request.url), requestId, given };
    return await answer(arrival);
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
}

const LOOPBACK: ReadonlySet<string> = new Set(["127.0.0.1", "localhost", "[::1]"]);

async function answer(arrival: Arrival): Promise<Response | undefined> {
  const { request, env, settings, url, requestId } = arrival;
  const { pathname, hostname } = url;
  const { config, dev } = settings;
  if (pathname === "/_limpet" || pathname.startsWith("/_limpet/")) {
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
  const routed = await route(arrival);
  if (routed) return routed;
  if (dev && pathname === "/" && request.method === "GET" && env.ASSETS)
    return adminAnswer({ ...arrival, request: new Request(new URL("/_limpet/try", url), request) });
  return undefined;
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
