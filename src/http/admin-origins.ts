// One origin of a ring, as operators see and order it: it joins, changes and leaves at run time, is drained and undrained.

import { Hono, type Context } from "hono";
import { parseChange, parseWanted, type Addressing } from "../core/membership.ts";
import { faultyProblem } from "../core/problem.ts";
import { delay } from "../platform/limits.ts";
import type { MemberChange } from "../platform/ring-members.ts";
import type { MemberAnswer } from "../platform/ring-operators.ts";
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
    if (wanted !== undefined && wanted !== "drained") return problem(c, "bad-request", 'waitFor must be "drained".');
    const untilMs = Date.now() + Math.min(WAIT_MAX_MS, Math.max(0, Number(c.req.query("timeoutMs") ?? 30_000) || 0));
    for (;;) {
      const origin = await answered(ring?.origin(c.req.param("id")));
      if (!origin) return notFound(c, "origin");
      // One that is gone was drained before.
      if (wanted === undefined || origin.state === wanted || origin.state === "gone") return c.json(origin);
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
    const origin: OriginStatus | undefined = await answered(ringOf(c)?.drain(c.req.param("id"), c.var.by));
    return origin ? c.json(origin) : notFound(c, "origin");
  })
  .all(`${ORIGIN}/drain`, only("POST"))
  .post(`${ORIGIN}/undrain`, needs("operate"), async (c) => {
    const origin: OriginStatus | undefined = await answered(ringOf(c)?.undrain(c.req.param("id"), c.var.by));
    return origin ? c.json(origin) : notFound(c, "origin");
  })
  .all(`${ORIGIN}/undrain`, only("POST"));

async function change(c: Context<Admin>, wanted: MemberChange): Promise<Response> {
  const ring = ringOf(c);
  if (!ring) return notFound(c, "ring");
  const asked = async (): Promise<MemberAnswer> => ring.member(c.req.param("id") ?? "", wanted, c.var.by);
  const answer = await answered(asked());
  if (!answer || answer.kind === "unknown") return notFound(c, "origin");
  if (answer.kind === "conflict") return problem(c, "conflict", answer.why);
  const leaving = wanted.kind === "remove" && answer.origin.state !== "gone";
  return c.json(answer.origin, answer.joined ? 201 : leaving ? 202 : 200);
}

/** A configured origin keeps its binding, whatever its address is. */
function addressing(c: Context<Admin>, id: string): Addressing {
  const { config, dev } = c.env.settings;
  const pool = c.req.param("pool") ?? "";
  const origins = Object.hasOwn(config.pools, pool) ? config.pools[pool]?.origins : undefined;
  const hosts = config.admin === false ? undefined : config.admin.originHosts;
  return { dev, hosts, bound: origins?.some((origin) => origin.id === id && origin.binding !== undefined) ?? false };
}
