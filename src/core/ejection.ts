// Passive health: which origin is ejected by what became of requests to it, for how long, and whether the region can do without it. Pure: one telling in,
// the next state out. A telling is what one isolate has seen of an origin from its first fault on, for a second: faults with the successes beside them.

import { unavailability } from "./availability.ts";
import type { SnapshotOrigin } from "./snapshot.ts";

/** What one isolate has seen of one origin in one window. */
export interface Told {
  /** Answered, and well. */
  readonly ok: number;
  /** Answered with an error of its own (5xx). */
  readonly errors: number;
  /** Not reached, cut off, or late. */
  readonly unreached: number;
  /** Of those that were answered: later than all that the isolate knows of the others and of this one's past. */
  readonly slow: number;
  /** Some of the keys that had errors or no answer, and of those that were slow. */
  readonly keys: readonly number[];
  readonly slowKeys: readonly number[];
}

export interface EjectionPolicy {
  readonly faults: number;
  readonly baseMs: number;
  readonly maxShare: number;
}

/** What speaks against an origin. */
export type Charge = "unreached" | "errors" | "slow";

/** What is remembered of an origin between two tellings. */
export interface Watched {
  /** Faults in a row, successes taken off, within `RUN_MS` of each other; and the keys that had them. */
  readonly run: number;
  readonly runAtMs: number;
  readonly keys: readonly number[];
  /** Tellings of the last `RUN_MS`. */
  readonly lately: readonly (Told & { readonly atMs: number })[];
}

export const UNWATCHED: Watched = { run: 0, runAtMs: 0, keys: [], lately: [] };

/** Faults that lie further apart have nothing to do with each other. */
export const RUN_MS = 10_000;
/** Keys that are remembered; what is counted is whether they are several. */
export const KEYS_MAX = 8;
/** Tellings that are remembered of one origin: of more the oldest is forgotten. */
const LATELY_MAX = 64;
/** One session that breaks its origin's answers, or one that is slow by itself, ejects nobody. */
const KEYS_LEAST = 3;
const SLOW_KEYS_LEAST = 5;
/** So many answers make a ratio, and this part of them must be errors. */
const ERRORS_SAMPLE = 20;
const ERRORS_PART = 0.5;
/** The same of slow ones; and the others of the ring may have no more than that. */
const SLOW_SAMPLE = 10;
const SLOW_PART = 0.5;
const OTHERS_SLOW_PART = 0.1;

/** What is remembered after one telling. */
export function afterTold(before: Watched, told: Told, nowMs: number): Watched {
  const fresh = nowMs - before.runAtMs < RUN_MS;
  const faults = told.unreached;
  const run = Math.max(0, (fresh ? before.run : 0) + faults - told.ok - told.errors); // one that answers at all is reached
  const keys = run === 0 ? [] : distinct([...(fresh ? before.keys : []), ...(faults > 0 ? told.keys : [])]);
  const lately = [...before.lately.filter(({ atMs }) => nowMs - atMs < RUN_MS), { ...told, atMs: nowMs }].slice(-LATELY_MAX);
  return { run, runAtMs: faults > 0 ? nowMs : before.runAtMs, keys, lately };
}

/** Why an origin is to be ejected, by what is remembered of it and of its ring's others; `undefined`: it is not. */
export function chargeOf(watched: Watched, others: readonly Watched[], { faults }: EjectionPolicy, nowMs: number): Charge | undefined {
  if (watched.run >= faults && watched.keys.length >= KEYS_LEAST) return "unreached";
  const last = watched.lately.at(-1);
  if (last && (isFailing(last, faults) || isFailing(sumOf(watched, nowMs), faults))) return "errors";
  return isSlow(sumOf(watched, nowMs), sumOfAll(others, nowMs)) ? "slow" : undefined;
}

function isFailing({ ok, errors, keys }: Told, faults: number): boolean {
  const all = ok + errors;
  if (errors === 0 || distinct(keys).length < KEYS_LEAST) return false;
  return (all >= ERRORS_SAMPLE && errors >= ERRORS_PART * all) || (ok === 0 && errors >= faults);
}

function isSlow(own: Told, others: Told): boolean {
  const [samples, othersSamples] = [own.ok + own.errors, others.ok + others.errors];
  if (samples < SLOW_SAMPLE || own.slow < SLOW_PART * samples || distinct(own.slowKeys).length < SLOW_KEYS_LEAST) return false;
  return othersSamples >= SLOW_SAMPLE && others.slow < OTHERS_SLOW_PART * othersSamples;
}

