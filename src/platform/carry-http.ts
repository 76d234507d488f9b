// Carrying plain HTTP: decided in the Worker on a snapshot, fetched, streamed. A Worker's own bad luck never re-places a keyed session: it tries
// the same origin once more, then the ring object has the word. A stateless request walks on. Nothing is sent twice that must not be, nothing
// after a byte of answer, and no more than a fifth of all requests.

import { wordOf } from "../core/limpet-field.ts";
import type { Refused, Routed } from "../core/decision.ts";
import { outcomeOfStatus, tally, type Detail, type Outcome } from "./outcomes.ts";
import { decideOn, type PlainRequest } from "./decide-http.ts";
import { askRing, inDoubt, redirect } from "./ring-words.ts";
import { bodyOf, isSentTwice, mayHaveBody, mayRepeat, NO_BODY, type Body } from "./request-body.ts";
import { mayTryAgain, startedTraffic } from "./retry-budget.ts";
import { tryOrigin, type Tried } from "./try-origin.ts";
import type { Platform } from "./env.ts";
import type { Layer } from "./snapshots.ts";

export interface Answered {
  readonly kind: "answered";
  readonly response: Response;
  readonly decision: Routed;
  /** How long the origin that answered took to do so. */
  readonly originMs: number;
  /** Chosen for this request only. */
  readonly passing: boolean;
  /** The origin says that the session is over. */
  readonly ended: boolean;
}

/** Why there is no answer of an origin's. */
export interface Failed {
  readonly kind: "failed";
  readonly why:
    | Refused["why"]
    /** It did not answer, and either the request must not be sent twice or the origin is said to be well. */
    | "unreachable"
    | "timeout"
    | "client-gone"
    /** Two origins send the request to each other. */
    | "replay-loop"
    /** An origin sends it to one that the pool does not have, or that takes nobody now. */
    | "replay-unknown"
    | "replay-unavailable"
    /** Its body was given away already; the session is where the visitor's next try will go. */
    | "replay-body"
    /** The same, and nobody could remember where it is to go. */
    | "replay-body-lost";
}

export type Carried = (Answered | Failed) & {
  readonly attempts: number;
  readonly layer: Layer;
  /** The decision of the last attempt. */
  readonly last: Routed | undefined;
};

/** Tries of one request at all: the owner twice, then whoever the ring object's word brings once each, so that all of a region may have died, and one replay. */
const ATTEMPTS_MAX = 10;

/** What is remembered between the attempts of one request. */
interface Run {
  readonly excluded: Set<string>;
  readonly body: Body;
  attempts: number;
  /** At the present origin. */
  failures: number;
  wells: number;
  passing: boolean;
  /** Who was asked last. */
  last: Routed | undefined;
  /** The origin that an origin has named; no second is followed. */
  replayed: Routed | undefined;
  layer: Layer;
}

export async function carryPlain(platform: Platform, plain: PlainRequest): Promise<Carried> {
  const body = mayHaveBody(plain.request) ? await bodyOf(plain.request, plain.route.replay.bodyBytes) : NO_BODY;
  if (!body) return { ...failed("client-gone"), attempts: 0, layer: "memory", last: undefined };
  const run: Run = {
    excluded: new Set(),
    body,
    attempts: 0,
    failures: 0,
    wells: 0,
    passing: false,
    last: undefined,
    replayed: undefined,
    layer: "memory",
  };
  startedTraffic(plain.pool);
  try {
    const result = await attempts(platform, plain, run);
    return { ...result, attempts: run.attempts, layer: run.layer, last: run.last };
  } finally {
    if (body.kind === "kept") body.letGo();
  }
}

