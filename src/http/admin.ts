// The admin API under /_limpet/v1, the dashboard beside it, and in dev the page to try it. Bearer tokens, compared in constant time.
// What is not here is a problem with a code, and never anybody else's bare answer.

import { Hono, type Context } from "hono";
import { createMiddleware } from "hono/factory";
import { poolRegions } from "../core/home.ts";
import { parseKey } from "../core/identity.ts";
import { requestProblem } from "../core/problem.ts";
import type { Env, Settings } from "../platform/env.ts";
import { keyedHash } from "../platform/keyed-hash.ts";
import { delay, within } from "../platform/limits.ts";
import type { OriginStatus, RingStatus, SessionStatus } from "../platform/ring-status.ts";
import { ringStub } from "../platform/stubs.ts";
import { findToken } from "./tokens.ts";

/** What the front door hands over with a request. */
type Admin = { Bindings: { readonly env: Env; readonly settings: Settings; readonly requestId: string } };

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

/** Longest wait of one long poll. */
const WAIT_MAX_MS = 60_000;
const WAIT_STEP_MS = 200;

/** Longest wait for one ring object in a list: it reads its carriers' tables first (PULL_TIMEOUT_MS), and the pages wait 5 s for all. */
const RING_ANSWER_MS = 4_000;

const READS = ["GET", "HEAD"];

const needs = (scope: "read" | "operate") =>
  createMiddleware<Admin>(async (c, next) => {
    const token = await findToken(c.env.env, c.env.settings.dev, c.req.header("authorization"));
    if (!token) return problem(c, "unauthorized", "Send a valid token as `Authorization: Bearer <token>`.", { "www-authenticate": "Bearer" });
    if (!token.scopes.includes(scope)) {
      return problem(c, "forbidden", `This token has no scope "${scope}".`, {
        "www-authenticate": `Bearer error="insufficient_scope", scope="${scope}"`,
      });
    }
    return next();
  });

/** Stands after a path's own methods. */
const only = (...methods: readonly string[]) =>
  createMiddleware<Admin>(async (c) =>
    problem(c, "method-not-allowed", `Use ${methods.join(" or ")}, not ${c.req.method}.`, { allow: methods.join(", ") }),
  );

export const admin = new Hono<Admin>()
  .basePath("/_limpet")
  .get("/v1/rings", needs("read"), async (c) => c.json({ rings: await allRings(c) }))
  .all("/v1/rings", only(...READS))
  .get("/v1/rings/:pool/:region", needs("read"), async (c) => {
    const rings = await allRings(c);
    const ring = rings.find(({ pool, region }) => pool === c.req.param("pool") && region === c.req.param("region"));
    if (!ring) return notFound(c, "ring");
    return "unreachable" in ring ? unreachable(c) : c.json(ring);
  })
  .all("/v1/rings/:pool/:region", only(...READS))
  .get("/v1/rings/:pool/:region/origins/:id", needs("read"), async (c) => {
    const ring = ringOf(c);
    const wanted = c.req.query("waitFor");
    if (wanted !== undefined && wanted !== "drained") return problem(c, "bad-request", 'waitFor must be "drained".');
    const untilMs = Date.now() + Math.min(WAIT_MAX_MS, Math.max(0, Number(c.req.query("timeoutMs") ?? 30_000) || 0));
    for (;;) {
      const origin = await answered(ring?.origin(c.req.param("id")));
      if (!origin) return notFound(c, "origin");
      if (wanted === undefined || origin.state === wanted) return c.json(origin);
      if (Date.now() >= untilMs || c.req.raw.signal.aborted) return c.json(origin, 202); // not yet
      await delay(WAIT_STEP_MS);
    }
  })
  .all("/v1/rings/:pool/:region/origins/:id", only(...READS))
  .post("/v1/rings/:pool/:region/origins/:id/:order{drain|undrain}", needs("operate"), async (c) => {
    const ring = ringOf(c);
    const id = c.req.param("id");
    const origin: OriginStatus | undefined = await answered(c.req.param("order") === "drain" ? ring?.drain(id) : ring?.undrain(id));
    return origin ? c.json(origin) : notFound(c, "origin");
  })
  .all("/v1/rings/:pool/:region/origins/:id/:order{drain|undrain}", only("POST"))
  .get("/v1/sessions/:pool/:key", needs("read"), async (c) => {
    const session = await findSession(c.env.settings, c.env.env, c.req.param("pool"), c.req.param("key"));
    if (session === "unreachable") return unreachable(c);
    return session ? c.json(session) : notFound(c, "live session");
  })
  .all("/v1/sessions/:pool/:key", only(...READS))
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
    console.error(JSON.stringify({ limpet: "admin-failed", error: String(error) }));
    return problem(c as Context<Admin>, "internal", "The admin API failed; its log says why.");
  });

