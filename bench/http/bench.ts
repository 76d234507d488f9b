// Limpet's plain HTTP against the least that a router must do, against a router that asks an object each time, and against proxies that are
// no Workers: one origin, one machine, one run. Contestants take turns in rounds of a few seconds, so that a noisy moment meets all of them;
// what counts are the ratios of a round. The visitors and the origin share the machine's cores with whoever is measured: absolute figures are
// this machine's alone.

import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Benchmark } from "../run.ts";
import { median, medianRatio, type Bar, type Row } from "../rows.ts";
import { bundleGzipBytes } from "./bundle.ts";
import type { Counts } from "./counts.ts";
import type { Outcome, Task } from "./load.ts";
import { isInstalled, orEnded, startHaproxy, startNginx, stop, type Running } from "./processes.ts";
import { prepareWorker, startWorkerd, type RunningWorker, type WorkerContestant } from "./workerd.ts";

const CONNECTIONS = [16, 64];
const ROUNDS = 5;
const ROUND_MS = 2_000;
/** Until the code that is measured has been compiled for good: short warm-ups favour the smaller Worker. */
const WARM_MS = 6_000;
const VISITORS_COUNT = 100_000;
const VERIFIED_COUNT = 2_000;
/** The first is for the disk's cache, and does not count. */
const STARTS = 1 + 9;
/** Beyond what a task may take itself. */
const TASK_SPARE_MS = 180_000;

const WORKERS: Readonly<Record<string, WorkerContestant>> = {
  "worker-bare": { worker: "bare" },
  "worker-object": { worker: "object", objects: { Forwarder: "FORWARDER" } },
  limpet: { worker: "limpet", objects: { RingObject: "RING", CarrierObject: "CARRIER" }, limpet: true },
};

/** Who is measured under a name, where, and by whose visits. */
interface Contestant {
  readonly name: string;
  readonly port: number;
  readonly visits: "known" | "first";
  /** Where its calls of KV and objects are told. */
  readonly countsPort?: number;
}

interface Series {
  readonly contestant: string;
  readonly connections: number;
  readonly metric: string;
  readonly unit: string;
  /** One for each round. */
  readonly values: number[];
}

export async function httpBench(progress: (text: string) => void): Promise<Benchmark> {
  const folder = mkdtempSync(join(tmpdir(), "limpet-bench-"));
  const running: Running[] = [];
  const started = <Process extends Running>(process: Process): Process => {
    running.push(process);
    return process;
  };
  try {
    const origin = started(startScript("origin.ts"));
    const [{ ports: originPorts }] = (await orEnded(once(origin.child, "message"), origin.child, "the origin")) as [{ ports: number[] }];
    const originPort = originPorts[0] ?? 0;
    const files = new Map<string, string>();
    for (const [name, worker] of Object.entries(WORKERS)) files.set(name, await prepareWorker(folder, worker, originPort));
    const fileOf = (name: string): string => files.get(name) ?? "";

    const startups = await startupSeries(fileOf, progress);
    const contestants: Contestant[] = [{ name: "origin", port: originPort, visits: "known" }];
    for (const [name, start] of Object.entries({ nginx: startNginx, haproxy: startHaproxy })) {
      if (isInstalled(name)) contestants.push({ name, port: started(await start(folder, originPorts)).port, visits: "known" });
      else progress(`${name} is not installed here, and is left out`);
    }
    for (const name of Object.keys(WORKERS)) {
      const { port, countsPort } = started(await startWorkerd(fileOf(name)));
      contestants.push({ name, port, visits: "known", ...(name === "limpet" ? { countsPort } : {}) });
      if (name === "limpet") contestants.push({ name: "limpet-first", port, visits: "first" });
    }

    const visitors = started(startScript("load.ts")).child;
    const limpetPort = contestants.find(({ name }) => name === "limpet")?.port ?? 0;
    progress(`${VISITORS_COUNT} first visits, whose cookies are kept …`);
    await ask(visitors, { kind: "collect", port: limpetPort, count: VISITORS_COUNT });
    await ask(visitors, { kind: "verify", port: limpetPort, count: VERIFIED_COUNT });
    const series = await loadSeries(contestants, visitors, progress);
    await ask(visitors, { kind: "verify", port: limpetPort, count: VERIFIED_COUNT });

    const rows = [...series.map(rowOf), ...startups.map(rowOf), { ...rowLike("limpet", "bundleGzipBytes", "bytes"), value: await bundleGzipBytes() }];
    return { rows, bars: barsOf(rows, series) };
  } finally {
    await Promise.all(running.map(stop));
    rmSync(folder, { recursive: true });
  }
}

function startScript(name: string): Running {
  return { child: fork(fileURLToPath(new URL(name, import.meta.url))) };
}

/** Throws when anything but the expected answer came. */
async function ask(visitors: ChildProcess, task: Task): Promise<Outcome> {
  visitors.send(task);
  const late = AbortSignal.timeout(TASK_SPARE_MS + (task.kind === "load" ? task.forMs : 0));
  const [outcome] = (await orEnded(once(visitors, "message", { signal: late }), visitors, "the load generator")) as [Outcome];
  if (outcome.faults > 0)
    throw new Error(`${outcome.faults} of ${outcome.requests} answers were not the expected one, the first:\n${outcome.firstFault}`);
  return outcome;
}

