// The admin API under /_limpet/v1, the dashboard beside it, and in dev the page to try it. Bearer tokens, compared in constant time.
// What is not here is a problem with a code, and never anybody else's bare answer.

import { Hono, type Context } from "hono";
import { etagOf } from "../core/if-match.ts";
import { SettingsFault } from "../platform/env.ts";
import { within } from "../platform/limits.ts";
import type { RingStatus } from "../platform/ring-status.ts";
import { ringStub } from "../platform/stubs.ts";
import type { Told } from "./admin-app.ts";
import { configRoutes } from "./admin-config.ts";
import { eventRoutes } from "./admin-events.ts";
import { explainRoutes } from "./admin-explain.ts";
import { originRoutes } from "./admin-origins.ts";
import {
  answered,
  knownRings,
  needs,
  notFound,
  only,
  problem,
  READS,
  ringOf,
  RING_ANSWER_MS,
  RingSilent,
  unreachable,
  type Admin,
} from "./admin-parts.ts";
import { planRoutes } from "./admin-plan.ts";
import { sessionRoutes } from "./admin-sessions.ts";
import { scrape } from "./metrics.ts";

/**
 * Stands in the list for a ring whose object did not answer, so that the others are seen. What cannot be known is left out, but for
 * `origins`, which readers of the list go through.
 */
interface UnreachableRing {
  readonly pool: string;
  readonly region: string;
  readonly unreachable: true;
  readonly origins: readonly [];
}

export const admin = new Hono<Admin>()
  .basePath("/_limpet")
  .get("/v1/rings", needs("read"), async (c) => c.json({ rings: await allRings(c) } satisfies Told<"listRings">))
  .all("/v1/rings", only(...READS))
  .get("/v1/rings/:pool/:region", needs("read"), async (c) => {
    const rings = await allRings(c);
    const ring = rings.find(({ pool, region }) => pool === c.req.param("pool") && region === c.req.param("region"));
    if (!ring) return notFound(c, "ring");
    if ("unreachable" in ring) return unreachable(c);
    return c.json(ring satisfies Told<"getRing">, 200, { etag: etagOf(ring) });
  })
  .all("/v1/rings/:pool/:region", only(...READS))
  .post("/v1/rings/:pool/:region/down", needs("operate"), async (c) => {
    const ring: RingStatus | undefined = await answered(ringOf(c)?.regionDown(c.var.by));
    return ring ? c.json(ring satisfies Told<"downRegion">) : notFound(c, "ring");
  })
  .all("/v1/rings/:pool/:region/down", only("POST"))
  .post("/v1/rings/:pool/:region/up", needs("operate"), async (c) => {
    const ring: RingStatus | undefined = await answered(ringOf(c)?.regionUp(c.var.by));
    return ring ? c.json(ring satisfies Told<"upRegion">) : notFound(c, "ring");
  })
  .all("/v1/rings/:pool/:region/up", only("POST"))
  .route("/", planRoutes)
  .route("/", originRoutes)
  .route("/", sessionRoutes)
  .route("/", configRoutes)
  .route("/", explainRoutes)
  .route("/", eventRoutes)
  .get("/metrics", needs("read"), async (c) =>
    c.body(await scrape(c.env.env, c.env.settings), 200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" }),
  )
  .all("/metrics", only(...READS))
  .all("/v1/*", (c) => notFound(c, "part of the admin API"))
  .get("/dev.json", (c) => (c.env.settings.dev && c.env.env.LIMPET_DEV_INFO ? c.json(JSON.parse(c.env.env.LIMPET_DEV_INFO)) : notFound(c, "page")))
  .all("/*", async (c) => {
    const isRead = READS.includes(c.req.method);
    const page = await c.env.env.ASSETS?.fetch(isRead ? c.req.raw : new Request(c.req.url, { method: "HEAD" }));
    if (!page || page.status === 404) return notFound(c, "page");
    return isRead ? secured(page, c.req.path) : problem(c, "method-not-allowed", `Use GET, not ${c.req.method}.`, { allow: READS.join(", ") });
  })
  .notFound((c) => notFound(c as Context<Admin>, "page"))
  .onError((error, c) => {
    if (error instanceof RingSilent) return unreachable(c as Context<Admin>);
    if (error instanceof SettingsFault) {
      // Visitors are served: a slip of the pen in who may operate must not end that.
      console.error(JSON.stringify({ limpet: "misconfigured", error: String(error) }));
      return problem(c as Context<Admin>, "misconfigured", "A secret is wrong; the router's log says which, and how.");
    }
    console.error(JSON.stringify({ limpet: "admin-failed", error: String(error) }));
    return problem(c as Context<Admin>, "internal", "The admin API failed; its log says why.");
  });

/** The rings of all pools and regions, with the connections that any ring's carriers hold to each origin. */
async function allRings(c: Context<Admin>): Promise<(RingStatus | UnreachableRing)[]> {
  const { config } = c.env.settings;
  const names = knownRings(c.env.settings);
  const answers = await Promise.allSettled(
    names.map(({ pool, region }): Promise<RingStatus> =>
      within(ringStub(c.env.env, config, pool, region).status(), RING_ANSWER_MS, `ring ${pool}@${region}`),
    ),
  );
  const rings = answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
  return names.map(({ pool, region }, index) => {
    const answer = answers[index];
    if (answer?.status !== "fulfilled") {
      console.error(JSON.stringify({ limpet: "ring-unreachable", pool, region, error: String(answer?.reason) }));
      return { pool, region, unreachable: true, origins: [] };
    }
    // Of a record only its own names: an origin may be called "constructor".
    const counts = rings.filter((each) => each.pool === pool).map((each) => new Map(Object.entries(each.connectionsByOrigin)));
    const connectionsTo = (id: string): number => counts.reduce((sum, each) => sum + (each.get(id) ?? 0), 0);
    return { ...answer.value, origins: answer.value.origins.map((origin) => ({ ...origin, connections: connectionsTo(origin.id) })) };
  });
}

/** A page of ours runs its own scripts and styles and talks to its own router, in nobody's frame. */
function secured(page: Response, path: string): Response {
  const secure = new Response(page.body, page);
  secure.headers.set("content-security-policy", path.startsWith("/_limpet/try") ? TRY_POLICY : PAGE_POLICY);
  secure.headers.set("x-content-type-options", "nosniff");
  secure.headers.set("referrer-policy", "no-referrer");
  return secure;
}

function policy({ style, connect }: { readonly style: string; readonly connect: string }): string {
  return `default-src 'none'; script-src 'self'; style-src ${style}; img-src 'self'; connect-src ${connect}; frame-ancestors 'none'; base-uri 'none'; form-action 'self'`;
}

const PAGE_POLICY = policy({ style: "'self'", connect: "'self'" });

/** The editor writes its styles into the page; the demo's control server, which kills and revives origins, has a port of its own. */
const TRY_POLICY = policy({ style: "'self' 'unsafe-inline'", connect: "'self' ws: wss: http://127.0.0.1:* http://localhost:*" });
