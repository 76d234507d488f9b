// The admin API of a running router, for commands: where it is, with which token, and each refusal as a sentence that says what to do.

import { hc, type ClientResponse } from "hono/client";
import type { AdminApp } from "../http/admin-app.ts";
import { CommandFault } from "./fault.ts";

/** Where `limpet dev` listens, unless it is told otherwise. */
const DEFAULT_ROUTER = "http://127.0.0.1:8787";

/** A move may wait for another one, and for its own. */
const ANSWER_MS = 30_000;

const LOCAL = ["127.0.0.1", "localhost", "[::1]"];

export interface RouterOptions {
  readonly router?: string | undefined;
  readonly token?: string | undefined;
}

type Api = ReturnType<typeof hc<AdminApp>>["_limpet"]["v1"];

/** The JSON of a success; refusals are thrown. */
type BodyOf<R> = R extends ClientResponse<infer Body, infer Status, "json"> ? (Status extends 200 | 201 | 202 ? Body : never) : never;

/** The router has understood, and will not: its sentence may need another that says what to do. */
export class RouterRefusal extends CommandFault {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Nobody answers there, or nobody who is a router: it may be back in a moment. */
export class RouterAway extends CommandFault {}

/** Whether to ask again shortly: what is wrong may pass by itself. */
export function mayPass(error: unknown): boolean {
  return error instanceof RouterAway || (error instanceof RouterRefusal && (error.status === 429 || error.status >= 500));
}

export class AdminClient {
  readonly #url: URL;
  readonly #token: string;
  readonly #api: Api;

  /** Options win over LIMPET_URL and LIMPET_TOKEN; a router on this machine has the token of `limpet dev`. */
  constructor({ router, token }: RouterOptions, env: NodeJS.ProcessEnv = process.env) {
    this.#url = addressOf(router ?? (env["LIMPET_URL"] || DEFAULT_ROUTER));
    const known = token ?? (env["LIMPET_TOKEN"] || (LOCAL.includes(this.#url.hostname) ? "dev" : undefined));
    if (known === undefined)
      throw new CommandFault(`A token is needed for ${this.#url.origin}: give one of its LIMPET_ADMIN_TOKENS by --token or LIMPET_TOKEN.`);
    if (!/^[\x21-\x7e]+$/.test(known))
      throw new CommandFault("The token has characters that no token has: give it by --token or LIMPET_TOKEN as it is, without blanks.");
    this.#token = known;
    this.#api = hc<AdminApp>(this.#url.origin, { fetch: (url: URL | RequestInfo, init?: RequestInit) => this.#send(String(url), init) })._limpet.v1;
  }

  /** Where people find what this router knows. */
  get dashboard(): string {
    return new URL("/_limpet/", this.#url).href;
  }

  /** An address as people type it: a path is one of the router's own. */
  resolve(address: string): string {
    if (!URL.canParse(address, this.#url)) throw new CommandFault(`"${address}" is no URL: give a path (/collab/doc-1) or https://host/path.`);
    return new URL(address, this.#url).href;
  }

  /** What the router answers; parts of a path go through `inPath`. Throws `CommandFault` for anything but a success. */
  async ask<R extends ClientResponse<unknown, number, string>>(asked: (api: Api) => Promise<R>): Promise<BodyOf<R>> {
    return (await this.answer(asked)).body;
  }

  /** With the status, where successes differ: 202 is "not yet". */
  async answer<R extends ClientResponse<unknown, number, string>>(
    asked: (api: Api) => Promise<R>,
  ): Promise<{ readonly status: number; readonly body: BodyOf<R> }> {
    const response = await asked(this.#api);
    const body = await jsonOf(response);
    if (response.ok && body !== undefined) return { status: response.status, body: body as BodyOf<R> }; // the router's own word; versions of the command and the router go together
    throw this.#faultOf(response.status, body);
  }

  /** The same of what holds whole configurations, whose shape is the file's own. `ifMatch`: only while that revision holds. */
  async json<T>(method: "GET" | "PUT" | "POST", path: string, { body, ifMatch }: { body?: unknown; ifMatch?: number } = {}): Promise<T> {
    const headers = ifMatch === undefined ? {} : { "if-match": `"${ifMatch}"` };
    const sent = body === undefined ? {} : { body: JSON.stringify(body) };
    const response = await this.#send(new URL(`/_limpet/v1/${path}`, this.#url).href, { method, headers, ...sent });
    const answer = await jsonOf(response);
    if (response.ok && answer !== undefined) return answer as T; // as above
    throw this.#faultOf(response.status, answer);
  }

  /** The event stream, from after the event with that id; it ends when the router ends it, or the signal fires. */
  async events(lastEventId: string | undefined, signal: AbortSignal): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
    const late = new AbortController(); // a time-out left in place would end the stream later
    const timer = setTimeout(() => late.abort(new Error("no answer in time")), ANSWER_MS);
    const headers = { accept: "text/event-stream", ...(lastEventId === undefined ? {} : { "last-event-id": lastEventId }) };
    const url = new URL("/_limpet/v1/events", this.#url).href;
    const response = await this.#send(url, { headers, signal: AbortSignal.any([signal, late.signal]) }).finally(() => clearTimeout(timer));
    if (response.ok && response.body && response.headers.get("content-type")?.startsWith("text/event-stream")) return response.body;
    throw this.#faultOf(response.status, await jsonOf(response));
  }

  async #send(url: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set("authorization", `Bearer ${this.#token}`);
    try {
      return await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS), ...init, headers, redirect: "manual" });
    } catch (error) {
      throw new RouterAway(`No router answers at ${this.#url.origin} (${reasonOf(error)}): start it, or say where it is by --router or LIMPET_URL.`);
    }
  }

  #faultOf(status: number, answer: unknown): CommandFault {
    const { code, detail } = problemIn(answer);
    if (code === undefined || detail === undefined) {
      return new RouterAway(
        `What answers at ${this.#url.origin} (${status}) is no Limpet router, or one whose admin API is switched off: say where it is by --router or LIMPET_URL.`,
      );
    }
    if (code === "unauthorized") {
      return new CommandFault("The router does not take this token: give one of its LIMPET_ADMIN_TOKENS by --token or LIMPET_TOKEN.");
    }
    return new RouterRefusal(status, code === "forbidden" ? `${detail} Give another by --token or LIMPET_TOKEN.` : detail);
  }
}

/** Parts of a path as they go into one: `hc` puts them there as they are. */
export function inPath<P extends Readonly<Record<string, string>>>(parts: P): { param: P } {
  return { param: Object.fromEntries(Object.entries(parts).map(([name, value]) => [name, encodeURIComponent(value)])) as P }; // the same names
}

function addressOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "http:" || url?.protocol === "https:") return url;
  throw new CommandFault(`"${text}" is no address of a router: it is like ${DEFAULT_ROUTER} or https://app.example.com.`);
}

async function jsonOf(response: Pick<Response, "json">): Promise<unknown> {
  try {
    return await response.json();
  } catch {
    return undefined; // not ours: the caller says so
  }
}

/** The members of a problem that are shown (RFC 9457). */
function problemIn(answer: unknown): { readonly code?: string; readonly detail?: string } {
  if (typeof answer !== "object" || answer === null || !("code" in answer) || !("detail" in answer)) return {};
  return typeof answer.code === "string" && typeof answer.detail === "string" ? { code: answer.code, detail: answer.detail } : {};
}

/** `fetch` says "fetch failed", and the reason in its cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (typeof cause === "object" && cause !== null && "code" in cause && typeof cause.code === "string") return cause.code;
  return cause instanceof Error ? cause.message : String(cause);
}
