// What must hold of a carried session's world, whatever has happened.

import { expect } from "vitest";
import type { CarriedWorld } from "./carried-world.ts";
import type { Leg } from "./fake-origin.ts";
import { isOpen, type PlayedWorld, type Setting, type Visitor } from "./played-world.ts";

/** A visitor's frames reach legs once and in their order, each new leg being told the prelude first. Returns what was handed on, replays apart. */
export function handedOnce(world: PlayedWorld, visitor: Visitor, { resume }: Setting): string[] {
  const frames = "prelude" in resume ? resume.prelude.frames : 0;
  const handed: string[] = [];
  for (const leg of world.legsOf(visitor)) {
    const replayed = handed.slice(0, frames);
    if (leg.handed.length === 0) continue; // never begun with, or nothing was said on it
    expect(leg.handed.slice(0, replayed.length)).toEqual(replayed);
    handed.push(...leg.handed.slice(replayed.length));
  }
  expect(handed).toEqual(visitor.sent.slice(0, handed.length));
  return handed;
}

/** What origins said is heard in its order and once; `all`: every word of it, but the answers to a replay. */
export function heardInOrder(visitor: Visitor, legs: readonly Leg[], { resume }: Setting, all: boolean): void {
  const swallow = "prelude" in resume ? resume.prelude.swallow : 0;
  const given: string[] = [];
  let hasSpoken = false;
  for (const leg of legs) {
    given.push(...leg.given.slice(hasSpoken ? Math.min(swallow, given.length) : 0));
    hasSpoken ||= leg.handed.length > 0;
  }
  if (all) return expect(visitor.got).toEqual(given);
  let from = 0;
  for (const word of visitor.got) {
    const index = given.indexOf(word, from);
    expect(index, `${word} was not said, or not after what came before it`).toBeGreaterThanOrEqual(0);
    from = index + 1;
  }
}

/** Everyone goes, and nothing is left: no leg, no timer, no held byte, no slot; the carrier was told once of each session. */
export async function allGone(world: CarriedWorld): Promise<void> {
  for (const visitor of world.visitors) world.leave(visitor, 1000);
  await world.clock.pass(40_000);
  await Promise.all(world.background);
  expect(world.session).toBeUndefined();
  expect(world.emptiedCount).toBe(world.begunCount + world.lateCount);
  expect(world.ring.placement).toBeUndefined();
  expect(world.heldBytes).toBe(0);
  expect(world.origins.flatMap((origin) => origin.openLegs().map(({ fence }) => fence))).toEqual([]);
  expect(world.clock.pendingCount).toBe(0);
  const { signal } = new AbortController();
  for (const origin of ["a", "b", "c", "d", "e", "f"]) void world.handshakes.take("moves", origin, signal);
  expect(world.handshakes.waitingCount).toBe(0); // all six were free
}

/** Nobody is left without a word: who is still connected is served, the others were told. */
export function noSilentHole(world: PlayedWorld): void {
  for (const visitor of world.visitors) {
    if (!isOpen(visitor)) continue;
    expect(visitor.got.findLast((word) => word.startsWith(`${visitor.number}:`))).toContain(`${visitor.sent.at(-1)} by`);
  }
}
