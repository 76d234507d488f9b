// Visitors by the hundred, in a process of their own: each says a frame at a steady rate, all of them evenly spread in time. Listeners beside.
// Sent a `Task`, answers its outcome; ends with its parent.

import { Listener } from "./listener.ts";
import { Visitor, type Notes } from "./visitor.ts";

export type Task =
  /** Opens everybody's socket or stream and begins to speak: undefined. `listeners`: their sessions. */
  | {
      readonly kind: "begin";
      readonly url: string;
      readonly visitors: readonly number[];
      readonly listeners: readonly number[];
      readonly everyMs: number;
    }
  /** How many have no answer to a frame made since then: a number. */
  | { readonly kind: "stale"; readonly sinceMs: number }
  /** How many still wait for the answer to a frame made before then: a number. */
  | { readonly kind: "waiting"; readonly beforeMs: number }
  /** Each listener's session and the last event that it had: `LastHeard`. */
  | { readonly kind: "last" }
  /** What was written down since the last time: `Notes`. */
  | { readonly kind: "notes" }
  /** Everybody goes, and comes back: undefined. */
  | { readonly kind: "again" };

export type LastHeard = readonly (readonly [session: number, event: number])[];

/** Opened at once. */
const OPENING_MAX = 32;
const TICK_MS = 5;
/** Silence before everybody goes: answers under way arrive. */
const QUIET_MS = 500;

const notes: Notes = { made: [], sent: [], answered: [], pushed: [], closed: [], joined: [], heard: [], ended: [] };
let everybody: Visitor[] = [];
let listeners: Listener[] = [];
let everyMs = 1_000;
let speaking: NodeJS.Timeout | undefined;

process.once("disconnect", () => process.exit());
process.on("message", (task: Task) => void perform(task).then((outcome) => process.send?.({ outcome })));

async function perform(task: Task): Promise<number | LastHeard | Notes | undefined> {
  switch (task.kind) {
    case "begin":
      everyMs = task.everyMs;
      everybody = task.visitors.map((visitor) => new Visitor(visitor, task.url, notes));
      listeners = task.listeners.map((session) => new Listener(session, task.url, notes));
      return open();
    case "stale":
      return everybody.filter(({ freshAtMs }) => freshAtMs < task.sinceMs).length;
    case "waiting":
      return everybody.filter((visitor) => visitor.waitsSince(task.beforeMs)).length;
    case "last":
      return listeners.map(({ session, last }) => [session, last] as const);
    case "notes":
      return {
        made: taken("made"),
        sent: taken("sent"),
        answered: taken("answered"),
        pushed: taken("pushed"),
        closed: taken("closed"),
        joined: taken("joined"),
        heard: taken("heard"),
        ended: taken("ended"),
      };
    case "again":
      clearInterval(speaking);
      await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
      await Promise.all([...everybody, ...listeners].map((each) => each.leave()));
      return open();
    default:
      return task satisfies never;
  }
}

async function open(): Promise<undefined> {
  const waiting = [...listeners, ...everybody]; // from the end: those who speak come first
  const openSome = async (): Promise<void> => {
    for (let next = waiting.pop(); next; next = waiting.pop()) await next.open();
  };
  await Promise.all(Array.from({ length: OPENING_MAX }, openSome));
  speak();
}

function speak(): void {
  const beganAtMs = performance.now();
  let said = 0;
  speaking = setInterval(() => {
    const due = ((performance.now() - beganAtMs) / everyMs) * everybody.length;
    for (const nowMs = Date.now(); said < due; said++) everybody[said % everybody.length]?.say(nowMs);
  }, TICK_MS);
}

function taken(name: keyof Notes): number[] {
  return notes[name].splice(0);
}
