// What all parts of the admin API share: who may ask, how a ring is asked, how a body is read, and what is answered when that fails.

import type { Context } from "hono";
import { createMiddleware } from "hono/factory";
import { allows, type Need } from "../core/admin-tokens.ts";
import type { RetiredRing } from "../core/applied-config.ts";
import { ringsOf } from "../core/home.ts";
import { requestProblem } from "../core/problem.ts";
import type { Env, Settings } from "../platform/env.ts";
import { within } from "../platform/limits.ts";
import { ringStub } from "../platform/stubs.ts";
import { failed } from "./failures.ts";
import { findToken } from "./tokens.ts";

/** What the front door hands over with a request. */
export type Admin = {
  Bindings: { readonly env: Env; readonly settings: Settings; readonly requestId: string };
  Variables: {
    /** The name of the token that was shown. */
    by: string;
    /** It may register origins, and order nothing else. */
    registers: boolean;
  };
};

/** Longest wait for one ring object in a list: it reads its carriers' tables first (PULL_TIMEOUT_MS), and the pages wait 5 s for all. */
export const RING_ANSWER_MS = 4_000;

export const READS = ["GET", "HEAD"];

/** One of these scopes will do. `register` counts for the origin that the path names. */
export const needs = (...scopes: Need["scopes"]) =>
  createMiddleware<Admin>(async (c, next) => {
    const token = await findToken(c.env.env, c.env.settings.dev, c.req.header("authorization"));
    if (token === "wrong") {
      const waitSeconds = await failed(c.env.env, c.req.header("cf-connecting-ip"), Date.now());
      if (waitSeconds !== undefined) {
        return problem(c, "too-many-failures", "Too many wrong tokens came from this address.", { "retry-after": String(waitSeconds) });
      }
    }
    if (typeof token === "string")
      return problem(c, "unauthorized", "Send a valid token as `Authorization: Bearer <token>`.", { "www-authenticate": "Bearer" });
    if (!allows(token, { scopes, pool: c.req.param("pool"), id: c.req.param("id") })) {
      const [scope] = scopes;
      return problem(
        c,
        "forbidden",
        `This token has no scope "${scope}"${scopes.includes("register") ? ", nor one that registers this origin" : ""}.`,
        {
          "www-authenticate": `Bearer error="insufficient_scope", scope="${scope}"`,
        },
      );
    }
    c.set("by", token.name);
    c.set("registers", !allows(token, { scopes: ["operate"], pool: undefined, id: undefined }));
    return next();
  });

/** Stands after a path's own methods. */
export const only = (...methods: readonly string[]) =>
  createMiddleware<Admin>(async (c) =>
    problem(c, "method-not-allowed", `Use ${methods.join(" or ")}, not ${c.req.method}.`, { allow: methods.join(", ") }),
  );

/** Those of the configuration, and those that it names no more while somebody may still be there. */
export function knownRings({ config, retired }: Settings): readonly RetiredRing[] {
  return [...ringsOf(config), ...retired];
}

export function ringOf(c: Context<Admin>): ReturnType<typeof ringStub> | undefined {
  const [pool, region] = [c.req.param("pool") ?? "", c.req.param("region") ?? ""];
  const isRing = knownRings(c.env.settings).some((ring) => ring.pool === pool && ring.region === region);
  return isRing ? ringStub(c.env.env, c.env.settings.config, pool, region) : undefined;
}

export class RingSilent extends Error {}

/** What a ring object answers; throws `RingSilent` where it fails or takes too long. */
export async function answered<T>(asked: PromiseLike<T> | undefined, limitMs = RING_ANSWER_MS): Promise<T | undefined> {
  try {
    return asked && (await within(Promise.resolve(asked), limitMs, "ring"));
  } catch (error) {
    console.error(JSON.stringify({ limpet: "ring-unreachable", error: String(error) }));
    throw new RingSilent();
  }
}

/** Everything that is sent here is a few names and numbers. */
const BODY_MAX_BYTES = 16 * 1024;

/** The body as JSON (`undefined`: there is none), or the answer to one that is too large or no JSON. */
export async function jsonOf(c: Context<Admin>, mostBytes = BODY_MAX_BYTES): Promise<Response | { readonly value: unknown }> {
  const bytes = await bytesOf(c.req.raw, mostBytes);
  if (!bytes) return problem(c, "content-too-large", `A body has at most ${mostBytes} bytes here.`);
  if (bytes.byteLength === 0) return { value: undefined };
  try {
    const value = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes)) as unknown;
    if (!isDeeper(value, DEPTH_MAX)) return { value };
    return problem(c, "bad-request", `The body has more than ${DEPTH_MAX} lists and objects in each other.`);
  } catch {
    return problem(c, "bad-request", "The body is no JSON in UTF-8."); // what the parser says of it names the engine's own places
  }
}

/** Far more than anything that is sent here has; the parser takes what nobody who comes after it could walk through or write again. */
const DEPTH_MAX = 32;

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((each) => isDeeper(each, levels - 1));
}

/** `undefined`: there are more. What is not read is not waited for. */
async function bytesOf({ body, headers }: Request, mostBytes: number): Promise<Uint8Array | undefined> {
  if (Number(headers.get("content-length") ?? 0) > mostBytes) return undefined;
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of (body ?? []) as AsyncIterable<Uint8Array>) {
    length += chunk.byteLength;
    if (length > mostBytes) return undefined;
    chunks.push(chunk);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

export function notFound(c: Context<Admin>, what: string): Response {
  return problem(c, "not-found", `There is no such ${what}.`);
}

export function unreachable(c: Context<Admin>): Response {
  return problem(c, "ring-unreachable", "The object of a ring that was asked for did not answer. Try again shortly.", { "retry-after": "2" });
}

export function problem(c: Context<Admin>, code: Parameters<typeof requestProblem>[0], detail: string, headers?: Record<string, string>): Response {
  return requestProblem(code, detail, c.env.requestId, headers);
}
