// One attempt at one origin: the request with its Limpet field, streamed both ways, under its deadlines. The platform's cache is kept out of it,
// redirects are the visitor's to follow, and a visitor who leaves ends it.

import type { Route } from "../core/config-types.ts";
import { replicasOf } from "../core/decide.ts";
import type { Routed } from "../core/decision.ts";
import { fieldForOrigin, LIMPET_FIELD } from "../core/limpet-field.ts";
import type { HeaderRecord } from "../core/headers.ts";
import type { RegionView } from "../core/snapshot.ts";
import type { PlainRequest } from "./decide-http.ts";
import type { Platform } from "./env.ts";
import { HANDSHAKE_TIMEOUT_MS } from "./limits.ts";
import { originFetch } from "./origin-fetch.ts";
import { tally, type Outcome } from "./outcomes.ts";
import { mayHaveBody, type Body } from "./request-body.ts";
import { startedAt } from "./traffic.ts";

export interface Attempt {
  readonly decision: Routed;
  readonly views: readonly RegionView[];
  readonly body: Body;
  /** Counted from 1. */
  readonly attempt: number;
}

export type Tried =
  { readonly kind: "answered"; readonly response: Response; readonly originMs: number } | { readonly kind: "failed"; readonly outcome: Outcome };

export async function tryOrigin(platform: Platform, plain: PlainRequest, attempt: Attempt): Promise<Tried> {
  const { request, target, route } = plain;
  const { origin } = attempt.decision;
  const deadline = deadlineOf(plain);
  const init = {
    method: request.method,
    headers: headersFor(plain, attempt),
    body: outgoingBody(request, attempt.body, route, deadline),
    redirect: "manual",
    cache: "no-store",
    ...(deadline ? { signal: deadline.signal } : {}),
  } as const;
  const send = originFetch(platform.env, platform.settings, plain.pool.id);
  const ended = startedAt(plain.pool, origin.id, request);
  const askedAtMs = Date.now();
  try {
    const response = await send(origin.id, origin.url + target, init);
    return { kind: "answered", response: watched(platform, plain, attempt, response, deadline), originMs: Date.now() - askedAtMs };
  } catch {
    if (request.signal.aborted) return { kind: "failed", outcome: "client-gone" };
    return { kind: "failed", outcome: deadline?.isOver ? "timeout" : "origin-fault" }; // else refused, reset, or no HTTP
  } finally {
    ended();
    deadline?.close();
  }
}

/** The origin's time begins when it has all of the request: what a visitor still uploads is no delay of its. */
function outgoingBody({ headers }: Request, body: Body, { deadlines: { firstByteMs } }: Route, deadline: Deadline | undefined): BodyInit | null {
  if (body.kind === "kept") return body.bytes;
  if (body.kind === "none") return null;
  if (!deadline || firstByteMs === undefined) return body.stream;
  deadline.clear();
  const length = Number(headers.get("content-length") ?? NaN);
  const { readable, writable } = Number.isSafeInteger(length) ? new FixedLengthStream(length) : new IdentityTransformStream();
  const sent = body.stream.pipeTo(writable).then(() => deadline.set(firstByteMs));
  sent.catch(() => undefined); // cut off at either end: the attempt itself hears of it
  return readable;
}

function headersFor({ headers: make, request, requestId, key, point }: PlainRequest, { decision, views, attempt }: Attempt): HeaderRecord {
  const headers = make();
  if (!mayHaveBody(request)) delete headers["content-length"];
  const { origin, region, epoch, fence, reason } = decision;
  const replicas = replicasOf({ key: point, regions: views, nowMs: Date.now() }, origin.id);
  const facts = { session: key, origin: origin.id, region, epoch, fence, reason, replicas, request: requestId, attempt };
  headers[LIMPET_FIELD] = fieldForOrigin(facts);
  return headers;
}

/** Timers and signals are work for every request: only handshakes and routes that set a deadline have them, else the platform's own counts. */
function deadlineOf({ spliced, route: { deadlines } }: PlainRequest): Deadline | undefined {
  const firstByteMs = deadlines.firstByteMs ?? (spliced ? HANDSHAKE_TIMEOUT_MS : undefined);
  return firstByteMs === undefined && deadlines.idleMs === undefined ? undefined : new Deadline(firstByteMs);
}

/** A deadline that can be cleared: a signal of `AbortSignal.timeout` would cut a body that is still flowing when it fires. */
class Deadline {
  readonly #controller = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #over = false;
  #closed = false;

  constructor(ms: number | undefined) {
    this.set(ms);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get isOver(): boolean {
    return this.#over;
  }

  set(ms: number | undefined): void {
    this.clear();
    if (ms === undefined || this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#over = true;
      this.abort();
    }, ms);
  }

  clear(): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
  }

  /** The first byte is here: whatever still goes out has no deadline any more. */
  close(): void {
    this.#closed = true;
    this.clear();
  }

  abort(): void {
    this.#controller.abort();
  }
}

/** The answer; where the route bounds the pauses in a body, one whose pause is too long is cut off, and the visitor sees that it is. */
function watched(
  platform: Platform,
  { pool, route, request }: PlainRequest,
  { decision }: Attempt,
  response: Response,
  deadline: Deadline | undefined,
): Response {
  const { idleMs } = route.deadlines;
  const isHttp = response.status >= 200 && response.status <= 599; // of another status no response can be made: it is refused further up
  if (idleMs === undefined || !response.body || !isHttp || !deadline) return response;
  const reader = response.body.getReader();
  const idle = new Deadline(undefined);
  idle.signal.addEventListener("abort", () => deadline.abort());
  const blame = (outcome: Outcome): void => tally(platform, pool, decision.region, decision.origin.id, outcome);
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      idle.set(idleMs);
      try {
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      } catch (error) {
        if (!request.signal.aborted) blame(idle.isOver ? "timeout" : "origin-fault");
        controller.error(error);
      } finally {
        idle.clear();
      }
    },
    async cancel(reason) {
      idle.clear();
      await reader.cancel(reason);
    },
  });
  return new Response(body, response);
}
