// What became of requests to origins, counted in this isolate by ring and told to its ring object in batches, after the answer. A visitor who
// left is nobody's fault, nor what broke here: only `origin-fault` and `timeout` speak against an origin.

import type { Pool } from "../core/config-types.ts";
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

interface Batch {
  readonly byOrigin: Map<string, Record<Outcome, number>>;
  count: number;
  /** Whether anything of it speaks against an origin. */
  urgent: boolean;
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
export function tally(platform: Platform, pool: Pool, region: string, origin: string, outcome: Outcome): void {
  const name = `${pool.id}/${region}`;
  const batch = batches.get(name) ?? { byOrigin: new Map(), count: 0, urgent: false, flushingUntilMs: 0 };
  batches.set(name, batch);
  const counts = batch.byOrigin.get(origin) ?? { ...NO_OUTCOMES };
  counts[outcome]++;
  batch.byOrigin.set(origin, counts);
  batch.count++;
  batch.urgent ||= outcome === "origin-fault" || outcome === "timeout";
  if (!batch.urgent && batch.count < BATCH_COUNT) return;
  const nowMs = Date.now();
  if (nowMs < batch.flushingUntilMs) return;
  batch.flushingUntilMs = nowMs + FLUSHING_MS;
  platform.ctx.waitUntil(flush(platform, pool.id, region, batch, batch.urgent ? FAULT_DELAY_MS : 0));
}

async function flush({ env, settings }: Platform, pool: string, region: string, batch: Batch, delayMs: number): Promise<void> {
  if (delayMs > 0) await delay(delayMs);
  const outcomes = Object.fromEntries(batch.byOrigin);
  batch.byOrigin.clear();
  batch.count = 0;
  batch.urgent = false;
  try {
    await within(ringStub(env, settings.config, pool, region).outcomes(outcomes), FLUSHING_MS - FAULT_DELAY_MS, "ring object");
  } catch (error) {
    // Counts of one batch are lost: the next one speaks for itself.
    console.error(JSON.stringify({ limpet: "ring-unreachable", pool, region, error: String(error) }));
  } finally {
    batch.flushingUntilMs = 0; // what has gathered meanwhile goes with the next that is counted
  }
}
