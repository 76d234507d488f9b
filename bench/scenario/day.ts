// A day of a fleet in minutes: real origins in two regions, a real router, and all day long sessions of two visitors each, event streams, and plain
// requests. Origins join; one answers badly; each is restarted; another configuration is applied; a region is lost. A ledger has every frame, every
// event and every request.
// Chosen: 600 sessions and 600 frames/s, which two cores bear beside the moves; everything that takes minutes in production takes
// seconds (config.ts). Sessions follow the ring (`hold: false`), so that who is where can be computed, and moves have an optimum.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ask, startScript, stop } from "../harness/processes.ts";
import { Crowd } from "../harness/sessions/crowd.ts";
import { Fleet } from "../harness/sessions/fleet.ts";
import { Ledger } from "../harness/sessions/ledger.ts";
import { startLimpet, type Limpet } from "../harness/sessions/limpet.ts";
import { Logs } from "../harness/sessions/logs.ts";
import { startPublisher } from "../harness/sessions/publisher.ts";
import { Store } from "../harness/sessions/store.ts";
import { Streams } from "../harness/sessions/streams.ts";
import type { Task } from "./asking.ts";
import { dayConfig, HORIZON_MS, idsIn, REGIONS } from "./config.ts";
import { Course } from "./course.ts";
import { Lookout } from "./lookout.ts";
import type { Asked } from "./pages.ts";
import { CONFIGURED_COUNT, PHASES, serving, WHOLE_COUNT, type PhaseName } from "./phases.ts";
import { SCALE_OUT, type DayRecord } from "./report.ts";

const SESSIONS = 600;
const FRAMES_PER_SECOND = 600;
const VISITOR_FRAMES_PER_SECOND_MAX = 1;
const PUSHES_PER_SECOND = 0.25;
/** Between two events of a session that has a listener. */
const EVENT_EVERY_MS = 1_000;
const PAGES_PER_SECOND = 60;
const NOTES_WITHIN_MS = 20_000;

export interface DayOptions {
  readonly sessions?: number;
  /** This phase alone. */
  readonly only?: PhaseName;
}

export async function day(progress: (text: string) => void, { sessions = SESSIONS, only }: DayOptions): Promise<DayRecord> {
  const phases = (Object.keys(PHASES) as PhaseName[]).filter((name) => only === undefined || name === only); // its own keys
  const count = phases.includes(SCALE_OUT) ? CONFIGURED_COUNT : WHOLE_COUNT;
  const folder = mkdtempSync(join(tmpdir(), "limpet-day-"));
  const [store, ledger, logs] = [new Store(), new Ledger(), new Logs()];
  const books = { store, ledger, logs, streams: new Streams(logs) };
  const crowd = new Crowd(sessions, FRAMES_PER_SECOND, VISITOR_FRAMES_PER_SECOND_MAX);
  const asking = startScript(new URL("asking.ts", import.meta.url));
  const fleet = new Fleet(folder, PUSHES_PER_SECOND, books);
  let limpet: Limpet | undefined;
  let lookout: Lookout | undefined;
  let stopPublishing = (): void => {};
  const asks = async (task: Task): Promise<Asked[] | undefined> =>
    (await ask<{ readonly outcome: Asked[] | undefined }>(asking.child, task, NOTES_WITHIN_MS)).outcome;
  try {
    const ids = REGIONS.flatMap((region) => idsIn(region, count).map((id) => ({ id, region })));
    await Promise.all(ids.map(({ id }) => fleet.start(id)));
    const config = dayConfig(ids.map(({ id, region }) => ({ id, region, url: `http://127.0.0.1:${fleet.portOf(id)}` })));
    limpet = await startLimpet(folder, config);
    progress(
      `${ids.length} origins in ${REGIONS.length} regions; ${crowd.visitors.length} visitors of ${sessions} sessions and ${crowd.listeners.length} event streams come …`,
    );
    await crowd.begin(limpet.url);
    stopPublishing = startPublisher(fleet, crowd.listeners, EVENT_EVERY_MS);
    await asks({ kind: "begin", url: limpet.url.replace("ws", "http"), perSecond: PAGES_PER_SECOND });
    lookout = new Lookout(limpet, ledger, sessions, progress);
    lookout.ramping = REGIONS;
    lookout.start();
    const world = { limpet, fleet, crowd, ...books, lookout, config, sessions, progress };
    const course = new Course(world);
    await course.begin(serving(ids.map(({ id }) => id)));
    lookout.ramping = [];
    const beganAtMs = Date.now();
    await asks({ kind: "notes" }); // what came before the day is not of it
    for (const phase of phases) await PHASES[phase](course, world);
    const overAtMs = Date.now();
    const pages = (await asks({ kind: "notes" })) ?? [];
    const samples = lookout.samples.filter(({ atMs }) => atMs >= beganAtMs);
    return { beganAtMs, overAtMs, horizonMs: HORIZON_MS, steps: course.records, samples, pages, split: store.splitSessions(beganAtMs) };
  } finally {
    lookout?.stop();
    stopPublishing();
    await stop(asking);
    await crowd.stop();
    await limpet?.stop();
    await fleet.stop();
    rmSync(folder, { recursive: true });
  }
}
