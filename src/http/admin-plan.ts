// What changes of a ring would move, before they are made.

import { Hono } from "hono";
import { parsePlan } from "../core/plan-body.ts";
import { faultyProblem } from "../core/problem.ts";
import type { PlanAnswer } from "../platform/ring-plan.ts";
import type { Told } from "./admin-app.ts";
import { answered, jsonOf, needs, notFound, only, problem, ringOf, type Admin } from "./admin-parts.ts";

const PLAN = "/v1/rings/:pool/:region/plan";

export const planRoutes = new Hono<Admin>()
  .post(PLAN, needs("read"), async (c) => {
    const body = await jsonOf(c);
    if (body instanceof Response) return body;
    const parsed = parsePlan(body.value);
    if (!parsed.ok) return faultyProblem(parsed.faults, c.env.requestId);
    const ring = ringOf(c);
    if (!ring) return notFound(c, "ring");
    const asked = async (): Promise<PlanAnswer> => ring.plan(parsed.value);
    const answer = await answered(asked());
    if (!answer) return notFound(c, "ring");
    switch (answer.kind) {
      case "planned": {
        const { kind: _, ...planned } = answer;
        return c.json(planned satisfies Told<"planRing">);
      }
      case "unknown":
        return problem(c, "not-found", `There is no origin "${answer.why}" in this ring as the changes before leave it.`);
      case "conflict":
        return problem(c, "conflict", answer.why);
      default:
        return answer satisfies never;
    }
  })
  .all(PLAN, only("POST"));
