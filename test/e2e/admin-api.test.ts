// The admin API against its document: every endpoint of the router is in it and the other way round, what is really answered is what its shapes say,
// bad input is a problem with the right code, and nobody gets further than their token allows.

import { Validator } from "@seriousme/openapi-schema-validator";
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as v from "valibot";
import { ADMIN_ENDPOINTS, type AdminEndpoint } from "../../src/core/admin-endpoints.ts";
import { problemShape } from "../../src/core/admin-shapes.ts";
import { adminPage } from "../../src/pages/admin-docs.ts";
import { endpoints, openApiDocument } from "../../src/pages/openapi.ts";
import { openEditor, type Editor } from "../support/editor.ts";
import { eventually, startStack, type Stack } from "../support/stack.ts";

const ADMIN = "../../src/http/admin.ts"; // by a name that the compiler does not follow: the Worker's types are not Node's

test("the document is valid OpenAPI 3.1", async () => {
  const validator = new Validator();
  const { valid, errors } = await validator.validate(JSON.parse(JSON.stringify(await openApiDocument())) as Record<string, unknown>);
  expect(errors).toBeUndefined();
  expect([valid, validator.version]).toEqual([true, "3.1"]);
});

test("the page is up to date: `npm run docs:api` writes it", async () => {
  expect(await readFile(new URL("../../docs/admin-api.md", import.meta.url), "utf8")).toBe(adminPage(await openApiDocument()));
});

/** The pages' own. */
const NOT_API = ["GET /_limpet/dev.json"];

test("every endpoint of the router is in the document, and every one of the document is the router's", async () => {
  const { admin } = (await import(ADMIN)) as { admin: { routes: readonly { method: string; path: string }[] } };
  const routed = new Set(admin.routes.filter(({ method }) => method !== "ALL").map(({ method, path }) => `${method} ${path}`));
  const described = endpoints().map(([, { method, path }]) => `${method.toUpperCase()} /_limpet${path}`);
  const assets = ["GET /_limpet/openapi.json"];
  expect([...routed].filter((each) => !NOT_API.includes(each)).toSorted()).toEqual(described.filter((each) => !assets.includes(each)).toSorted());
  const { paths } = await openApiDocument();
  const written = Object.entries(paths ?? {}).flatMap(([path, item]) =>
    Object.keys(item ?? {}).map((method) => `${method.toUpperCase()} /_limpet${path.replaceAll(/\{(\w+)\}/g, ":$1")}`),
  );
  expect(written.toSorted()).toEqual(described.toSorted());
});

