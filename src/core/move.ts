// What a change would move: the difference of two snapshots of one ring, exact, over all keys there can be. This is what `plan` shows.
// Compared is how things are when they have settled: shares at the end of their plans, ejections not yet over as they are now. An origin
// that then takes only a share of its keys counts as taking all of them; what goes to another region, or to nobody, is elsewhere. (Whether
// another region takes what this one does not keep, one ring cannot say; if none does, it stays.)

import { unavailability } from "./availability.ts";
import { CIRCLE, firstAtOrAfter, type Ring } from "./ring.ts";
import { shareAt } from "./share.ts";
import type { RegionView } from "./snapshot.ts";

export interface Difference {
  /** The share (0–1) of the keys whose origin changes. */
  readonly movedShare: number;
  /** The least that must move to get from the one distribution to the other. */
  readonly optimumShare: number;
  /** What goes to no origin of this region: to another region, or to nobody. */
  readonly elsewhere: Change;
  /** Every origin of either snapshot, sorted by id. */
  readonly origins: readonly (Change & { readonly id: string })[];
}

/** Shares of all keys (0–1). */
export interface Change {
  readonly before: number;
  readonly after: number;
  readonly gained: number;
  readonly lost: number;
}

/** One snapshot, settled: where each key goes. */
export interface Settled {
  /** Every origin of the snapshot. */
  readonly ids: readonly string[];
  /** The share (0–1) of its keys that the region keeps. */
  readonly kept: number;
  /** Who takes those. */
  readonly home: Takers;
  /** Who takes the others: backups, or nobody here. */
  readonly spilled: Takers;
}

/** For each point of a ring who takes the keys of its arc. */
interface Takers {
  readonly ring: Ring;
  readonly byPoint: readonly string[];
}

/** The state in which a snapshot ends if nothing else happens. */
export function settle(view: RegionView, nowMs: number): Settled {
  const available = (id: string): boolean => {
    const origin = view.byId.get(id);
    return origin !== undefined && !unavailability(origin, nowMs, NOBODY);
  };
  const admits = (id: string): boolean => available(id) && (view.byId.get(id)?.share.to ?? 0) > 0;
  const { ring, backups } = view;
  // As in the decision: where no share admits anybody, none counts, and a backup's never does. Where nobody is left all goes to the backups.
  const spilled = takersOf(backups, available);
  const home = ring.ids.some(available) ? takersOf(ring, ring.ids.some(admits) ? admits : available) : spilled;
  return { ids: [...view.byId.keys()], kept: shareAt(view.snapshot.kept, Infinity), home, spilled };
}

/** Whoever takes nothing is passed by: his arcs go to the next point whose owner does. Twice around, so that the last arcs see the first. */
function takersOf(ring: Ring, takes: (id: string) => boolean): Takers {
  const { points, owners, ids } = ring;
  const taking = ids.map(takes);
  const byPoint = Array.from(points, () => ELSEWHERE);
  let next = ELSEWHERE;
  for (let step = points.length * 2 - 1; step >= 0; step--) {
    const index = step % points.length;
    const owner = owners[index] ?? 0;
    if (taking[owner]) next = ids[owner] ?? ELSEWHERE;
    byPoint[index] = next;
  }
  return { ring, byPoint };
}

/** Who takes a key that its region keeps; `undefined`: nobody of this region. */
export function takerOf({ home }: Settled, position: number): string | undefined {
  const taker = home.byPoint[firstAtOrAfter(home.ring, position)];
  return taker === ELSEWHERE ? undefined : taker;
}

/** The difference of two states of one ring, over the whole circle. */
export function differenceOf(before: Settled, after: Settled): Difference {
  const tallies = new Map([ELSEWHERE, ...before.ids, ...after.ids].map((id) => [id, { before: 0, after: 0, gained: 0, lost: 0 }]));
  const count = (from: Takers, to: Takers, share: number): void => {
    if (share > 0) forEachArc(from, to, (old, now, positions) => tally(tallies, old, now, positions * share));
  };
  // Which keys are kept is drawn independently of where they stand, and the smaller share's keys are among the larger's.
  const [less, more] = [Math.min(before.kept, after.kept), Math.max(before.kept, after.kept)];
  count(before.home, after.home, less);
  if (before.kept > after.kept) count(before.home, after.spilled, more - less);
  else count(before.spilled, after.home, more - less);
  count(before.spilled, after.spilled, 1 - more);

  const changes = new Map([...tallies].map(([id, tally]) => [id, shares(tally)]));
  const all = [...changes.values()];
  return {
    movedShare: sum(all.map(({ lost }) => lost)),
    optimumShare: sum(all.map((each) => Math.max(0, each.before - each.after))),
    elsewhere: changes.get(ELSEWHERE) ?? shares({ before: 0, after: 0, gained: 0, lost: 0 }),
    origins: [...changes].flatMap(([id, change]) => (id === ELSEWHERE ? [] : [{ id, ...change }])).toSorted((a, b) => (a.id < b.id ? -1 : 1)),
  };
}

function tally(
  tallies: ReadonlyMap<string, { before: number; after: number; gained: number; lost: number }>,
  from: string,
  to: string,
  positions: number,
): void {
  const [old, now] = [tallies.get(from), tallies.get(to)];
  if (!old || !now) return;
  old.before += positions;
  now.after += positions;
  if (old === now) return;
  old.lost += positions;
  now.gained += positions;
}

/** From positions to shares of the circle. */
function shares({ before, after, gained, lost }: Change): Change {
  return { before: before / CIRCLE, after: after / CIRCLE, gained: gained / CIRCLE, lost: lost / CIRCLE };
}

/** No origin of this region; ids are never empty. */
const ELSEWHERE = "";
const NOBODY: ReadonlySet<string> = new Set();

/** The arcs of both circles laid over each other: who takes each before and after, and how many positions it has. */
function forEachArc(before: Takers, after: Takers, take: (from: string, to: string, positions: number) => void): void {
  const [old, now] = [before.ring.points, after.ring.points];
  let [i, j, start] = [0, 0, 0];
  while (start < CIRCLE) {
    const end = Math.min(old[i] ?? CIRCLE - 1, now[j] ?? CIRCLE - 1) + 1;
    // Behind the last point comes the first.
    take(before.byPoint[i % old.length] ?? ELSEWHERE, after.byPoint[j % now.length] ?? ELSEWHERE, end - start);
    while ((old[i] ?? CIRCLE) < end) i++;
    while ((now[j] ?? CIRCLE) < end) j++;
    start = end;
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
