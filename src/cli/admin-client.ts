// The admin API of a running router, for commands: where it is, with which token, and each refusal as a sentence that says what to do.

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

/** A live session, as the router tells it. */
export interface SessionView {
  readonly origin: string;
  readonly region: string;
  readonly fence: number;
  readonly connections: number;
  readonly state: "settled" | "moving" | "parked" | "quarantined" | "lifted";
}

/** The router has understood, and will not: its sentence may need another that says what to do. */
export class RouterRefusal extends CommandFault {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export class AdminClient {
  readonly #url: URL;
  readonly #token: string;

  /** Options win over LIMPET_URL and LIMPET_TOKEN; a router on this machine has the token of `limpet dev`. */
  constructor({ router, token }: RouterOptions, env: NodeJS.ProcessEnv = process.env) {
    this.#url = addressOf(router ?? (env["LIMPET_URL"] || DEFAULT_ROUTER));
    const known = token ?? (env["LIMPET_TOKEN"] || (LOCAL.includes(this.#url.hostname) ? "dev" : undefined));
    if (known === undefined)
      throw new CommandFault(`A token is needed for ${this.#url.origin}: give one of its LIMPET_ADMIN_TOKENS by --token or LIMPET_TOKEN.`);
    if (!/^[\x21-\x7e]+$/.test(known))
      throw new CommandFault("The token has characters that no token has: give it by --token or LIMPET_TOKEN as it is, without blanks.");
    this.#token = known;
  }

  /** Where people find what this router knows. */
  get dashboard(): string {
    return new URL("/_limpet/", this.#url).href;
  }

  /** Each part of the path as it is: it is encoded here. */
  get<T>(...path: readonly string[]): Promise<T> {
    return this.#ask<T>("GET", path);
  }

  post<T>(body: object, ...path: readonly string[]): Promise<T> {
    return this.#ask<T>("POST", path, body);
  }

  async #ask<T>(method: string, path: readonly string[], body?: object): Promise<T> {
    const response = await this.#send(method, path.map(encodeURIComponent).join("/"), body);
    const answer = await jsonOf(response);
    if (response.ok && answer !== undefined) return answer as T; // the router's own word; versions of the command and the router go together
    throw this.#faultOf(response.status, answer);
  }

  async #send(method: string, path: string, body: object | undefined): Promise<Response> {
    const headers = { authorization: `Bearer ${this.#token}`, ...(body && { "content-type": "application/json" }) };
    try {
      const url = new URL(`/_limpet/v1/${path}`, this.#url);
      return await fetch(url, {
        method,
        headers,
        redirect: "manual",
        signal: AbortSignal.timeout(ANSWER_MS),
        ...(body && { body: JSON.stringify(body) }),
      });
    } catch (error) {
      throw new CommandFault(
        `No router answers at ${this.#url.origin} (${reasonOf(error)}): start it, or say where it is by --router or LIMPET_URL.`,
      );
    }
  }

  #faultOf(status: number, answer: unknown): CommandFault {
    const { code, detail } = problemIn(answer);
    if (code === undefined || detail === undefined) {
      return new CommandFault(
        `What answers at ${this.#url.origin} (${status}) is no Limpet router, or one whose admin API is switched off: say where it is by --router or LIMPET_URL.`,
      );
    }
    if (code === "unauthorized") {
      return new CommandFault("The router does not take this token: give one of its LIMPET_ADMIN_TOKENS by --token or LIMPET_TOKEN.");
    }
    return new RouterRefusal(status, code === "forbidden" ? `${detail} Give another by --token or LIMPET_TOKEN.` : detail);
  }
}

function addressOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "http:" || url?.protocol === "https:") return url;
  throw new CommandFault(`"${text}" is no address of a router: it is like ${DEFAULT_ROUTER} or https://app.example.com.`);
}

async function jsonOf(response: Response): Promise<unknown> {
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
