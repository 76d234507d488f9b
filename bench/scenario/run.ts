// `npm run scenario -- day [--json FILE] [--only PHASE] [--sessions N]`: a day of a fleet, and its report. Unlike a benchmark it fails, naming
// each bar that was missed.

import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { printBars } from "../rows.ts";
import { day, type DayOptions } from "./day.ts";
import { PHASES, type PhaseName } from "./phases.ts";
import { printReport } from "./print.ts";
import { reportOf } from "./report.ts";

const USAGE = `Usage: npm run scenario -- day [--json FILE] [--only PHASE] [--sessions N], PHASE one of: ${Object.keys(PHASES).join(", ")}`;

/** Written to the file. */
const REMARKABLE_MAX = 1_000;
const LONG_MS = 2_000;

function wanted(): { json: string | undefined; options: DayOptions } {
  try {
    const options = { json: { type: "string" }, only: { type: "string" }, sessions: { type: "string" } } as const;
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    if (positionals.join(" ") !== "day")
      throw new Error(positionals.length === 0 ? "name a scenario" : `there is no scenario ${positionals.join(" ")}`);
    const { json, only } = values;
    if (only !== undefined && !isPhase(only)) throw new Error(`the day has no phase ${only}`);
    const sessions = Number(values.sessions ?? 1);
    if (!Number.isInteger(sessions) || sessions < 1) throw new Error("--sessions is a whole number from 1 on");
    return { json, options: { ...(values.sessions === undefined ? {} : { sessions }), ...(only === undefined ? {} : { only }) } };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
    process.exit(1);
  }
}

function isPhase(name: string): name is PhaseName {
  return Object.hasOwn(PHASES, name);
}

const { json, options } = wanted();
const record = await day((text) => console.error(text), options);
const report = reportOf(record);
printReport(record, report);
console.log();
printBars(report.bars);
if (json !== undefined) {
  // Of the requests one by one only those are of use that failed or waited.
  const remarkable = record.pages.filter(({ madeBy, askedAtMs, endedAtMs }) => madeBy === undefined || endedAtMs - askedAtMs >= LONG_MS);
  writeFileSync(json, `${JSON.stringify({ ...report, ...record, pages: report.pages, remarkable: remarkable.slice(0, REMARKABLE_MAX) })}\n`);
  console.error(`\nwritten to ${json}`);
}
const missed = report.bars.filter(({ met }) => !met);
if (missed.length > 0) {
  console.error(`\n${missed.length} of ${report.bars.length} bars were missed: ${missed.map(({ what }) => what).join("; ")}`);
  process.exit(1);
}
