// What a ring remembers of its pool's regions: another set of them, or other weights, gives keys of `home: "session"` another home at once, while their
// sessions live on at the one before. For as long as a session may live both homes know of each other. Pure.

import { rendezvous, type WeightedRegion } from "./home.ts";

export type RegionSet = readonly WeightedRegion[];

export interface Transition {
  /** As the configuration has them. */
  readonly now: RegionSet;
  /** As they were, and until when a session of that time may live; the oldest first. */
  readonly before: readonly { readonly regions: RegionSet; readonly untilMs: number }[];
  /** Regions that a newborn ring has not heard: each may know of sets before its birth. */
  readonly untold: readonly string[];
}

/** Sets that are remembered; one more, and the oldest is forgotten. */
const SETS_MAX = 8;

/** A ring's first knowledge; `isNewborn`: it has never placed anybody. */
export function firstTransition(now: RegionSet, own: string, isNewborn: boolean): Transition {
  return { now: plain(now), before: [], untold: isNewborn ? now.map(({ id }) => id).filter((id) => id !== own) : [] };
}

/** What is remembered when the configuration has the regions so; the same object where that is no change. */
export function withRegions(known: Transition, regions: RegionSet, nowMs: number, lifeMs: number): Transition {
  const now = plain(regions);
  if (isSame(known.now, now)) return known;
  const untold = known.untold.filter((id) => now.some((region) => region.id === id));
  return { now, untold, before: remembered([...known.before, { regions: known.now, untilMs: nowMs + lifeMs }], now, nowMs) };
}

/** What another ring of the pool has told. */
export function withTold(known: Transition, from: string, told: Pick<Transition, "now" | "before">, nowMs: number, lifeMs: number): Transition {
  const theirs = [...told.before, { regions: told.now, untilMs: nowMs + lifeMs }];
  const before = [...known.before, ...theirs].toSorted((a, b) => a.untilMs - b.untilMs);
  return { ...known, before: remembered(before, known.now, nowMs), untold: known.untold.filter((id) => id !== from) };
}

/** What of it still counts; the same object where all does. */
export function stillRemembered(known: Transition, nowMs: number): Transition {
  return known.before.every(({ untilMs }) => untilMs > nowMs) ? known : { ...known, before: remembered(known.before, known.now, nowMs) };
}

/** Other regions where a session of this key may live, or may begin by another configuration than ours. */
export function otherHomes({ now, before, untold }: Transition, lot: number, own: string, nowMs: number): string[] {
  const sets = [now, ...before.filter(({ untilMs }) => untilMs > nowMs).map(({ regions }) => regions)];
  const homes = sets.flatMap((regions) => rendezvous(regions, lot) ?? []);
  return [...new Set([...homes, ...untold])].filter((region) => region !== own);
}

/** Other regions whose rings may have sessions that are at home here now. */
export function formerRegions({ before }: Transition, own: string): string[] {
  return [...new Set(before.flatMap(({ regions }) => regions.map(({ id }) => id)))].filter((region) => region !== own).toSorted();
}

/** The last time that a set held counts; the one that holds now is none of those before. */
function remembered(before: Transition["before"], now: RegionSet, nowMs: number): Transition["before"] {
  const last = new Map<string, Transition["before"][number]>();
  for (const each of before) {
    last.delete(nameOf(each.regions));
    last.set(nameOf(each.regions), each);
  }
  return [...last.values()].filter(({ regions, untilMs }) => untilMs > nowMs && !isSame(regions, now)).slice(-SETS_MAX);
}

function isSame(one: RegionSet, other: RegionSet): boolean {
  return nameOf(one) === nameOf(other);
}

const nameOf = (regions: RegionSet): string => regions.map(({ id, weight }) => `${id}=${weight}`).join();

const plain = (regions: RegionSet): RegionSet => regions.map(({ id, weight }) => ({ id, weight }));
