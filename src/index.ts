// Limpet's front door: the Worker, and the Durable Object classes.
//
//   index.ts            here: settings, our own paths, everything else to the router
//   http/    route.ts   the way of a request: identify, locate, decide, carry, record (start reading there)
//            admin.ts   /_limpet: the admin API and the pages
//   platform/           the only files that touch KV, Durable Objects, fetch, sockets and the clock
//            ring-*     the ring object: who is where, and why          carrier-*, carry-*  the live connections
//            snapshots  what an isolate knows of the rings              seal, keyed-hash    secrets
//   core/               pure: hash, ring, decide, home, identity, cookie, snapshot, protocol, profiles, config
//   cli/                Node: the command line and the local stack
//
// Imports go down only: index → http → platform → core.

import { requestProblem } from "./core/problem.ts";
import { admin } from "./http/admin.ts";
import { route } from "./http/route.ts";
import { settingsOf, SettingsFault, type Env, type Settings } from "./platform/env.ts";

export { CarrierObject } from "./platform/carrier-object.ts";
export { RingObject } from "./platform/ring-object.ts";

export default {
  async fetch(request, env, ctx): Promise<Response> {
    const requestId = request.headers.get("cf-ray") ?? crypto.randomUUID();
    try {
      return await answer(request, env, ctx, settingsOf(env), requestId);
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
  },
} satisfies ExportedHandler<Env>;

const LOOPBACK: ReadonlySet<string> = new Set(["127.0.0.1", "localhost", "[::1]"]);

async function answer(request: Request, env: Env, ctx: ExecutionContext, settings: Settings, requestId: string): Promise<Response> {
  const { pathname, hostname } = new URL(request.url);
  const { config, dev } = settings;
  const adminHost = config.admin === false ? undefined : config.admin.host;
  if (pathname === "/_limpet" || pathname.startsWith("/_limpet/")) {
    // dev's token is no secret: a page whose name was made to lead to this machine (DNS rebinding) must not get to use it.
    if (dev && hostname !== adminHost && !LOOPBACK.has(hostname))
      return requestProblem("misdirected", "In dev this is answered for 127.0.0.1, localhost and admin.host only.", requestId);
    if (config.admin === false || (adminHost !== undefined && adminHost !== hostname))
      return requestProblem("not-found", "There is no such page.", requestId);
    return adminAnswer(request, env, ctx, settings, requestId);
  }
  const routed = await route(env, ctx, settings, request, requestId);
  if (routed) return routed;
  if (dev && pathname === "/" && request.method === "GET" && env.ASSETS)
    return adminAnswer(new Request(new URL("/_limpet/try", request.url), request), env, ctx, settings, requestId);
  return requestProblem(
    "no-route",
    `No route of the configuration matches ${hostname} and this path. Routes are listed in limpet.config.ts.`,
    requestId,
  );
}

async function adminAnswer(request: Request, env: Env, ctx: ExecutionContext, settings: Settings, requestId: string): Promise<Response> {
  const { pathname } = new URL(request.url);
  if (pathname === "/_limpet") return Response.redirect(new URL("/_limpet/", request.url).href, 308);
  return admin.fetch(request, { env, settings, requestId }, ctx);
}
