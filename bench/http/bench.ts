// Limpet's plain HTTP against the least that a router must do, against a router that asks an object each time, and against proxies that are
// no Workers: one origin, one machine, one run. Contestants take turns in rounds of a few seconds, so that a noisy moment meets all of them;
// what counts are the ratios of a round. The visitors and the origin share the machine's cores with whoever is measured: absolute figures are
// this machine's alone.

import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Benchmark } from "../run.ts";
import type { Bar } from "../rows.ts";
import { bundleGzipBytes } from "../harness/bundle.ts";
import { ask, isInstalled, startScript, stop, told, type Running } from "../harness/processes.ts";
import { startHaproxy, startNginx } from "../harness/proxies.ts";
import { Measured } from "../harness/series.ts";
import { prepareWorker, startWorkerd, type RunningWorker, type WorkerContestant } from "../harness/workerd.ts";
import { CONFIG } from "./config.ts";
import type { Counts } from "./counts.ts";
import type { Outcome, Task } from "./load.ts";

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
  "worker-bare": { entry: workerAt("bare") },
  "worker-object": { entry: workerAt("object"), objects: { Forwarder: "FORWARDER" } },
  limpet: {
    entry: workerAt("limpet"),
    objects: { RingObject: "RING", CarrierObject: "CARRIER", ControlObject: "CONTROL" },
    config: CONFIG,
    counts: true,
  },
};

/** Who is measured under a name, where, and by whose visits. */
interface Contestant {
  readonly name: string;
  readonly port: number;
  readonly visits: "known" | "first";
  /** Where its calls of KV and objects are told. */
  readonly countsPort?: number;
}

export async function httpBench(progress: (text: string) => void): Promise<Benchmark> {
  const folder = mkdtempSync(join(tmpdir(), "limpet-bench-"));
  const running: Running[] = [];
  const started = <Process extends Running>(process: Process): Process => {
    running.push(process);
    return process;
  };
  try {
    const origin = started(startScript(new URL("origin.ts", import.meta.url)));
    const { ports: originPorts } = await told<{ ports: number[] }>(origin.child);
    const originPort = originPorts[0] ?? 0;
    const files = new Map<string, string>();
    for (const [name, worker] of Object.entries(WORKERS)) files.set(name, await prepareWorker(folder, name, worker, originPort));
    const fileOf = (name: string): string => files.get(name) ?? "";

    const measured = new Measured("http");
    await measureStartup(fileOf, measured, progress);
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

    const visitors = started(startScript(new URL("load.ts", import.meta.url))).child;
    const limpetPort = contestants.find(({ name }) => name === "limpet")?.port ?? 0;
    progress(`${VISITORS_COUNT} first visits, whose cookies are kept …`);
    await visit(visitors, { kind: "collect", port: limpetPort, count: VISITORS_COUNT });
    await visit(visitors, { kind: "verify", port: limpetPort, count: VERIFIED_COUNT });
    await measureLoad(contestants, visitors, measured, progress);
    await visit(visitors, { kind: "verify", port: limpetPort, count: VERIFIED_COUNT });
    measured.add({ contestant: "limpet", metric: "bundleGzipBytes" }, "bytes", await bundleGzipBytes(CONFIG));
    return { rows: measured.rows(), bars: barsOf(measured) };
  } finally {
    await Promise.all(running.map(stop));
    rmSync(folder, { recursive: true });
  }
}

function workerAt(name: string): URL {
  return new URL(`workers/${name}.ts`, import.meta.url);
}

/** Throws when anything but the expected answer came. */
async function visit(visitors: ChildProcess, task: Task): Promise<Outcome> {
  const outcome = await ask<Outcome>(visitors, task, TASK_SPARE_MS + (task.kind === "load" ? task.forMs : 0));
  if (outcome.faults > 0)
    throw new Error(`${outcome.faults} of ${outcome.requests} answers were not the expected one, the first:\n${outcome.firstFault}`);
  return outcome;
}

async function measureLoad(
  contestants: readonly Contestant[],
  visitors: ChildProcess,
  measured: Measured,
  progress: (text: string) => void,
): Promise<void> {
  progress(`warming up ${contestants.map(({ name }) => name).join(", ")} …`);
  for (const { port, visits } of contestants) await visit(visitors, { kind: "load", port, connections: CONNECTIONS[0] ?? 1, forMs: WARM_MS, visits });
  for (const connections of CONNECTIONS) {
    progress(`${connections} connections: ${ROUNDS} rounds of ${ROUND_MS / 1000} s each …`);
    for (let round = 0; round < ROUNDS; round++) {
      // Every other round the other way round: nobody always follows the same one.
      for (const contestant of round % 2 === 0 ? contestants : contestants.toReversed()) await oneRound(contestant, connections, visitors, measured);
    }
  }
}

async function oneRound(contestant: Contestant, connections: number, visitors: ChildProcess, measured: Measured): Promise<void> {
  const { name, port, visits, countsPort } = contestant;
  const before = await countsOf(countsPort);
  const { requests, tookMs, p50Ms, p99Ms } = await visit(visitors, { kind: "load", port, connections, forMs: ROUND_MS, visits });
  const after = await countsOf(countsPort);
  const add = (metric: string, unit: string, value: number): void => measured.add({ contestant: name, metric, connections }, unit, value);
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
async function measureStartup(fileOf: (name: string) => string, measured: Measured, progress: (text: string) => void): Promise<void> {
  progress(`startupMs: ${STARTS} fresh processes each …`);
  for (let start = 0; start < STARTS; start++) {
    const limpet = await startedAndAnswered(fileOf("limpet"));
    const bare = await startedAndAnswered(fileOf("worker-bare"));
    if (start === 0) continue;
    measured.add({ contestant: "limpet", metric: "startupMs" }, "ms", limpet.listeningAfterMs - bare.listeningAfterMs);
    measured.add({ contestant: "limpet", metric: "firstAnswerMs" }, "ms", limpet.answeredAfterMs - bare.answeredAfterMs);
  }
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

/** What Limpet promises of plain HTTP. */
function barsOf(measured: Measured): Bar[] {
  const faster = (contestant: string, other: string, least: number, connections: number): Bar => {
    const found = measured.ratio({ contestant, metric: "requestsPerSecond", connections }, other);
    return {
      what: `requests/s of ${contestant}, ${connections} connections, ≥ ${least} × ${other}`,
      found: `${found.toFixed(2)} ×`,
      met: found >= least,
    };
  };
  const most = (metric: string, limit: number): Bar => {
    const found = Math.max(
      ...measured
        .rows()
        .filter((row) => row.contestant === "limpet" && row.metric === metric)
        .map(({ value }) => value),
    );
    return { what: `${metric} ≤ ${limit}`, found: String(Number(found.toPrecision(4))), met: found <= limit };
  };
  const p99 = (connections: number): Bar => {
    const found = measured.ratio({ contestant: "limpet", metric: "p99Ms", connections }, "worker-bare");
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
