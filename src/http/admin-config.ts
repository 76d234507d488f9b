// The configuration of a running router: what holds and who has it, another one in its place, and back. Part of the admin API (admin.ts).

import { Hono, type Context } from "hono";
import type { ConfigFault } from "../core/config-faults.ts";
import { faultyProblem } from "../core/problem.ts";
import type { ConfigAnswer, ConfigView } from "../platform/control-object.ts";
import { CONFIG_MAX_BYTES, within } from "../platform/limits.ts";
import { heardOfRevision } from "../platform/snapshots.ts";
import { controlStub, ringStub } from "../platform/stubs.ts";
import { answered, jsonOf, needs, only, problem, READS, RING_ANSWER_MS, type Admin } from "./admin-parts.ts";

/** Kept with the change, and shown to people. */
const WHY_MAX_LENGTH = 200;

export const configRoutes = new Hono<Admin>()
  .get("/v1/config", needs("read"), async (c) => {
    const view = await answered(controlStub(c.env.env)?.view());
    if (!view) return withoutControl(c);
    const { config, rings, ...told } = view;
    if (!view.pending.includes("kv")) heardOfRevision(view.revision); // so that this isolate has it, when an operator reads that everybody has
    const body = { ...told, config: JSON.parse(config) as unknown, rings: await holdersOf(c, [...rings, ...view.retired]) };
    return c.json(body, 200, { etag: etagOf(view.revision) });
  })
  .put("/v1/config", needs("operate"), async (c) => {
    const [control, order] = [controlStub(c.env.env), orderOf(c)];
    if (!control) return withoutControl(c);
    if (order instanceof Response) return order;
    const body = await jsonOf(c, CONFIG_MAX_BYTES);
    if (body instanceof Response) return body;
    if (body.value === undefined) return problem(c, "bad-request", "The body is missing: send the whole configuration as JSON.");
    const put = async (): Promise<ConfigAnswer> => control.put(JSON.stringify(body.value), order, c.req.query("dryRun") === "true");
    return told(c, await answered(put()));
  })
  .all("/v1/config", only(...READS, "PUT"))
  .post("/v1/config/undo", needs("operate"), async (c) => {
    const [control, order] = [controlStub(c.env.env), orderOf(c)];
    if (!control) return withoutControl(c);
    if (order instanceof Response) return order;
    const undo = async (): Promise<ConfigAnswer> => control.undo(order);
    return told(c, await answered(undo()));
  })
  .all("/v1/config/undo", only("POST"));

/** What each ring goes by, as it says itself; of one that does not answer nothing is known. */
async function holdersOf(c: Context<Admin>, rings: ConfigView["rings"]): Promise<object[]> {
  const { env, settings } = c.env;
  return Promise.all(
    rings.map(({ pool, region }) =>
      within(ringStub(env, settings.config, pool, region).config(), RING_ANSWER_MS, "ring").then(
        (status) => ({ pool, region, ...status }),
        () => ({ pool, region, unreachable: true }),
      ),
    ),
  );
}

/** Who orders, on what condition, and why; or the answer to a condition that is none. */
function orderOf(c: Context<Admin>): { ifMatch: number | undefined; by: string; why: string | undefined } | Response {
  const given = c.req.header("if-match");
  const revision = /^(?:W\/)?"(\d{1,16})"$/.exec(given ?? "")?.[1];
  if (given !== undefined && given !== "*" && revision === undefined)
    return problem(c, "bad-request", 'If-Match is the ETag of the configuration that is to be changed, like "7".');
  const why = c.req.query("why")?.slice(0, WHY_MAX_LENGTH);
  return { ifMatch: revision === undefined ? undefined : Number(revision), by: c.var.by, why };
}

function told(c: Context<Admin>, answer: ConfigAnswer | undefined): Response {
  if (!answer) return withoutControl(c);
  switch (answer.kind) {
    case "applied":
      return c.json({ revision: answer.revision, changes: answer.changes }, 200, { etag: etagOf(answer.revision) });
    case "planned":
      return c.json({ revision: answer.revision, changes: answer.changes, plan: answer.plan });
    case "stale":
      return problem(c, "precondition-failed", `Revision ${answer.revision} holds by now: look at it, and decide again.`, {
        etag: etagOf(answer.revision),
      });
    case "conflict":
      return problem(c, "conflict", answer.why);
    case "faulty":
      return faultyProblem(shown(answer.faults), c.env.requestId);
    default:
      return answer satisfies never;
  }
}

/** A configuration of thousands of origins may have as many faults. */
function shown(faults: readonly ConfigFault[]): readonly ConfigFault[] {
  const FAULTS_MAX = 50;
  if (faults.length <= FAULTS_MAX) return faults;
  return [...faults.slice(0, FAULTS_MAX), { path: "", message: `and ${faults.length - FAULTS_MAX} more` }];
}

function etagOf(revision: number): string {
  return `"${revision}"`;
}

function withoutControl(c: Context<Admin>): Response {
  return problem(c, "conflict", "This deployment has no control object: bind ControlObject as CONTROL in wrangler.toml, and deploy.");
}
