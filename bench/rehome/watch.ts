// Watching a contestant until all has settled: it shows its fleet as it is, everybody is answered, each session is where it belongs, and every
// listener has heard what there is. Waits are bounded, and said when they were in vain.

import type { Contestant } from "../harness/sessions/contestant.ts";
import type { Crowd } from "../harness/sessions/crowd.ts";
import { shows } from "./events.ts";
import type { Logs } from "../harness/sessions/logs.ts";
import { sessionOf } from "../harness/sessions/names.ts";
import { placesOf, type Member } from "../harness/sessions/places.ts";
import type { Store } from "../harness/sessions/store.ts";
import type { Streams } from "../harness/sessions/streams.ts";

export interface Watched {
  readonly contestant: Contestant;
  readonly crowd: Crowd;
  readonly store: Store;
  readonly logs: Logs;
  readonly streams: Streams;
  readonly sessions: number;
  /** What `placesOf` decides by: a configuration of Limpet's. */
  readonly config: unknown;
  readonly progress: (text: string) => void;
}

const POLL_MS = 20;
const LOOK_EVERY_MS = 200;
/** After which a wait is given up, and said to be. */
const SETTLE_LIMIT_MS = 30_000;
const SETTLE_LEAST_MS = 5_000;
/** All waits of one contestant: past it each is given the least. */
const COURSE_LIMIT_MS = 150_000;
const LAST_ANSWERS_MS = 2_000;

export class Watch {
  readonly #watched: Watched;
  readonly #untilMs = Date.now() + COURSE_LIMIT_MS;
  /** The fleet as it ought to be, where its contestant does not say how it sees it. */
  members: readonly Member[];
  /** Sessions that were ordered to where the ring does not have them. */
  readonly ordered = new Map<number, string>();

  constructor(watched: Watched, members: readonly Member[]) {
    this.#watched = watched;
    this.members = members;
  }

  /** When the router showed its fleet like this; `undefined` for one that shows none, or did not in time. */
  async shown(wanted: readonly Member[], when: string): Promise<number | undefined> {
    const { contestant, progress } = this.#watched;
    if (!contestant.members) return undefined;
    for (const untilMs = this.#limitMs(); Date.now() < untilMs; await pause(POLL_MS)) {
      if (shows((await this.#look()) ?? [], wanted)) return Date.now();
    }
    progress(`  ${when}: the router does not show its fleet as it is`);
    return undefined;
  }

  /** When everybody had answers to what they said since (and `leastMs` more), each session from where it belongs; `undefined`: not in time. */
  async settled(leastMs: number, when: string): Promise<number | undefined> {
    const { crowd, progress } = this.#watched;
    const fromMs = Date.now();
    let calmSinceMs: number | undefined;
    let why = "";
    for (const untilMs = this.#limitMs(); Date.now() < untilMs; await pause(LOOK_EVERY_MS)) {
      const nowMs = Date.now();
      const stale = await crowd.stale(Math.max(nowMs - 3 * crowd.everyMs, fromMs + leastMs));
      const misplaced = await this.#misplaced();
      const behind = await this.#behind(nowMs - crowd.everyMs);
      why = `${stale} visitors without an answer, ${behind} listeners behind, ${misplaced} not where they belong`;
      if (stale + misplaced + behind > 0 || nowMs < fromMs + leastMs) calmSinceMs = undefined;
      else if (calmSinceMs === undefined) calmSinceMs = nowMs;
      else if (nowMs - calmSinceMs > crowd.everyMs) return calmSinceMs;
    }
    progress(`  ${when}: not settled in time, ${why}`);
    return undefined;
  }

  /** Until what was sent or logged before a moment has its answer or was heard, or never will. */
  async lastAnswers(beforeMs: number): Promise<void> {
    const { crowd } = this.#watched;
    for (const untilMs = Date.now() + LAST_ANSWERS_MS; Date.now() < untilMs; await pause(LOOK_EVERY_MS)) {
      if ((await crowd.waiting(beforeMs)) + (await this.#behind(beforeMs)) === 0) return;
    }
  }

  async seen(): Promise<readonly Member[]> {
    return (await this.#look()) ?? this.members;
  }

  belong(members: readonly Member[]): (string | undefined)[] {
    const places = placesOf(this.#watched.config, members, this.#watched.sessions);
    return places.map((place, session) => this.ordered.get(session) ?? place);
  }

  /** Where the store has last heard each session's visitors from. */
  places(): string[] {
    const { crowd, store, sessions } = this.#watched;
    const places = Array.from({ length: sessions }, () => "");
    for (const visitor of crowd.visitors) places[sessionOf(visitor)] += ` ${store.placeOf(visitor)?.origin ?? ""}`;
    return places;
  }

  async #misplaced(): Promise<number> {
    const { contestant, crowd, store, streams } = this.#watched;
    if (!contestant.members) return 0;
    const members = await this.#look();
    if (!members) return crowd.visitors.length;
    const places = this.belong(members);
    const visitors = crowd.visitors.filter((visitor) => store.placeOf(visitor)?.origin !== places[sessionOf(visitor)]);
    return visitors.length + crowd.listeners.filter((session) => streams.placeOf(session) !== places[session]).length;
  }

  /** Listeners who have not had what was logged before a moment. */
  async #behind(beforeMs: number): Promise<number> {
    const { crowd, logs } = this.#watched;
    return [...(await crowd.lastHeard())].filter(([session, event]) => event < logs.head(session, beforeMs)).length;
  }

  /** What the router says of its fleet; `undefined` where it says nothing, or not now. */
  async #look(): Promise<Member[] | undefined> {
    try {
      return await this.#watched.contestant.members?.();
    } catch (error) {
      this.#watched.progress(`  ${error instanceof Error ? error.message : String(error)}`);
      return undefined;
    }
  }

  #limitMs(): number {
    return Date.now() + Math.max(SETTLE_LEAST_MS, Math.min(SETTLE_LIMIT_MS, this.#untilMs - Date.now()));
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
