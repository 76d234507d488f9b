// One step of the day after another: something is done, the router shows it, every session is where it belongs, and for a while nothing happens.
// Then the step is judged. Waits are bounded; what was not in time is recorded as such.

import type { Crowd } from "../harness/sessions/crowd.ts";
import type { Fleet } from "../harness/sessions/fleet.ts";
import type { Deaths, Judgement, Ledger, Period } from "../harness/sessions/ledger.ts";
import type { Limpet } from "../harness/sessions/limpet.ts";
import { sessionOf, VISITORS_PER_SESSION } from "../harness/sessions/names.ts";
import { placesOf } from "../harness/sessions/places.ts";
import type { Store } from "../harness/sessions/store.ts";
import type { Streams, StreamJudgement } from "../harness/sessions/streams.ts";
import type { DayConfig } from "./config.ts";
import type { Lookout, Seen } from "./lookout.ts";
import { movesOf, optimumOf, sum } from "./moves.ts";
import type { StepRecord } from "./report.ts";

export interface World {
  readonly limpet: Limpet;
  readonly fleet: Fleet;
  readonly crowd: Crowd;
  readonly store: Store;
  readonly ledger: Ledger;
  readonly streams: Streams;
  readonly lookout: Lookout;
  readonly config: DayConfig;
  readonly sessions: number;
  readonly progress: (text: string) => void;
}

export interface Step {
  readonly phase: string;
  readonly what: string;
  /** Whose rings it is about. */
  readonly regions: readonly string[];
  /** Origins whom it kills. */
  readonly kills?: readonly string[];
  readonly act: () => Promise<unknown>;
  /** Whether the router shows what came of it. */
  readonly shows: (fleet: readonly Seen[]) => boolean;
}

/** After which a wait is given up, and said to be. */
const LIMIT_MS = 45_000;
/** Everything is as it should be for so long before it is called settled. */
const CALM_MS = 1_000;
/** After a step nothing happens for so long: longer than the horizon, so that Workers agree for some of it. */
const STEADY_MS = 3_000;
const LAST_ANSWERS_MS = 3_000;
const POLL_MS = 200;
/** Within it the router has seen that a socket was reset, and holds what is for it. (50 ms with every core busy; see bench/rehome/course.ts.) */
const HOLDS_AFTER_RESET_MS = 150;

export class Course {
  readonly #world: World;
  readonly #beganAtMs = Date.now();
  readonly records: StepRecord[] = [];
  #judgedToMs = Date.now();
  /** Where each session belonged when the last step was over: what changes by itself until the next (an ejection that ends) is of the next. */
  #resting: readonly (string | undefined)[] = [];
  #placed: { of: string; places: (string | undefined)[] } = { of: "", places: [] };

  constructor(world: World) {
    this.#world = world;
  }

  /** The fleet as it is to begin with. */
  async begin(shows: Step["shows"]): Promise<void> {
    if ((await this.#shown(shows)) === undefined || (await this.#settled()) === undefined) throw new Error("the fleet did not settle before the day");
    this.#resting = this.#places(this.#world.lookout.seen);
    await this.#judge(Date.now(), undefined);
  }

  async step({ phase, what, regions, kills = [], act, shows }: Step): Promise<void> {
    const { lookout, progress } = this.#world;
    const before = this.#resting;
    const beganAtMs = Date.now();
    progress(`${this.#clock()} ${phase}: ${what} …`);
    lookout.ramping = regions;
    await act();
    const death = kills.length > 0 ? { fromMs: beganAtMs, toMs: Date.now() } : undefined;
    const shownAtMs = await this.#shown(shows);
    const settledAtMs = shownAtMs === undefined ? undefined : await this.#settled();
    const after = this.#places(lookout.seen);
    this.#resting = after;
    if (settledAtMs !== undefined) lookout.ramping = [];
    await pause(STEADY_MS);
    lookout.ramping = [];
    const overAtMs = Date.now();
    const deaths: Deaths | undefined = death && {
      kind: "deaths",
      origins: new Set(kills),
      atMs: beganAtMs,
      heldByMs: beganAtMs + HOLDS_AFTER_RESET_MS,
    };
    const [frames, streams] = await this.#judge(overAtMs, deaths);
    const { moved, gapsMs } = this.#moves({ fromMs: beganAtMs, toMs: overAtMs });
    const record = {
      phase,
      what,
      regions,
      beganAtMs,
      shownAtMs,
      settledAtMs,
      overAtMs,
      moved,
      optimum: optimumOf(before, after),
      frames,
      streams,
      gapsMs,
      death,
    };
    this.records.push(record);
    progress(`${this.#clock()}   ${told(record)}`);
    for (const example of [...frames.examples, ...streams.examples]) progress(`      ${example}`);
  }

  /** When the router showed it; `undefined`: not in time. */
  async #shown(shows: Step["shows"]): Promise<number | undefined> {
    const { lookout, progress } = this.#world;
    for (const untilMs = Date.now() + LIMIT_MS; Date.now() < untilMs;) if (shows(await lookout.next())) return Date.now();
    progress(
      `      the router does not show it: ${lookout.seen.map(({ id, state, health, share }) => `${id} ${state} ${health} ${share}`).join(", ")}`,
    );
    return undefined;
  }

  /** When every session was where it belongs and everybody had an answer to something they said since; `undefined`: not in time. */
  async #settled(): Promise<number | undefined> {
    const { crowd, lookout, progress } = this.#world;
    const fromMs = Date.now();
    let calmSinceMs: number | undefined;
    let why = "";
    for (const untilMs = fromMs + LIMIT_MS; Date.now() < untilMs; await pause(POLL_MS)) {
      const nowMs = Date.now();
      const stale = await crowd.stale(Math.max(nowMs - 3 * crowd.everyMs, fromMs));
      const misplaced = this.#misplaced(lookout.seen);
      why = `${stale} visitors without an answer, ${misplaced} visitors and listeners not where they belong`;
      if (misplaced > 0) calmSinceMs = undefined;
      else calmSinceMs ??= nowMs;
      if (calmSinceMs !== undefined && nowMs - calmSinceMs >= CALM_MS && stale === 0) return calmSinceMs;
    }
    progress(`      not settled in time: ${why}`);
    return undefined;
  }

