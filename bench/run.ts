// `npm run bench -- NAME [--json FILE] [--sessions N]`: one benchmark, all contestants in one run. Prints its rows and bars; a bar that is
// missed is said, and does not fail the command: these are figures, not tests. `--sessions` is for `rehome`.

import { parseArgs } from "node:util";
import { detectBench } from "./detect/bench.ts";
import { httpBench } from "./http/bench.ts";
import { liveBench } from "./live/bench.ts";
import { rehomeBench } from "./rehome/bench.ts";
import { ringBench } from "./ring/bench.ts";
import { printBars, printRows, writeRows, type Bar, type Row } from "./rows.ts";

export interface Benchmark {
  readonly rows: readonly Row[];
  readonly bars: readonly Bar[];
  /** Written to the file beside the rows, and not printed: what a picture is drawn of. */
  readonly points?: readonly Row[];
}

interface Options {
  readonly sessions?: number;
}

const BENCHMARKS: Readonly<Record<string, (progress: (text: string) => void, options: Options) => Promise<Benchmark>>> = {
  ring: ringBench,
  http: httpBench,
  live: liveBench,
  rehome: rehomeBench,
  detect: detectBench,
};

const USAGE = `Usage: npm run bench -- NAME [--json FILE] [--sessions N], NAME one of: ${Object.keys(BENCHMARKS).join(", ")}`;

function wanted(): { name: string; json: string | undefined; options: Options } {
  try {
    const { values, positionals } = parseArgs({ options: { json: { type: "string" }, sessions: { type: "string" } }, allowPositionals: true });
    const [name, ...more] = positionals;
    if (name === undefined || more.length > 0 || !Object.hasOwn(BENCHMARKS, name))
      throw new Error(name === undefined ? "name a benchmark" : `there is no benchmark ${positionals.join(" ")}`);
    const sessions = Number(values.sessions ?? 1);
    if (!Number.isInteger(sessions) || sessions < 1) throw new Error("--sessions is a whole number from 1 on");
    return { name, json: values.json, options: values.sessions === undefined ? {} : { sessions } };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
    process.exit(1);
  }
}

const { name, json, options } = wanted();
const { rows, bars, points = [] } = (await BENCHMARKS[name]?.((text) => console.error(text), options)) ?? { rows: [], bars: [] };
printRows(rows);
console.log();
printBars(bars);
if (json !== undefined) {
  writeRows(json, [...rows, ...points]);
  console.error(`\n${rows.length + points.length} rows written to ${json}`);
}
