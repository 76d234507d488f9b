// The ledger of a day's plain requests: what failed, and whether it may have. Pure.
//
// Failed     a request that no origin answered. It may have only where it was in flight when an origin died.
// Bad        an error that an origin itself answered (a bad deploy's). It goes to the visitor, and must end with the origin's ejection.
// Strayed    one key met a second origin within a time in which nothing happened to the fleet.

import type { Period } from "../harness/sessions/ledger.ts";

export interface Asked {
  readonly key: string;
  readonly askedAtMs: number;
  readonly endedAtMs: number;
  /** 0: no answer at all. */
  readonly status: number;
  /** The origin that made the page. */
  readonly madeBy: string | undefined;
  /** What else is known of a failure. */
  readonly why?: string;
}

export interface PagesJudgement {
  readonly asked: number;
  readonly failed: number;
  /** In flight when an origin died, whatever became of them. */
  readonly inFlight: number;
  /** Failed, and in flight at nobody's death. */
  readonly failedElsewhere: number;
  readonly bad: number;
  /** In a time in which nothing happened to the fleet. */
  readonly badInSteadyTimes: number;
  readonly strayed: number;
  /** Of those that an origin answered well. */
  readonly tookP50Ms: number;
  readonly tookP99Ms: number;
  readonly examples: readonly string[];
}

const EXAMPLES_MAX = 5;

/** `deaths`: from when an origin began to die until it was gone. `steady`: times in which nothing happened to the fleet, and had long enough before. */
export function judgePages(all: readonly Asked[], deaths: readonly Period[], steady: readonly Period[]): PagesJudgement {
  const inFlight = all.filter(({ askedAtMs, endedAtMs }) => deaths.some(({ fromMs, toMs }) => askedAtMs <= toMs && endedAtMs >= fromMs));
  const failed = all.filter(({ madeBy }) => madeBy === undefined);
  const excused = new Set(inFlight);
  const elsewhere = failed.filter((each) => !excused.has(each));
  const bad = all.filter(({ madeBy, status }) => madeBy !== undefined && status >= 400);
  const within = steady.map(({ fromMs, toMs }) => all.filter(({ askedAtMs, endedAtMs }) => askedAtMs >= fromMs && endedAtMs < toMs));
  const tookMs = all.flatMap(({ madeBy, status, askedAtMs, endedAtMs }) => (madeBy && status < 400 ? [endedAtMs - askedAtMs] : []));
  const sorted = tookMs.toSorted((a, b) => a - b);
  const strayed = within.flatMap(strays);
  return {
    asked: all.length,
    failed: failed.length,
    inFlight: inFlight.length,
    failedElsewhere: elsewhere.length,
    bad: bad.length,
    badInSteadyTimes: within.flat().filter(({ madeBy, status }) => madeBy !== undefined && status >= 400).length,
    strayed: strayed.length,
    tookP50Ms: sorted[Math.floor(sorted.length * 0.5)] ?? 0,
    tookP99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? 0,
    examples: [
      ...elsewhere.slice(0, EXAMPLES_MAX).map(({ key, askedAtMs, status, why }) => `${key} asked at ${askedAtMs}: ${status} ${why ?? ""}`),
      ...strayed.slice(0, EXAMPLES_MAX),
    ],
  };
}

function strays(all: readonly Asked[]): string[] {
  return [...Map.groupBy(all, ({ key }) => key)].flatMap(([key, asked]) => {
    const makers = new Set(asked.flatMap(({ madeBy }) => madeBy ?? []));
    return makers.size > 1 ? [`${key} met ${[...makers].join(" and ")}, last asked at ${asked.at(-1)?.askedAtMs}`] : [];
  });
}
