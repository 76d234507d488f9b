// The scripted day fails when it should: a made-up day in which all is well meets every bar, and the same day with one thing wrong misses exactly
// the bar that is about it. A day that cannot fail shows nothing.

import { describe, expect, test } from "vitest";
import { Ledger } from "../../bench/harness/sessions/ledger.ts";
import { Logs } from "../../bench/harness/sessions/logs.ts";
import { Streams } from "../../bench/harness/sessions/streams.ts";
import { busiestOverMean, movesOf, optimumOf, type Loaded, type Stay } from "../../bench/scenario/moves.ts";
import type { Asked } from "../../bench/scenario/pages.ts";
import { reportOf, type DayRecord, type Sample, type StepRecord } from "../../bench/scenario/report.ts";

/** A joiner takes 20 of 80 sessions, then a region of one origin dies and comes back. */
const JOIN = { beganAtMs: 1_000, shownAtMs: 2_000, settledAtMs: 3_000, overAtMs: 6_000 };
const LOSS = { beganAtMs: 10_000, shownAtMs: 11_000, settledAtMs: 12_000, overAtMs: 15_000 };
const DEATH = { fromMs: 10_000, toMs: 10_010 };
const SESSIONS = 80;
const BEFORE = Array.from({ length: SESSIONS }, () => "weur-1");
const AFTER = BEFORE.map((place, session) => (session % 4 === 0 ? "weur-2" : place));
const VISITOR = 6;

type Step = (ledger: Ledger, streams: Streams, logs: Logs) => void;

/** What the ledgers find in a step, after one thing was told them. */
function found(tell: Step, { beganAtMs: fromMs, overAtMs: toMs }: typeof JOIN): Pick<StepRecord, "frames" | "streams"> {
  const logs = new Logs();
  const [ledger, streams] = [new Ledger(), new Streams(logs)];
  ledger.made(VISITOR, 0, fromMs + 10);
  ledger.sent(VISITOR, 0, fromMs + 10);
  ledger.handled(VISITOR, 0, fromMs + 20);
  ledger.answered(VISITOR, VISITOR, 0, fromMs + 25);
  streams.joined(5, 0);
  tell(ledger, streams, logs);
  return { frames: ledger.judge({ fromMs, toMs }), streams: streams.judge({ fromMs, toMs }) };
}

/** The moves of a step in which each session goes straight to its place, after `extra` of them took a way round. */
function moved(extra: number): Pick<StepRecord, "moved" | "optimum"> {
  const legs = BEFORE.map((before, session): Stay[] => {
    const movers = AFTER[session] === before ? [] : [{ origin: AFTER[session] ?? "", atMs: 2_500 }];
    const astray = movers.length > 0 && session < extra * 4 ? [{ origin: "weur-3", atMs: 2_000 }] : [];
    return [{ origin: before, atMs: 100 }, ...astray, ...movers];
  });
  const all = legs.map((each) => movesOf(each, { fromMs: JOIN.beganAtMs, toMs: JOIN.overAtMs }));
  return { moved: all.reduce((total, each) => total + each, 0), optimum: optimumOf(BEFORE, AFTER) };
}

const loaded = (id: string, sessions: number, share = 1): Loaded => ({ id, sessions, weight: 1, share });
const asked = (askedAtMs: number, more: Partial<Asked> = {}): Asked => ({
  key: "key 1",
  askedAtMs,
  endedAtMs: askedAtMs + 20,
  status: 200,
  madeBy: "weur-1",
  ...more,
});
const sample = (atMs: number, ramping: boolean, ...origins: Loaded[]): Sample => ({ atMs, region: "weur", ramping, origins });

const JOINED: StepRecord = {
  phase: "scale-out",
  what: "weur-2 joins",
  regions: ["weur"],
  ...JOIN,
  ...moved(0),
  ...found(() => {}, JOIN),
  gapsMs: [],
};
const LOST: StepRecord = { ...JOINED, phase: "region-loss", what: "enam dies", ...LOSS, moved: 10, optimum: 10, death: DEATH };
const WELL: DayRecord = {
  beganAtMs: 1_000,
  overAtMs: 15_000,
  horizonMs: 1_000,
  steps: [JOINED, LOST],
  samples: [
    sample(900, false, loaded("weur-1", 40), loaded("weur-3", 40)),
    sample(2_100, true, loaded("weur-1", 70), loaded("weur-2", 10, 0.2)),
    sample(5_000, false, loaded("weur-1", 26), loaded("weur-2", 20), loaded("weur-3", 34)),
  ],
  pages: [asked(1_500), asked(5_000), asked(9_990, { status: 0, madeBy: undefined })],
  split: [],
};

function missedBy(day: Partial<DayRecord>): string[] {
  const { bars } = reportOf({ ...WELL, ...day });
  return bars.filter(({ met }) => !met).map(({ what }) => what);
}

const joinedWith = (more: Partial<StepRecord>): Partial<DayRecord> => ({ steps: [{ ...JOINED, ...more }, LOST] });

