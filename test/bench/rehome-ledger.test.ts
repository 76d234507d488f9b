// The ledger of the benchmark `rehome` finds every fault that it is there for: a story in which all is well is told once, and then each time
// with one thing wrong. A ledger that finds nothing in a broken story is worth nothing.

import { describe, expect, test } from "vitest";
import { longestGapMs, quantile } from "../../bench/harness/sessions/gaps.ts";
import { Ledger, type Cut, type Deaths, type Judgement } from "../../bench/harness/sessions/ledger.ts";
import { returnOf } from "../../bench/harness/sessions/returns.ts";
import { Store } from "../../bench/harness/sessions/store.ts";

const VISITOR = 4; // of session 2, with visitor 5
const OTHER = 5;
const OLD = 1;
const NEW = 2;
/** The move: hold at 1,000, the new leg at 1,100. */
const MOVE = { fromMs: 900, toMs: 2_000 };

type Step = (ledger: Ledger) => void;
type Story = Readonly<Record<string, Step>>;

const frame =
  (n: number, madeAtMs: number): Step =>
  (ledger) => {
    ledger.made(VISITOR, n, madeAtMs);
    ledger.sent(VISITOR, n, madeAtMs);
  };
const handled =
  (n: number, atMs: number): Step =>
  (ledger) =>
    ledger.handled(VISITOR, n, atMs);
const answered =
  (n: number, atMs: number, whose = VISITOR): Step =>
  (ledger) =>
    ledger.answered(VISITOR, whose, n, atMs);
const pushed =
  (leg: number, n: number, atMs: number): Step =>
  (ledger) =>
    ledger.pushed(VISITOR, leg, n, atMs);
const opened =
  (leg: number, origin: string, atMs: number): Step =>
  (ledger) =>
    ledger.legOpened({ leg, visitor: VISITOR, origin, atMs });

/** A planned move, in the middle of which a frame is held. */
const WELL: Story = {
  oldLeg: opened(OLD, "weur-1", 100),
  frame0: frame(0, 910),
  handled0: handled(0, 920),
  answer0: answered(0, 921),
  oldPush0: pushed(OLD, 0, 930),
  oldPush1: pushed(OLD, 1, 940),
  oldEnd: (ledger) => ledger.legEnded(OLD, 2, 1_050),
  frame1: frame(1, 1_010), // held
  newLeg: opened(NEW, "weur-2", 1_100),
  handled1: handled(1, 1_110),
  answer1: answered(1, 1_112),
  newPush0: pushed(NEW, 0, 1_200),
  frame2: frame(2, 1_500),
  handled2: handled(2, 1_510),
  answer2: answered(2, 1_511),
};
const NOTHING = { visitorCloses: 0, lost: 0, unanswered: 0, duplicated: 0, reordered: 0 };

function judged(story: Story, harm?: Deaths | Cut, period = MOVE): Omit<Judgement, "examples" | "unansweredUntilMs"> {
  const ledger = new Ledger();
  for (const step of Object.values(story)) step(ledger);
  const { examples, unansweredUntilMs, ...counts } = ledger.judge(period, harm);
  expect(examples.length > 0).toBe(counts.lost + counts.duplicated + counts.reordered > 0);
  expect(unansweredUntilMs !== undefined).toBe(counts.unanswered > 0);
  return counts;
}

function without(...names: readonly string[]): Story {
  for (const name of names) expect(Object.keys(WELL)).toContain(name);
  return Object.fromEntries(Object.entries(WELL).filter(([name]) => !names.includes(name)));
}

