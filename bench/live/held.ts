// As many live connections as are promised, held by one process of Limpet, one in a hundred of them busy. In the end every single one must still
// give back a frame.

import { readFileSync } from "node:fs";
import { stop } from "../harness/processes.ts";
import type { Measured } from "../harness/series.ts";
import { RELAY, type Contestant } from "./contestants.ts";
import { residentBytes } from "./memory.ts";
import type { Visitors } from "./visitors.ts";

export const HELD_CONNECTIONS = 10_000;
/** One in so many is busy. */
const ACTIVE_EVERY = 100;
const ACTIVE_MS = 10_000;
const FRAME_BYTES = 128;
/** A relayed connection is two sockets of the process that relays; beside them it has some files of its own. */
const FILES_PER_CONNECTION = 2;
const OTHER_FILES = 100;

export interface Held {
  readonly connections: number;
  /** Why they are not more. */
  readonly because: string | undefined;
}

export async function measureHeld({ start }: Contestant, visitors: Visitors, measured: Measured, progress: (text: string) => void): Promise<Held> {
  const filesMax = openFilesMax();
  const connections = Math.min(HELD_CONNECTIONS, Math.floor((filesMax - OTHER_FILES) / FILES_PER_CONNECTION));
  const because = connections < HELD_CONNECTIONS ? `a process may have ${filesMax} files open here, and each connection is two` : undefined;
  progress(`${connections} connections held, one in ${ACTIVE_EVERY} busy for ${ACTIVE_MS / 1000} s${because === undefined ? "" : ` (${because})`} …`);
  const process = await start();
  try {
    const before = residentBytes(process);
    await visitors.open(RELAY, process.port, connections);
    const { roundTrips, tookMs, p50Ms, p99Ms } = await visitors.drive(RELAY, FRAME_BYTES, ACTIVE_MS, ACTIVE_EVERY);
    const bytes = (residentBytes(process) - before) / connections;
    const { connections: held } = await visitors.drive(RELAY, FRAME_BYTES, 0);
    await visitors.close(RELAY);
    const add = (metric: string, unit: string, value: number): void =>
      measured.add({ contestant: RELAY, metric, connections, frameBytes: FRAME_BYTES, activeShare: 1 / ACTIVE_EVERY }, unit, value);
    add("heldConnections", "1", held);
    add("roundTripsPerSecond", "1/s", (roundTrips / tookMs) * 1000);
    add("p50Ms", "ms", p50Ms);
    add("p99Ms", "ms", p99Ms);
    add("bytesPerConnection", "bytes", bytes);
    return { connections: held, because };
  } finally {
    await stop(process);
  }
}

/** What this process may have open, and all that it starts: Node has raised the soft limit to the hard one. */
function openFilesMax(): number {
  const soft = /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
  return soft === undefined ? Infinity : Number(soft);
}
