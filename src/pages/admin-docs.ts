// docs/admin-api.md, made from the OpenAPI document: `node src/pages/admin-docs.ts` writes it, and a test says when it is not up to date.

import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { OpenAPIV3_1 } from "openapi-types";
import { PROBLEMS_PATH } from "../core/problem.ts";
import { openApiDocument } from "./openapi.ts";

const PAGE = fileURLToPath(new URL("../../docs/admin-api.md", import.meta.url));

type Schema = OpenAPIV3_1.SchemaObject | OpenAPIV3_1.ReferenceObject;

const INTRODUCTION = `# The admin API

<!-- Made from the OpenAPI document by \`npm run docs:api\`: change src/core/admin-endpoints.ts and admin-shapes.ts instead. -->

Under \`/_limpet\`, as JSON, with a token of \`LIMPET_ADMIN_TOKENS\` (\`Authorization: Bearer …\`; in \`dev\` it is \`dev\`) that has one of the scopes that an endpoint
names. What tokens look like: [configuration](configuration.md#environment). The same, for programs, is the OpenAPI 3.1 document at \`/_limpet/openapi.json\`, which
needs no token.

Refusals are problems (RFC 9457) with a \`code\`, a \`detail\` and a \`requestId\`; the page of each code is at \`${PROBLEMS_PATH}<code>\`. A wrong body is 400 with all of its
\`faults\`, each \`{ path, message }\`. Where a token is asked for, 401 \`unauthorized\`, 403 \`forbidden\` (the token lacks the scope) and 429 \`too-many-failures\` (too many
wrong tokens from one address) are answers too. A body has at most 16 KiB. Readers must bear members that are not listed here: there may be more of them tomorrow.
`;

export function adminPage(document: OpenAPIV3_1.Document): string {
  const operations = Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    (["get", "put", "patch", "post", "delete"] as const).flatMap((method) => {
      const operation = item?.[method];
      return operation ? [operationPart(method, path, operation)] : [];
    }),
  );
  const shapes = Object.entries(document.components?.schemas ?? {}).map(([name, schema]) => `## ${name}\n${fieldsTable(schema)}`);
  return [INTRODUCTION, ...operations, ...shapes].join("\n");
}

function operationPart(method: string, path: string, operation: OpenAPIV3_1.OperationObject): string {
  const scopes = (operation.security ?? []).flatMap((each) => each["token"] ?? []).map((scope) => `\`${scope}\``);
  const parameters = (operation.parameters ?? []).flatMap((each) => ("in" in each && each.in !== "path" ? [each] : []));
  const body = operation.requestBody && "content" in operation.requestBody ? operation.requestBody : undefined;
  const schema = body?.content["application/json"]?.schema;
  return [
    `## \`${method.toUpperCase()} ${path}\``,
    `${operation.summary ?? ""}. Scope: ${scopes.length > 0 ? scopes.join(" or ") : "none"}. Operation \`${operation.operationId ?? ""}\`.`,
    ...(operation.description === undefined ? [] : ["", operation.description]),
    ...(parameters.length > 0 ? ["", "| parameter | | |", "|---|---|---|"] : []),
    ...parameters.map(({ name, in: where, schema, description }) => row(`\`${name}\``, `${where}, ${typeOf(schema)}`, description)),
    ...(schema ? ["", `Body${body?.required ? "" : ", which may be left out"}:`, fieldsTable(schema)] : []),
    "",
    "| answer | | |",
    "|---|---|---|",
    ...Object.entries(operation.responses ?? {})
      .filter(([status]) => !OF_ALL.has(status))
      .map(([status, answer]) => {
        const content = "content" in answer ? Object.entries(answer.content ?? {})[0] : undefined;
        const type = content?.[0] === "application/json" || content?.[0] === "application/problem+json" ? "" : `\`${content?.[0] ?? "no body"}\` `;
        return row(status, `${type}${content?.[1].schema ? typeOf(content[1].schema) : ""}`, "description" in answer ? answer.description : "");
      }),
    ...answerFields(operation),
    "",
  ].join("\n");
}

/** What every endpoint that asks for a token answers to some: told once, above. */
const OF_ALL: ReadonlySet<string> = new Set(["401", "403", "429"]);

/** What is answered in a shape that has no name. */
function answerFields({ responses }: OpenAPIV3_1.OperationObject): string[] {
  const answer = responses?.["200"];
  const schema = answer && "content" in answer ? answer.content?.["application/json"]?.schema : undefined;
  return schema && !("$ref" in schema) && schema.type === "object" && schema.properties ? ["", "Answer:", fieldsTable(schema)] : [];
}

function fieldsTable(schema: Schema): string {
  const rows = fieldsOf(schema, "");
  return rows.length === 0 ? `\n${typeOf(schema)}\n` : ["", "| | | |", "|---|---|---|", ...rows, ""].join("\n");
}

/** A row for each member, those of members too: `origins[].id`. */
function fieldsOf(schema: Schema, prefix: string): string[] {
  if ("$ref" in schema) return [];
  const required = new Set(schema.required);
  return Object.entries(schema.properties ?? {}).flatMap(([name, member]) => {
    const path = `${prefix}${name}`;
    const fallback = "default" in member ? `, default ${JSON.stringify(member.default)}` : "";
    const told = "description" in member ? member.description : "";
    return [
      row(`\`${path}\``, `${typeOf(member)}${required.has(name) || fallback !== "" ? "" : ", optional"}${fallback}`, told),
      ...nestedOf(member, path),
    ];
  });
}

function nestedOf(schema: Schema, path: string): string[] {
  if ("$ref" in schema) return [];
  if (schema.type === "array" && "items" in schema) return nestedOf(schema.items, `${path}[]`);
  const variants = schema.anyOf ?? [];
  return [...new Set([...fieldsOf(schema, `${path}.`), ...variants.flatMap((variant) => nestedOf(variant, path))])];
}

function typeOf(schema: Schema | undefined): string {
  if (!schema) return "";
  if ("$ref" in schema) {
    const name = schema.$ref.split("/").at(-1) ?? "";
    return `[${name}](#${name.toLowerCase()})`;
  }
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``;
  if (schema.enum) return schema.enum.map((each) => `\`${String(each)}\``).join(" · ");
  if (schema.anyOf) return [...new Set(schema.anyOf.map(typeOf))].join(" or ");
  if (schema.type === "array") return "items" in schema ? `list of ${typeOf(schema.items)}` : "list";
  if (schema.type === "object" && typeof schema.additionalProperties === "object") return "object, by name";
  return String(schema.type ?? "anything");
}

function row(...cells: readonly (string | undefined)[]): string {
  return `| ${cells.map((cell = "") => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

if (import.meta.main) await writeFile(PAGE, adminPage(await openApiDocument()));
