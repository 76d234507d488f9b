// Metrics for Prometheus (text format 0.0.4): what the ring objects count, and how old what KV has of them is. docs/metrics.md says what each means.
// A scrape asks each ring object once, which asks nobody: no carrier is woken, and none is waited for.

import { snapshotKvKey } from "../core/names.ts";
import { GAP_BOUNDS_MS } from "../core/protocol.ts";
import { decodeSnapshot } from "../core/snapshot.ts";
import type { Env, Settings } from "../platform/env.ts";
import { within } from "../platform/limits.ts";
import type { RingMetrics } from "../platform/ring-metrics.ts";
import { ringStub } from "../platform/stubs.ts";
import { knownRings } from "./admin-parts.ts";

/** Prometheus gives up after ten seconds. */
const ANSWER_MS = 4_000;

/** Every metric that there is: its type, and a sentence. Counters begin at 0 again with each start of a ring object. */
export const METRICS = {
  limpet_ring_up: ["gauge", "Whether the ring object has answered this scrape."],
  limpet_ring_epoch: ["gauge", "The ring's epoch: one more with each change."],
  limpet_ring_start_time_seconds: ["gauge", "When the ring object was started, in seconds since 1970: its counters begin there."],
  limpet_snapshot_epoch: ["gauge", "The epoch that KV has, and Workers go by."],
  limpet_snapshot_age_seconds: ["gauge", "How long ago the snapshot that KV has was made."],
  limpet_sessions: ["gauge", "Live sessions whose home the ring is."],
  limpet_sessions_waiting: ["gauge", "Sessions that wait for their turn to be moved."],
  limpet_sessions_moving: ["gauge", "Sessions between two origins."],
  limpet_sessions_quarantined: ["gauge", "Sessions whose origins kept dying."],
  limpet_sessions_ordered: ["gauge", "Sessions that an order keeps where they are."],
  limpet_hints: ["gauge", "Sessions that are not where the ring says: entries of the table that Workers read."],
  limpet_drains: ["gauge", "Origins whose drain is under way."],
  limpet_connections: ["gauge", "Connections that the carriers of the region hold to an origin, of any region."],
  limpet_moves_total: ["counter", "Sessions moved, by reason."],
  limpet_leg_gap_seconds: ["histogram", "How long connections that got a new leg had none. Its sum is not counted."],
  limpet_frames_held_total: ["counter", "Frames held back while sessions moved."],
  limpet_connections_refused_total: ["counter", "Connections that carriers refused or ended because a bound was passed."],
  limpet_place_calls_total: ["counter", "Calls of carriers for places."],
  limpet_place_sessions_total: ["counter", "Sessions that they asked for in them."],
  limpet_place_refusals_total: ["counter", "Sessions that got no place, by reason."],
  limpet_origin_sessions: ["gauge", "Live sessions that the origin serves, other regions' too."],
  limpet_origin_share: ["gauge", "The share of its keys (0-1) that the origin takes now."],
  limpet_origin_weight: ["gauge", "The origin's weight."],
  limpet_origin_state: ["gauge", "1 for what is wanted of the origin."],
  limpet_origin_health: ["gauge", "1 for how the origin is."],
  limpet_requests_total: ["counter", "Plain requests to the origin, by outcome, as Workers have told."],
} as const satisfies Readonly<Record<string, readonly [type: "gauge" | "counter" | "histogram", help: string]>>;

type Name = keyof typeof METRICS;
type Labels = Readonly<Record<string, string>>;

const STATES = ["joining", "active", "draining", "drained"] as const;
const HEALTHS = ["healthy", "ejected", "down"] as const;

/** The lines of a scrape, by metric. */
class Page {
  readonly #lines = new Map<Name, string[]>();

  add(name: Name, labels: Labels, value: number, suffix = ""): void {
    const lines = this.#lines.get(name) ?? [];
    this.#lines.set(name, lines);
    const pairs = Object.entries(labels).map(
      ([label, text]) => `${label}="${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`,
    );
    lines.push(`${name}${suffix}{${pairs.join(",")}} ${value}\n`);
  }

