// One event stream between an origin that says what the test says, byte by byte, and a visitor who reads when the test does. Time is the test's.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { RESTART } from "../../src/core/close-codes.ts";
import { BLOCK_MAX_BYTES } from "../../src/core/event-blocks.ts";
import type { LiveRequest, Placement } from "../../src/core/protocol.ts";
import { SseConnection } from "../../src/platform/carry-sse.ts";
import { CARRIER_BUFFER_MAX_BYTES } from "../../src/platform/limits.ts";
import { StreamBacklog } from "../../src/platform/stream-backlog.ts";
import type { Opening } from "../../src/platform/connection.ts";
import { QUIET_MAX_MS, STREAM_KEEP_ALIVE_MS, STREAM_LOOK_MS, STREAM_TAKEN_WITHIN_MS } from "../../src/platform/limits.ts";
import { settled, VirtualClock } from "./carried/virtual-clock.ts";

const PLACEMENT = { origin: "o1", region: "weur", url: "http://o1", epoch: 1, fence: 1, reason: "owner", replicas: [] } as unknown as Placement;
const STREAM = { status: 200, headers: { "content-type": "text/event-stream" } };

interface Leg {
  readonly asked: Headers;
  readonly say: (text: string | Uint8Array) => void;
  readonly end: () => void;
  readonly cut: () => void;
  /** How often the origin was asked for more. */
  pullCount: number;
  isAborted: boolean;
}

let clock: VirtualClock;
let restore: () => void;
let legs: Leg[];
/** What the connection has told its session. */
let told: string[];
let backlog: StreamBacklog;
let visitor: AbortController;
let connection: SseConnection;

beforeEach(() => {
  clock = new VirtualClock();
  restore = clock.install();
  vi.stubGlobal("IdentityTransformStream", TransformStream); // of Node: a write is taken when it is read, too
  [legs, told, backlog] = [[], [], new StreamBacklog()];
  begin();
});
afterEach(() => {
  expect(backlog.bytes).toBeGreaterThanOrEqual(0);
  restore();
  vi.unstubAllGlobals();
});

function begin(headers: Record<string, string> = {}, live: Partial<LiveRequest> = {}, isGone = false): void {
  visitor = new AbortController();
  if (isGone) visitor.abort();
  const send = async (_: string, __: string, init: { headers: unknown; signal?: AbortSignal | null }): Promise<Response> => answer(init, STREAM);
  connection = new SseConnection(
    { quietMs: 100, ...live } as LiveRequest,
    { target: "/events", headers, key: "k", send: send as never },
    {
      events: {
        lost: () => told.push("lost"),
        resumed: (heldMs) => told.push(`resumed ${heldMs}`),
        ready: () => told.push("ready"),
        refused: () => told.push("refused"),
        ended: () => told.push("ended"),
      },
      backlog,
    },
    visitor.signal as never,
  );
}

function answer({ headers, signal }: { headers: unknown; signal?: AbortSignal | null }, init: ResponseInit): Response {
  let controller: ReadableStreamDefaultController<Uint8Array>;
  const leg: Leg = {
    asked: new Headers(headers as HeadersInit),
    say: (text) => controller.enqueue(typeof text === "string" ? new TextEncoder().encode(text) : text),
    end: () => controller.close(),
    cut: () => controller.error(new Error("Network connection lost.")),
    pullCount: 0,
    isAborted: false,
  };
  const source: UnderlyingSource<Uint8Array> = { start: (its) => void (controller = its), pull: () => void leg.pullCount++ };
  signal?.addEventListener("abort", () => {
    leg.isAborted = true;
    controller.error(new Error("aborted"));
  });
  legs.push(leg);
  return new Response(new ReadableStream(source as never, { highWaterMark: 0 }), init);
}

async function open(): Promise<Leg> {
  const opening = await connection.open(PLACEMENT, new AbortController());
  if (opening.kind !== "open") throw new Error(opening.kind);
  opening.begin();
  const leg = legs.at(-1);
  if (!leg) throw new Error("no leg");
  return leg;
}

