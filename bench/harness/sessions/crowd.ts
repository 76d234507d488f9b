// All visitors, from the side of the benchmark: the processes that they live in, asked together, and their notes handed to the ledger.

import { ask, startScript, stop, type Running } from "../processes.ts";
import type { Ledger } from "./ledger.ts";
import { hasListener, VISITORS_PER_SESSION } from "./names.ts";
import type { Streams } from "./streams.ts";
import type { Notes } from "./visitor.ts";
import type { LastHeard, Task } from "./visitors.ts";

const PROCESSES = 2;
const ANSWER_WITHIN_MS = 120_000;

export class Crowd {
  readonly visitors: readonly number[];
  /** The sessions that have one. */
  readonly listeners: readonly number[];
  /** Between two frames of one visitor. */
  readonly everyMs: number;
  readonly #processes: readonly Running[];

  constructor(sessions: number, framesPerSecond: number, visitorFramesPerSecondMax: number) {
    this.visitors = Array.from({ length: sessions * VISITORS_PER_SESSION }, (_, visitor) => visitor);
    this.listeners = Array.from({ length: sessions }, (_, session) => session).filter(hasListener);
    this.everyMs = 1_000 / Math.min(visitorFramesPerSecondMax, framesPerSecond / this.visitors.length);
    this.#processes = Array.from({ length: PROCESSES }, () => startScript(new URL("visitors.ts", import.meta.url)));
  }

  /** Resolves when everybody is connected, and speaks. */
  async begin(url: string): Promise<void> {
    await Promise.all(
      this.#processes.map(({ child }, process) => {
        const [visitors, listeners] = [this.visitors, this.listeners].map((all) => all.filter((_, index) => index % PROCESSES === process));
        return told(child, { kind: "begin", url, visitors: visitors ?? [], listeners: listeners ?? [], everyMs: this.everyMs });
      }),
    );
  }

  /** Everybody goes and comes back. */
  async again(): Promise<void> {
    await this.#all({ kind: "again" });
  }

  /** How many have no answer to anything they have said since then. */
  async stale(sinceMs: number): Promise<number> {
    return sum(await this.#all<number>({ kind: "stale", sinceMs }));
  }

  /** How many still wait for an answer to what they said before then. */
  async waiting(beforeMs: number): Promise<number> {
    return sum(await this.#all<number>({ kind: "waiting", beforeMs }));
  }

  /** The last event that each listener had, by its session. */
  async lastHeard(): Promise<Map<number, number>> {
    return new Map((await this.#all<LastHeard>({ kind: "last" })).flat());
  }

  async tell(ledger: Ledger, streams: Streams): Promise<void> {
    for (const { made, sent, answered, pushed, closed, joined, heard, ended } of await this.#all<Notes>({ kind: "notes" })) {
      rows(made, 3, ([visitor = 0, n = 0, atMs = 0]) => ledger.made(visitor, n, atMs));
      rows(sent, 3, ([visitor = 0, n = 0, atMs = 0]) => ledger.sent(visitor, n, atMs));
      rows(answered, 4, ([visitor = 0, whose = 0, n = 0, atMs = 0]) => ledger.answered(visitor, whose, n, atMs));
      rows(pushed, 4, ([visitor = 0, leg = 0, n = 0, atMs = 0]) => ledger.pushed(visitor, leg, n, atMs));
      rows(closed, 2, ([visitor = 0, atMs = 0]) => ledger.closed(visitor, atMs));
      rows(joined, 2, ([session = 0, event = 0]) => streams.joined(session, event));
      rows(heard, 5, ([session = 0, event = 0, whose = 0, which = 0, atMs = 0]) => streams.came(session, event, whose, which, atMs));
      rows(ended, 2, ([session = 0, atMs = 0]) => streams.closed(session, atMs));
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#processes.map(stop));
  }

  #all<Outcome>(task: Task): Promise<Outcome[]> {
    return Promise.all(this.#processes.map(({ child }) => told<Outcome>(child, task)));
  }
}

async function told<Outcome>(child: Running["child"], task: Task): Promise<Outcome> {
  return (await ask<{ readonly outcome: Outcome }>(child, task, ANSWER_WITHIN_MS)).outcome;
}

function rows(numbers: readonly number[], width: number, read: (row: readonly number[]) => void): void {
  for (let at = 0; at < numbers.length; at += width) read(numbers.slice(at, at + width));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
