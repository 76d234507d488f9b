// Who changed what: the journals of all rings as one list (audit), and as a stream of what comes (events). Rings are asked again once a second while
// somebody listens; nothing is kept here.

import { Hono, type Context } from "hono";
import { delay, within } from "../platform/limits.ts";
import type { AuditRow } from "../core/applied-config.ts";
import type { JournalEntry } from "../platform/ring-journal.ts";
import { controlStub, ringStub } from "../platform/stubs.ts";
import type { Told } from "./admin-app.ts";
import { knownRings, needs, only, problem, READS, RING_ANSWER_MS, unreachable, type Admin } from "./admin-parts.ts";

type Entry = Told<"followEvents">;

const AUDIT_DEFAULT = 100;
const AUDIT_MAX = 2_000;

const EVERY_MS = 1_000;
/** Proxies and browsers give up on streams that say nothing for a minute. */
const KEEP_ALIVE_MS = 15_000;
/** After that the listener comes back by itself, and goes on where it was. */
const STREAM_MS = 600_000;
/** Streams of one isolate. */
const LISTENERS_MAX = 32;
/** Entries of one ring at a time. */
const BATCH = 200;
const LAST_ID_MAX = 8_192;

export const eventRoutes = new Hono<Admin>()
  .get("/v1/audit", needs("read"), async (c) => {
    const wanted = c.req.query("limit") ?? String(AUDIT_DEFAULT);
    const limit = /^\d{1,4}$/.test(wanted) ? Number(wanted) : 0;
    if (limit < 1 || limit > AUDIT_MAX) return problem(c, "bad-request", `limit is a whole number from 1 to ${AUDIT_MAX}.`);
    const rings = journalsOf(c);
    const answers = await Promise.allSettled(rings.map(({ name, newest }) => within(newest(limit), RING_ANSWER_MS, name)));
    const entries = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
    const newest = entries.toSorted(inTime).reverse().slice(0, limit);
    const missing = rings.flatMap(({ name }, index) => (answers[index]?.status === "fulfilled" ? [] : [name]));
    if (missing.length > 0) console.error(JSON.stringify({ limpet: "ring-unreachable", rings: missing }));
    if (!c.req.header("accept")?.includes(NDJSON)) return c.json({ entries: newest, unreachable: missing } satisfies Told<"listAudit">);
    if (missing.length > 0) return unreachable(c); // lines have no place to say that some are missing
    return c.body(newest.map((entry) => `${JSON.stringify(entry)}\n`).join(""), 200, { "content-type": NDJSON });
  })
  .all("/v1/audit", only(...READS))
  .get("/v1/events", needs("read"), async (c) => {
    const cursor = cursorOf(c.req.header("last-event-id"));
    if (!cursor) return problem(c, "bad-request", "Last-Event-ID is none of this stream's: leave it out to begin with what comes.");
    const nowMs = Date.now();
    for (const untilMs of listeners) if (untilMs <= nowMs) listeners.delete(untilMs);
    if (listeners.size >= LISTENERS_MAX) return problem(c, "overloaded", "Too many listen already. Try again later.", { "retry-after": "30" });
    let untilMs = nowMs + STREAM_MS;
    while (listeners.has(untilMs)) untilMs += 0.001; // each listener has its own
    listeners.add(untilMs);
    return c.body(streamOf(c, cursor, untilMs), 200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  })
  .all("/v1/events", only(...READS));

const NDJSON = "application/x-ndjson";

/** When each stream of this isolate ends at the latest: one whose end nobody has told is not counted for ever. */
const listeners = new Set<number>();

/** The newest entry that a listener has seen of each ring. */
type Cursor = Map<string, number>;

/** `undefined`: no stream of ours has said that. */
function cursorOf(lastEventId: string | undefined): Cursor | undefined {
  const parts = (lastEventId ?? "").split(",").filter((part) => part !== "");
  const pairs = parts.map((part) => /^(control|[a-z0-9-]{1,32}@[a-z0-9-]{1,32})=(\d{1,15})$/.exec(part));
  if ((lastEventId?.length ?? 0) > LAST_ID_MAX || pairs.includes(null)) return undefined;
  return new Map(pairs.map((pair) => [pair?.[1] ?? "", Number(pair?.[2])]));
}

/** Asked for as it is read: who does not read is not waited for, and nothing heaps up. */
function streamOf(c: Context<Admin>, cursor: Cursor, untilMs: number): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const { signal } = c.req.raw;
  let ended = false;
  const end = (): void => {
    ended = true;
    listeners.delete(untilMs);
  };
  signal.addEventListener("abort", end);
  let text = `retry: ${EVERY_MS}\n\n`;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const quietUntilMs = Date.now() + KEEP_ALIVE_MS;
      while (text === "" && !ended && Date.now() < Math.min(quietUntilMs, untilMs)) {
        text = (await newEntries(c, cursor)).map((entry) => eventOf(entry, cursor)).join("");
        if (text === "") await delay(EVERY_MS);
      }
      if (ended || Date.now() >= untilMs) {
        end();
        controller.close();
        return;
      }
      controller.enqueue(encoder.encode(text === "" ? ":\n\n" : text));
      text = "";
    },
    cancel: end,
  });
}