/** The visitor, who reads all that comes. */
function reader(): { text: string; over: string | undefined } {
  const seen: { text: string; over: string | undefined } = { text: "", over: undefined };
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true } as never);
  const body = connection.response().body?.getReader();
  const read = async (): Promise<void> => {
    for (;;) {
      const part = await body?.read();
      if (!part || part.done) return void (seen.over = "ended");
      seen.text += decoder.decode(part.value, { stream: true });
    }
  };
  void read().catch(() => (seen.over = "cut"));
  return seen;
}

async function say(leg: Leg, ...texts: readonly (string | Uint8Array)[]): Promise<void> {
  for (const text of texts) {
    leg.say(text);
    await settled();
  }
}

test("a visitor gets whole events, as they came, and of the second origin what is new", async () => {
  const first = await open();
  const seen = reader();
  await say(first, "\uFEFFretry: 50\n\n: well?\n", "id: 1\r\nda", "ta: a\r\n\r\n", "event: x\ndata: b\nid: 2\n\nid: 3\ndata: ha");
  expect(seen.text).toBe("retry: 50\n\n: well?\nid: 1\r\ndata: a\r\n\r\nevent: x\ndata: b\nid: 2\n\n");
  first.cut();
  await settled();
  expect([told, backlog.bytes, connection.legOpen]).toEqual([["lost"], 0, false]);
  const before = seen.text;
  await clock.pass(40);
  const second = await open();
  expect(second.asked.get("last-event-id")).toBe("2");
  await say(second, "\uFEFF:\nid: 1\ndata: a\n\ndata: unnamed\n\nid: 2\ndata: b\n\n:\nid: 3\ndata: half\n\n", "id: 1\ndata: again\n\n");
  expect(seen.text.slice(before.length)).toBe(":\ndata: unnamed\n\n:\nid: 3\ndata: half\n\nid: 1\ndata: again\n\n");
  expect(told).toEqual(["lost", "resumed 40", "ready"]);
  expect(connection.frameCount).toBe(6);
});

test.each<[what: string, given: string | undefined, said: string, asked: string | null, rehomeable: boolean]>([
  ["nothing", undefined, "data: a\n\n", null, true],
  ["what the visitor asked for itself", "7", "data: a\n\n", "7", true],
  ["an id that came", "7", "id: 8\ndata: a\n\n", "8", true],
  ["an id without an event", undefined, "id: 9\n\n", "9", true],
  ["nothing once the id was taken back", "7", "id: 8\n\nid\n\n", null, true],
  ["the newest id, though it is half an event's", undefined, "id: 1\n\nid: 2\ndata: a\n", "1", true],
  ["no id that is longer than a header should be", undefined, `id: 1\n\nid: ${"x".repeat(4_097)}\n\n`, null, false],
  ["one that is just not", undefined, `id: ${"x".repeat(4_096)}\n\n`, "x".repeat(4_096), true],
])("the next origin is asked to go on after %s", async (_, given, said, asked, rehomeable) => {
  begin(given === undefined ? {} : { "last-event-id": given });
  const first = await open();
  reader();
  expect(first.asked.get("last-event-id")).toBe(given ?? null);
  await say(first, said);
  expect(connection.rehomeable).toBe(rehomeable);
  first.cut();
  await settled();
  expect((await open()).asked.get("last-event-id")).toBe(asked);
});

test("a stream ends with its origin's, whose last words pass though they are no event", async () => {
  const leg = await open();
  const seen = reader();
  await say(leg, "data: a\n\ndata: [DONE]");
  leg.end();
  await settled();
  expect([seen, told, connection.over, backlog.bytes]).toEqual([{ text: "data: a\n\ndata: [DONE]", over: "ended" }, ["ended"], true, 0]);
  await clock.pass(60_000);
  expect(clock.pendingCount).toBe(0);
});