describe("a planned move", () => {
  test("where nothing is wrong nothing is found", () => {
    expect(judged(WELL)).toEqual(NOTHING);
  });

  test.each<[string, Story, Partial<Judgement>]>([
    ["a held frame that never came to an origin is lost", without("handled1", "answer1"), { lost: 1 }],
    ["an answer that never came is a frame lost, though it was handled", without("answer0"), { lost: 1 }],
    ["a push that a later one of its leg overtook for good is lost", without("oldPush0"), { lost: 1 }],
    ["the last push of a leg whose origin lives is lost too", without("oldPush1"), { lost: 1 }],
    ["all of a leg's pushes may be lost", without("oldPush0", "oldPush1"), { lost: 2 }],
    ["the first push of a new leg is missed when the second comes", { ...without("newPush0"), late: pushed(NEW, 1, 1_300) }, { lost: 1 }],
    ["a frame handled twice is doubled", { ...WELL, again: handled(1, 1_120) }, { duplicated: 1 }],
    ["a frame answered twice is doubled", { ...WELL, again: answered(1, 1_120) }, { duplicated: 1 }],
    ["a frame handled and answered twice is one fault", { ...WELL, handled: handled(1, 1_120), answered: answered(1, 1_121) }, { duplicated: 1 }],
    ["a push that comes twice is doubled", { ...WELL, again: pushed(NEW, 0, 1_210) }, { duplicated: 1 }],
    ["an answer to somebody else's frame is nobody's", { ...without("answer2"), wrong: answered(2, 1_511, OTHER) }, { duplicated: 1, lost: 1 }],
    ["nor is an answer to a frame that there never was", { ...WELL, wrong: answered(7, 1_600) }, { duplicated: 1 }],
    ["somebody else's push is nobody's", { ...WELL, wrong: (ledger) => ledger.pushed(OTHER, NEW, 1, 1_210) }, { duplicated: 1 }],
    ["held frames handled in another order are out of order", { ...without("handled1"), late: handled(1, 1_520) }, { reordered: 1 }],
    ["answers in another order are out of order", { ...without("answer1"), late: answered(1, 1_520) }, { reordered: 1 }],
    ["pushes in another order are out of order", { ...WELL, oldPush0: pushed(OLD, 1, 930), oldPush1: pushed(OLD, 0, 940) }, { reordered: 1 }],
    ["a late push is one fault", { ...without("oldPush0"), late: pushed(OLD, 0, 1_250) }, { reordered: 1 }],
    ["what the old origin says after the new one is out of order", { ...without("oldPush1"), late: pushed(OLD, 1, 1_250) }, { reordered: 1 }],
    ["a close is a close", { ...WELL, close: (ledger) => ledger.closed(VISITOR, 1_000) }, { visitorCloses: 1 }],
  ])("%s", (_, story, found) => {
    expect(judged(story)).toEqual({ ...NOTHING, ...found });
  });

  test("a frame that waits for a socket is not lost", () => {
    const waiting: Step = (ledger) => ledger.made(VISITOR, 1, 1_010);
    expect(judged({ ...without("frame1", "handled1", "answer1"), waiting })).toEqual(NOTHING);
  });

  test("what is outside the period belongs to another", () => {
    expect(judged(without("answer0"), undefined, { fromMs: 911, toMs: 2_000 })).toEqual(NOTHING);
    expect(judged(without("answer0"), undefined, { fromMs: 100, toMs: 910 })).toEqual(NOTHING);
    expect(judged({ ...WELL, again: handled(1, 2_000) })).toEqual(NOTHING);
  });
});

describe("an origin that dies", () => {
  const deaths = (heldByMs: number, origin = "weur-1"): Deaths => ({ kind: "deaths", origins: new Set([origin]), atMs: 1_000, heldByMs });
  const dead = without("answer0", "oldPush1", "oldEnd");
  const later = (n: number, atMs: number): Story => ({ ...without("frame1", "handled1", "answer1"), later: frame(n, atMs) });

  test("leaves unanswered what it had been sent, and no push is missed at its end", () => {
    expect(judged(dead, deaths(1_050))).toEqual({ ...NOTHING, unanswered: 1 });
  });

  test("is not missed for what it pushed after it woke", () => {
    const oldEnd: Step = (ledger) => ledger.legEnded(OLD, 9, 1_900);
    expect(judged({ ...WELL, oldEnd }, deaths(1_050))).toEqual(NOTHING);
    expect(judged({ ...WELL, oldEnd })).toEqual({ ...NOTHING, lost: 7 });
  });

  test("excuses nobody else's losses", () => {
    expect(judged(dead, deaths(1_050, "enam-1"))).toEqual({ ...NOTHING, lost: 1 });
    expect(judged(without("answer0", "oldPush1"), deaths(1_050, "enam-1"))).toEqual({ ...NOTHING, lost: 2 });
  });

  test("excuses nothing that was sent after the hold must have begun", () => {
    expect(judged(later(1, 1_049), deaths(1_050))).toEqual({ ...NOTHING, unanswered: 1 });
    expect(judged(later(1, 1_050), deaths(1_050))).toEqual({ ...NOTHING, lost: 1 });
  });

  test("excuses nothing that was sent after the next leg, however late the router is believed to have known", () => {
    expect(judged(later(1, 1_099), deaths(Infinity))).toEqual({ ...NOTHING, unanswered: 1 });
    expect(judged(later(1, 1_100), deaths(Infinity))).toEqual({ ...NOTHING, lost: 1 });
  });

  test("excuses nothing that was sent after the visitor's socket was closed", () => {
    const story = { ...later(1, 1_060), close: (ledger: Ledger) => ledger.closed(VISITOR, 1_060) };
    expect(judged(story, deaths(Infinity))).toEqual({ ...NOTHING, visitorCloses: 1, lost: 1 });
  });

  test("excuses no hole in the middle of what it pushed", () => {
    expect(judged(without("answer0", "oldPush0", "oldEnd"), deaths(1_050))).toEqual({ ...NOTHING, unanswered: 1, lost: 1 });
  });
});

