// The ledger of event streams of the benchmark `rehome` finds every fault that it is there for, as its ledger of frames does.

import { describe, expect, test } from "vitest";
import { Logs } from "../../bench/harness/sessions/logs.ts";
import { Streams, type StreamJudgement } from "../../bench/harness/sessions/streams.ts";

const SESSION = 5;
/** The session's log has an event every 100 ms: the first is logged at 100. */
const EVENTS = 10;
const ALL = { fromMs: 0, toMs: 9_000 };

type Step = (streams: Streams) => void;
type Story = Readonly<Record<string, Step>>;

const came =
  (event: number, atMs = event * 100 + 5, which = event, whose = SESSION): Step =>
  (streams) =>
    streams.came(SESSION, event, whose, which, atMs);

function joinedAt(...events: readonly number[]): Step {
  return (streams) => events.forEach((event) => streams.joined(SESSION, event));
}

function told(story: Story): { streams: Streams; logs: Logs } {
  const logs = new Logs();
  for (let event = 1; event <= EVENTS; event++) logs.append(SESSION, event * 100);
  const streams = new Streams(logs);
  for (const step of Object.values(story)) step(streams);
  return { streams, logs };
}

/** A listener who comes after the third event, and gets all the others. */
const WELL: Story = {
  leg: (streams) => streams.legOpened(SESSION, { origin: "weur-1", atMs: 301 }),
  joined: joinedAt(3),
  ...Object.fromEntries([4, 5, 6, 7, 8, 9, 10].map((event) => [`event${event}`, came(event)])),
};
const NOTHING = { closes: 0, lost: 0, duplicated: 0, reordered: 0 };

function judged(story: Story, period = ALL): Omit<StreamJudgement, "examples"> {
  const { examples, ...counts } = told(story).streams.judge(period);
  expect(examples.length > 0).toBe(counts.lost + counts.duplicated + counts.reordered > 0);
  return counts;
}

function without(...names: readonly string[]): Story {
  for (const name of names) expect(Object.keys(WELL)).toContain(name);
  return Object.fromEntries(Object.entries(WELL).filter(([name]) => !names.includes(name)));
}

test("where nothing is wrong nothing is found", () => {
  expect(judged(WELL)).toEqual(NOTHING);
});

test.each<[string, Story, Partial<StreamJudgement>]>([
  ["an event that never came is lost", without("event5"), { lost: 1 }],
  ["so is the last one", without("event10"), { lost: 1 }],
  ["and the first that was owed", without("event4"), { lost: 1 }],
  ["one that came twice is doubled", { ...WELL, again: came(9, 1_200) }, { duplicated: 1 }],
  ["one from before the listener's time is doubled", { ...WELL, old: came(3, 1_200) }, { duplicated: 1 }],
  ["one before it was told where it begins is nobody's", { early: came(4, 300), ...without("event4") }, { duplicated: 1, lost: 1 }],
  ["one that was never logged is nobody's", { ...WELL, wrong: came(11) }, { duplicated: 1 }],
  ["one with another's data is nobody's, and the right one is lost", { ...without("event5"), wrong: came(5, 505, 6) }, { duplicated: 1, lost: 1 }],
  ["so is one of another session", { ...without("event5"), wrong: came(5, 505, 5, SESSION + 5) }, { duplicated: 1, lost: 1 }],
  ["one that came late is out of order", { ...without("event5"), late: came(5, 1_200) }, { reordered: 1 }],
  ["a stream that ended is closed", { ...WELL, end: (streams) => streams.closed(SESSION, 600) }, { closes: 1 }],
  ["a cut excuses nothing", { ...without("event6"), end: (streams) => streams.closed(SESSION, 600) }, { closes: 1, lost: 1 }],
  ["who is told to begin again has lost what lies between", { ...without("event9"), joined: joinedAt(3, 9) }, { lost: 1 }],
])("%s", (_, story, found) => {
  expect(judged(story)).toEqual({ ...NOTHING, ...found });
});

test("a listener who was never told where to begin is owed nothing", () => {
  expect(judged({})).toEqual(NOTHING);
});

test("an event belongs to the period in which it was logged, a fault to that in which it showed", () => {
  expect(judged(without("event5"), { fromMs: 500, toMs: 600 })).toEqual({ ...NOTHING, lost: 1 });
  expect(judged(without("event5"), { fromMs: 501, toMs: 9_000 })).toEqual(NOTHING);
  expect(judged(without("event5"), { fromMs: 0, toMs: 500 })).toEqual(NOTHING);
  expect(judged({ ...WELL, again: came(9, 1_200) }, { fromMs: 0, toMs: 1_200 })).toEqual(NOTHING);
});

describe("whom an event touched, and how they came back", () => {
  const end: Step = (streams) => streams.closed(SESSION, 600);
  const next: Step = (streams) => streams.legOpened(SESSION, { origin: "weur-2", atMs: 700 });
  const period = { fromMs: 500, toMs: 2_000 };

  test("those whose stream ended, or has another leg", () => {
    expect(told(WELL).streams.touched(period)).toEqual(new Set());
    expect(told({ ...WELL, end }).streams.touched(period)).toEqual(new Set([SESSION]));
    expect(told({ ...WELL, next }).streams.touched(period)).toEqual(new Set([SESSION]));
    expect(told({ ...WELL, next }).streams.placeOf(SESSION)).toBe("weur-2");
  });

  test("those whose stream ended come back with their next leg", () => {
    expect(told({ ...WELL, next }).streams.returns(period)).toEqual([]);
    expect(told({ ...WELL, end, next }).streams.returns(period)).toEqual([{ backMs: 200, sameOwner: false }]);
  });
});

test("gaps last from an event to the next that comes, whichever it is, and until now where none comes", () => {
  const gaps = (story: Story, period = ALL): number[] => told(story).streams.gapsMs(period, 5_000, new Set([SESSION]));
  expect(gaps(WELL)).toEqual([5]);
  expect(gaps(without("event6", "event7"))).toEqual([205]);
  expect(gaps(without("event6", "event7"), { fromMs: 0, toMs: 600 })).toEqual([5]);
  expect(gaps(without("event10"))).toEqual([4_000]);
  expect(gaps(without("joined"))).toEqual([]);
  expect(told(WELL).streams.gapsMs(ALL, 5_000, new Set())).toEqual([]);
});

test("a log numbers what it is told from 1 on, session by session", () => {
  const { logs } = told({});
  expect(logs.append(SESSION + 5, 50)).toEqual({ event: 1, atMs: 50 });
  expect(logs.after(SESSION, 8)).toEqual([9, 10].map((event) => ({ event, atMs: event * 100 })));
  expect([logs.after(SESSION, 10), logs.after(7, 0)]).toEqual([[], []]);
  expect([logs.head(SESSION), logs.head(SESSION, 400), logs.head(SESSION, 401), logs.head(SESSION, 100), logs.head(7)]).toEqual([10, 3, 4, 0, 0]);
});