test("a stream of which more waits than one event may ends", async () => {
  const leg = await open();
  const seen = reader();
  await say(leg, "data: a\n\n", "d".repeat(BLOCK_MAX_BYTES - 1));
  expect(told).toEqual([]);
  await say(leg, "dd");
  expect([seen, told, leg.isAborted, backlog.bytes]).toEqual([{ text: "data: a\n\n", over: "ended" }, ["refused", "ended"], true, 0]);
});

test("the half of an event that waits longest ends its stream when too much waits in all of the carrier's", async () => {
  const leg = await open();
  const seen = reader();
  await say(leg, "data: a\n\n", "data: half");
  const other = { giveUp: vi.fn() };
  backlog.waits(other, CARRIER_BUFFER_MAX_BYTES, Date.now());
  expect([told, other.giveUp.mock.calls.length], "it has only just begun to wait").toEqual([[], 0]);
  await clock.pass(1_500);
  backlog.waits(other, CARRIER_BUFFER_MAX_BYTES, Date.now());
  await clock.pass(0);
  expect([seen, told, leg.isAborted, other.giveUp.mock.calls.length]).toEqual([
    { text: "data: a\n\n", over: "ended" },
    ["refused", "ended"],
    true,
    0,
  ]);
});

test("a move waits until no event is half here, and no longer than the route lets it", async () => {
  const leg = await open();
  const seen = reader();
  await connection.quiet();
  await say(leg, "data: a\n");
  let isQuiet = false;
  void connection.quiet().then(() => (isQuiet = true));
  await clock.pass(50);
  expect(isQuiet).toBe(false);
  await say(leg, "\ndata: b\n\n");
  expect([isQuiet, seen.text]).toEqual([true, "data: a\n\ndata: b\n\n"]);
  await say(leg, "data: c\n");
  isQuiet = false;
  void connection.quiet().then(() => (isQuiet = true));
  await clock.pass(99);
  expect(isQuiet).toBe(false);
  await clock.pass(2);
  expect(isQuiet).toBe(true);
  expect(await connection.closeLeg()).toBe(true);
  expect([leg.isAborted, connection.legOpen, told, backlog.bytes]).toEqual([true, false, [], 0]);
});

test("a move waits half a second at most, whatever the route says, and not for a leg that is lost", async () => {
  begin({}, { quietMs: 10_000 });
  const leg = await open();
  reader();
  await say(leg, "data: a\n");
  let quietCount = 0;
  void connection.quiet().then(() => quietCount++);
  await clock.pass(QUIET_MAX_MS);
  expect(quietCount).toBe(1);
  void connection.quiet().then(() => quietCount++);
  leg.cut();
  await settled();
  expect(quietCount).toBe(2);
});

test("what a leg says in the moment in which it is left is not delivered: the next one is asked for it", async () => {
  const first = await open();
  const seen = reader();
  await say(first, "id: 1\n\n");
  first.say("id: 2\ndata: late\n\n");
  connection.dropLeg();
  await settled();
  expect(seen.text).toBe("id: 1\n\n");
  expect((await open()).asked.get("last-event-id")).toBe("1");
});

test("a visitor who does not read holds the origin back; after half a minute the stream ends", async () => {
  const leg = await open();
  const body = connection.response().body?.getReader();
  for (let n = 0; n < 100; n++) leg.say(`data: ${n}\n\n`);
  await settled();
  const read = leg.pullCount;
  expect(connection.frameCount).toBe(1);
  await clock.pass(STREAM_TAKEN_WITHIN_MS - STREAM_LOOK_MS);
  await body?.read(); // slow, but here: the time begins anew
  await settled();
  expect([connection.frameCount, leg.pullCount - read]).toEqual([2, 0]);
  await clock.pass(STREAM_TAKEN_WITHIN_MS - STREAM_LOOK_MS);
  expect(connection.over).toBe(false);
  await clock.pass(2 * STREAM_LOOK_MS);
  expect([connection.over, told, leg.isAborted]).toEqual([true, ["refused", "ended"], true]);
  await expect(body?.read()).rejects.toThrow();
  expect(clock.pendingCount).toBe(0);
});

