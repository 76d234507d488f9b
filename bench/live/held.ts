// As many live connections as are promised, held by one process of Limpet, one in a hundred of them busy. In the end every single one must still
// give back a frame.

import { readdirSync, readFileSync } from "node:fs";
import { stop, type Running } from "../harness/processes.ts";
import type { Measured } from "../harness/series.ts";
import { RELAY, type Contestant } from "./contestants.ts";
import { residentBytes } from "./memory.ts";
import type { Visitors } from "./visitors.ts";

export const HELD_CONNECTIONS = 10_000;
/** One in so many is busy. */
const ACTIVE_EVERY = 100;
const ACTIVE_MS = 10_000;
const FRAME_BYTES = 128;
/** Opened first, to count what a connection takes. */
const COUNTED_CONNECTIONS = 100;
/** What the process may still open beside its connections. */
const SPARE_FILES = 100;

export interface Held {
  readonly connections: number;
  /** Why they are not more. */
  readonly because: string | undefined;
}

export async function measureHeld({ start }: Contestant, visitors: Visitors, measured: Measured, progress: (text: string) => void): Promise<Held> {
  const process = await start();
  try {
    const before = { bytes: residentBytes(process), files: openFiles(process) };
    await visitors.open(RELAY, process.port, COUNTED_CONNECTIONS);
    const filesEach = Math.round((openFiles(process) - before.files) / COUNTED_CONNECTIONS);
    const filesMax = openFilesMax();
    const connections = Math.min(HELD_CONNECTIONS, Math.floor((filesMax - before.files - SPARE_FILES) / filesEach));
    const because = connections < HELD_CONNECTIONS ? `${filesEach} files each, and a process may have ${filesMax} open here` : undefined;
    progress(
      `${connections} connections held, one in ${ACTIVE_EVERY} busy for ${ACTIVE_MS / 1000} s${because === undefined ? "" : ` (${because})`} …`,
    );
    await visitors.open(RELAY, process.port, connections - COUNTED_CONNECTIONS);
    const { roundTrips, tookMs, p50Ms, p99Ms } = await visitors.drive(RELAY, FRAME_BYTES, ACTIVE_MS, { every: ACTIVE_EVERY });
    const bytes = (residentBytes(process) - before.bytes) / connections;
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

/** A connection is two sockets, and the runtime keeps each open under two numbers (workerd 1.20261117). */
export function openFiles({ child }: Running): number {
  return readdirSync(`/proc/${child.pid}/fd`).length;
}

/** What this process may have open, and all that it starts: Node has raised the soft limit to the hard one. */
function openFilesMax(): number {
  const soft = /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
  return soft === undefined ? Infinity : Number(soft);
}
