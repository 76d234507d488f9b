// The admin API as a type for Hono's client, `hc<AdminApp>(url)`: made from the table of endpoints, so that who imports it (commands, pages) needs
// nothing of the Worker. Types alone.

import type { Hono } from "hono";
import type { StatusCode } from "hono/utils/http-status";
import type * as v from "valibot";
import type { AdminAnswer, AdminEndpoint, AdminEndpoints } from "../core/admin-endpoints.ts";
import type { problemShape } from "../core/admin-shapes.ts";

export type Problem = v.InferOutput<typeof problemShape>;

/** What an endpoint answers with one of its statuses. */
export type Told<
  Name extends keyof AdminEndpoints,
  Status extends keyof AdminEndpoints[Name]["answers"] = keyof AdminEndpoints[Name]["answers"],
> = AdminEndpoints[Name]["answers"][Status] extends { readonly shape: infer S extends v.GenericSchema } ? Read<v.InferOutput<S>> : undefined;

/** What an endpoint is sent. */
export type Sent<Name extends keyof AdminEndpoints> = AdminEndpoints[Name] extends { readonly body: infer S extends v.GenericSchema }
  ? v.InferInput<S>
  : undefined;

export type AdminApp = Hono<object, Routes, "/_limpet">;

type Read<T> = T extends readonly (infer Item)[] ? readonly Read<Item>[] : T extends object ? { readonly [K in keyof T]: Read<T[K]> } : T;

type EndpointAt<Path> = Extract<AdminEndpoints[keyof AdminEndpoints], { readonly path: Path }>;

type Routes = {
  [Path in AdminEndpoints[keyof AdminEndpoints]["path"] as `/_limpet${Path}`]: {
    [E in EndpointAt<Path> as `$${E["method"]}`]: Answers<E> | Refusal<E>;
  };
};

type Answers<E extends AdminEndpoint> = {
  [S in keyof E["answers"] & StatusCode]: {
    input: Input<E>;
    output: BodyOf<E["answers"][S]>;
    outputFormat: E["answers"][S] extends { readonly shape: v.GenericSchema; readonly contentType?: never } ? "json" : "body";
    status: S;
  };
}[keyof E["answers"] & StatusCode];

type Refusal<E extends AdminEndpoint> = {
  input: Input<E>;
  output: Problem;
  outputFormat: "json";
  status: 400 | 401 | 403 | 404 | 405 | 409 | 412 | 413 | 429 | 500 | 503;
};

type BodyOf<A> = A extends AdminAnswer & { readonly shape: infer S extends v.GenericSchema } ? v.InferOutput<S> : {};

type Input<E extends AdminEndpoint> = Params<E["path"]> &
  (E extends { readonly query: infer S extends v.GenericSchema } ? { query?: v.InferInput<S> } : {}) &
  (E extends { readonly headers: infer S extends v.GenericSchema } ? { header?: v.InferInput<S> } : {}) &
  (E extends { readonly body: infer S extends v.GenericSchema } ? { json: v.InferInput<S> } : {});

type Params<Path extends string> = [Names<Path>] extends [never] ? {} : { param: Record<Names<Path>, string> };

type Names<Path extends string> = Path extends `${infer Head}/${infer Rest}`
  ? Names<Head> | Names<Rest>
  : Path extends `:${infer Name}`
    ? Name
    : never;
