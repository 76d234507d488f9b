// What became of requests to origins, counted in this isolate by ring and told to its ring object in batches, after the answer. A visitor who
// left is nobody's fault, nor what broke here: only `origin-fault` and `timeout` speak against an origin.

import type { Pool } from "../core/config-types.ts";
import { isLate, KEYS_MAX, type Told } from "../core/ejection.ts";
import type { Platform } from "./env.ts";
import { delay, within } from "./limits.ts";
import { ringStub } from "./stubs.ts";

export type Outcome =
  | "ok"
  /** Not reached, cut off, no HTTP, or a 5xx. */
  | "origin-fault"
  /** No first byte in time. */
  | "timeout"
  | "client-gone"
  /** It broke in the router. */
  | "ours";

/** A 5xx speaks against an origin, but for those that speak of the request (501, 505). */
export function outcomeOfStatus(status: number): "ok" | "origin-fault" {
  return (status >= 500 && status !== 501 && status !== 505) || status < 200 ? "origin-fault" : "ok";
}

const NO_OUTCOMES: Outcomes = { ok: 0, "origin-fault": 0, timeout: 0, "client-gone": 0, ours: 0 };
export type Outcomes = Readonly<Record<Outcome, number>>;

/** What has been told of each origin, since this life of a ring object began. */
export class OutcomeSums {
  readonly #byOrigin = new Map<string, Outcomes>();

  /** Of origins that are known only: what a Worker says of others is of another configuration. */
  add(told: Readonly<Record<string, Outcomes>>, known: ReadonlyMap<string, unknown>): void {
    for (const [origin, counts] of Object.entries(told)) if (known.has(origin)) this.#byOrigin.set(origin, summed(this.of(origin), counts));
  }

  of(origin: string): Outcomes {
    return this.#byOrigin.get(origin) ?? NO_OUTCOMES;
  }
}

function summed(a: Outcomes, b: Outcomes): Outcomes {
  return {
    ok: a.ok + b.ok,
    "origin-fault": a["origin-fault"] + b["origin-fault"],
    timeout: a.timeout + b.timeout,
    "client-gone": a["client-gone"] + b["client-gone"],
    ours: a.ours + b.ours,
  };
}

/** What is known of one request beside what became of it. */
export interface Detail {
  /** Of its session's key, or what was drawn for it: whether several are in trouble, or one. */
  readonly lot: number;
  /** Until the first byte; absent: nothing was answered, or how long it takes says nothing. */
  readonly tookMs?: number;
  /** Answered, with an error of the origin's own. */
  readonly isError?: boolean;
  /** It broke off while the visitor was sending: which end did that nobody knows, and a visitor must not speak against an origin. */
  readonly isUnclear?: boolean;
}

type Seen = { -readonly [Name in keyof Told]: Told[Name] extends readonly number[] ? number[] : number };

interface Batch {
  readonly byOrigin: Map<string, Record<Outcome, number>>;
  count: number;
  /** Since the first of them that spoke against an origin: what spoke for them and against them. */
  readonly window: Map<string, Seen>;
  /** Whether anything of it speaks against an origin. */
  urgent: boolean;
  /** How long each origin takes, as far as is known. */
  readonly means: Map<string, number>;
  /** Until then a flush is under way; one that was cut off with its request counts for nothing after. */
  flushingUntilMs: number;
}

/** What went well is told when so much of it has gathered: one call for 5,000 requests. */
export const BATCH_COUNT = 5_000;
/** What speaks against an origin is told this much later, with all that followed it. */
const FAULT_DELAY_MS = 1_000;
const FLUSHING_MS = 5_000;

const batches = new Map<string, Batch>();

/** Counts one; never waits and never throws. */
export function tally(platform: Platform, pool: Pick<Pool, "id">, region: string, origin: string, outcome: Outcome, detail?: Detail): void {
  const name = `${pool.id}/${region}`;
  const batch = batches.get(name) ?? { byOrigin: new Map(), count: 0, window: new Map(), urgent: false, means: new Map(), flushingUntilMs: 0 };
  batches.set(name, batch);
  const counts = batch.byOrigin.get(origin) ?? { ...NO_OUTCOMES };
  counts[outcome]++;
  batch.byOrigin.set(origin, counts);
  batch.count++;
  const isSlow = isSlowAnswer(batch.means, origin, outcome, detail?.tookMs);
  const isFault = outcome === "origin-fault" || outcome === "timeout";
  batch.urgent ||= (isFault && !detail?.isUnclear) || isSlow;
  if (batch.urgent) see(batch.window, origin, outcome, detail, isSlow);
  if (!batch.urgent && batch.count < BATCH_COUNT) return;
  const nowMs = Date.now();
  if (nowMs < batch.flushingUntilMs) return;
  batch.flushingUntilMs = nowMs + FLUSHING_MS;
  platform.ctx.waitUntil(flush(platform, pool.id, region, batch, batch.urgent ? FAULT_DELAY_MS : 0));
}

/** Part of the newest in what an origin takes: about the last thirty answers count. */
const NEWEST_PART = 1 / 32;

/** A late answer is no part of what the origin takes otherwise: else a few of them would make the rest usual. */
function isSlowAnswer(means: Map<string, number>, origin: string, outcome: Outcome, tookMs: number | undefined): boolean {
  if (outcome !== "ok" || tookMs === undefined) return false;
  if (isLate(tookMs, origin, means)) return true;
  const own = means.get(origin);
  means.set(origin, own === undefined ? tookMs : own + (tookMs - own) * NEWEST_PART);
  return false;
}

function see(window: Map<string, Seen>, origin: string, outcome: Outcome, detail: Detail | undefined, isSlow: boolean): void {
  if (outcome === "client-gone" || outcome === "ours" || detail?.isUnclear) return;
  const seen = window.get(origin) ?? { ok: 0, errors: 0, unreached: 0, slow: 0, keys: [], slowKeys: [] };
  window.set(origin, seen);
  const what = outcome === "ok" ? "ok" : detail?.isError ? "errors" : "unreached";
  seen[what]++;
  if (isSlow) seen.slow++;
  if (!detail) return;
  if (what !== "ok") note(seen.keys, detail.lot);
  if (isSlow) note(seen.slowKeys, detail.lot);
}

function note(keys: number[], lot: number): void {
  if (keys.length < KEYS_MAX && !keys.includes(lot)) keys.push(lot);
}

async function flush({ env, settings }: Platform, pool: string, region: string, batch: Batch, delayMs: number): Promise<void> {
  if (delayMs > 0) await delay(delayMs);
  const [outcomes, window] = [Object.fromEntries(batch.byOrigin), Object.fromEntries(batch.window)];
  batch.byOrigin.clear();
  batch.window.clear();
  batch.count = 0;
  batch.urgent = false;
  try {
    await within(ringStub(env, settings.config, pool, region).outcomes(outcomes, window), FLUSHING_MS - FAULT_DELAY_MS, "ring object");
  } catch (error) {
    // Counts of one batch are lost: the next one speaks for itself.
    console.error(JSON.stringify({ limpet: "ring-unreachable", pool, region, error: String(error) }));
  } finally {
    batch.flushingUntilMs = 0; // what has gathered meanwhile goes with the next that is counted
  }
}