async function attempts(platform: Platform, plain: PlainRequest, run: Run): Promise<Answered | Failed> {
  for (;;) {
    const decided = await decideOn(platform, plain, run.excluded, run.replayed);
    run.layer = decided.layer;
    if (decided.decision.kind === "refused") return failed(decided.decision.why);
    const { decision } = decided;
    run.last = decision;
    const attempt = { decision, views: decided.views, body: run.body, attempt: ++run.attempts };
    const tried = await tryOrigin(platform, plain, attempt).catch((error: unknown) => {
      tally(platform, plain.pool, decision.region, decision.origin.id, "ours");
      throw error;
    });
    const [outcome, detail] = outcomeOf(tried, run.body);
    tally(platform, plain.pool, decision.region, decision.origin.id, outcome, { lot: plain.point.lot, ...detail });
    if (tried.kind === "answered") {
      const word = wordOf(tried.response.headers.get("limpet"));
      const answered: Answered = { ...tried, decision, passing: run.passing, ended: word?.end === true };
      if (word?.replay === undefined) return answered;
      const refusal = await replayTo(platform, plain, run, answered, word.replay);
      if (refusal) return refusal;
      continue;
    }
    const over = await afterFailure(platform, plain, run, decision, tried.outcome);
    if (over) return over;
  }
}

/** What became of an attempt, and how the origin answered. How long an upload takes says nothing of it. */
function outcomeOf(tried: Tried, body: Body): [Outcome, Omit<Detail, "lot">] {
  if (tried.kind === "failed") return [tried.outcome, {}];
  const { webSocket, status } = tried.response;
  const outcome = webSocket ? "ok" : outcomeOfStatus(status);
  if (outcome !== "ok") return [outcome, { isError: true }];
  return [outcome, body.kind === "streamed" ? {} : { tookMs: tried.originMs }];
}

/** Whether another attempt follows (`undefined`), and for which origin `run` then says. */
async function afterFailure(
  platform: Platform,
  plain: PlainRequest,
  run: Run,
  { origin, region }: Routed,
  outcome: Outcome,
): Promise<Failed | undefined> {
  if (outcome === "client-gone") return failed(outcome);
  if (outcome === "timeout") {
    // It had its time, and so had the visitor. The ring object looks after it, in the background.
    if (plain.key !== undefined) platform.ctx.waitUntil(askRing(platform, plain.pool, { origin, region }));
    return failed(outcome);
  }
  run.failures++;
  const repeatable = mayRepeat(plain.request, run.body, plain.route.retry.idempotencyKey);
  const again = repeatable && run.attempts < ATTEMPTS_MAX && mayTryAgain(plain.pool);
  if (plain.key === undefined) {
    run.excluded.add(origin.id);
    return again ? undefined : failed("unreachable");
  }
  const doubtful = inDoubt(plain.pool);
  // The same origin once more; unless somebody asks about it, who has done so.
  if (run.failures === 1 && again && !doubtful.includes(origin.id)) return undefined;
  const word = await askRing(platform, plain.pool, { origin, region });
  if (!again) return failed("unreachable");
  if (word === "well") return run.wells++ === 0 ? undefined : failed("unreachable"); // it has just answered the ring object
  run.replayed = undefined;
  if (word === "down") return undefined;
  if (plain.pool.stickiness !== "prefer") return failed("unreachable");
  // Others in doubt are passed by as well: where a whole region has just died, each request would spend the budget of many on its dead.
  for (const id of [origin.id, ...doubtful]) run.excluded.add(id);
  run.passing = true;
  return undefined;
}

/** Follows an origin's word that the session is another's: the ring object is told, and the request goes there once. */
async function replayTo(
  platform: Platform,
  plain: PlainRequest,
  run: Run,
  { response, decision }: Answered,
  to: string,
): Promise<Failed | undefined> {
  await discard(response);
  if (run.replayed || to === decision.origin.id) return failed("replay-loop");
  const answer = await redirect(platform, plain, decision, to);
  if (answer.kind !== "placed") return failed(answer.kind === "unknown" ? "replay-unknown" : "replay-unavailable");
  if (isSentTwice(run.body)) return failed(answer.remembered ? "replay-body" : "replay-body-lost");
  run.replayed = answer.decision;
  run.failures = 0;
  return undefined;
}

/** An answer that nobody gets. */
async function discard({ webSocket, body }: Response): Promise<void> {
  await body?.cancel();
  webSocket?.accept();
  webSocket?.close(1000);
}

function failed(why: Failed["why"]): Failed {
  return { kind: "failed", why };
}
