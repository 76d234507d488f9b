// How long the first frame takes to a session that is parked, beside that of a visitor who connects anew: one after the other, so that nobody
// waits for anybody else's handshake. Once while the carriers are awake, and once when the runtime has taken their memory: it does so by itself
// after ten seconds in which nobody has said anything.

import { stop } from "../harness/processes.ts";
import type { Measured } from "../harness/series.ts";
import { prepareWorker, startWorkerd, type RunningWorker } from "../harness/workerd.ts";
import { PARK_AFTER_MS, PARKED } from "./config.ts";
import { limpet } from "./contestants.ts";
import { openFiles } from "./held.ts";
import type { Visitors } from "./visitors.ts";

const NAME = "limpet-park";
const CONNECTIONS = 200;
const WARM_UP = 50;
const FRAME_BYTES = 128;
const ROUNDS = 3;
const CLOSED_AFTER_MS = 3_000;
/** The runtime keeps each open under two numbers (workerd 1.20261117), and has some others that come and go. */
const FILES_OF_A_SOCKET = 2;
const SPARE_FILES = 20;
/** A carrier looks every half second for who is at rest, and origins answer the close. */
const PARKED_WITHIN_MS = 5_000;
/** workerd's own ten seconds, and some. */
const ASLEEP_AFTER_MS = 13_000;

export async function measureWaking(
  folder: string,
  originPorts: readonly number[],
  visitors: Visitors,
  measured: Measured,
  progress: (text: string) => void,
): Promise<void> {
  const file = await prepareWorker(folder, NAME, limpet(PARKED), originPorts[0] ?? 0);
  progress(`waking of ${CONNECTIONS} parked sessions, one after the other, beside as many that connect anew: ${ROUNDS} rounds …`);
  for (let round = 0; round < ROUNDS; round++) {
    const process = await startWorkerd(file);
    try {
      await oneProcess(process, visitors, measured);
    } finally {
      await stop(process);
    }
  }
}

async function oneProcess(process: RunningWorker, visitors: Visitors, measured: Measured): Promise<void> {
  const add = (what: string, { p50Ms, p99Ms }: { p50Ms: number; p99Ms: number }): void => {
    const at = { contestant: NAME, connections: CONNECTIONS, frameBytes: FRAME_BYTES };
    measured.add({ ...at, metric: `${what}P50Ms` }, "ms", p50Ms);
    measured.add({ ...at, metric: `${what}P99Ms` }, "ms", p99Ms);
  };
  await visitors.meet("warm-up", process.port, FRAME_BYTES, WARM_UP);
  await visitors.close("warm-up");
  await new Promise((resolve) => setTimeout(resolve, CLOSED_AFTER_MS));
  const withoutLegs = openFiles(process) + FILES_OF_A_SOCKET * CONNECTIONS + SPARE_FILES;
  add("connect", await visitors.meet(NAME, process.port, FRAME_BYTES, CONNECTIONS));
  await parked(process, withoutLegs);
  add("wake", await visitors.turns(NAME, FRAME_BYTES));
  await parked(process, withoutLegs);
  await new Promise((resolve) => setTimeout(resolve, ASLEEP_AFTER_MS));
  add("wakeAsleep", await visitors.turns(NAME, FRAME_BYTES));
  await visitors.close(NAME);
}

/** No more files are open than visitors need: the origins' legs are gone. */
async function parked(process: RunningWorker, files: number): Promise<void> {
  const untilMs = performance.now() + PARK_AFTER_MS + PARKED_WITHIN_MS;
  while (openFiles(process) > files) {
    if (performance.now() > untilMs) throw new Error(`sessions are not parked: ${openFiles(process)} files are open, ${files} are expected`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
