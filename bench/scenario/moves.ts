// What is counted of live sessions in a day: how often they changed their origin, how many had to, and how even their origins were. Pure.

import type { Period } from "../harness/sessions/ledger.ts";

export interface Stay {
  readonly origin: string;
  readonly atMs: number;
}

/** How often one session changed its origin in a period, by all legs that its visitors ever had: there and back again is twice. */
export function movesOf(legs: readonly Stay[], { fromMs, toMs }: Period): number {
  const inOrder = legs.toSorted((a, b) => a.atMs - b.atMs);
  return inOrder.filter(({ origin, atMs }, index) => atMs >= fromMs && atMs < toMs && index > 0 && inOrder[index - 1]?.origin !== origin).length;
}

/** The sessions that a change had to move: those that were before it and are after it, and belong to another origin now. */
export function optimumOf(before: readonly (string | undefined)[], after: readonly (string | undefined)[]): number {
  return before.filter((place, session) => place !== undefined && after[session] !== undefined && place !== after[session]).length;
}

/** An origin at one moment; a share of 0 is one that takes no sessions. */
export interface Loaded {
  readonly id: string;
  readonly sessions: number;
  readonly weight: number;
  readonly share: number;
}

/**
 * Busiest ÷ mean of the live sessions of a ring's origins, each measured by its weight and present share; 0 where nobody takes any. What is
 * left on origins that take none is not in the mean.
 */
export function busiestOverMean(origins: readonly Loaded[]): number {
  const taking = origins.filter(({ weight, share }) => weight * share > 0);
  const parts = sum(taking.map(({ weight, share }) => weight * share));
  const sessions = sum(taking.map((origin) => origin.sessions));
  if (sessions === 0) return 0;
  return Math.max(...taking.map((origin) => origin.sessions / ((sessions * origin.weight * origin.share) / parts)));
}

export function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
