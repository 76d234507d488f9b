// The admin API under /_limpet/v1, the dashboard beside it, and in dev the page to try it. Bearer tokens, compared in constant time.

import { Hono, type Context } from "hono";
import { createMiddleware } from "hono/factory";
import { poolRegions } from "../core/home.ts";
import { parseKey } from "../core/identity.ts";
import { requestProblem } from "../core/problem.ts";
import type { Env, Settings } from "../platform/env.ts";
import { keyedHash } from "../platform/keyed-hash.ts";
import { delay } from "../platform/limits.ts";
import type { OriginStatus, RingStatus, SessionStatus } from "../platform/ring-status.ts";
import { ringStub } from "../platform/stubs.ts";
import { findToken } from "./tokens.ts";

/** What the front door hands over with a request. */
type Admin = { Bindings: { readonly env: Env; readonly settings: Settings; readonly requestId: string } };

/** Longest wait of one long poll. */
const WAIT_MAX_MS = 60_000;
const WAIT_STEP_MS = 200;

const needs = (scope: "read" | "operate") =>
  createMiddleware<Admin>(async (c, next) => {
    const token = await findToken(c.env.env, c.env.settings.dev, c.req.header("authorization"));
    if (!token) return problem(c, "unauthorized", "Send a valid token as `Authorization: Bearer <token>`.", { "www-authenticate": "Bearer" });
    if (!token.scopes.includes(scope)) return problem(c, "unauthorized", `This token has no scope "${scope}".`, { "www-authenticate": 'Bearer error="insufficient_scope"' });
    return next();
  });

export const admin = new Hono<Admin>()
  .basePath("/_limpet")
  .get("/v1/rings", needs("read"), async (c) => c.json({ rings: await allRings(c) }))
  .get("/v1/rings/:pool/:region", needs("read"), async (c) => {
    const rings = await allRings(c);
    const ring = rings.find(({ pool, region }) => pool === c.req.param("pool") && region === c.req.param("region"));
    return ring ? c.json(ring) : notFound(c, "ring");
  })
  .get("/v1/rings/:pool/:region/origins/:id", needs("read"), async (c) => {
    const ring = ringOf(c);
    const wanted = c.req.query("waitFor");
    if (wanted !== undefined && wanted !== "drained") return problem(c, "bad-request", 'waitFor must be "drained".');
    const untilMs = Date.now() + Math.min(WAIT_MAX_MS, Math.max(0, Number(c.req.query("timeoutMs") ?? 30_000) || 0));
    for (;;) {
      const origin = await ring?.origin(c.req.param("id"));
      if (!origin) return notFound(c, "origin");
      if (wanted === undefined || origin.state === wanted) return c.json(origin);
      if (Date.now() >= untilMs || c.req.raw.signal.aborted) return c.json(origin, 202); // not yet
      await delay(WAIT_STEP_MS);
    }
  })
  .post("/v1/rings/:pool/:region/origins/:id/:order{drain|undrain}", needs("operate"), async (c) => {
    const ring = ringOf(c);
    const id = c.req.param("id");
    const origin: OriginStatus | undefined = await (c.req.param("order") === "drain" ? ring?.drain(id) : ring?.undrain(id));
    return origin ? c.json(origin) : notFound(c, "origin");
  })
  .get("/v1/sessions/:pool/:key", needs("read"), async (c) => {
    const session = await findSession(c.env.settings, c.env.env, c.req.param("pool"), c.req.param("key"));
    return session ? c.json(session) : notFound(c, "live session");
  })
  .get("/dev.json", (c) => (c.env.settings.dev && c.env.env.LIMPET_DEV_INFO ? c.json(JSON.parse(c.env.env.LIMPET_DEV_INFO)) : notFound(c, "page")))
  .get("/*", async (c) => (await c.env.env.ASSETS?.fetch(c.req.raw)) ?? notFound(c, "page"))
  .notFound((c) => notFound(c as Context<Admin>, "page"))
  .onError((error, c) => {
    console.error(JSON.stringify({ limpet: "admin-failed", error: String(error) }));
    return problem(c as Context<Admin>, "internal", "The admin API failed; its log says why.");
  });

/** The rings of all pools and regions, with the connections that any ring's carriers hold to each origin. */
async function allRings(c: Context<Admin>): Promise<RingStatus[]> {
  const { config } = c.env.settings;
  const names = Object.keys(config.pools).flatMap((pool) => poolRegions(config, pool).map((region) => ({ pool, region: region.id })));
  const rings: RingStatus[] = await Promise.all(names.map(({ pool, region }) => ringStub(c.env.env, config, pool, region).status()));
  return rings.map((ring) => {
    const ofPool = rings.filter((each) => each.pool === ring.pool);
    const connectionsTo = (id: string): number => ofPool.reduce((sum, each) => sum + (each.connectionsByOrigin[id] ?? 0), 0);
    return { ...ring, origins: ring.origins.map((origin) => ({ ...origin, connections: connectionsTo(origin.id) })) };
  });
}

/** By key or by key hash: in whichever ring of the pool it lives. */
async function findSession(settings: Settings, env: Env, pool: string, name: string): Promise<SessionStatus | undefined> {
  const { config, secrets } = settings;
  const parsed = parseKey(encodeURIComponent(name)); // the router has decoded it
  if (!Object.hasOwn(config.pools, pool) || parsed.kind !== "valid") return undefined;
  const hashes = [await keyedHash(secrets.at(-1) ?? "", pool, parsed.key), ...(/^[0-9a-f]{32}$/.test(name) ? [name] : [])];
  const asks = poolRegions(config, pool).flatMap((region) => hashes.map((hash) => ringStub(env, config, pool, region.id).session(hash)));
  return (await Promise.all(asks)).find((session) => session !== undefined);
}

function ringOf(c: Context<Admin>): ReturnType<typeof ringStub> | undefined {
  const { config } = c.env.settings;
  const [pool, region] = [c.req.param("pool") ?? "", c.req.param("region") ?? ""];
  if (!Object.hasOwn(config.pools, pool)) return undefined;
  return poolRegions(config, pool).some(({ id }) => id === region) ? ringStub(c.env.env, config, pool, region) : undefined;
}

function notFound(c: Context<Admin>, what: string): Response {
  return problem(c, "not-found", `There is no such ${what}.`);
}

function problem(c: Context<Admin>, code: Parameters<typeof requestProblem>[0], detail: string, headers?: Record<string, string>): Response {
  return requestProblem(code, detail, c.env.requestId, headers);
}
