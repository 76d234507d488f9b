// What every benchmark gives: rows of one shape, a table of them to read, and whether each bar is met.

import { writeFileSync } from "node:fs";

export interface Row {
  readonly bench: string;
  readonly contestant: string;
  readonly metric: string;
  readonly value: number;
  readonly unit: string;
  /** Further keys tell points of one metric apart. */
  readonly [further: string]: string | number;
}

/** Something that must be so, in a person's words. */
export interface Bar {
  readonly what: string;
  readonly found: string;
  readonly met: boolean;
}

const FIXED = new Set(["bench", "contestant", "metric", "value", "unit"]);

export function writeRows(file: string, rows: readonly Row[]): void {
  writeFileSync(file, `${JSON.stringify(rows, null, 2)}\n`);
}

export function printRows(rows: readonly Row[]): void {
  const cells = rows.map((row) => {
    const further = Object.entries(row).flatMap(([key, value]) => (FIXED.has(key) ? [] : [`${key} ${value}`]));
    return [[row.metric, ...further].join(", "), row.contestant, shown(row.value), row.unit];
  });
  const widths = [0, 1, 2].map((column) => Math.max(...cells.map((line) => line[column]?.length ?? 0)));
  for (const [metric = "", contestant = "", value = "", unit = ""] of cells) {
    console.log(`${metric.padEnd(widths[0] ?? 0)}  ${contestant.padEnd(widths[1] ?? 0)}  ${value.padStart(widths[2] ?? 0)} ${unit}`);
  }
}

export function printBars(bars: readonly Bar[]): void {
  for (const { what, found, met } of bars) console.log(`${met ? "met   " : "MISSED"}  ${what}: ${found}`);
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] ?? NaN) : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2;
}

/** The median of what each round's one is to its other: noise that both had in a round falls out. */
export function medianRatio(over: readonly number[], under: readonly number[]): number {
  return median(over.map((value, round) => value / (under[round] ?? NaN)));
}

function shown(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  return Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(4)));
}
