// The ring against the rings of npm: look-ups, building, joining, memory, evenness and what moves. Times are taken in rounds in which each
// contestant has its turn, in a process of its own, so that a noisy moment meets all of them; what counts are the ratios of a round.

import { fork, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Benchmark } from "../run.ts";
import { median, medianRatio, type Bar, type Row } from "../rows.ts";
import { balanceRows } from "./balance.ts";
import { CONTESTANTS, LIMPET, salted } from "./contestants.ts";
import { snapshotOf } from "./fleet.ts";
import type { Task } from "./speed.ts";

/** The first ones compile and warm up, and do not count. */
const WARM_ROUNDS = 2;
const ROUNDS = 7;
/** Fresh processes scatter more. */
const COLD_ROUNDS = 15;
const HASHES = [
  "murmur3, characters read in place",
  "murmur3, encoded first",
  "FNV-1a, characters read in place",
  "SipHash-2-4 (a pool's seed)",
  "murmur3, for a share",
];

export async function ringBench(progress: (text: string) => void): Promise<Benchmark> {
  const series = await timedSeries(progress);
  const cold = coldSeries(progress);
  const rows = [...[...series, ...cold].map(rowOf), ...balanceRows(progress)];
  return { rows, bars: barsOf(rows, [...series, ...cold]) };
}

interface Series {
  readonly contestant: string;
  readonly metric: string;
  readonly unit: string;
  /** One for each round. */
  readonly values: readonly number[];
  readonly further?: Readonly<Record<string, string>>;
}

function rowOf({ contestant, metric, values, unit, further }: Series): Row {
  const row: Row = { bench: "ring", contestant, metric, value: median(values), unit };
  return { ...row, ...further };
}

/** One measurement: what the row says, and who is asked what. */
interface Entry {
  readonly contestant: string;
  readonly metric: string;
  readonly unit: string;
  readonly worker: string;
  readonly task: Task;
}

async function timedSeries(progress: (text: string) => void): Promise<Series[]> {
  const of = (metric: Task, unit: string, names: readonly string[]): Entry[] =>
    names.map((name) => ({ contestant: name, metric, unit, worker: name, task: metric }));
  const all = CONTESTANTS.map(({ name }) => name);
  const hashes = HASHES.map((way): Entry => ({ contestant: way, metric: "hashesPerSecond", unit: "1/s", worker: LIMPET.name, task: `hash:${way}` }));
  // What is compared takes its turns in the same rounds.
  const groups = [
    [...of("lookupsPerSecond", "1/s", all), ...of("decidesPerSecond", "1/s", [LIMPET.name])],
    of("buildMs", "ms", all),
    of("joinMs", "ms", all),
    of("bytes", "bytes", all),
    hashes,
  ];
  const series: Series[] = [];
  for (const group of groups) {
    progress(`${[...new Set(group.map(({ metric }) => metric))].join(" and ")}: ${WARM_ROUNDS} + ${ROUNDS} rounds …`);
    const values = await rounds(group);
    group.forEach(({ contestant, metric, unit }, index) => series.push({ contestant, metric, unit, values: values[index] ?? [] }));
  }
  return series;
}

/** Each in turn, round after round; the values of the rounds that count. Processes live for all rounds, so that they are warm. */
async function rounds(plan: readonly Entry[]): Promise<number[][]> {
  const workers = plan.map(({ worker }) => startWorker(worker));
  try {
    const values: number[][] = plan.map(() => []);
    for (let round = 0; round < WARM_ROUNDS + ROUNDS; round++) {
      for (const [index, { task }] of plan.entries()) {
        const worker = workers[index];
        if (!worker) continue;
        worker.send({ task });
        const [{ value }] = (await Promise.race([once(worker, "message"), died(worker)])) as [{ value: number }];
        if (round >= WARM_ROUNDS) values[index]?.push(value);
      }
    }
    return values;
  } finally {
    for (const worker of workers) worker.kill();
  }
}

function startWorker(contestant: string): ChildProcess {
  return fork(fileURLToPath(new URL("speed.ts", import.meta.url)), [contestant], { execArgv: ["--expose-gc"] });
}

async function died(worker: ChildProcess): Promise<never> {
  const [code] = (await once(worker, "exit")) as [number | null];
  throw new Error(`a contestant's process ended (${code}); what it said stands above`);
}

