// One contestant through all events: each from a settled fleet to a settled fleet, then undone, and judged. Where a contestant does not bring
// sessions back by itself, or something did not settle in time, everybody goes and comes back before the next event.

import type { Contestant } from "./contestant.ts";
import type { Crowd } from "./crowd.ts";
import { shows, type FleetEvent } from "./events.ts";
import type { Fleet } from "./fleet.ts";
import { quantile } from "./gaps.ts";
import type { Deaths, Judgement, Ledger, Period } from "./ledger.ts";
import { sessionOf } from "./names.ts";
import { placesOf, type Member } from "./places.ts";
import type { Store } from "./store.ts";

export interface Stage {
  readonly contestant: Contestant;
  readonly fleet: Fleet;
  readonly crowd: Crowd;
  readonly store: Store;
  readonly ledger: Ledger;
  readonly sessions: number;
  /** Whether its sessions follow the ring by themselves. */
  readonly follows: boolean;
  /** What `placesOf` decides by: a configuration of Limpet's. */
  readonly config: unknown;
  readonly progress: (text: string) => void;
}

export interface EventOutcome {
  readonly event: FleetEvent["name"];
  /** By the name of the metric, without the event's. */
  readonly figures: Readonly<Record<string, number>>;
  /** Sorted; of the visitors whom the event touched. */
  readonly gapsMs: readonly number[];
}

const POLL_MS = 20;
const LOOK_EVERY_MS = 200;
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
/** After which a wait is given up, and said to be. */
const SETTLE_LIMIT_MS = 30_000;
const SETTLE_LEAST_MS = 5_000;
/** All waits of one contestant: past it each is given the least. */
const COURSE_LIMIT_MS = 150_000;
const LAST_ANSWERS_MS = 2_000;
/** A woken origin says its late words. */
const AWAKE_MS = 2_000;

export class Course {
  readonly #stage: Stage;
  readonly #untilMs = Date.now() + COURSE_LIMIT_MS;
  /** Of a contestant that does not say: as it ought to be. */
  #members: Member[];
  #judgedToMs = 0;

  constructor(stage: Stage, members: readonly Member[]) {
    this.#stage = stage;
    this.#members = [...members];
  }

