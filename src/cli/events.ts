// `limpet events` and `limpet audit`: what has changed in the rings, by whom and why; with `--follow` as it happens.

import { EventSourceParserStream } from "eventsource-parser/stream";
import { AdminClient, mayPass, type RouterOptions } from "./admin-client.ts";
import type { EntryView } from "./admin-views.ts";
import { clock, listed, paint, printJson, shown, type Paint } from "./text.ts";

/** What `events` shows of the past. */
const PAST = 20;

/** Before a stream that ended is opened again. */
const AGAIN_MS = 1_000;

export interface EventsOptions extends RouterOptions {
  readonly follow: boolean;
  readonly json: boolean;
}

export async function events({ follow, json, ...options }: EventsOptions): Promise<void> {
  const client = new AdminClient(options);
  const print = (entry: EntryView): void => (json ? printJson(entry) : console.log(entryText(entry, paint)));
  if (!follow) return printPast(client, PAST, print);
  const leaving = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => {
      leaving.abort();
      process.exit(0);
    });
  await following(client, print, leaving.signal);
}

export async function audit({ limit, json, ...options }: RouterOptions & { limit: number; json: boolean }): Promise<void> {
  await printPast(new AdminClient(options), limit, (entry) => (json ? printJson(entry) : console.log(entryText(entry, paint))));
}

/** Oldest first: the newest stands where people look, at the end. */
async function printPast(client: AdminClient, limit: number, print: (entry: EntryView) => void): Promise<void> {
  const { entries, unreachable } = await client.ask((api) => api.audit.$get({ query: { limit: String(limit) } }));
  for (const entry of entries.toReversed()) print(entry);
  if (unreachable.length > 0) console.error(`${listed(unreachable)} did not answer: what happened there is missing.`);
}

/**
 * The stream is opened first, and the past read then: nothing is missed between them, and what comes twice is known by its number and time.
 * A router that is away for a moment is waited for, and its stream goes on after the last event that was seen.
 */
async function following(client: AdminClient, print: (entry: EntryView) => void, signal: AbortSignal): Promise<void> {
  const seen = new Map<string, EntryView>();
  const once = (entry: EntryView): void => {
    const last = seen.get(entry.ring);
    if (last && entry.seq <= last.seq && entry.atMs <= last.atMs) return; // a smaller number at a later time is a new journal's
    seen.set(entry.ring, entry);
    print(entry);
  };
  let [lastEventId, isFirst, isAway]: [string | undefined, boolean, boolean] = [undefined, true, false];
  while (!signal.aborted) {
    try {
      const stream = await client.events(lastEventId, signal);
      if (isFirst) await printPast(client, PAST, once);
      [isFirst, isAway] = [false, false];
      for await (const { id, data } of stream.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())) {
        lastEventId = id ?? lastEventId;
        once(JSON.parse(data) as EntryView); // the router's own word
      }
    } catch (error) {
      // Whom it could once ask it goes on asking; a stream that breaks off is no refusal at all.
      const isRefusal = error instanceof Error && "exitCode" in error;
      if (isFirst || (isRefusal && !mayPass(error))) throw error;
      if (isRefusal && !isAway) console.error(error.message);
      isAway = isAway || isRefusal;
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

export function entryText({ atMs, ring, epoch, what, origin, who, why }: EntryView, paint: Paint): string {
  const whom = origin === undefined ? "" : ` ${paint("bold", shown(origin))}`;
  return `${paint("dim", clock(atMs))}  ${shown(ring)}  epoch ${epoch}  ${shown(what)}${whom}  by ${shown(who)}${why === undefined ? "" : `: ${shown(why)}`}`;
}