describe("a day", () => {
  test("in which all is well meets every bar", () => {
    expect(missedBy({})).toEqual([]);
  });

  const wrong: readonly (readonly [what: string, day: Partial<DayRecord>, bar: string])[] = [
    ["one close", joinedWith(found((ledger) => ledger.closed(VISITOR, 2_000), JOIN)), "visitorCloses 0"],
    ["one stream that ends", joinedWith(found((_, streams) => streams.closed(5, 2_000), JOIN)), "streamCloses 0"],
    [
      "one frame that is lost",
      joinedWith(
        found((ledger) => {
          ledger.made(VISITOR, 1, 2_000);
          ledger.sent(VISITOR, 1, 2_000);
        }, JOIN),
      ),
      "lost 0",
    ],
    ["one event that is lost", joinedWith(found((_, __, logs) => void logs.append(5, 2_000), JOIN)), "lost 0"],
    ["one answer that comes twice", joinedWith(found((ledger) => ledger.answered(VISITOR, VISITOR, 0, 2_000), JOIN)), "duplicated 0"],
    ["one session with two owners", { split: [3] }, "splitBrainSessions 0"],
    ["two of twenty sessions that take a way round", joinedWith(moved(2)), "scale-out: sessions moved ≤ 1.05 × optimum"],
    ["one move where none had to be", joinedWith({ moved: 1, optimum: 0 }), "scale-out: sessions moved ≤ 1.05 × optimum"],
    [
      "one ring at rest with an origin that has too much",
      { samples: [...WELL.samples, sample(8_000, false, loaded("weur-1", 53), loaded("weur-2", 27))] },
      "busiest ÷ mean ≤ 1.3 outside ramps",
    ],
    [
      "one request that fails, in flight at nobody's death",
      { pages: [...WELL.pages, asked(10_011, { status: 503, madeBy: undefined })] },
      "plain requests failed ≤ those in flight at an origin's death, and no others",
    ],
    ["no request at all", { pages: [] }, "plain requests failed ≤ those in flight at an origin's death, and no others"],
    [
      "an error of an origin that should be ejected",
      { pages: [...WELL.pages, asked(4_500, { status: 500 })] },
      "errors of a bad deploy only until its origin is ejected",
    ],
    [
      "one key that meets two origins",
      { pages: [...WELL.pages, asked(5_100, { madeBy: "weur-2" })] },
      "keys of plain requests that met two origins while nothing happened 0",
    ],
    ["one step that never settles", joinedWith({ settledAtMs: undefined }), "every step settled in time"],
    ["one that the router never shows", joinedWith({ shownAtMs: undefined }), "every step settled in time"],
    ["a joiner that is full at once", { samples: WELL.samples.filter(({ ramping }) => !ramping) }, "whoever joins starts slowly"],
  ];
  test.each(wrong)("with %s misses that bar and no other", (_, day, bar) => {
    expect(missedBy(day)).toEqual([bar]);
  });

  const allowed: readonly (readonly [what: string, day: Partial<DayRecord>])[] = [
    ["one of twenty sessions that takes a way round", joinedWith(moved(1))],
    [
      "too much on one origin while shares are on their way",
      { samples: [...WELL.samples, sample(2_200, true, loaded("weur-1", 53), loaded("weur-2", 27))] },
    ],
    ["exactly as much as may be", { samples: [...WELL.samples, sample(8_000, false, loaded("weur-1", 65), loaded("weur-2", 35))] }],
    ["errors of an origin before it is ejected", { pages: [...WELL.pages, asked(1_600, { status: 500 })] }],
  ];
  test.each(allowed)("with %s meets every bar", (_, day) => {
    expect(missedBy(day)).toEqual([]);
  });
});

test("there and back again is two moves, two visitors who go together are one, and what was before does not count", () => {
  const period = { fromMs: 1_000, toMs: 2_000 };
  const at = (atMs: number, origin: string): Stay => ({ origin, atMs });
  expect(movesOf([at(500, "a"), at(1_100, "b"), at(1_900, "a")], period)).toBe(2);
  expect(movesOf([at(500, "a"), at(1_100, "b"), at(500, "a"), at(1_110, "b")], period)).toBe(1);
  expect(movesOf([at(500, "a"), at(900, "b"), at(2_000, "a")], period)).toBe(0);
  expect(movesOf([at(1_100, "a")], period)).toBe(0); // it came
  expect(movesOf([at(500, "a"), at(1_100, "a")], period)).toBe(0); // dialled anew
});

test("how even a ring is: by weight and share, of those that take sessions", () => {
  expect(busiestOverMean([loaded("a", 30), loaded("b", 10)])).toBe(1.5);
  expect(busiestOverMean([loaded("a", 30), { ...loaded("b", 60), weight: 2 }])).toBe(1);
  expect(busiestOverMean([loaded("a", 30), loaded("b", 15, 0.5)])).toBe(1);
  expect(busiestOverMean([loaded("a", 30), loaded("b", 99, 0)])).toBe(1);
  expect(busiestOverMean([loaded("a", 0), loaded("b", 0, 0)])).toBe(0);
});