function coldSeries(progress: (text: string) => void): Series[] {
  progress(`coldStartMs: ${COLD_ROUNDS} fresh processes each …`);
  const folder = mkdtempSync(join(tmpdir(), "limpet-bench-"));
  try {
    const file = join(folder, "snapshot.json");
    const ids = Array.from({ length: 100 }, (_, n) => `o-${n + 1}`);
    writeFileSync(file, JSON.stringify(snapshotOf(salted(ids, 256), 256)));
    const taken = Array.from({ length: COLD_ROUNDS }, () => ({
      limpet: coldParts("limpet", file),
      points: coldParts("points", file),
      hashring: coldParts("hashring", file),
    }));
    const of = (who: keyof (typeof taken)[number], part = "whole"): number[] => taken.map((round) => round[who][part] ?? NaN);
    const start = { metric: "coldStartMs", unit: "ms" };
    const parts = { metric: "coldPartMs", unit: "ms", contestant: LIMPET.name };
    return [
      { ...start, contestant: LIMPET.name, values: of("limpet") },
      { ...start, contestant: "hashring", values: of("hashring") },
      { ...parts, further: { part: "decode" }, values: of("limpet", "decode") },
      { ...parts, further: { part: "ring" }, values: of("limpet", "ring") },
      { ...parts, further: { part: "ring, its points alone" }, values: of("points") },
      { ...parts, further: { part: "decide" }, values: of("limpet", "decide") },
    ];
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function coldParts(...args: readonly string[]): Readonly<Record<string, number>> {
  const { stdout, stderr, status } = spawnSync(process.execPath, [fileURLToPath(new URL("cold.ts", import.meta.url)), ...args], { encoding: "utf8" });
  if (status !== 0) throw new Error(`a cold start failed: ${stderr}`);
  return JSON.parse(stdout) as Readonly<Record<string, number>>; // written by cold.ts beside this
}

/** What docs/ring.md promises. */
function barsOf(rows: readonly Row[], series: readonly Series[]): Bar[] {
  const values = (contestant: string, metric: string): readonly number[] =>
    series.find((each) => each.contestant === contestant && each.metric === metric)?.values ?? [];
  const figureOf = (contestant: string, metric: string): number =>
    rows.find((row) => row.contestant === contestant && row.metric === metric)?.value ?? NaN;
  const figure = (metric: string): number => figureOf(LIMPET.name, metric);
  const ratio = (what: string, over: readonly number[], under: readonly number[], least: number): Bar => {
    const found = medianRatio(over, under);
    return { what: `${what} ≥ ${least} ×`, found: `${found.toFixed(2)} ×`, met: found >= least };
  };
  const most = (metric: string, limit: number): Bar => ({
    what: `${metric} ≤ ${limit}`,
    found: figure(metric).toFixed(4),
    met: figure(metric) <= limit,
  });
  const exact = (change: string): Bar => {
    const [moved, optimum] = [figure(`movedShare${change}`), figure(`optimumShare${change}`)];
    return { what: `movedShare${change} = optimumShare${change}`, found: `${moved} and ${optimum}`, met: moved === optimum };
  };
  const lookups = values(LIMPET.name, "lookupsPerSecond");
  const others = CONTESTANTS.filter((each) => each !== LIMPET).map(({ name }) => name);
  const fastest = others.toSorted((a, b) => median(values(b, "lookupsPerSecond")) - median(values(a, "lookupsPerSecond")))[0] ?? "";
  return [
    ratio(`lookupsPerSecond, against the fastest of npm (${fastest})`, lookups, values(fastest, "lookupsPerSecond"), 2),
    ratio("lookupsPerSecond, against hashring", lookups, values("hashring", "lookupsPerSecond"), 20),
    ratio("build, hashring's time against limpet's", values("hashring", "buildMs"), values(LIMPET.name, "buildMs"), 8),
    ratio("decidesPerSecond, against look-ups", values(LIMPET.name, "decidesPerSecond"), lookups, 0.2),
    ratio(
      "cold start, hashring's buildMs (100 × 512) against limpet's coldStartMs",
      [figureOf("hashring", "buildMs")],
      [figureOf(LIMPET.name, "coldStartMs")],
      4,
    ),
    ratio("cold start, hashring's time for the same ring against limpet's", values("hashring", "coldStartMs"), values(LIMPET.name, "coldStartMs"), 4),
    most("peakToMean", 1.04),
    most("peakToMeanAfterLeave", 1.13),
    most("peakToMeanBounded", 1.05),
    exact("Leave"),
    exact("Join"),
    exact("Reweight"),
  ];
}