test("silence is filled with a comment between two events, and never while something waits", async () => {
  const leg = await open();
  const body = connection.response().body?.getReader();
  const next = async (): Promise<string> => new TextDecoder().decode((await body?.read())?.value);
  await clock.pass(STREAM_KEEP_ALIVE_MS - 1);
  leg.say("data: a\n\nda");
  expect(await next()).toBe("data: a\n\n");
  let comment: string | undefined;
  void next().then((text) => (comment = text));
  await clock.pass(STREAM_KEEP_ALIVE_MS - 1);
  expect(comment).toBeUndefined();
  await clock.pass(STREAM_LOOK_MS);
  expect(comment).toBe(":\n\n");
  leg.say("ta: b\n\n"); // it waits, and nothing is put before or behind it
  await clock.pass(STREAM_KEEP_ALIVE_MS + STREAM_LOOK_MS - 2);
  expect(await next()).toBe("data: b\n\n");
  leg.say("data: c\n\n");
  expect(await next()).toBe("data: c\n\n");
  connection.dropLeg(); // between two origins, too
  void next().then((text) => (comment = `and ${text}`));
  await clock.pass(STREAM_KEEP_ALIVE_MS + STREAM_LOOK_MS);
  expect(comment).toBe("and :\n\n");
});

test("one who stops reading in a long silence is given as long as any, counted from the comment", async () => {
  const leg = await open();
  const body = connection.response().body?.getReader();
  await clock.pass(STREAM_KEEP_ALIVE_MS + 1); // the comment waits
  await clock.pass(STREAM_TAKEN_WITHIN_MS - 2 * STREAM_LOOK_MS);
  leg.say("data: a\n\n");
  await clock.pass(STREAM_LOOK_MS);
  await body?.read(); // the comment; the event is waited for anew
  await clock.pass(STREAM_TAKEN_WITHIN_MS - STREAM_LOOK_MS);
  expect(connection.over).toBe(false);
  await clock.pass(2 * STREAM_LOOK_MS);
  expect(connection.over).toBe(true);
});

test("what comes behind a comment that is not taken gives its visitor no more time", async () => {
  const leg = await open();
  connection.response();
  await clock.pass(STREAM_KEEP_ALIVE_MS + 1);
  await clock.pass(STREAM_TAKEN_WITHIN_MS - STREAM_LOOK_MS);
  leg.say("data: a\n\n");
  await clock.pass(STREAM_LOOK_MS);
  expect(connection.over).toBe(true);
});

test("a visitor who must come back gets what was written before, and the end", async () => {
  const leg = await open();
  const body = connection.response().body?.getReader();
  leg.say("data: a\n\n");
  await settled();
  connection.end(RESTART);
  expect([connection.over, leg.isAborted, told]).toEqual([true, true, ["ended"]]);
  await clock.pass(STREAM_LOOK_MS);
  expect(new TextDecoder().decode((await body?.read())?.value)).toBe("data: a\n\n");
  expect((await body?.read())?.done).toBe(true);
  await settled();
  expect(clock.pendingCount).toBe(0);
});

test("one who must come back and takes nothing is waited for half a minute", async () => {
  const leg = await open();
  leg.say("data: a\n\n");
  await settled();
  connection.end(RESTART);
  await clock.pass(STREAM_TAKEN_WITHIN_MS + STREAM_LOOK_MS);
  expect([clock.pendingCount, told]).toEqual([0, ["ended"]]);
});

test("the end of a stream is waited for no longer, where the platform has it taken like all else", async () => {
  const never = new Promise<void>(() => undefined);
  const writer = { closed: never, close: () => never, abort: vi.fn(async () => undefined) };
  vi.stubGlobal("IdentityTransformStream", function () {
    return { readable: new ReadableStream(), writable: { getWriter: () => writer } };
  });
  await open();
  connection.end(RESTART);
  await clock.pass(STREAM_TAKEN_WITHIN_MS - 1);
  expect(writer.abort).not.toHaveBeenCalled();
  await clock.pass(STREAM_LOOK_MS);
  expect([writer.abort.mock.calls.length, clock.pendingCount, told]).toEqual([1, 0, ["ended"]]);
});

