// One contestant through all events: each from a settled fleet to a settled fleet, then undone, and judged. Where a contestant does not bring
// sessions back by itself, or something did not settle in time, everybody goes and comes back before the next event.

import type { FleetEvent } from "./events.ts";
import type { Fleet } from "../harness/sessions/fleet.ts";
import { quantile } from "../harness/sessions/gaps.ts";
import type { Cut, Deaths, Judgement, Ledger, Period } from "../harness/sessions/ledger.ts";
import { keyOf, sessionOf } from "../harness/sessions/names.ts";
import type { Member } from "../harness/sessions/places.ts";
import type { Return } from "../harness/sessions/returns.ts";
import type { StreamJudgement } from "../harness/sessions/streams.ts";
import { pause, Watch, type Watched } from "./watch.ts";

export interface Stage extends Watched {
  readonly fleet: Fleet;
  readonly ledger: Ledger;
  /** Whether its sessions follow the ring by themselves. */
  readonly follows: boolean;
}

export interface EventOutcome {
  readonly event: FleetEvent["name"];
  /** By the name of the metric, without the event's. */
  readonly figures: Readonly<Record<string, number>>;
  /** Sorted; of the visitors whom the event touched. */
  readonly gapsMs: readonly number[];
}

/** Frames under way when an event comes belong to it. */
const UNDER_WAY_MS = 500;
/**
 * A router holds as soon as it sees a socket reset, and when it knows that an origin hangs: so much later it surely does. (Resets
 * were seen within 50 ms with every core busy. The more slack, the more held frames that a router dropped are taken for unanswered.)
 */
const HOLDS_AFTER_RESET_MS = 150;
const HOLDS_AFTER_DOWN_MS = 250;
/** Until a proxy's reload or a first failure has shown. */
const SHOWS_AFTER_MS = 3_000;
/** One in so many; they have listeners too. */
const SESSIONS_PER_ORDERED = 10;
/** Ordered at once. */
const ORDERING_MAX = 5;
/** A woken origin says its late words. */
const AWAKE_MS = 2_000;

/** When an event began and was over, and what was seen of it. */
interface Times {
  readonly beganAtMs: number;
  readonly actedAtMs: number;
  readonly shownAtMs: number | undefined;
  /** Everything had settled, or was given up. */
  readonly overAtMs: number;
}

export class Course {
  readonly #stage: Stage;
  readonly #watch: Watch;
  #judgedToMs = 0;

  constructor(stage: Stage, members: readonly Member[]) {
    this.#stage = stage;
    this.#watch = new Watch(stage, members);
  }

