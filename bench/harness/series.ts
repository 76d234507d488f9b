// What was measured, round by round: a series for each metric of each contestant at each point, whose median is the row.

import { median, medianRatio, type Row } from "../rows.ts";

/** Which series: further keys tell points of one metric apart. */
export interface Point {
  readonly contestant: string;
  readonly metric: string;
  readonly [further: string]: string | number;
}

interface Series {
  readonly point: Point;
  readonly unit: string;
  /** One for each round. */
  readonly values: number[];
}

export class Measured {
  readonly #bench: string;
  readonly #series = new Map<string, Series>();

  constructor(bench: string) {
    this.#bench = bench;
  }

  add(point: Point, unit: string, value: number): void {
    const key = keyOf(point);
    const series = this.#series.get(key) ?? { point, unit, values: [] };
    series.values.push(value);
    this.#series.set(key, series);
  }

  values(point: Point): readonly number[] {
    return this.#series.get(keyOf(point))?.values ?? [];
  }

  /** The median over the rounds of what `point` is to the same of another contestant. */
  ratio(point: Point, other: string): number {
    return medianRatio(this.values(point), this.values({ ...point, contestant: other }));
  }

  rows(): Row[] {
    return [...this.#series.values()].map(({ point: { contestant, metric, ...further }, unit, values }) => {
      return { bench: this.#bench, contestant, metric, value: median(values), unit, ...further };
    });
  }
}

function keyOf(point: Point): string {
  return JSON.stringify(Object.entries(point).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
