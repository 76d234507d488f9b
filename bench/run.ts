// `npm run bench -- NAME [--json FILE]`: one benchmark, all contestants in one run. Prints its rows and bars; a bar that is missed is said,
// and does not fail the command: these are figures, not tests.

import { parseArgs } from "node:util";
import { httpBench } from "./http/bench.ts";
import { liveBench } from "./live/bench.ts";
import { ringBench } from "./ring/bench.ts";
import { printBars, printRows, writeRows, type Bar, type Row } from "./rows.ts";

export interface Benchmark {
  readonly rows: readonly Row[];
  readonly bars: readonly Bar[];
}

const BENCHMARKS: Readonly<Record<string, (progress: (text: string) => void) => Promise<Benchmark>>> = {
  ring: ringBench,
  http: httpBench,
  live: liveBench,
};

const USAGE = `Usage: npm run bench -- NAME [--json FILE], NAME one of: ${Object.keys(BENCHMARKS).join(", ")}`;

function wanted(): { name: string; json: string | undefined } {
  try {
    const { values, positionals } = parseArgs({ options: { json: { type: "string" } }, allowPositionals: true });
    const [name, ...more] = positionals;
    if (name === undefined || more.length > 0 || !Object.hasOwn(BENCHMARKS, name))
      throw new Error(name === undefined ? "name a benchmark" : `there is no benchmark ${positionals.join(" ")}`);
    return { name, json: values.json };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
    process.exit(1);
  }
}

const { name, json } = wanted();
const { rows, bars } = (await BENCHMARKS[name]?.((text) => console.error(text))) ?? { rows: [], bars: [] };
printRows(rows);
console.log();
printBars(bars);
if (json !== undefined) {
  writeRows(json, rows);
  console.error(`\n${rows.length} rows written to ${json}`);
}
