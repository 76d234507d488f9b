// The request that is to be explained. Parsed here, all faults at once.

import * as v from "valibot";
import { inOrder, shapeFault } from "./config-faults.ts";
import { closed, dictionary, isFields, leaf } from "./config-shapes.ts";
import { headerValueFault, tokenFault } from "./config-texts.ts";
import { found } from "./config-words.ts";
import type { Parsed } from "./membership.ts";

export interface ExplainBody {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly cf: Readonly<Record<string, unknown>>;
}

const URL_MAX = 8_192;

/** Those that a request can be made with here: `CONNECT` and its kind have no way through a Worker. */
const METHOD = /^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$/;

const body = closed("a request", {
  url: leaf<string>(urlFault),
  method: v.optional(
    leaf<string>((value) => (typeof value === "string" && METHOD.test(value) ? undefined : `found ${found(value)}; allowed is a method like GET`)),
    "GET",
  ),
  headers: v.optional(dictionary("headers by name", leaf<string>(valueFault), tokenFault), {}),
  cf: v.optional(
    leaf<Readonly<Record<string, unknown>>>((value) =>
      isFields(value) ? undefined : `found ${found(value)}; needed is an object like { "continent": "EU" }`,
    ),
    {},
  ),
});

export function parseExplain(given: unknown): Parsed<ExplainBody> {
  const shape = v.safeParse(body, given);
  return shape.success ? { ok: true, value: shape.output } : { ok: false, faults: inOrder(given, shape.issues.map(shapeFault)) };
}

function urlFault(value: unknown): string | undefined {
  const url = typeof value === "string" && value.length <= URL_MAX && URL.canParse(value) ? new URL(value) : undefined;
  const fits = url && (url.protocol === "https:" || url.protocol === "http:") && url.username === "" && url.password === "";
  return fits ? undefined : `found ${found(value)}; needed is the whole address that a visitor asks for, like "https://app.example.com/collab/doc-1"`;
}

/** Of a visitor's header: cookies may be long, and a value may be empty. */
function valueFault(value: unknown): string | undefined {
  const MOST = 8_192;
  if (value === "" || (typeof value === "string" && value.length <= MOST && /^[\x20-\x7e\t\x80-\xff]*$/.test(value))) return undefined;
  return headerValueFault(value) === undefined ? undefined : `found ${found(value)}; a header's value is at most ${MOST} characters of one byte`;
}