async function loadSeries(contestants: readonly Contestant[], visitors: ChildProcess, progress: (text: string) => void): Promise<Series[]> {
  progress(`warming up ${contestants.map(({ name }) => name).join(", ")} …`);
  for (const { port, visits } of contestants) await ask(visitors, { kind: "load", port, connections: CONNECTIONS[0] ?? 1, forMs: WARM_MS, visits });
  const series: Series[] = [];
  for (const connections of CONNECTIONS) {
    progress(`${connections} connections: ${ROUNDS} rounds of ${ROUND_MS / 1000} s each …`);
    for (let round = 0; round < ROUNDS; round++) {
      // Every other round the other way round: nobody always follows the same one.
      for (const contestant of round % 2 === 0 ? contestants : contestants.toReversed()) await oneRound(contestant, connections, visitors, series);
    }
  }
  return series;
}

async function oneRound(contestant: Contestant, connections: number, visitors: ChildProcess, series: Series[]): Promise<void> {
  const { name, port, visits, countsPort } = contestant;
  const before = await countsOf(countsPort);
  const { requests, tookMs, p50Ms, p99Ms } = await ask(visitors, { kind: "load", port, connections, forMs: ROUND_MS, visits });
  const after = await countsOf(countsPort);
  const add = (metric: string, unit: string, value: number): void => {
    const known = series.find((each) => each.contestant === name && each.connections === connections && each.metric === metric);
    if (known) known.values.push(value);
    else series.push({ contestant: name, connections, metric, unit, values: [value] });
  };
  add("requestsPerSecond", "1/s", (requests / tookMs) * 1000);
  add("p50Ms", "ms", p50Ms);
  add("p99Ms", "ms", p99Ms);
  if (!before || !after) return;
  add("kvReadsPerRequest", "1", (after.kvReads - before.kvReads) / requests);
  add("objectCallsPerRequest", "1", (after.objectCalls - before.objectCalls) / requests);
}

async function countsOf(port: number | undefined): Promise<Counts | undefined> {
  return port === undefined ? undefined : ((await (await fetch(`http://127.0.0.1:${port}/`)).json()) as Counts); // told by workers/limpet.ts
}

/** Fresh processes, in turns: how much longer than the barest Worker it takes until one listens, its modules evaluated, and until it answers. */
async function startupSeries(fileOf: (name: string) => string, progress: (text: string) => void): Promise<Omit<Series, "connections">[]> {
  progress(`startupMs: ${STARTS} fresh processes each …`);
  const startup: Omit<Series, "connections"> = { contestant: "limpet", metric: "startupMs", unit: "ms", values: [] };
  const first = { ...startup, metric: "firstAnswerMs", values: [] as number[] };
  for (let start = 0; start < STARTS; start++) {
    const limpet = await startedAndAnswered(fileOf("limpet"));
    const bare = await startedAndAnswered(fileOf("worker-bare"));
    if (start === 0) continue;
    startup.values.push(limpet.listeningAfterMs - bare.listeningAfterMs);
    first.values.push(limpet.answeredAfterMs - bare.answeredAfterMs);
  }
  return [startup, first];
}

async function startedAndAnswered(file: string): Promise<{ listeningAfterMs: number; answeredAfterMs: number }> {
  const worker: RunningWorker = await startWorkerd(file);
  try {
    const askedAtMs = performance.now();
    const response = await fetch(`http://127.0.0.1:${worker.port}/`);
    await response.arrayBuffer();
    if (response.status !== 200) throw new Error(`a fresh Worker answered ${response.status}`);
    return { listeningAfterMs: worker.listeningAfterMs, answeredAfterMs: worker.listeningAfterMs + performance.now() - askedAtMs };
  } finally {
    await stop(worker);
  }
}

function rowLike(
  contestant: string,
  metric: string,
  unit: string,
): Omit<Row, "value"> & { bench: string; contestant: string; metric: string; unit: string } {
  return { bench: "http", contestant, metric, unit };
}

function rowOf({ contestant, metric, values, unit, ...further }: Omit<Series, "connections">): Row {
  return { ...rowLike(contestant, metric, unit), value: median(values), ...further };
}

/** What Limpet promises of plain HTTP. */
function barsOf(rows: readonly Row[], series: readonly Series[]): Bar[] {
  const values = (contestant: string, metric: string, connections: number): readonly number[] =>
    series.find((each) => each.contestant === contestant && each.metric === metric && each.connections === connections)?.values ?? [];
  const ratioOf = (metric: string, contestant: string, other: string, connections: number): number =>
    medianRatio(values(contestant, metric, connections), values(other, metric, connections));
  const faster = (contestant: string, other: string, least: number, connections: number): Bar => {
    const found = ratioOf("requestsPerSecond", contestant, other, connections);
    return {
      what: `requests/s of ${contestant}, ${connections} connections, ≥ ${least} × ${other}`,
      found: `${found.toFixed(2)} ×`,
      met: found >= least,
    };
  };
  const most = (metric: string, limit: number): Bar => {
    const found = Math.max(...rows.filter((row) => row.contestant === "limpet" && row.metric === metric).map(({ value }) => value));
    return { what: `${metric} ≤ ${limit}`, found: String(Number(found.toPrecision(4))), met: found <= limit };
  };
  const p99 = (connections: number): Bar => {
    const found = ratioOf("p99Ms", "limpet", "worker-bare", connections);
    return { what: `p99 of limpet, ${connections} connections, ≤ 1.2 × worker-bare`, found: `${found.toFixed(2)} ×`, met: found <= 1.2 };
  };
  return [
    ...CONNECTIONS.flatMap((connections) => [
      faster("limpet", "worker-bare", 0.9, connections),
      faster("limpet", "worker-object", 1.5, connections),
      p99(connections),
      faster("limpet-first", "worker-bare", 0.8, connections),
    ]),
    most("kvReadsPerRequest", 0.001),
    most("objectCallsPerRequest", 0.001),
    most("bundleGzipBytes", 120 * 1024),
  ];
}
