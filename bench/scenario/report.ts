// A day judged: its figures and its bars. Pure: what happened comes in as a record, so that a test can make one up.

import { quantile } from "../harness/sessions/gaps.ts";
import type { Judgement, Period } from "../harness/sessions/ledger.ts";
import type { StreamJudgement } from "../harness/sessions/streams.ts";
import type { Bar } from "../rows.ts";
import { busiestOverMean, sum, type Loaded } from "./moves.ts";
import { judgePages, type Asked, type PagesJudgement } from "./pages.ts";

/** One thing that was done to the fleet or its router, from a settled fleet to a settled fleet. Times: ms since 1970. */
export interface StepRecord {
  readonly phase: string;
  readonly what: string;
  /** Whose rings are not at rest meanwhile. */
  readonly regions: readonly string[];
  readonly beganAtMs: number;
  /** The router showed it; absent: not in time. */
  readonly shownAtMs?: number | undefined;
  /** Every session was where it belongs, and everybody was answered; absent: not in time. */
  readonly settledAtMs?: number | undefined;
  readonly overAtMs: number;
  readonly moved: number;
  readonly optimum: number;
  readonly frames: Judgement;
  readonly streams: StreamJudgement;
  /** Sorted: of each visitor who moved, the longest wait for an answer. */
  readonly gapsMs: readonly number[];
  /** From when origins began to die until they were gone. */
  readonly death?: Period | undefined;
}

/** One ring at one moment. */
export interface Sample {
  readonly atMs: number;
  readonly region: string;
  /** Its origins or their shares are on their way to something else. */
  readonly ramping: boolean;
  readonly origins: readonly Loaded[];
}

export interface DayRecord {
  readonly beganAtMs: number;
  readonly overAtMs: number;
  /** How long Workers may disagree. */
  readonly horizonMs: number;
  readonly steps: readonly StepRecord[];
  readonly samples: readonly Sample[];
  readonly pages: readonly Asked[];
  /** Sessions for which two origins wrote at once. */
  readonly split: readonly number[];
}

export interface Report {
  readonly figures: Readonly<Record<string, number>>;
  readonly pages: PagesJudgement;
  readonly bars: readonly Bar[];
}

const MOVED_MAX = 1.05;
export const BUSIEST_MAX = 1.3;
/** Where shares ramp, of one phase. */
export const SCALE_OUT = "scale-out";

export function reportOf(day: DayRecord): Report {
  const { steps, samples, split } = day;
  const deaths = steps.flatMap(({ death }) => death ?? []);
  const steady = steps.flatMap(({ settledAtMs, overAtMs }) =>
    settledAtMs === undefined ? [] : [{ fromMs: settledAtMs + day.horizonMs, toMs: overAtMs }],
  );
  const pages = judgePages(day.pages, deaths, steady);
  const total = (of: (step: StepRecord) => number): number => sum(steps.map(of));
  const gapsMs = steps.flatMap((step) => step.gapsMs).toSorted((a, b) => a - b);
  const resting = samples.filter(({ ramping }) => !ramping).map(({ origins }) => busiestOverMean(origins));
  const figures = {
    tookMs: day.overAtMs - day.beganAtMs,
    visitorCloses: total(({ frames }) => frames.visitorCloses),
    streamCloses: total(({ streams }) => streams.closes),
    lost: total(({ frames, streams }) => frames.lost + streams.lost),
    duplicated: total(({ frames, streams }) => frames.duplicated + streams.duplicated),
    reordered: total(({ frames, streams }) => frames.reordered + streams.reordered),
    unansweredAtDeaths: total(({ frames }) => frames.unanswered),
    splitBrainSessions: split.length,
    moved: total(({ moved }) => moved),
    optimum: total(({ optimum }) => optimum),
    busiestOverMean: Math.max(0, ...resting),
    gapP50Ms: quantile(gapsMs, 0.5),
    gapP99Ms: quantile(gapsMs, 0.99),
    gapMaxMs: quantile(gapsMs, 1),
  };
  return {
    figures,
    pages,
    bars: [...neverBars(figures), ...pageBars(pages), ...movedBars(steps), ...balanceBars(resting), ...timeBars(steps), ...rampBars(day)],
  };
}

function neverBars(figures: Readonly<Record<string, number>>): Bar[] {
  return ["visitorCloses", "streamCloses", "lost", "duplicated", "reordered", "splitBrainSessions"].map((name) => {
    return { what: `${name} 0`, found: String(figures[name]), met: figures[name] === 0 };
  });
}

function pageBars({ asked, failed, inFlight, failedElsewhere, bad, badInSteadyTimes, strayed }: PagesJudgement): Bar[] {
  return [
    {
      what: "plain requests failed ≤ those in flight at an origin's death, and no others",
      found: `${failed} of ${asked}, ${failedElsewhere} of them others; ${inFlight} were in flight`,
      met: asked > 0 && failedElsewhere === 0,
    },
    {
      what: "errors of a bad deploy only until its origin is ejected",
      found: `${badInSteadyTimes} after it, ${bad} in all`,
      met: badInSteadyTimes === 0,
    },
    { what: "keys of plain requests that met two origins while nothing happened 0", found: String(strayed), met: strayed === 0 },
  ];
}

/** By phase: what one saves does not excuse another. */
function movedBars(steps: readonly StepRecord[]): Bar[] {
  return [...Map.groupBy(steps, ({ phase }) => phase)].map(([phase, all]) => {
    const [moved, optimum] = [sum(all.map((step) => step.moved)), sum(all.map((step) => step.optimum))];
    return { what: `${phase}: sessions moved ≤ ${MOVED_MAX} × optimum`, found: `${moved} and ${optimum}`, met: moved <= MOVED_MAX * optimum };
  });
}

function balanceBars(resting: readonly number[]): Bar[] {
  const busiest = Math.max(...resting);
  return [{ what: `busiest ÷ mean ≤ ${BUSIEST_MAX} outside ramps`, found: busiest.toFixed(2), met: resting.length > 0 && busiest <= BUSIEST_MAX }];
}

function timeBars(steps: readonly StepRecord[]): Bar[] {
  const late = steps.filter(({ shownAtMs, settledAtMs }) => shownAtMs === undefined || settledAtMs === undefined);
  return [
    {
      what: "every step settled in time",
      found: late.map(({ what }) => what).join(", ") || `all ${steps.length}`,
      met: steps.length > 0 && late.length === 0,
    },
  ];
}

/** Slow start is there to be seen. */
function rampBars({ steps, samples }: DayRecord): Bar[] {
  const joins = steps.filter(({ phase }) => phase === SCALE_OUT);
  if (joins.length === 0) return [];
  const unseen = joins.filter(({ beganAtMs, overAtMs }) => {
    const meanwhile = samples.filter(({ atMs }) => atMs >= beganAtMs && atMs < overAtMs);
    return !meanwhile.some(({ origins }) => origins.some(({ share }) => share > 0 && share < 1));
  });
  return [
    {
      what: "whoever joins starts slowly",
      found: unseen.map(({ what }) => `not seen: ${what}`).join(", ") || "seen in its share",
      met: unseen.length === 0,
    },
  ];
}