describe("a router that dies", () => {
  const CUT_AT_MS = 1_000;
  const cut: Cut = { kind: "cut", atMs: CUT_AT_MS };
  const close = (atMs = 1_005): Step => {
    return (ledger) => ledger.closed(VISITOR, atMs);
  };
  /** The visitor's socket is cut; on the next everything is as it should be. */
  const reset = { ...WELL, close: close() };
  const closed = { ...NOTHING, visitorCloses: 1 };
  const omit = (story: Story, ...names: readonly string[]): Story =>
    Object.fromEntries(Object.entries(story).filter(([name]) => !names.includes(name)));

  test("leaves unanswered what was under way on the sockets that it cuts, handled or not, and no push is missed at the end of their legs", () => {
    expect(judged(reset, cut)).toEqual(closed);
    expect(judged(omit(reset, "answer0"), cut)).toEqual({ ...closed, unanswered: 1 });
    expect(judged(omit(reset, "answer0", "handled0"), cut)).toEqual({ ...closed, unanswered: 1 });
    expect(judged(omit(reset, "oldPush1"), cut)).toEqual(closed);
  });

  test.each<[string, Story, Partial<Judgement>]>([
    ["what goes out on the next socket", omit(reset, "answer2"), { visitorCloses: 1, lost: 1 }],
    ["what goes out behind the close", { ...omit(reset, "answer1"), close: close(1_009) }, { visitorCloses: 1, lost: 1 }],
    ["those whose socket it did not cut", omit(WELL, "answer0"), { lost: 1 }],
    ["those whose socket was closed before", { ...omit(WELL, "answer0"), close: close(999) }, { visitorCloses: 1, lost: 1 }],
    ["those whose socket was closed long after", { ...omit(WELL, "answer0"), close: close(2_000) }, { lost: 1 }],
    ["a hole in the middle of what was pushed", omit(reset, "oldPush0"), { visitorCloses: 1, lost: 1 }],
    ["the end of the next leg", { ...reset, end: (ledger) => ledger.legEnded(NEW, 2, 1_900) }, { visitorCloses: 1, lost: 1 }],
    ["the last pushes to those whom it did not cut", omit(WELL, "oldPush1"), { lost: 1 }],
    ["what is doubled", { ...reset, again: handled(0, 1_120) }, { visitorCloses: 1, duplicated: 1 }],
  ])("does not excuse %s", (_, story, found) => {
    expect(judged(story, cut)).toEqual({ ...NOTHING, ...found });
  });

  test("excuses nothing that had half a second to be answered", () => {
    const story = (sentAtMs: number): Story => ({ frame0: frame(0, sentAtMs), oldLeg: opened(OLD, "weur-1", 100), close: close() });
    const period = { fromMs: 100, toMs: 2_000 };
    expect(judged(story(500), cut, period)).toEqual({ ...closed, unanswered: 1 });
    expect(judged(story(499), cut, period)).toEqual({ ...closed, lost: 1 });
  });
});

describe("whoever comes back", () => {
  const period = { fromMs: 1_000, toMs: 5_000 };
  const before = { origin: "weur-1", atMs: 100 };
  const leg = (atMs: number, origin = "weur-1"): typeof before => ({ origin, atMs });

  test("is back when an origin has them again after the last close", () => {
    expect(returnOf([before, leg(1_300)], [1_005], period)).toEqual({ backMs: 300, sameOwner: true });
    expect(returnOf([before, leg(1_300), leg(2_400), leg(3_000, "weur-2")], [1_005, 2_000], period)).toEqual({ backMs: 1_400, sameOwner: true });
  });

  test("finds another owner where it is another", () => {
    expect(returnOf([before, leg(1_300, "weur-2")], [1_005], period)).toEqual({ backMs: 300, sameOwner: false });
  });

  test("is not back while no origin has them", () => {
    for (const legs of [[before], [before, leg(1_004)], [before, leg(5_000)]]) {
      expect(returnOf(legs, [1_005], period)).toEqual({ backMs: 4_000, sameOwner: false });
    }
  });

  test("was gone: who was not closed is none of them", () => {
    expect(returnOf([before, leg(1_300)], [999, 5_000], period)).toBeUndefined();
  });

  test("is told by the ledger", () => {
    const ledger = new Ledger();
    for (const step of Object.values({ ...WELL, close: (each: Ledger) => each.closed(VISITOR, 1_005) })) step(ledger);
    expect(ledger.returns(MOVE)).toEqual([{ backMs: 200, sameOwner: false }]);
  });
});