test.each<[how: string, leave: (body: ReadableStream | null) => unknown]>([
  ["by the request's signal", () => visitor.abort()],
  ["by the stream alone", (body) => body?.cancel()],
])("a visitor who leaves is noticed %s, and so does the origin", async (_, leave) => {
  const leg = await open();
  leave(connection.response().body);
  await settled();
  expect([connection.over, leg.isAborted, told, clock.pendingCount]).toEqual([true, true, ["ended"], 0]);
  visitor.abort();
  expect(told).toEqual(["ended"]);
});

test("one who had left before is over from the beginning, and nobody has to be told", () => {
  begin({}, {}, true);
  expect([connection.over, told]).toEqual([true, []]);
});

test("an origin is silent while it is listened to, not while its visitor is waited for", async () => {
  begin({}, { originSilenceMs: 1_000 });
  const leg = await open();
  const body = connection.response().body?.getReader();
  await settled();
  const isSilent = (): boolean => connection.isSilent(clock.nowMs);
  await clock.pass(1_000);
  expect(isSilent()).toBe(false);
  await clock.pass(1);
  expect(isSilent()).toBe(true);
  leg.say(":\n");
  await clock.pass(2_000);
  expect(isSilent()).toBe(false);
  await body?.read();
  await clock.pass(1_001);
  expect(isSilent()).toBe(true);
  connection.dropLeg();
  expect(isSilent()).toBe(false);
  (await open()).say(":\n");
  await settled();
  connection.dropLeg(); // while its visitor is waited for
  await body?.read();
  await clock.pass(2_000);
  expect(isSilent()).toBe(false);
});

test.each<[what: string, init: ResponseInit, kind: Opening["kind"]]>([
  ["an event stream", STREAM, "open"],
  ["one with a character set", { headers: { "content-type": "Text/Event-Stream ; charset=UTF-8" } }, "open"],
  ["something that is only called like it", { headers: { "content-type": "text/event-streams" } }, "answered"],
  ["JSON", { headers: { "content-type": "application/json" } }, "answered"],
  ["a part", { ...STREAM, status: 206 }, "answered"],
  ["a redirect", { ...STREAM, status: 302 }, "answered"],
  ["a refusal", { ...STREAM, status: 401 }, "answered"],
  ["the application's own fault", { ...STREAM, status: 503 }, "answered"],
  ["a gateway's", { ...STREAM, status: 502 }, "unreachable"],
])("%s is answered: %o is %s", async (_, init, kind) => {
  const send = async (__: string, ___: string, asked: { headers: unknown }): Promise<Response> => answer(asked, init);
  const ignored = { lost: vi.fn(), resumed: vi.fn(), ready: vi.fn(), refused: vi.fn(), ended: vi.fn() };
  const handshake = { target: "/events", headers: { "accept-encoding": "gzip" }, key: "k", send: send as never };
  connection = new SseConnection({} as LiveRequest, handshake, { events: ignored, backlog }, visitor.signal as never);
  expect((await connection.open(PLACEMENT, new AbortController())).kind).toBe(kind);
  expect(legs[0]?.asked.get("accept-encoding")).toBe("identity");
});

test("what the visitor gets has no length, and no coding that is undone", async () => {
  const headers = { ...STREAM.headers, "content-length": "9", "content-encoding": "gzip", etag: '"e"', limpet: "end" };
  const send = async (_: string, __: string, asked: { headers: unknown }): Promise<Response> => answer(asked, { headers });
  connection = new SseConnection(
    {} as LiveRequest,
    { target: "/events", headers: {}, key: "k", send: send as never },
    {
      events: { lost: vi.fn(), resumed: vi.fn(), ready: vi.fn(), refused: vi.fn(), ended: vi.fn() },
      backlog,
    },
    visitor.signal as never,
  );
  await open();
  expect(Object.fromEntries(connection.response().headers)).toEqual({ "content-type": "text/event-stream", etag: '"e"' });
});