describe("a real stack", () => {
  let stack: Stack;
  const editors: Editor[] = [];

  beforeAll(async () => {
    stack = await startStack();
    editors.push(await openEditor(stack.wsUrl, "doc-1", "Anna"));
    await eventually("the session is settled", async () => (await stack.session("doc-1"))?.state === "settled");
  });
  afterAll(async () => {
    for (const editor of editors) editor.close();
    await stack.stop();
  });

  async function ask(
    name: keyof typeof ADMIN_ENDPOINTS,
    params: Readonly<Record<string, string>> = {},
    body?: unknown,
    query = "",
  ): Promise<Response> {
    const { method, path } = ADMIN_ENDPOINTS[name];
    const filled = path.replaceAll(/:(\w+)/g, (_, param: string) => encodeURIComponent(params[param] ?? ""));
    return stack.fetch(`/_limpet${filled}${query}`, {
      method: method.toUpperCase(),
      headers: { authorization: "Bearer dev", "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }

  const RING = { pool: "collab", region: "enam" };
  const ORIGIN = { ...RING, id: "enam-1" };
  const SESSION = { pool: "collab", key: "doc-1" };
  const url = (path: string): string => `https://app.example.com${path}`;

  test.each<[name: keyof typeof ADMIN_ENDPOINTS, params: Readonly<Record<string, string>>, status: number, body?: unknown, query?: string]>([
    ["listRings", {}, 200],
    ["getRing", RING, 200],
    ["getOrigin", ORIGIN, 200],
    ["getOrigin", ORIGIN, 202, undefined, "?waitFor=drained&timeoutMs=1"],
    ["putOrigin", { ...RING, id: "enam-9" }, 201, { url: "http://127.0.0.1:9", weight: 2 }],
    ["putOrigin", { ...RING, id: "enam-9" }, 200, { url: "http://127.0.0.1:9", weight: 2 }],
    ["patchOrigin", { ...RING, id: "enam-9" }, 200, { weight: 1 }],
    ["deleteOrigin", { ...RING, id: "enam-9" }, 202],
    ["drainOrigin", { ...RING, id: "enam-2" }, 200],
    ["undrainOrigin", { ...RING, id: "enam-2" }, 200],
    ["leaseOrigin", { ...RING, id: "enam-8" }, 201, { url: "http://127.0.0.1:9998", ttlMs: 60_000 }],
    ["leaseOrigin", { ...RING, id: "enam-8" }, 200, { url: "http://127.0.0.1:9998", ttlMs: 60_000 }],
    ["drainOrigin", { ...RING, id: "enam-8" }, 200, { mode: "finish", deadlineMs: 1_000 }],
    ["deleteOrigin", { ...RING, id: "enam-8" }, 202],
    ["planRing", RING, 200, { changes: [{ drain: "enam-1" }, { put: { id: "enam-7" } }, { reweight: { id: "enam-2", weight: 3 } }] }],
    ["planRing", { pool: "collab", region: "weur" }, 200, { changes: [{ down: true }] }],
    ["getSession", SESSION, 200],
    ["moveSession", SESSION, 200],
    ["wakeSession", SESSION, 204],
    ["explain", {}, 200, { url: url("/collab/doc-1"), headers: { upgrade: "websocket" } }],
    ["explain", {}, 200, { url: url("/doc/doc-2/x"), method: "POST" }],
    ["explain", {}, 200, { url: url("/api/x"), headers: { cookie: "sid=1" }, cf: { continent: "NA" } }],
    ["explain", {}, 200, { url: url("/api/x") }],
    ["explain", {}, 200, { url: url("/nowhere") }],
    ["explain", {}, 200, { url: url("/collab/%00") }],
    ["downRegion", RING, 200],
    ["upRegion", RING, 200],
    ["getConfig", {}, 200],
    ["listAudit", {}, 200],
    ["getMetrics", {}, 200],
    ["getDocument", {}, 200],
    ["endSession", SESSION, 204],
  ])("%s %j answers %i as its shape says", async (name, params, status, body, query) => {
    await expectShape(name, status, await ask(name, params, body, query));
  });

  async function expectShape(name: keyof typeof ADMIN_ENDPOINTS, status: number, response: Response): Promise<unknown> {
    const text = await response.text();
    expect([response.status, text.slice(0, 400)]).toEqual([status, text.slice(0, 400)]);
    const endpoint: AdminEndpoint = ADMIN_ENDPOINTS[name];
    const answer = endpoint.answers[status];
    expect(answer).toBeDefined();
    if (answer?.shape)
      expect(v.parse(answer.shape, JSON.parse(text))).toEqual(JSON.parse(text)); // nothing is lost: nothing is left out of the shape
    else if (answer?.contentType) expect(response.headers.get("content-type")).toContain(answer.contentType.split(";")[0]);
    else expect(text).toBe("");
    return answer?.shape ? JSON.parse(text) : undefined;
  }

  test("a configuration is told, tried, taken and undone as the shapes say", async () => {
    const { config } = (await expectShape("getConfig", 200, await ask("getConfig"))) as { config: Record<string, unknown> };
    const { configRevision: _, ...raw } = config;
    const next = { ...raw, record: { sampleShare: 0.5 } };
    await expectShape("putConfig", 200, await ask("putConfig", {}, next, "?dryRun=true"));
    await expectShape("putConfig", 200, await ask("putConfig", {}, next));
    await expectShape("getConfig", 200, await ask("getConfig"));
    await expectShape("undoConfig", 200, await ask("undoConfig"));
    const { entries } = (await expectShape("listAudit", 200, await ask("listAudit"))) as { entries: { ring: string; what: string }[] };
    expect(entries.filter(({ ring }) => ring === "control").map(({ what }) => what)).toEqual(["undo", "apply"]);
  });

  test("the document is served to whoever asks, as it was made", async () => {
    const response = await stack.fetch("/_limpet/openapi.json");
    expect([response.status, response.headers.get("content-type")]).toEqual([200, "application/json"]);
    expect(await response.json()).toEqual(JSON.parse(JSON.stringify(await openApiDocument())));
  });

  const V1 = "/_limpet/v1";
  const plan = `${V1}/rings/collab/enam/plan`;
  const origin = `${V1}/rings/collab/enam/origins/enam-1`;
  const much = `"${"x".repeat(17_000)}"`;
  test.each<[method: string, path: string, body: string | undefined, status: number, code: string, said?: RegExp]>([
    ["POST", plan, undefined, 400, "bad-request", /changes/],
    ["POST", plan, "{", 400, "bad-request"],
    ["POST", plan, "\u0000", 400, "bad-request"],
    ["POST", plan, "[]", 400, "bad-request"],
    ["POST", plan, "null", 400, "bad-request"],
    ["POST", plan, '{"changes":[]}', 400, "bad-request"],
    ["POST", plan, '{"changes":{}}', 400, "bad-request"],
    ["POST", plan, '{"changes":[{"drain":"a"}],"more":1}', 400, "bad-request"],
    ["POST", plan, JSON.stringify({ changes: Array.from({ length: 101 }, () => ({ drain: "enam-1" })) }), 400, "bad-request"],
    [
      "POST",
      plan,
      '{"changes":[{"drain":"UPPER"},{"explode":"a"},{"drain":"a","remove":"b"},7,null,{"reweight":{"id":"a"}},{"down":false},{"put":{"id":"a","url":"ftp://x","colour":1}}]}',
      400,
      "bad-request",
      /changes\[0\].drain.*changes\[1\].*changes\[2\].*changes\[3\].*changes\[4\].*changes\[5\].reweight.weight.*changes\[6\].down.*changes\[7\].put.url.*changes\[7\].put.colour/,
    ],
    ["POST", plan, '{"changes":[{"__proto__":{"id":"a"}}]}', 400, "bad-request"],
    ["POST", plan, '{"changes":[{"constructor":"a"}]}', 400, "bad-request"],
    ["POST", plan, '{"changes":[{"drain":"nobody"}]}', 404, "not-found", /nobody/],
    ["POST", plan, '{"changes":[{"drain":"constructor"}]}', 404, "not-found"],
    ["POST", plan, '{"changes":[{"remove":"enam-1"},{"drain":"enam-1"}]}', 404, "not-found"],
    ["POST", plan, '{"changes":[{"put":{"id":"weur-1"}}]}', 409, "conflict", /weur/],
    ["POST", plan, JSON.stringify({ changes: [1, 2, 3, 4, 5, 6].map((n) => ({ put: { id: `a${n}`, weight: 100 } })) }), 409, "conflict", /points/],
    ["POST", plan, much, 413, "content-too-large"],
    ["POST", `${V1}/rings/collab/mars/plan`, '{"changes":[{"down":true}]}', 404, "not-found"],
    ["POST", `${V1}/rings/constructor/enam/plan`, '{"changes":[{"down":true}]}', 404, "not-found"],
    ["GET", plan, undefined, 405, "method-not-allowed"],
    ["POST", `${V1}/explain`, undefined, 400, "bad-request"],
    ["POST", `${V1}/explain`, '"x"', 400, "bad-request"],
    ["POST", `${V1}/explain`, '{"url":"/collab/doc-1"}', 400, "bad-request", /url/],
    [
      "POST",
      `${V1}/explain`,
      '{"url":"ftp://app.example.com/","method":"CONNECT","headers":{"a b":"x","c":"\\u0000","d":7},"cf":[],"who":1}',
      400,
      "bad-request",
      /url.*method.*headers.*headers.c.*headers.d.*cf.*who/,
    ],
    ["POST", `${V1}/explain`, '{"url":"https://a:b@app.example.com/"}', 400, "bad-request"],
    ["POST", `${V1}/explain`, '{"url":"https://app.example.com/","headers":{"__proto__":{}}}', 400, "bad-request"],
    ["POST", `${V1}/explain`, much, 413, "content-too-large"],
    ["DELETE", `${V1}/explain`, undefined, 405, "method-not-allowed"],
    ["GET", `${V1}/audit?limit=0`, undefined, 400, "bad-request"],
    ["GET", `${V1}/audit?limit=-1`, undefined, 400, "bad-request"],
    ["GET", `${V1}/audit?limit=1e9`, undefined, 400, "bad-request"],
    ["GET", `${V1}/audit?limit=`, undefined, 400, "bad-request"],
    ["POST", `${V1}/audit`, undefined, 405, "method-not-allowed"],
    ["POST", `${V1}/events`, undefined, 405, "method-not-allowed"],
    ["POST", "/_limpet/metrics", undefined, 405, "method-not-allowed"],
    ["PUT", origin, undefined, 400, "bad-request"],
    ["PUT", origin, '{"url":"http://127.0.0.1:1","weight":"1","salt":-1,"backup":0,"x":1}', 400, "bad-request", /weight.*salt.*backup.*x/],
    ["PUT", origin, much, 413, "content-too-large"],
    ["PUT", `${V1}/rings/collab/enam/origins/UPPER`, '{"url":"http://127.0.0.1:1"}', 400, "bad-request", /id/],
    ["PATCH", origin, "{}", 400, "bad-request"],
    ["PATCH", origin, "\ufeff{}", 400, "bad-request"],
    ["PATCH", origin, '{"url":"http://u:p@127.0.0.1"}', 400, "bad-request"],
    ["PATCH", `${V1}/rings/collab/enam/origins/nobody`, '{"weight":2}', 404, "not-found"],
    ["DELETE", `${V1}/rings/collab/enam/origins/nobody`, undefined, 404, "not-found"],
    ["GET", `${origin}?waitFor=nothing`, undefined, 400, "bad-request"],
    ["POST", `${V1}/rings/collab/enam/origins/nobody/drain`, undefined, 404, "not-found"],
    ["POST", `${V1}/sessions/collab/nobody/move`, '{"to":7}', 400, "bad-request"],
    ["POST", `${V1}/sessions/collab/nobody/move`, undefined, 404, "not-found"],
    ["POST", `${V1}/sessions/collab/%00/wake`, undefined, 404, "not-found"],
    ["DELETE", `${V1}/sessions/collab/nobody`, undefined, 404, "not-found"],
  ])("%s %s with %s is %i %s", async (method, path, body, status, code, said = /./) => {
    const response = await stack.fetch(path, { method, headers: { authorization: "Bearer dev" }, ...(body === undefined ? {} : { body }) });
    const text = await response.text();
    expect([response.status, response.headers.get("content-type")]).toEqual([status, "application/problem+json"]);
    const problem = v.parse(problemShape, JSON.parse(text));
    expect(problem).toEqual(JSON.parse(text));
    expect([problem.code, problem.status, problem.detail]).toEqual([code, status, expect.stringMatching(said) as string]);
    expect(text).not.toMatch(/\bat .*:\d+|\.ts\b|Error:/);
  });

  test("an event stream's foreign id is refused", async () => {
    for (const id of ["x", "collab@enam", "collab@enam=-1", `collab@enam=1,${"a@b=1,".repeat(2_000)}`]) {
      const response = await stack.fetch(`${V1}/events`, { headers: { authorization: "Bearer dev", "last-event-id": id } });
      expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([400, "bad-request"]);
    }
  });

  test("who shows no token, or a wrong one, gets nothing from any endpoint but the document", async () => {
    for (const [, { method, path, scopes }] of endpoints()) {
      for (const headers of [{}, { authorization: "Bearer wrong" }]) {
        const response = await stack.fetch(`/_limpet${path.replaceAll(/:(\w+)/g, "x")}`, {
          method: method.toUpperCase(),
          headers: headers as Record<string, string>,
        });
        await response.body?.cancel();
        expect([path, response.status]).toEqual([path, scopes.length === 0 ? 200 : 401]);
      }
    }
  });
});