class RingSilent extends Error {}

/** What a ring object answers; throws `RingSilent` where it fails or takes too long. */
async function answered<T>(asked: PromiseLike<T> | undefined): Promise<T | undefined> {
  try {
    return asked && (await within(Promise.resolve(asked), RING_ANSWER_MS, "ring"));
  } catch (error) {
    console.error(JSON.stringify({ limpet: "ring-unreachable", error: String(error) }));
    throw new RingSilent();
  }
}

/** The rings of all pools and regions, with the connections that any ring's carriers hold to each origin. */
async function allRings(c: Context<Admin>): Promise<(RingStatus | UnreachableRing)[]> {
  const { config } = c.env.settings;
  const names = Object.keys(config.pools).flatMap((pool) => poolRegions(config, pool).map((region) => ({ pool, region: region.id })));
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

/** By key or by key hash: in whichever ring of the pool it lives. Where a ring is silent, that none of the others has it says nothing. */
async function findSession(settings: Settings, env: Env, pool: string, name: string): Promise<SessionStatus | "unreachable" | undefined> {
  const { config, secrets } = settings;
  const parsed = parseKey(encodeURIComponent(name)); // the router has decoded it
  if (!Object.hasOwn(config.pools, pool) || parsed.kind !== "valid") return undefined;
  const hashes = [await keyedHash(secrets.at(-1) ?? "", pool, parsed.key), ...(/^[0-9a-f]{32}$/.test(name) ? [name] : [])];
  const asks = poolRegions(config, pool).flatMap((region) =>
    hashes.map((hash): Promise<SessionStatus | undefined> =>
      within(ringStub(env, config, pool, region.id).session(hash), RING_ANSWER_MS, `ring ${pool}@${region.id}`),
    ),
  );
  const answers = await Promise.allSettled(asks);
  const found = answers.find((answer) => answer.status === "fulfilled" && answer.value !== undefined);
  if (found?.status === "fulfilled") return found.value;
  return answers.some(({ status }) => status === "rejected") ? "unreachable" : undefined;
}

function ringOf(c: Context<Admin>): ReturnType<typeof ringStub> | undefined {
  const { config } = c.env.settings;
  const [pool, region] = [c.req.param("pool") ?? "", c.req.param("region") ?? ""];
  if (!Object.hasOwn(config.pools, pool)) return undefined;
  return poolRegions(config, pool).some(({ id }) => id === region) ? ringStub(c.env.env, config, pool, region) : undefined;
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

function notFound(c: Context<Admin>, what: string): Response {
  return problem(c, "not-found", `There is no such ${what}.`);
}

function unreachable(c: Context<Admin>): Response {
  return problem(c, "ring-unreachable", "The object of a ring that was asked for did not answer. Try again shortly.", { "retry-after": "2" });
}

function problem(c: Context<Admin>, code: Parameters<typeof requestProblem>[0], detail: string, headers?: Record<string, string>): Response {
  return requestProblem(code, detail, c.env.requestId, headers);
}