  async run(events: readonly FleetEvent[]): Promise<EventOutcome[]> {
    await this.#watch.settled(0, "at first");
    const outcomes: EventOutcome[] = [];
    for (const event of events) outcomes.push(await this.#happen(event));
    return outcomes;
  }

  async #happen(event: FleetEvent): Promise<EventOutcome> {
    const { contestant, ledger, streams, store, crowd, progress, follows, sessions } = this.#stage;
    const watch = this.#watch;
    if (event.deadly === "router") await this.#displace();
    const before = { members: await watch.seen(), places: watch.places() };
    const refusedBefore = store.refusedCount;
    const fromMs = Math.max(this.#judgedToMs, Date.now() - UNDER_WAY_MS);
    const beganAtMs = Date.now();
    await event.act(this.#stage);
    const actedAtMs = event.deadly === "origins" ? beganAtMs : Date.now();
    const wanted = event.change(before.members);
    const shownAtMs = await watch.shown(wanted, event.name);
    watch.members = wanted;
    const settledAtMs = await watch.settled(contestant.members ? 0 : SHOWS_AFTER_MS, event.name);
    const after = { members: await watch.seen(), places: watch.places() };
    if (event.wake) await event.wake(this.#stage).then(() => pause(AWAKE_MS));

    let cleanly = settledAtMs !== undefined;
    if (event.undo && follows) cleanly = (await this.#undone(event, before.members)) && cleanly;
    const period: Period = { fromMs, toMs: Date.now() };
    await watch.lastAnswers(period.toMs);
    await crowd.tell(ledger, streams);
    const times = { beganAtMs, actedAtMs, shownAtMs, overAtMs: settledAtMs ?? period.toMs };
    const [visitors, listeners] = this.#touched(event, times);
    const gapsIn = { fromMs, toMs: times.overAtMs };
    const gapsMs = ascending(ledger.gapsMs(gapsIn, Date.now(), visitors.size > 0 ? visitors : new Set(crowd.visitors)));
    const judgement = ledger.judge(period, this.#harm(event, times));
    const streamed = streams.judge(period);
    const split = store.splitSessions(fromMs);
    this.#judgedToMs = period.toMs;

    const outcome: EventOutcome = {
      event: event.name,
      gapsMs,
      figures: {
        ...figuresOf(judgement),
        ...(shownAtMs === undefined || event.deadly === "router" ? {} : { DetectMs: shownAtMs - actedAtMs }),
        GapP50Ms: quantile(gapsMs, 0.5),
        GapP99Ms: quantile(gapsMs, 0.99),
        GapMaxMs: quantile(gapsMs, 1),
        ...this.#streamFigures(streamed, gapsIn, listeners),
        ...(event.name === "routerRestart" ? { DownMs: actedAtMs - beganAtMs } : {}),
        ...(event.deadly === "router" ? this.#returns(times) : {}),
        MovedShare: differing(before.places, after.places) / sessions,
        OptimumShare: differing(watch.belong(before.members), watch.belong(after.members)) / sessions,
        SplitBrainSessions: split.length,
      },
    };
    const notes = [`${visitors.size} visitors and ${listeners.size} listeners touched`, `${store.refusedCount - refusedBefore} late frames refused`];
    if (judgement.unansweredUntilMs !== undefined) notes.push(`unanswered up to ${judgement.unansweredUntilMs - beganAtMs} ms after the event`);
    progress(`  ${described(outcome)}; ${notes.join(", ")}`);
    for (const example of [...judgement.examples, ...streamed.examples]) progress(`    ${example}`);
    if (event.name !== "region" && (!follows || !cleanly)) await this.#afresh(event, before.members);
    return outcome;
  }

  /** Some sessions are ordered to where the ring does not have them: whether they are found there again shows what a router remembers. */
  async #displace(): Promise<void> {
    const { contestant, sessions, progress } = this.#stage;
    const { ordered } = this.#watch;
    if (!contestant.order || ordered.size > 0) return;
    const members = await this.#watch.seen();
    const places = this.#watch.belong(members);
    for (let session = 0; session < sessions; session += SESSIONS_PER_ORDERED) {
      const owner = members.find(({ id }) => id === places[session]);
      const other = members.find(({ id, region }) => region === owner?.region && id !== owner?.id);
      if (other) ordered.set(session, other.id);
    }
    const orders = [...ordered];
    const orderSome = async (): Promise<void> => {
      for (let next = orders.pop(); next; next = orders.pop()) {
        const [session, id] = next;
        const faulty = await contestant.order?.(keyOf(session), id).catch(String);
        if (faulty === undefined) continue;
        progress(`  ${keyOf(session)} was not ordered to ${id}: ${faulty}`);
        ordered.delete(session);
      }
    };
    await Promise.all(Array.from({ length: ORDERING_MAX }, orderSome));
    await this.#watch.settled(0, `${ordered.size} sessions ordered elsewhere`);
  }

  /** Visitors and listeners; a listener also by the visitors of its session. */
  #touched(event: FleetEvent, { beganAtMs, overAtMs }: Times): readonly [visitors: Set<number>, listeners: Set<number>] {
    const { ledger, streams, crowd } = this.#stage;
    const touchedIn = { fromMs: beganAtMs, toMs: overAtMs };
    const visitors = ledger.touched(touchedIn, new Set(event.origins));
    const sessions = new Set([...visitors].map(sessionOf));
    const byThemselves = streams.touched(touchedIn);
    return [visitors, new Set(crowd.listeners.filter((session) => sessions.has(session) || byThemselves.has(session)))];
  }

  #harm({ name, deadly, origins }: FleetEvent, { beganAtMs, shownAtMs, overAtMs }: Times): Deaths | Cut | undefined {
    if (deadly === "nobody") return undefined;
    if (deadly === "router") return { kind: "cut", atMs: beganAtMs };
    // A reset shows at once, a silence when the checks have found it; a client that reconnects holds nothing but what it makes without a socket.
    const holdsByMs = name === "hang" ? (shownAtMs ?? overAtMs) + HOLDS_AFTER_DOWN_MS : beganAtMs + HOLDS_AFTER_RESET_MS;
    const heldByMs = this.#stage.contestant.members ? holdsByMs : Infinity;
    return { kind: "deaths", origins: new Set(origins), atMs: beganAtMs, heldByMs };
  }

  #streamFigures({ closes, lost, duplicated, reordered }: StreamJudgement, gapsIn: Period, listeners: ReadonlySet<number>): Record<string, number> {
    const { streams, crowd } = this.#stage;
    const gapsMs = ascending(streams.gapsMs(gapsIn, Date.now(), listeners.size > 0 ? listeners : new Set(crowd.listeners)));
    return {
      SseCloses: closes,
      SseLost: lost,
      SseDuplicated: duplicated,
      SseReordered: reordered,
      SseGapP50Ms: quantile(gapsMs, 0.5),
      SseGapP99Ms: quantile(gapsMs, 0.99),
      SseGapMaxMs: quantile(gapsMs, 1),
    };
  }

  /** How long everybody was gone, and whether they found whom they had left. */
  #returns({ beganAtMs, overAtMs }: Times): Record<string, number> {
    const { ledger, streams } = this.#stage;
    const cutIn = { fromMs: beganAtMs, toMs: overAtMs };
    const [visitors, listeners] = [ledger.returns(cutIn), streams.returns(cutIn)];
    return {
      ...backFigures("Back", visitors),
      ...backFigures("SseBack", listeners),
      SameOwnerShare: shareOf([...visitors, ...listeners], ({ sameOwner }) => sameOwner),
    };
  }

  /** Undoes an event and lets everything come back; whether it did in time. */
  async #undone(event: FleetEvent, members: readonly Member[]): Promise<boolean> {
    await event.undo?.(this.#stage);
    const shown = await this.#watch.shown(members, `${event.name}, undone`);
    this.#watch.members = members;
    return (await this.#watch.settled(0, `${event.name}, undone`)) !== undefined && shown !== undefined;
  }

  /** Everybody goes and comes back, to where new sessions are placed. */
  async #afresh(event: FleetEvent, members: readonly Member[]): Promise<void> {
    const { follows, contestant, crowd, ledger, streams } = this.#stage;
    if (!follows) {
      if (event.undo) this.#watch.members = members;
      await (event.undo ? event.undo(this.#stage) : contestant.forgive());
      await this.#watch.shown(this.#watch.members, `${event.name}, undone`);
    }
    await crowd.again();
    this.#watch.ordered.clear();
    await this.#watch.settled(0, `after ${event.name}`);
    await crowd.tell(ledger, streams);
    this.#judgedToMs = Date.now();
  }
}

function figuresOf({ visitorCloses, lost, unanswered, duplicated, reordered }: Judgement): Record<string, number> {
  return { VisitorCloses: visitorCloses, Lost: lost, Unanswered: unanswered, Duplicated: duplicated, Reordered: reordered };
}

function backFigures(name: string, returns: readonly Return[]): Record<string, number> {
  const backMs = ascending(returns.map((each) => each.backMs));
  return { [`${name}P50Ms`]: quantile(backMs, 0.5), [`${name}P99Ms`]: quantile(backMs, 0.99), [`${name}MaxMs`]: quantile(backMs, 1) };
}

/** Of none: 0, for then nothing was shown. */
function shareOf<T>(all: readonly T[], are: (each: T) => boolean): number {
  return all.length === 0 ? 0 : all.filter(are).length / all.length;
}

function ascending(numbers: readonly number[]): number[] {
  return numbers.toSorted((a, b) => a - b);
}

function described({ event, figures }: EventOutcome): string {
  const figure = ([name, value]: readonly [string, number]): string => `${name} ${Number(value.toFixed(3))}`;
  return `${event}: ${Object.entries(figures).map(figure).join(", ")}`;
}

function differing<T>(before: readonly T[], after: readonly T[]): number {
  return before.filter((place, session) => place !== after[session]).length;
}