describe("whom an event touched", () => {
  const touched = (story: Story, origin: string): boolean => {
    const ledger = new Ledger();
    for (const step of Object.values(story)) step(ledger);
    return ledger.touched(MOVE, new Set([origin])).has(VISITOR);
  };
  const staying = without("newLeg");

  test("visitors of its origins, those on a new leg, and those who were closed", () => {
    expect(touched(staying, "weur-1")).toBe(true);
    expect(touched(staying, "enam-1")).toBe(false);
    expect(touched(WELL, "enam-1")).toBe(true);
    expect(touched({ ...staying, close: (ledger) => ledger.closed(VISITOR, 1_000) }, "enam-1")).toBe(true);
  });
});

describe("gaps", () => {
  test("last from making a frame to the next answer to any", () => {
    expect(longestGapMs([900, 1_000, 1_500], [921, 1_112, 1_511], MOVE, 9_000)).toBe(112);
    expect(longestGapMs([900, 1_000, 1_500], [921, 1_511], MOVE, 9_000)).toBe(511);
  });

  test("last until now where nothing came, and count only in their period", () => {
    expect(longestGapMs([900, 1_000], [921], MOVE, 9_000)).toBe(8_000);
    expect(longestGapMs([899, 2_000], [], MOVE, 9_000)).toBe(0);
  });

  test("of 100 the 99th is p99, and the last the greatest", () => {
    const hundred = Array.from({ length: 100 }, (_, index) => index + 1);
    expect([0, 0.5, 0.99, 1].map((share) => quantile(hundred, share))).toEqual([1, 50, 99, 100]);
  });
});

describe("the store", () => {
  const writer = (origin: string, fence: number | undefined, leg = 1): { origin: string; fence: number | undefined; leg: number } => ({
    origin,
    fence,
    leg,
  });

  test("refuses a fence lower than its session's highest, and takes others'", () => {
    const store = new Store();
    expect(store.take(VISITOR, writer("weur-1", 10), 0)).toBe(true);
    expect(store.take(OTHER, writer("weur-2", 11), 1)).toBe(true);
    expect(store.take(VISITOR, writer("weur-1", 10), 2)).toBe(false);
    expect(store.take(VISITOR + 2, writer("weur-1", 10), 2)).toBe(true);
    expect(store.refusedCount).toBe(1);
    expect(store.placeOf(VISITOR)).toEqual({ origin: "weur-1", atMs: 0 });
  });

  test("refuses it as soon as the next origin has begun", () => {
    const store = new Store();
    store.claim(OTHER, 11);
    expect(store.take(VISITOR, writer("weur-1", 10), 0)).toBe(false);
    expect(store.take(VISITOR, writer("weur-2", 11), 0)).toBe(true);
  });

  test("finds a session that two origins served at once: by one fence, or where there is none", () => {
    for (const fence of [undefined, 10]) {
      const store = new Store();
      store.take(VISITOR, writer("weur-1", fence, 1), 100);
      store.take(OTHER, writer("weur-2", fence, 2), 200);
      expect(store.splitSessions(0)).toEqual([]);
      store.take(VISITOR, writer("weur-1", fence, 1), 300);
      store.take(OTHER, writer("weur-2", fence, 2), 400);
      expect(store.splitSessions(0)).toEqual([2]);
      expect(store.splitSessions(300)).toEqual([2]);
      expect(store.splitSessions(301)).toEqual([]);
    }
  });

  test("one after the other is no split, nor is one origin on many legs, nor a session that comes back", () => {
    const store = new Store();
    store.take(VISITOR, writer("weur-1", 10, 1), 100);
    store.take(VISITOR, writer("weur-1", 11, 2), 200);
    store.take(VISITOR, writer("weur-2", 12, 3), 300);
    store.take(OTHER, writer("weur-2", 12, 4), 400);
    store.take(VISITOR, writer("weur-1", 13, 5), 500);
    store.take(OTHER, writer("weur-1", 13, 6), 600);
    expect(store.splitSessions(0)).toEqual([]);
  });

  test("two visitors at one origin are no split, with or without a fence", () => {
    const store = new Store();
    for (const atMs of [100, 200, 300]) {
      store.take(VISITOR, writer("weur-1", undefined, 1), atMs);
      store.take(OTHER, writer("weur-1", undefined, 2), atMs + 1);
    }
    expect(store.splitSessions(0)).toEqual([]);
  });
});