function sumOf({ lately }: Watched, nowMs: number): Told {
  return summed(lately.filter(({ atMs }) => nowMs - atMs < RUN_MS));
}

function sumOfAll(watched: readonly Watched[], nowMs: number): Told {
  return summed(watched.map((each) => sumOf(each, nowMs)));
}

function summed(all: readonly Told[]): Told {
  const count = (what: "ok" | "errors" | "unreached" | "slow"): number => all.reduce((sum, each) => sum + each[what], 0);
  return {
    ok: count("ok"),
    errors: count("errors"),
    unreached: count("unreached"),
    slow: count("slow"),
    keys: distinct(all.flatMap(({ keys }) => keys)),
    slowKeys: distinct(all.flatMap(({ slowKeys }) => slowKeys)),
  };
}

function distinct(keys: readonly number[]): number[] {
  return [...new Set(keys)].slice(0, KEYS_MAX);
}

/** Whether an answer of an origin is late: beyond a second, and four times what the others take and what it took before itself; ms. */
export function isLate(tookMs: number, origin: string, means: ReadonlyMap<string, number>): boolean {
  if (tookMs <= LATE_LEAST_MS) return false;
  const own = means.get(origin);
  const others = [...means].filter(([id]) => id !== origin).map(([, mean]) => mean);
  if (own === undefined || others.length === 0) return false; // nothing to compare it with
  return tookMs > LATE_TIMES * Math.max(own, others.reduce((sum, mean) => sum + mean, 0) / others.length);
}

const LATE_LEAST_MS = 1_000;
const LATE_TIMES = 4;

/** One origin's ejections, as its ring remembers them. */
export interface Ejection {
  readonly why: Charge;
  /** How often in a row, this one counted. */
  readonly times: number;
  /** When it may be tried again. */
  readonly untilMs: number;
  /** When it ends for everybody, where its ring object is not there to try it. */
  readonly boundAtMs: number;
  /** When its last ejection ended, well or by a fall; `undefined`: it is ejected. */
  readonly endedAtMs?: number | undefined;
}

export interface BackOff {
  /** Of the first ejection. */
  readonly baseMs: number;
  /** How long its return may take: a check, until everybody knows of it, and its ramp. */
  readonly returnMs: number;
}

/** An ejection is never longer than so many of the first. */
const LENGTH_MAX = 10;

/** The next ejection of an origin: each time in a row twice as long. Who was well for the longest time that one lasts begins anew. */
export function nextEjection(previous: Ejection | undefined, why: Charge, { baseMs, returnMs }: BackOff, nowMs: number): Ejection {
  const isForgotten = previous?.endedAtMs !== undefined && nowMs - previous.endedAtMs >= LENGTH_MAX * baseMs;
  const times = (isForgotten ? 0 : (previous?.times ?? 0)) + 1;
  const untilMs = nowMs + baseMs * Math.min(LENGTH_MAX, 2 ** (times - 1));
  return { why, times, untilMs, boundAtMs: untilMs + returnMs };
}

/** Whether the region can do without an origin: not too much is ejected then, and enough is left. */
export function canSpare(
  origins: readonly SnapshotOrigin[],
  id: string,
  policy: { readonly maxShare: number; readonly panicShare: number },
  nowMs: number,
): boolean {
  const backup = origins.find((origin) => origin.id === id)?.backup ?? false;
  const group = origins.filter((origin) => origin.backup === backup && origin.lifecycle !== "joining" && origin.weight > 0);
  const weightOf = (which: (origin: SnapshotOrigin) => boolean): number => group.reduce((sum, each) => sum + (which(each) ? each.weight : 0), 0);
  const whole = weightOf(() => true);
  const ejected = weightOf((each) => each.id === id || (each.health === "ejected" && nowMs < each.ejectedUntilMs));
  const left = weightOf((each) => each.id !== id && !unavailability(each, nowMs, NOBODY));
  return left > 0 && ejected <= policy.maxShare * whole + ROUNDING && left >= policy.panicShare * whole - ROUNDING;
}

/** Weights are doubles: a third and two thirds of three are not quite one and two. */
const ROUNDING = 1e-9;
const NOBODY: ReadonlySet<string> = new Set();
