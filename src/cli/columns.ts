// Tables without a frame: two blanks before each column.

import Table from "cli-table3";
import { stripVTControlCharacters } from "node:util";
import type { Paint } from "./text.ts";

export interface Column<Row> {
  readonly head: string;
  readonly align: "left" | "right";
  readonly cell: (row: Row) => string;
}

const NO_FRAME = Object.fromEntries(
  ["top", "top-mid", "top-left", "top-right", "bottom", "bottom-mid", "bottom-left", "bottom-right"]
    .concat(["left", "left-mid", "mid", "mid-mid", "right", "right-mid", "middle"])
    .map((part) => [part, ""]),
);

export function columns<Row>(all: readonly Column<Row>[], rows: readonly Row[], paint: Paint): string {
  const table = new Table({
    head: all.map(({ head }) => paint("dim", head)),
    colAligns: all.map(({ align }) => align),
    chars: NO_FRAME,
    style: { head: [], border: [], "padding-left": 2, "padding-right": 0 },
  });
  for (const row of rows) table.push(all.map(({ cell }) => cell(row)));
  const lines = table.toString().split("\n");
  return lines.map((line) => line.trimEnd()).join("\n");
}

/** On a terminal. Names and words of ours have one column each letter. */
export function widthOf(text: string): number {
  return Math.max(...text.split("\n").map((line) => stripVTControlCharacters(line).length));
}
