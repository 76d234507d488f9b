// What visitors feel when origins go, come and die under live sessions, or their router does: eight origins in two regions, two visitors a
// session, in one session of five a listener to its event stream, one event after another (events.ts), and a ledger of every frame and every
// event of a stream (ledger.ts and streams.ts say what counts as lost and so on).
// Chosen: at most 2,000 frames/s and two a second from each visitor, half as many pushes (about what two cores bear with all that runs here,
// and some to spare for the moves); checks every 500 ms, time-out 500 ms, three in a row; a hold-down of 1 s before a region's sessions come
// home; the default pace. A first frame, the hello, is the prelude.
// Of a contestant that undoes by itself (Limpet) the way back is judged too, and of every event only gaps of visitors whom it touched.
// NGINX and HAProxy (nginx.ts, haproxy.ts) give no fence, so that their store takes everything; their clients reconnect (visitor.ts, listener.ts).
// Before Limpet or a part of it dies, one session in ten is ordered to another origin: that it is there again was remembered, not computed.
// Everybody shares this machine's cores: gaps are this machine's, what was lost is not.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isInstalled } from "../harness/processes.ts";
import type { Benchmark } from "../run.ts";
import type { Row } from "../rows.ts";
import { barsOf } from "./bars.ts";
import type { Contestant } from "../harness/sessions/contestant.ts";
import { Course, type EventOutcome } from "./course.ts";
import { Crowd } from "../harness/sessions/crowd.ts";
import { EVENTS, ORIGIN_IDS, regionOf, type FleetEvent } from "./events.ts";
import { Fleet } from "../harness/sessions/fleet.ts";
import { quantile } from "../harness/sessions/gaps.ts";
import { startHaproxy } from "./haproxy.ts";
import { Ledger } from "../harness/sessions/ledger.ts";
import { limpetConfig, startLimpet, type LimpetConfig, type Placed } from "../harness/sessions/limpet.ts";
import { Logs } from "../harness/sessions/logs.ts";
import { startNginx } from "./nginx.ts";
import { salted } from "../harness/sessions/places.ts";
import { startPublisher } from "../harness/sessions/publisher.ts";
import { Store } from "../harness/sessions/store.ts";
import { Streams } from "../harness/sessions/streams.ts";

const SESSIONS = 1_000;
const FRAMES_PER_SECOND = 2_000;
const VISITOR_FRAMES_PER_SECOND_MAX = 2;
/** For each frame of a visitor. */
const PUSHES = 0.5;
/** Between two events of a session that has a listener. */
const EVENT_EVERY_MS = 500;
const VIRTUAL_NODES = 256;
/** Points of each distribution of gaps, for the picture. */
const QUANTILES = [...Array.from({ length: 50 }, (_, index) => index / 50), 0.99, 0.995, 1];

const CONTESTANTS = ["limpet", "nginx", "haproxy"] as const;

export interface RehomeOptions {
  readonly sessions?: number;
  readonly contestants?: readonly (typeof CONTESTANTS)[number][];
  readonly events?: readonly FleetEvent["name"][];
  /** Limpet's `hold`: with `true` sessions do not come back by themselves. */
  readonly hold?: boolean;
}

export async function rehomeBench(progress: (text: string) => void, options: RehomeOptions = {}): Promise<Benchmark> {
  const { contestants = CONTESTANTS } = options;
  const outcomes = new Map<string, EventOutcome[]>();
  for (const name of contestants) {
    if (name === "limpet" || isInstalled(name)) outcomes.set(name, await courseOf(name, options, progress));
    else progress(`${name} is not installed here, and is left out`);
  }
  const rows = [...outcomes].flatMap(([contestant, all]) => all.flatMap((outcome) => rowsOf(contestant, outcome)));
  const points = [...outcomes].flatMap(([contestant, all]) => all.flatMap((outcome) => pointsOf(contestant, outcome)));
  return { rows, points, bars: barsOf(rows) };
}

async function courseOf(name: string, options: RehomeOptions, progress: (text: string) => void): Promise<EventOutcome[]> {
  const { sessions = SESSIONS, hold = false, events } = options;
  const folder = mkdtempSync(join(tmpdir(), "limpet-bench-"));
  const [store, ledger, logs] = [new Store(), new Ledger(), new Logs()];
  const books = { store, ledger, logs, streams: new Streams(logs) };
  const crowd = new Crowd(sessions, FRAMES_PER_SECOND, VISITOR_FRAMES_PER_SECOND_MAX);
  const fleet = new Fleet(folder, (PUSHES * 1_000) / crowd.everyMs, books);
  let contestant: Contestant | undefined;
  let stopPublishing = (): void => {};
  try {
    await Promise.all(ORIGIN_IDS.map((id) => fleet.start(id)));
    const origins = ORIGIN_IDS.map((id) => ({ id, region: regionOf(id), url: `http://127.0.0.1:${fleet.portOf(id)}` }));
    const config = limpetConfig(origins, hold);
    contestant = await start(name, folder, origins, config);
    progress(`${name}: ${sessions} sessions of two visitors, each a frame every ${Math.round(crowd.everyMs)} ms …`);
    await crowd.begin(contestant.url);
    stopPublishing = startPublisher(fleet, crowd.listeners, EVENT_EVERY_MS);
    const members = salted(
      origins.map((origin) => ({ ...origin, weight: 1, state: "active", health: "healthy" })),
      VIRTUAL_NODES,
    );
    const follows = contestant.members !== undefined && !hold;
    const stage = { contestant, fleet, crowd, ...books, sessions, follows, config: limpetConfig(origins, true), progress };
    const befalling = EVENTS.filter(
      ({ name: event, needs }) => (events?.includes(event) ?? true) && (needs === undefined || needs in stage.contestant),
    );
    return await new Course(stage, members).run(befalling);
  } finally {
    stopPublishing();
    await crowd.stop();
    await contestant?.stop();
    await fleet.stop();
    rmSync(folder, { recursive: true });
  }
}

function start(name: string, folder: string, origins: readonly Placed[], config: LimpetConfig): Promise<Contestant> {
  if (name === "limpet") return startLimpet(folder, config);
  return name === "nginx" ? startNginx(folder, origins) : startHaproxy(folder, origins);
}

function rowsOf(contestant: string, { event, figures }: EventOutcome): Row[] {
  return Object.entries(figures).map(([name, value]) => ({ bench: "rehome", contestant, metric: event + name, value, unit: unitOf(name) }));
}

function pointsOf(contestant: string, { event, gapsMs }: EventOutcome): Row[] {
  return QUANTILES.map((share) => ({
    bench: "rehome",
    contestant,
    metric: `${event}GapMs`,
    value: quantile(gapsMs, share),
    unit: "ms",
    quantile: share,
  }));
}

function unitOf(metric: string): string {
  if (metric.endsWith("Ms")) return "ms";
  return metric.endsWith("Share") ? "1" : "count";
}