  #misplaced(fleet: readonly Seen[]): number {
    const { crowd, ledger, streams } = this.#world;
    const places = this.#places(fleet);
    const visitors = crowd.visitors.filter((visitor) => ledger.legsOf(visitor).at(-1)?.origin !== places[sessionOf(visitor)]);
    return visitors.length + crowd.listeners.filter((session) => streams.placeOf(session) !== places[session]).length;
  }

  /** Where each session belongs in such a fleet; remembered, for it is asked often and computed over all of them. */
  #places(fleet: readonly Seen[]): (string | undefined)[] {
    const { config, sessions } = this.#world;
    const members = fleet.map(({ id, region, url, weight, salt, state, health }) => ({ id, region, url, weight, salt, state, health }));
    const of = JSON.stringify(members);
    if (this.#placed.of !== of) this.#placed = { of, places: placesOf(config, members, sessions) };
    return this.#placed.places;
  }

  async #judge(toMs: number, deaths: Deaths | undefined): Promise<[Judgement, StreamJudgement]> {
    const { crowd, ledger, streams } = this.#world;
    for (const untilMs = Date.now() + LAST_ANSWERS_MS; Date.now() < untilMs && (await crowd.waiting(toMs)) > 0;) await pause(POLL_MS);
    await crowd.tell(ledger, streams);
    const period = { fromMs: this.#judgedToMs, toMs };
    this.#judgedToMs = toMs;
    return [ledger.judge(period, deaths), streams.judge(period)];
  }

  #moves(period: Period): { moved: number; gapsMs: number[] } {
    const { ledger, crowd, sessions } = this.#world;
    const moves = Array.from({ length: sessions }, (_, session) => {
      return movesOf(
        crowd.visitors.slice(session * VISITORS_PER_SESSION, (session + 1) * VISITORS_PER_SESSION).flatMap((each) => ledger.legsOf(each)),
        period,
      );
    });
    const movers = new Set(crowd.visitors.filter((visitor) => (moves[sessionOf(visitor)] ?? 0) > 0));
    return { moved: sum(moves), gapsMs: ledger.gapsMs(period, period.toMs, movers).toSorted((a, b) => a - b) };
  }

  #clock(): string {
    const seconds = Math.floor((Date.now() - this.#beganAtMs) / 1_000);
    return `${String(Math.floor(seconds / 60)).padStart(2, "0")}:${String(seconds % 60).padStart(2, "0")}`;
  }
}

function told({ beganAtMs, shownAtMs, settledAtMs, moved, optimum, frames, streams, gapsMs }: StepRecord): string {
  const after = (atMs: number | undefined): string => (atMs === undefined ? "never" : `after ${((atMs - beganAtMs) / 1_000).toFixed(1)} s`);
  return [
    `shown ${after(shownAtMs)}, settled ${after(settledAtMs)}`,
    `${moved} sessions moved (optimum ${optimum}), longest wait ${Math.round(gapsMs.at(-1) ?? 0)} ms`,
    `closes ${frames.visitorCloses + streams.closes}, lost ${frames.lost + streams.lost}, duplicated ${frames.duplicated + streams.duplicated}, reordered ${frames.reordered + streams.reordered}` +
      (frames.unanswered > 0 ? `, unanswered by the dead ${frames.unanswered}` : ""),
  ].join("; ");
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
