// What a connection costs in memory: a fresh process's resident memory with many connections open and used, less what it was before they were
// added, for each of them. Some are open before: a heap grows by tens of megabytes once, for the first hundreds. Both legs and the runtime's
// buffers are in it, and so is garbage that nobody has collected yet: hence many connections.

import { readFileSync } from "node:fs";
import { stop, type Running } from "../harness/processes.ts";
import type { Measured } from "../harness/series.ts";
import type { Contestant } from "./contestants.ts";
import { FRAME_BYTES } from "./speed.ts";
import type { Visitors } from "./visitors.ts";

export const MEMORY_CONNECTIONS = 2_000;
const ROUNDS = 3;
/** Until everything is loaded, compiled and grown that is there once. */
const BEFORE_CONNECTIONS = 500;
const BEFORE_MS = 500;
/** Enough for the buffers that frames need. */
const USED_MS = 500;
/** Resident memory is read when it has not changed by more than this for a while. */
const SETTLED_SHARE = 0.002;
const SETTLED_AFTER_MS = 300;
const SETTLED_WITHIN_MS = 5_000;

export async function measureMemory(
  contestants: readonly Contestant[],
  visitors: Visitors,
  measured: Measured,
  progress: (text: string) => void,
): Promise<void> {
  progress(`bytesPerConnection: ${MEMORY_CONNECTIONS} connections more to a fresh process, ${ROUNDS} rounds …`);
  for (let round = 0; round < ROUNDS; round++) {
    for (const contestant of round % 2 === 0 ? contestants : contestants.toReversed()) await oneProcess(contestant, visitors, measured);
  }
}

async function oneProcess({ name, start }: Contestant, visitors: Visitors, measured: Measured): Promise<void> {
  const process = await start();
  try {
    await visitors.open(name, process.port, BEFORE_CONNECTIONS);
    for (const frameBytes of FRAME_BYTES) await visitors.drive(name, frameBytes, BEFORE_MS);
    const before = await settledBytes(process);
    await visitors.open(name, process.port, MEMORY_CONNECTIONS);
    for (const frameBytes of FRAME_BYTES) {
      await visitors.drive(name, frameBytes, USED_MS);
      const bytes = ((await settledBytes(process)) - before) / MEMORY_CONNECTIONS;
      measured.add({ contestant: name, metric: "bytesPerConnection", connections: MEMORY_CONNECTIONS, frameBytes }, "bytes", bytes);
    }
    await visitors.close(name);
  } finally {
    await stop(process);
  }
}

async function settledBytes(process: Running): Promise<number> {
  const untilMs = performance.now() + SETTLED_WITHIN_MS;
  for (let bytes = residentBytes(process); ;) {
    await new Promise((resolve) => setTimeout(resolve, SETTLED_AFTER_MS));
    const later = residentBytes(process);
    if (Math.abs(later - bytes) <= SETTLED_SHARE * bytes || performance.now() > untilMs) return later;
    bytes = later;
  }
}

/** `Rss`, exactly counted: what processes share of a binary is resident before and after, and falls out. */
export function residentBytes({ child }: Running): number {
  const kilobytes = /^Rss: *(\d+) kB$/m.exec(readFileSync(`/proc/${child.pid}/smaps_rollup`, "utf8"))?.[1];
  if (kilobytes === undefined) throw new Error("the kernel does not tell how much memory a process has");
  return Number(kilobytes) * 1024;
}
