// Limpet's relay against the least that a Durable Object can be that relays, against the runtime's own pass-through, and against proxies that
// are no Workers: one origin that gives every frame back, one machine, one run; and the same of event streams (sse-bench.ts). What counts are
// the ratios of a round: the visitors and the origin share the machine's cores with whoever is measured, and absolute figures are this
// machine's alone.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Benchmark } from "../run.ts";
import type { Bar } from "../rows.ts";
import { startScript, stop, told, type Running } from "../harness/processes.ts";
import { Measured } from "../harness/series.ts";
import { BARE, contestantsAt, PASS_THROUGH, RELAY, SPLICE } from "./contestants.ts";
import { HELD_CONNECTIONS, measureHeld, type Held } from "./held.ts";
import { measureMemory, MEMORY_CONNECTIONS } from "./memory.ts";
import { CONNECTIONS, FRAME_BYTES, measureSpeed, type Listening } from "./speed.ts";
import { measureStreams } from "./sse-bench.ts";
import { Visitors } from "./visitors.ts";
import { measureWaking } from "./wake.ts";

export async function liveBench(progress: (text: string) => void): Promise<Benchmark> {
  const folder = mkdtempSync(join(tmpdir(), "limpet-bench-"));
  const running: Running[] = [];
  const started = <Process extends Running>(process: Process): Process => {
    running.push(process);
    return process;
  };
  try {
    const origin = started(startScript(new URL("origin.ts", import.meta.url)));
    const { ports: originPorts } = await told<{ ports: number[] }>(origin.child);
    const visitors = new Visitors();
    started(visitors.running);
    const measured = new Measured("live");
    const contestants = await contestantsAt(folder, originPorts, progress);

    const listening: Listening[] = [{ name: "origin", port: originPorts[0] ?? 0 }];
    const measuredRunning = [];
    for (const { name, start } of contestants) {
      const process = started(await start());
      measuredRunning.push(process);
      listening.push({ name, port: process.port });
    }
    await measureSpeed(listening, visitors, measured, progress);
    await Promise.all(measuredRunning.map(stop));
    const streams = await measureStreams(folder, measured, progress);
    await measureWaking(folder, originPorts, visitors, measured, progress);

    await measureMemory(contestants, visitors, measured, progress);
    const relay = contestants.find(({ name }) => name === RELAY);
    if (!relay) throw new Error("Limpet is not among the contestants");
    const held = await measureHeld(relay, visitors, measured, progress);
    return { rows: measured.rows(), bars: [...barsOf(measured, held), ...streams] };
  } finally {
    await Promise.all(running.map(stop));
    rmSync(folder, { recursive: true });
  }
}

/** What Limpet promises of live connections. */
function barsOf(measured: Measured, held: Held): Bar[] {
  const fast = [...speedBars(measured, RELAY, BARE, 0.9), ...speedBars(measured, SPLICE, PASS_THROUGH, 0.95)];
  const small = FRAME_BYTES.map((frameBytes): Bar => {
    const found = measured.ratio({ contestant: RELAY, metric: "bytesPerConnection", connections: MEMORY_CONNECTIONS, frameBytes }, BARE);
    const what = `memory per connection of ${RELAY}, ${frameBytes} bytes, ≤ 1.1 × ${BARE}`;
    return { what, found: `${found.toFixed(2)} ×`, met: found <= 1.1 };
  });
  const { connections, because } = held;
  const many: Bar = {
    what: `${HELD_CONNECTIONS} connections held by one process`,
    found: `${connections}${because === undefined ? "" : `: ${because}`}`,
    met: connections >= HELD_CONNECTIONS,
  };
  return [...fast, ...small, many];
}

function speedBars(measured: Measured, contestant: string, over: string, least: number): Bar[] {
  return FRAME_BYTES.flatMap((frameBytes) =>
    CONNECTIONS.map((connections): Bar => {
      const found = measured.ratio({ contestant, metric: "roundTripsPerSecond", connections, frameBytes }, over);
      const what = `round trips/s of ${contestant}, ${connections} connections, ${frameBytes} bytes, ≥ ${least} × ${over}`;
      return { what, found: `${found.toFixed(2)} ×`, met: found >= least };
    }),
  );
}
