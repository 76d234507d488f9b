// What Limpet promises of live sessions, in every event.

import type { Bar, Row } from "../rows.ts";

const NEVER = ["VisitorCloses", "Lost", "Duplicated", "Reordered", "SplitBrainSessions"];
const GAPS_MAX_MS = { drainGapP99Ms: 700, killGapP99Ms: 2_000 };
/** Where no more sessions may move than must. */
const LEAST_MOVED = ["drain", "kill", "join", "reweight"];
const MOVED_TOLERANCE = 0.01;

export function barsOf(rows: readonly Row[]): Bar[] {
  const figures = new Map(rows.filter(({ contestant }) => contestant === "limpet").map(({ metric, value }) => [metric, value]));
  const never = NEVER.map((metric): Bar => {
    const some = [...figures].filter(([name, value]) => name.endsWith(metric) && value !== 0).map(([name, value]) => `${name} ${value}`);
    return { what: `${metric} 0 in every event`, found: some.join(", ") || "0", met: figures.size > 0 && some.length === 0 };
  });
  const gaps = Object.entries(GAPS_MAX_MS).map(([metric, limitMs]): Bar => {
    const found = figures.get(metric) ?? NaN;
    return { what: `${metric} ≤ ${limitMs}`, found: `${Math.round(found)} ms`, met: found <= limitMs };
  });
  const moved = LEAST_MOVED.map((event): Bar => {
    const [found, optimum] = [figures.get(`${event}MovedShare`) ?? NaN, figures.get(`${event}OptimumShare`) ?? NaN];
    const met = Math.abs(found - optimum) <= MOVED_TOLERANCE;
    return { what: `|${event}MovedShare − ${event}OptimumShare| ≤ ${MOVED_TOLERANCE}`, found: `${found} and ${optimum}`, met };
  });
  return [...never, ...gaps, ...moved];
}
