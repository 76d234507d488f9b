// One origin of a ring, as operators see and order it: it joins, changes and leaves at run time, is drained and undrained.

import { Hono, type Context } from "hono";
import { etagOf, ifMatch } from "../core/if-match.ts";
import { parseChange, parseDrain, parseLease, parseWanted, type Addressing } from "../core/membership.ts";
import { faultyProblem } from "../core/problem.ts";
import { delay } from "../platform/limits.ts";
import type { MemberChange } from "../platform/ring-members.ts";
import type { Asker, OrderAnswer } from "../platform/ring-operators.ts";
import type { OriginStatus } from "../platform/ring-status.ts";
import { answered, jsonOf, needs, notFound, only, problem, READS, ringOf, type Admin } from "./admin-parts.ts";

/** Longest wait of one long poll. */
const WAIT_MAX_MS = 60_000;
const WAIT_STEP_MS = 200;

const ORIGIN = "/v1/rings/:pool/:region/origins/:id";

export const originRoutes = new Hono<Admin>()
  .get(ORIGIN, needs("read", "register"), async (c) => {
    const ring = ringOf(c);
    const wanted = c.req.query("waitFor");
    if (wanted !== undefined && wanted !== "drained" && wanted !== "serving")
      return problem(c, "bad-request", 'waitFor must be "drained" or "serving".');
    const untilMs = Date.now() + Math.min(WAIT_MAX_MS, Math.max(0, Number(c.req.query("timeoutMs") ?? 30_000) || 0));
    for (;;) {
      const origin = await answered(ring?.origin(c.req.param("id")));
      if (!origin) return notFound(c, "origin");
      c.header("etag", etagOf(origin));
      if (wanted === undefined || has(origin, wanted)) return c.json(origin);
      if (Date.now() >= untilMs || c.req.raw.signal.aborted) return c.json(origin, 202); // not yet
      await delay(WAIT_STEP_MS);
    }
  })
  .put(ORIGIN, needs("operate"), async (c) => {
    const body = await jsonOf(c);
    if (body instanceof Response) return body;
    const id = c.req.param("id");
    const parsed = parseWanted(id, body.value, addressing(c, id));
    return parsed.ok ? change(c, { kind: "put", origin: parsed.value }) : faultyProblem(parsed.faults, c.env.requestId);
  })
  .patch(ORIGIN, needs("operate"), async (c) => {
    const body = await jsonOf(c);
    if (body instanceof Response) return body;
    const parsed = parseChange(body.value, addressing(c, c.req.param("id")));
    return parsed.ok ? change(c, { kind: "patch", change: parsed.value }) : faultyProblem(parsed.faults, c.env.requestId);
  })
  .delete(ORIGIN, needs("operate"), (c) => change(c, { kind: "remove" }))
  .all(ORIGIN, only(...READS, "PUT", "PATCH", "DELETE"))
  .post(`${ORIGIN}/drain`, needs("operate", "register"), async (c) => {
    const body = await jsonOf(c);
    if (body instanceof Response) return body;
    const parsed = parseDrain(body.value);
    if (!parsed.ok) return faultyProblem(parsed.faults, c.env.requestId);
    return order(c, async (ring, id) => ring.drain(id, c.var.by, parsed.value, asker(c)));
  })
  .all(`${ORIGIN}/drain`, only("POST"))
  .post(`${ORIGIN}/undrain`, needs("operate", "register"), (c) => order(c, async (ring, id) => ring.undrain(id, c.var.by, asker(c))))
  .all(`${ORIGIN}/undrain`, only("POST"))
  .put(`${ORIGIN}/lease`, needs("operate", "register"), async (c) => {
    const body = await jsonOf(c);
    if (body instanceof Response) return body;
    const id = c.req.param("id");
    const parsed = parseLease(id, body.value, addressing(c, id));
    if (!parsed.ok) return faultyProblem(parsed.faults, c.env.requestId);
    return order(c, async (ring) => ring.lease(id, parsed.value, c.var.by, asker(c)));
  })
  .all(`${ORIGIN}/lease`, only("PUT"));

/** One that is gone was drained before. */
function has(origin: OriginStatus, wanted: "drained" | "serving"): boolean {
  return wanted === "serving" ? origin.serving : origin.state === "drained" || origin.state === "gone";
}

function change(c: Context<Admin>, wanted: MemberChange): Promise<Response> {
  return order(c, async (ring, id) => ring.member(id, wanted, c.var.by, asker(c)), wanted.kind === "remove");
}

async function order(
  c: Context<Admin>,
  ask: (ring: NonNullable<ReturnType<typeof ringOf>>, id: string) => Promise<OrderAnswer>,
  leaves = false,
): Promise<Response> {
  const ring = ringOf(c);
  if (!ring) return notFound(c, "ring");
  const answer = await answered(ask(ring, c.req.param("id") ?? ""));
  if (!answer || answer.kind === "unknown") return notFound(c, "origin");
  if (answer.kind === "conflict") return problem(c, "conflict", answer.why);
  if (answer.kind === "changed") return problem(c, "precondition-failed", `The ring's present tag is ${answer.etag}.`, { etag: answer.etag });
  const { origin, joined } = answer;
  c.header("etag", etagOf(origin));
  return c.json(origin, joined ? 201 : leaves && origin.state !== "gone" ? 202 : 200);
}

function asker(c: Context<Admin>): Asker {
  return { ifMatch: ifMatch(c.req.header("if-match")), registers: c.var.registers };
}

/** A configured origin keeps its binding, whatever its address is. */
function addressing(c: Context<Admin>, id: string): Addressing {
  const { config, dev } = c.env.settings;
  const pool = c.req.param("pool") ?? "";
  const origins = Object.hasOwn(config.pools, pool) ? config.pools[pool]?.origins : undefined;
  const hosts = config.admin === false ? undefined : config.admin.originHosts;
  return { dev, hosts, bound: origins?.some((origin) => origin.id === id && origin.binding !== undefined) ?? false };
}