  text(): string {
    return [...this.#lines]
      .map(([name, lines]) => `# HELP ${name} ${METRICS[name][1]}\n# TYPE ${name} ${METRICS[name][0]}\n${lines.join("")}`)
      .join("");
  }
}

export async function scrape(env: Env, settings: Settings): Promise<string> {
  const { config } = settings;
  const nowMs = Date.now();
  const rings = await Promise.all(
    knownRings(settings).map(async ({ pool, region }) => {
      const asked = async (): Promise<RingMetrics> => ringStub(env, config, pool, region).metrics();
      const read = env.AFFINITY.get(snapshotKvKey(pool, region), settings.dev ? { type: "json" } : { type: "json", cacheTtl: 30 });
      const [ring, stored] = await Promise.allSettled([within(asked(), ANSWER_MS, "metrics"), within(read, ANSWER_MS, "KV")]);
      return { pool, region, ring, stored };
    }),
  );
  const page = new Page();
  for (const { pool, region, ring, stored } of rings) {
    const labels = { pool, region };
    page.add("limpet_ring_up", labels, ring.status === "fulfilled" ? 1 : 0);
    if (ring.status === "fulfilled") addRing(page, labels, ring.value);
    else console.error(JSON.stringify({ limpet: "ring-unreachable", pool, region, error: String(ring.reason) }));
    const snapshot = stored.status === "fulfilled" ? decodeSnapshot(stored.value) : undefined;
    if (!snapshot) continue;
    page.add("limpet_snapshot_epoch", labels, snapshot.epoch);
    page.add("limpet_snapshot_age_seconds", labels, Math.max(0, nowMs - snapshot.writtenAtMs) / 1_000);
  }
  return page.text();
}

function addRing(page: Page, labels: Labels, ring: RingMetrics): void {
  page.add("limpet_ring_epoch", labels, ring.epoch);
  page.add("limpet_ring_start_time_seconds", labels, ring.startedAtMs / 1_000);
  page.add("limpet_sessions", labels, ring.sessions);
  page.add("limpet_sessions_waiting", labels, ring.waiting);
  page.add("limpet_sessions_moving", labels, ring.moving);
  page.add("limpet_sessions_quarantined", labels, ring.quarantined);
  page.add("limpet_sessions_ordered", labels, ring.orders);
  page.add("limpet_hints", labels, ring.hints);
  page.add("limpet_drains", labels, ring.drains);
  for (const [origin, count] of Object.entries(ring.connectionsByOrigin)) page.add("limpet_connections", { ...labels, origin }, count);
  for (const [reason, count] of Object.entries(ring.moved)) page.add("limpet_moves_total", { ...labels, reason }, count);
  addGaps(page, labels, ring.gaps);
  page.add("limpet_frames_held_total", labels, ring.heldFrames);
  page.add("limpet_connections_refused_total", labels, ring.refused);
  page.add("limpet_place_calls_total", labels, ring.places.calls);
  page.add("limpet_place_sessions_total", labels, ring.places.items);
  for (const [reason, count] of Object.entries(ring.places.refused)) page.add("limpet_place_refusals_total", { ...labels, reason }, count);
  for (const origin of ring.origins) addOrigin(page, { ...labels, origin: origin.id }, origin);
}

/** Buckets are counted upwards: each holds those before it. */
function addGaps(page: Page, labels: Labels, gaps: readonly number[]): void {
  let count = 0;
  for (const [index, each] of gaps.entries()) {
    const boundMs = GAP_BOUNDS_MS[index];
    count += each;
    page.add("limpet_leg_gap_seconds", { ...labels, le: boundMs === undefined ? "+Inf" : String(boundMs / 1_000) }, count, "_bucket");
  }
  page.add("limpet_leg_gap_seconds", labels, count, "_count");
}

function addOrigin(page: Page, labels: Labels, { sessions, share, weight, state, health, outcomes }: RingMetrics["origins"][number]): void {
  page.add("limpet_origin_sessions", labels, sessions);
  page.add("limpet_origin_share", labels, share);
  page.add("limpet_origin_weight", labels, weight);
  for (const each of STATES) page.add("limpet_origin_state", { ...labels, state: each }, each === state ? 1 : 0);
  for (const each of HEALTHS) page.add("limpet_origin_health", { ...labels, health: each }, each === health ? 1 : 0);
  for (const [outcome, count] of Object.entries(outcomes)) page.add("limpet_requests_total", { ...labels, outcome }, count);
}
