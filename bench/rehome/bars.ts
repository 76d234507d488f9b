// What Limpet promises of live sessions. Whose router dies loses the socket itself: that is no promise broken, but all else holds, and everybody
// finds the origin again that they had.

import type { Bar, Row } from "../rows.ts";
import { EVENTS, type FleetEvent } from "./events.ts";

const NEVER = ["Lost", "Duplicated", "Reordered", "SplitBrainSessions", "SseLost", "SseDuplicated", "SseReordered"];
/** Unless the router dies. */
const NEVER_CLOSED = ["VisitorCloses", "SseCloses"];
const GAPS_MAX_MS = { drainGapP99Ms: 700, killGapP99Ms: 2_000 };
/** Where no more sessions may move than must. */
const LEAST_MOVED = ["drain", "kill", "join", "reweight"];
const MOVED_TOLERANCE = 0.01;

export function barsOf(rows: readonly Row[]): Bar[] {
  const figures = new Map(rows.filter(({ contestant }) => contestant === "limpet").map(({ metric, value }) => [metric, value]));
  const spared = EVENTS.filter(({ deadly }) => deadly !== "router");
  const gaps = Object.entries(GAPS_MAX_MS).map(([metric, limitMs]): Bar => {
    const found = figures.get(metric) ?? NaN;
    return { what: `${metric} ≤ ${limitMs}`, found: `${Math.round(found)} ms`, met: found <= limitMs };
  });
  const moved = LEAST_MOVED.map((event): Bar => {
    const [found, optimum] = [figures.get(`${event}MovedShare`) ?? NaN, figures.get(`${event}OptimumShare`) ?? NaN];
    const met = Math.abs(found - optimum) <= MOVED_TOLERANCE;
    return { what: `|${event}MovedShare − ${event}OptimumShare| ≤ ${MOVED_TOLERANCE}`, found: `${found} and ${optimum}`, met };
  });
  const found = EVENTS.filter(({ deadly }) => deadly === "router").map(({ name }): Bar => {
    const share = figures.get(`${name}SameOwnerShare`) ?? NaN;
    return { what: `${name}SameOwnerShare = 1`, found: String(share), met: share === 1 };
  });
  return [
    ...NEVER_CLOSED.map((metric) => never(metric, "every event but the router's own", spared, figures)),
    ...NEVER.map((metric) => never(metric, "every event", EVENTS, figures)),
    ...gaps,
    ...moved,
    ...found,
  ];
}

function never(metric: string, where: string, events: readonly FleetEvent[], figures: ReadonlyMap<string, number>): Bar {
  const found = events.flatMap(({ name }) => ((figures.get(name + metric) ?? 0) === 0 ? [] : `${name + metric} ${figures.get(name + metric)}`));
  return { what: `${metric} 0 in ${where}`, found: found.join(", ") || "0", met: figures.size > 0 && found.length === 0 };
}
