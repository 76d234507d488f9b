// A day's report as a person reads it, in the form that the docs have it: a table of the phases, and the day's figures.

import { sum } from "./moves.ts";
import { quantile } from "../harness/sessions/gaps.ts";
import type { DayRecord, Report, StepRecord } from "./report.ts";

export function printReport({ steps }: DayRecord, { figures, pages }: Report): void {
  const rows = [...Map.groupBy(steps, ({ phase }) => phase)].map(([phase, all]) => [phase, ...rowOf(all)]);
  printTable(["phase", "steps", "seconds", "moved", "optimum", "closes", "lost", "gap p50", "gap p99"], rows);
  const { tookMs, gapP50Ms, gapP99Ms, gapMaxMs, busiestOverMean } = figures;
  console.log(`
the day took ${seconds(tookMs)} s
visitors who moved waited ${ms(gapP50Ms)} (p50), ${ms(gapP99Ms)} (p99), ${ms(gapMaxMs)} at the longest for an answer
frames that died with their origin: ${figures["unansweredAtDeaths"]}
plain requests: ${pages.asked}, of which ${pages.failed} failed and ${pages.bad} were answered badly by an origin; ${ms(pages.tookP50Ms)} (p50), ${ms(pages.tookP99Ms)} (p99)
busiest ÷ mean outside ramps: ${busiestOverMean?.toFixed(2)}`);
  for (const example of pages.examples) console.log(`  ${example}`);
}

function rowOf(steps: readonly StepRecord[]): string[] {
  const total = (of: (step: StepRecord) => number): string => String(sum(steps.map(of)));
  const gapsMs = steps.flatMap((step) => step.gapsMs).toSorted((a, b) => a - b);
  return [
    String(steps.length),
    seconds(sum(steps.map(({ beganAtMs, overAtMs }) => overAtMs - beganAtMs))),
    total(({ moved }) => moved),
    total(({ optimum }) => optimum),
    total(({ frames, streams }) => frames.visitorCloses + streams.closes),
    total(({ frames, streams }) => frames.lost + streams.lost),
    ms(quantile(gapsMs, 0.5)),
    ms(quantile(gapsMs, 0.99)),
  ];
}

function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join(" | ")} |`;
  console.log(
    [
      line(head),
      `|${widths.map((width, column) => (column === 0 ? "-".repeat(width + 2) : `${"-".repeat(width + 1)}:`)).join("|")}|`,
      ...rows.map(line),
    ].join("\n"),
  );
}

function seconds(time: number | undefined): string {
  return ((time ?? 0) / 1_000).toFixed(0);
}

function ms(time: number | undefined): string {
  return `${Math.round(time ?? 0).toLocaleString("en")} ms`;
}
