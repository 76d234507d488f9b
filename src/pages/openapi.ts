// The OpenAPI 3.1 document of the admin API, made from the table of its endpoints when the pages are built: the router serves it as an asset, and no
// Worker bears what makes it.

import { toJsonSchema } from "@valibot/to-json-schema";
import { Hono } from "hono";
import { describeRoute, generateSpecs, resolver, type DescribeRouteOptions } from "hono-openapi";
import type { OpenAPIV3, OpenAPIV3_1 } from "openapi-types";
import type * as v from "valibot";
import { ADMIN_ENDPOINTS, type AdminEndpoint } from "../core/admin-endpoints.ts";
import { problemShape } from "../core/admin-shapes.ts";
import { PROBLEMS, type ProblemCode } from "../core/problem.ts";

/** What any endpoint that asks for a token may answer. */
const COMMON: readonly ProblemCode[] = ["unauthorized", "forbidden", "too-many-failures"];

/** By its operation's id. */
export function endpoints(): [name: string, endpoint: AdminEndpoint][] {
  return Object.entries<AdminEndpoint>(ADMIN_ENDPOINTS);
}

export async function openApiDocument(): Promise<OpenAPIV3_1.Document> {
  const app = new Hono();
  for (const [name, endpoint] of endpoints()) {
    app.on(endpoint.method, endpoint.path, describeRoute(operationOf(name, endpoint)), (c) => c.body(null));
  }
  const document = await generateSpecs(app, {
    excludeStaticFile: false, // its own path looks like one
    documentation: {
      info: {
        title: "Limpet admin API",
        version: "1",
        description:
          "How a running router is looked at and operated. Refusals are problems (RFC 9457). Everything that orders may be sent twice: the second time nothing changes.",
      },
      servers: [{ url: "/_limpet" }],
      components: {
        securitySchemes: {
          token: { type: "http", scheme: "bearer", description: "A token of LIMPET_ADMIN_TOKENS, with the scope that an operation names." },
        },
      },
    },
  });
  return document as OpenAPIV3_1.Document;
}

function operationOf(operationId: string, endpoint: AdminEndpoint): DescribeRouteOptions {
  const { path, scopes, summary, description, query, headers, body, bodyOptional, answers, problems } = endpoint;
  const isOpen = scopes.length === 0;
  const names = [...path.matchAll(/:(\w+)/g)].map(([, name = ""]) => name);
  const parameters = [
    ...names.map((name) => ({ in: "path" as const, name, required: true, schema: { type: "string" as const } })),
    ...parametersOf("query", query),
    ...parametersOf("header", headers),
  ];
  return {
    operationId,
    summary,
    ...(description === undefined ? {} : { description }),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body ? { requestBody: { required: !bodyOptional, content: { "application/json": { schema: resolver(body, AS_SENT) } } } } : {}),
    // An operation's scopes are alternatives: each is a requirement of its own (OpenAPI 3.1 §4.8.30: for other schemes than OAuth they are roles).
    security: scopes.map((scope) => ({ token: [scope] })),
    responses: {
      ...Object.fromEntries(
        Object.entries(answers).map(([status, { description: what, shape, contentType = "application/json" }]) => [
          status,
          {
            description: what,
            ...(shape || contentType !== "application/json"
              ? { content: { [contentType]: shape ? { schema: resolver(shape, AS_TOLD) } : { schema: { type: "string" as const } } } }
              : {}),
          },
        ]),
      ),
      ...refusals([...(isOpen ? [] : COMMON), ...problems]),
    },
  };
}

const AS_SENT = { typeMode: "input" } as const;
const AS_TOLD = { typeMode: "output" } as const;

function parametersOf(where: "query" | "header", shape: v.ObjectSchema<v.ObjectEntries, undefined> | undefined) {
  return Object.entries(shape?.entries ?? {}).map(([name, schema]) => {
    const { $schema: _, description, ...rest } = toJsonSchema(schema, AS_SENT);
    return {
      in: where,
      name,
      required: false,
      ...(description === undefined ? {} : { description }),
      schema: rest as object as OpenAPIV3.SchemaObject,
    };
  });
}

/** Each status with the problems that have it. */
function refusals(codes: readonly ProblemCode[]) {
  const byStatus = Map.groupBy(codes, (code) => PROBLEMS[code].status);
  return Object.fromEntries(
    [...byStatus].map(([status, some]) => [
      String(status),
      {
        description: some.map((code) => `\`${code}\`: ${PROBLEMS[code].title}.`).join(" "),
        content: { "application/problem+json": { schema: resolver(problemShape, AS_TOLD) } },
      },
    ]),
  );
}
