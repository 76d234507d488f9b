// Event streams: how many events a second come through, to what the least object is that carries a stream in JavaScript. One event is under way
// in every stream (or a burst, written at once), and its arrival lets the next go out. All contestants' streams are open at once and driven in
// turns, as the WebSockets are.

import { isInstalled, stop, told, type Running } from "../harness/processes.ts";
import { startNginx, type RunningProxy } from "../harness/proxies.ts";
import type { Measured } from "../harness/series.ts";
import { prepareWorker, startWorkerd, type WorkerContestant } from "../harness/workerd.ts";
import type { Bar } from "../rows.ts";
import { CONFIG } from "./config.ts";
import { limpet, PASS_THROUGH } from "./contestants.ts";
import type { Listening } from "./speed.ts";
import { Visitors } from "./visitors.ts";

const LIMPET = "limpet-sse";
const PUMP = "object-pump";

const WORKERS: Readonly<Record<string, WorkerContestant>> = {
  [PASS_THROUGH]: { entry: new URL("workers/bare.ts", import.meta.url) },
  [PUMP]: { entry: new URL("workers/pump.ts", import.meta.url), objects: { Relay: "RELAY" } },
  [LIMPET]: limpet(CONFIG),
};

interface Load {
  readonly connections: number;
  /** Of data, in each event. */
  readonly eventBytes: number;
  /** Events that are written at once. */
  readonly burst: number;
}

const LOADS: readonly Load[] = [
  ...[1, 50, 500].flatMap((connections) => [128, 8_192].map((eventBytes) => ({ connections, eventBytes, burst: 1 }))),
  { connections: 50, eventBytes: 128, burst: 64 },
];
const WARM: readonly Load[] = LOADS.filter(({ connections }) => connections === 50);
/** Each load of them: until the code that is measured has been compiled for good. */
const WARM_MS = 2_000;
const ROUNDS = 5;
const ROUND_MS = 600;

export async function measureStreams(folder: string, measured: Measured, progress: (text: string) => void): Promise<Bar[]> {
  const visitors = new Visitors("sse-load.ts");
  const running: Running[] = [visitors.running];
  try {
    const { ports } = await told<{ ports: number[] }>(visitors.running.child);
    const contestants: Listening[] = [{ name: "origin", port: ports[0] ?? 0 }];
    const joins = (name: string, process: RunningProxy): void => {
      running.push(process);
      contestants.push({ name, port: process.port });
    };
    if (isInstalled("nginx")) joins("nginx", await startNginx(folder, ports));
    for (const [name, worker] of Object.entries(WORKERS)) {
      joins(name, await startWorkerd(await prepareWorker(folder, `${name}-of-streams`, worker, ports[0] ?? 0)));
    }
    progress(`event streams: warming up ${contestants.map(({ name }) => name).join(", ")} …`);
    for (const load of WARM) {
      await withOpen(contestants, load, visitors, async () => {
        for (const { name } of contestants) await drive(name, load, visitors, WARM_MS);
      });
    }
    for (const load of LOADS) {
      const { connections, eventBytes, burst } = load;
      progress(`${connections} streams, events of ${eventBytes} bytes, ${burst} at once: ${ROUNDS} rounds of ${ROUND_MS / 1000} s each …`);
      await withOpen(contestants, load, visitors, () => rounds(contestants, load, visitors, measured));
    }
  } finally {
    await Promise.all(running.map(stop));
  }
  return LOADS.map((load) => barOf(load, measured));
}

async function rounds(contestants: readonly Listening[], load: Load, visitors: Visitors, measured: Measured): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    // Every other round the other way round: nobody always follows the same one.
    for (const { name } of round % 2 === 0 ? contestants : contestants.toReversed()) {
      const { roundTrips, tookMs, p50Ms, p99Ms } = await drive(name, load, visitors, ROUND_MS);
      const at = { contestant: name, ...load };
      measured.add({ ...at, metric: "eventsPerSecond" }, "1/s", ((roundTrips * load.burst) / tookMs) * 1000);
      measured.add({ ...at, metric: "p50Ms" }, "ms", p50Ms);
      measured.add({ ...at, metric: "p99Ms" }, "ms", p99Ms);
    }
  }
}

function drive(name: string, { eventBytes, burst }: Load, visitors: Visitors, forMs: number) {
  return visitors.drive(name, eventBytes, forMs, { burst });
}

/** Everybody's streams are open meanwhile. */
async function withOpen(contestants: readonly Listening[], { connections }: Load, visitors: Visitors, act: () => Promise<void>): Promise<void> {
  for (const { name, port } of contestants) await visitors.open(name, port, connections);
  await act();
  for (const { name } of contestants) await visitors.close(name);
}

function barOf(load: Load, measured: Measured): Bar {
  const { connections, eventBytes, burst } = load;
  const found = measured.ratio({ contestant: LIMPET, metric: "eventsPerSecond", ...load }, PUMP);
  const what = `events/s of ${LIMPET}, ${connections} connections, ${eventBytes} bytes${burst > 1 ? `, ${burst} at once` : ""}, ≥ 0.9 × ${PUMP}`;
  return { what, found: `${found.toFixed(2)} ×`, met: found >= 0.9 };
}