  async run(events: readonly FleetEvent[]): Promise<EventOutcome[]> {
    await this.#settled(0, "at first");
    const outcomes: EventOutcome[] = [];
    for (const event of events) outcomes.push(await this.#happen(event));
    return outcomes;
  }

  async #happen(event: FleetEvent): Promise<EventOutcome> {
    const { contestant, ledger, store, crowd, progress, follows } = this.#stage;
    const before = { members: await this.#seen(), places: this.#places() };
    const refusedBefore = store.refusedCount;
    const fromMs = Math.max(this.#judgedToMs, Date.now() - UNDER_WAY_MS);
    const beganAtMs = Date.now();
    await event.act(this.#stage);
    const actedAtMs = event.deadly ? beganAtMs : Date.now();
    const wanted = event.change(before.members);
    const shownAtMs = await this.#shown(wanted, event.name);
    this.#members = wanted;
    const settledAtMs = await this.#settled(contestant.members ? 0 : SHOWS_AFTER_MS, event.name);
    const after = { members: await this.#seen(), places: this.#places() };
    if (event.wake) await event.wake(this.#stage).then(() => pause(AWAKE_MS));

    let cleanly = settledAtMs !== undefined;
    if (event.undo && follows) cleanly = (await this.#undone(event, before.members)) && cleanly;
    const period: Period = { fromMs, toMs: Date.now() };
    await this.#lastAnswers(period.toMs);
    await crowd.tell(ledger);
    const touchedIn = { fromMs: beganAtMs, toMs: settledAtMs ?? period.toMs };
    const touched = ledger.touched(touchedIn, new Set(event.origins));
    const gapsIn = { fromMs, toMs: touchedIn.toMs };
    const gapsMs = ledger.gapsMs(gapsIn, Date.now(), touched.size > 0 ? touched : new Set(crowd.visitors)).toSorted((a, b) => a - b);
    // A reset shows at once, a silence when the checks have found it; a client that reconnects holds nothing but what it makes without a socket.
    const holdsByMs = event.name === "hang" ? (shownAtMs ?? touchedIn.toMs) + HOLDS_AFTER_DOWN_MS : beganAtMs + HOLDS_AFTER_RESET_MS;
    const heldByMs = contestant.members ? holdsByMs : Infinity;
    const deaths: Deaths | undefined = event.deadly ? { origins: new Set(event.origins), atMs: beganAtMs, heldByMs } : undefined;
    const judgement = ledger.judge(period, deaths);
    const split = store.splitSessions(fromMs);
    this.#judgedToMs = period.toMs;

    const outcome: EventOutcome = {
      event: event.name,
      gapsMs,
      figures: {
        ...figuresOf(judgement),
        ...(shownAtMs === undefined ? {} : { DetectMs: shownAtMs - actedAtMs }),
        GapP50Ms: quantile(gapsMs, 0.5),
        GapP99Ms: quantile(gapsMs, 0.99),
        GapMaxMs: quantile(gapsMs, 1),
        MovedShare: differing(before.places, after.places) / this.#stage.sessions,
        OptimumShare: differing(this.#belong(before.members), this.#belong(after.members)) / this.#stage.sessions,
        SplitBrainSessions: split.length,
      },
    };
    const notes = [`${touched.size} visitors touched`, `${store.refusedCount - refusedBefore} late frames refused`];
    if (judgement.unansweredUntilMs !== undefined) notes.push(`unanswered up to ${judgement.unansweredUntilMs - beganAtMs} ms after the event`);
    progress(`  ${described(outcome)}; ${notes.join(", ")}`);
    for (const example of judgement.examples) progress(`    ${example}`);
    if (event.name !== "region" && (!follows || !cleanly)) await this.#afresh(event, before.members);
    return outcome;
  }

  /** Undoes an event and lets everything come back; whether it did in time. */
  async #undone(event: FleetEvent, members: readonly Member[]): Promise<boolean> {
    await event.undo?.(this.#stage);
    const shown = await this.#shown(members, `${event.name}, undone`);
    this.#members = [...members];
    return (await this.#settled(0, `${event.name}, undone`)) !== undefined && shown !== undefined;
  }

  /** Everybody goes and comes back, to where new sessions are placed. */
  async #afresh(event: FleetEvent, members: readonly Member[]): Promise<void> {
    const { follows, crowd, ledger } = this.#stage;
    if (!follows) {
      await event.undo?.(this.#stage);
      if (event.undo) this.#members = [...members];
      await this.#shown(this.#members, `${event.name}, undone`);
    }
    await crowd.again();
    await this.#settled(0, `after ${event.name}`);
    await crowd.tell(ledger);
    this.#judgedToMs = Date.now();
  }

  /** When the router showed its fleet like this; `undefined` for one that shows none, or did not in time. */
  async #shown(wanted: readonly Member[], when: string): Promise<number | undefined> {
    const { contestant, progress } = this.#stage;
    if (!contestant.members) return undefined;
    for (const untilMs = this.#limitMs(); Date.now() < untilMs; await pause(POLL_MS)) {
      if (shows((await this.#look()) ?? [], wanted)) return Date.now();
    }
    progress(`  ${when}: the router does not show its fleet as it is`);
    return undefined;
  }

  /** When everybody had answers to what they said since (and `leastMs` more), each session from where it belongs; `undefined`: not in time. */
  async #settled(leastMs: number, when: string): Promise<number | undefined> {
    const { crowd, progress } = this.#stage;
    const fromMs = Date.now();
    let calmSinceMs: number | undefined;
    let why = "";
    for (const untilMs = this.#limitMs(); Date.now() < untilMs; await pause(LOOK_EVERY_MS)) {
      const nowMs = Date.now();
      const stale = await crowd.stale(Math.max(nowMs - 3 * crowd.everyMs, fromMs + leastMs));
      const misplaced = await this.#misplaced();
      why = `${stale} visitors without an answer, ${misplaced} not where they belong`;
      if (stale + misplaced > 0 || nowMs < fromMs + leastMs) calmSinceMs = undefined;
      else if (calmSinceMs === undefined) calmSinceMs = nowMs;
      else if (nowMs - calmSinceMs > crowd.everyMs) return calmSinceMs;
    }
    progress(`  ${when}: not settled in time, ${why}`);
    return undefined;
  }

  /** Until what was sent before a moment is answered, or will not be. */
  async #lastAnswers(beforeMs: number): Promise<void> {
    for (const untilMs = Date.now() + LAST_ANSWERS_MS; Date.now() < untilMs; await pause(LOOK_EVERY_MS)) {
      if ((await this.#stage.crowd.waiting(beforeMs)) === 0) return;
    }
  }

  async #misplaced(): Promise<number> {
    const { contestant, crowd, store } = this.#stage;
    if (!contestant.members) return 0;
    const members = await this.#look();
    if (!members) return crowd.visitors.length;
    const places = this.#belong(members);
    return crowd.visitors.filter((visitor) => store.placeOf(visitor)?.origin !== places[sessionOf(visitor)]).length;
  }

  async #seen(): Promise<Member[]> {
    return (await this.#look()) ?? this.#members;
  }

  /** What the router says of its fleet; `undefined` where it says nothing, or not now. */
  async #look(): Promise<Member[] | undefined> {
    try {
      return await this.#stage.contestant.members?.();
    } catch (error) {
      this.#stage.progress(`  ${error instanceof Error ? error.message : String(error)}`);
      return undefined;
    }
  }

  #belong(members: readonly Member[]): (string | undefined)[] {
    return placesOf(this.#stage.config, members, this.#stage.sessions);
  }

  /** Where the store has last heard each session's visitors from. */
  #places(): string[] {
    const { crowd, store, sessions } = this.#stage;
    const places = Array.from({ length: sessions }, () => "");
    for (const visitor of crowd.visitors) places[sessionOf(visitor)] += ` ${store.placeOf(visitor)?.origin ?? ""}`;
    return places;
  }

  #limitMs(): number {
    return Date.now() + Math.max(SETTLE_LEAST_MS, Math.min(SETTLE_LIMIT_MS, this.#untilMs - Date.now()));
  }
}

function figuresOf({ visitorCloses, lost, unanswered, duplicated, reordered }: Judgement): Record<string, number> {
  return { VisitorCloses: visitorCloses, Lost: lost, Unanswered: unanswered, Duplicated: duplicated, Reordered: reordered };
}

function described({ event, figures }: EventOutcome): string {
  const figure = ([name, value]: readonly [string, number]): string => `${name} ${Number(value.toFixed(3))}`;
  return `${event}: ${Object.entries(figures).map(figure).join(", ")}`;
}

function differing<T>(before: readonly T[], after: readonly T[]): number {
  return before.filter((place, session) => place !== after[session]).length;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