function eventOf(entry: Entry, cursor: Cursor): string {
  cursor.set(entry.ring, entry.seq);
  const id = [...cursor].map(([ring, seq]) => `${ring}=${seq}`).join(",");
  return `id: ${id}\nevent: change\ndata: ${JSON.stringify(entry)}\n\n`;
}

/** What the rings have noted since, in order. One that is silent is asked again; of one that is asked for the first time only what comes counts. */
async function newEntries(c: Context<Admin>, cursor: Cursor): Promise<Entry[]> {
  const rings = journalsOf(c);
  const answers = await Promise.allSettled(
    rings.map(async ({ name, since }) => {
      const after = cursor.get(name);
      const { entries, lastSeq } = await within(since(after ?? 0, after === undefined ? 0 : BATCH), RING_ANSWER_MS, name);
      if (after === undefined || lastSeq < after) cursor.set(name, lastSeq);
      return entries;
    }),
  );
  return answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : [])).toSorted(inTime);
}

/** Somebody who notes what is changed. */
interface Noted {
  readonly name: string;
  readonly newest: (limit: number) => Promise<Entry[]>;
  readonly since: (after: number, limit: number) => Promise<{ readonly entries: Entry[]; readonly lastSeq: number }>;
}

/** The control object's, where there is one, and those of all rings. */
function journalsOf(c: Context<Admin>): Noted[] {
  const { env, settings } = c.env;
  const { config } = settings;
  const control = controlStub(env);
  const ofControl = ({ revision, ...row }: AuditRow): Entry => ({ ring: CONTROL, epoch: revision, ...row });
  const rings = knownRings(settings).map(({ pool, region }): Noted => {
    const name = `${pool}@${region}`;
    const entriesOf = (entries: readonly JournalEntry[]): Entry[] => entries.map((entry) => ({ ring: name, ...entry }));
    const asked = (): ReturnType<typeof ringStub> => ringStub(env, config, pool, region);
    return {
      name,
      newest: async (limit) => entriesOf(await asked().audit(limit)),
      since: async (after, limit) => {
        const { entries, lastSeq }: { readonly entries: readonly JournalEntry[]; readonly lastSeq: number } = await asked().journal(after, limit);
        return { entries: entriesOf(entries), lastSeq };
      },
    };
  });
  if (!control) return rings;
  const noted: Noted = {
    name: CONTROL,
    newest: async (limit) => {
      const asked = async (): Promise<readonly AuditRow[]> => control.audit(limit);
      return (await asked()).map(ofControl);
    },
    since: async (after, limit) => {
      const asked = async (): Promise<{ readonly entries: readonly AuditRow[]; readonly lastSeq: number }> => control.journal(after, limit);
      const { entries, lastSeq } = await asked();
      return { entries: entries.map(ofControl), lastSeq };
    },
  };
  return [noted, ...rings];
}

const CONTROL = "control";

function inTime(a: Entry, b: Entry): number {
  return a.atMs - b.atMs || (a.ring === b.ring ? a.seq - b.seq : a.ring < b.ring ? -1 : 1);
}
