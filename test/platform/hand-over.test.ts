// Hand-over: what an origin gives is kept until another has taken it, within its bounds of size and time, and never counted twice.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Placement } from "../../src/core/protocol.ts";
import { Handover } from "../../src/platform/hand-over.ts";
import { Handshakes } from "../../src/platform/handshakes.ts";
import { HANDSHAKE_SLOTS } from "../../src/platform/limits.ts";
import type { OriginFetch } from "../../src/platform/origin-fetch.ts";
import { VirtualClock } from "./carried/virtual-clock.ts";

const MAX_BYTES = 10;
const TIMEOUT_MS = 1_000;
const OLD = placement("o1", 5);
const NEW = placement("o2", 6);

interface Post {
  readonly origin: string;
  readonly url: string;
  readonly field: string;
  readonly type: string | null;
  readonly body: string;
}

let clock: VirtualClock;
let restore: () => void;
let posts: Post[];
let answer: (origin: string) => Promise<Response>;
let handshakes: Handshakes;
let heldBytes: number;
let roomBytes: number;

function placement(origin: string, fence: number): Placement {
  return { keyHash: "k", origin, region: "weur", url: `http://${origin}`, epoch: 1, fence, reason: "owner", replicas: [] };
}

function handover(key: string | undefined = "doc"): Handover {
  const send: OriginFetch = async (origin, url, { headers, body, signal }) => {
    signal?.throwIfAborted();
    const fields = new Headers(headers);
    posts.push({ origin, url, field: fields.get("limpet") ?? "", type: fields.get("content-type"), body: await new Response(body).text() });
    const late = new Promise<never>((_, reject) => signal?.addEventListener("abort", () => reject(new Error("aborted"))));
    return Promise.race([answer(origin), late]);
  };
  const budget = {
    add: (bytes: number) => bytes <= roomBytes && ((heldBytes += bytes), true),
    remove: (bytes: number) => void (heldBytes -= bytes),
  };
  return new Handover({ rule: { path: "/state", maxBytes: MAX_BYTES, timeoutMs: TIMEOUT_MS }, key, send, handshakes, budget });
}

/** What becomes of it once so much time has passed. */
async function after<T>(ms: number, work: Promise<T>): Promise<T> {
  await clock.pass(ms);
  return work;
}

beforeEach(() => {
  vi.spyOn(console, "error").mockImplementation(() => undefined);
  clock = new VirtualClock();
  restore = clock.install();
  [posts, handshakes, heldBytes, roomBytes] = [[], new Handshakes(), 0, 1_000];
  answer = async () => new Response("0123456789", { headers: { "content-type": "text/x-state" } });
});
afterEach(() => {
  restore();
  vi.restoreAllMocks();
  expect(handshakes.waitingCount).toBe(0);
});

test("the old origin is asked at its placement, and the new one is brought what it gave, as it was", async () => {
  const moving = handover();
  await after(0, moving.give(OLD));
  expect([moving.given, heldBytes]).toEqual([true, MAX_BYTES]);
  expect(await after(0, moving.take(NEW))).toBe(true);
  expect([moving.given, heldBytes]).toEqual([false, 0]);
  expect(posts.map(({ origin, url, type, body }) => [origin, url, type, body])).toEqual([
    ["o1", "http://o1/state", null, ""],
    ["o2", "http://o2/state", "text/x-state", "0123456789"],
  ]);
  expect(posts.map(({ field }) => /session="(\w+)".*fence=(\d+).*handover=(\w+)/.exec(field)?.slice(1))).toEqual([
    ["doc", "5", "give"],
    ["doc", "6", "take"],
  ]);
});

test.each([
  ["an answer that is none", async () => new Response("no", { status: 500 })],
  ["one byte more than may be", async () => new Response("0123456789+")],
  ["nobody there", () => Promise.reject(new Error("refused"))],
  ["no answer in time", () => new Promise<Response>(() => undefined)],
])("%s gives nothing: there is nothing to take, and nothing is held", async (_, gives) => {
  answer = gives;
  const moving = handover();
  await after(TIMEOUT_MS, moving.give(OLD));
  expect([moving.given, heldBytes, clock.pendingCount]).toEqual([false, 0, 0]);
  expect(await moving.take(NEW)).toBe(true);
  expect(posts).toHaveLength(1);
});

test("a carrier that holds as much as it may keeps no state", async () => {
  roomBytes = MAX_BYTES - 1;
  const moving = handover();
  await after(0, moving.give(OLD));
  expect([moving.given, heldBytes]).toEqual([false, 0]);
});

test("a session without a key has no state to ask for", async () => {
  const moving = new Handover({
    rule: { path: "/state", maxBytes: MAX_BYTES, timeoutMs: TIMEOUT_MS },
    key: undefined,
    send: () => Promise.reject(new Error("nobody must be asked")),
    handshakes,
    budget: { add: () => true, remove: () => undefined },
  });
  await moving.give(OLD);
  expect([moving.given, posts]).toEqual([false, []]);
});

test("a state that was not taken is kept, and the next origin is offered it", async () => {
  const moving = handover();
  await after(0, moving.give(OLD));
  answer = async (origin) => new Response(null, { status: origin === "o2" ? 503 : 204 });
  expect(await after(0, moving.take(NEW))).toBe(false);
  expect(await after(0, moving.take(NEW))).toBe(false);
  expect([moving.given, heldBytes, posts.length]).toEqual([true, MAX_BYTES, 3]);
  await after(0, moving.give(NEW)); // it never had it: what is kept is not asked for again
  expect(posts).toHaveLength(3);
  expect(await after(0, moving.take(placement("o3", 7)))).toBe(true);
  expect([moving.given, heldBytes, posts.at(-1)?.body]).toEqual([false, 0, "0123456789"]);
});

test("all connections of the session wait for one offer", async () => {
  const moving = handover();
  await after(0, moving.give(OLD));
  expect(await after(0, Promise.all([moving.take(NEW), moving.take(NEW), moving.take(NEW)]))).toEqual([true, true, true]);
  expect([posts.length, heldBytes]).toEqual([2, 0]);
});

test("an origin that takes too long has not taken it", async () => {
  const moving = handover();
  await after(0, moving.give(OLD));
  answer = () => new Promise(() => undefined);
  expect(await after(TIMEOUT_MS, moving.take(NEW))).toBe(false);
  expect([moving.given, clock.pendingCount]).toEqual([true, 0]);
});

test("who waits for a handshake's turn waits no longer than for the answer, and asks nobody then", async () => {
  const holders = Array.from({ length: HANDSHAKE_SLOTS }, (_, n) => handshakes.take("moves", `h${n}`, new AbortController().signal));
  await Promise.all(holders);
  const moving = handover();
  await after(TIMEOUT_MS, moving.give(OLD));
  expect([moving.given, posts]).toEqual([false, []]);
});

test("what is forgotten is given back once, whether it is being offered or not", async () => {
  const moving = handover();
  await after(0, moving.give(OLD));
  const taking = moving.take(NEW);
  moving.forget();
  moving.forget();
  await after(0, taking);
  expect([moving.given, heldBytes]).toEqual([false, 0]);
});

test("an offer that fails while all connections wait for it is told to each, and made again", async () => {
  const moving = handover();
  await after(0, moving.give(OLD));
  answer = async () => new Response(null, { status: 503 });
  expect(await after(0, Promise.all([moving.take(NEW), moving.take(NEW), moving.take(NEW)]))).toEqual([false, false, false]);
  expect([moving.given, posts.length]).toEqual([true, 2]);
  const taking = moving.take(NEW);
  moving.forget();
  expect([await after(0, taking), moving.given, heldBytes]).toEqual([false, false, 0]);
});

test("what an origin takes after the session has gone elsewhere is still offered there", async () => {
  const moving = handover();
  await after(0, moving.give(OLD));
  answer = async (origin) => {
    await new Promise((resolve) => setTimeout(resolve, origin === "o2" ? 100 : 200));
    return new Response(null, { status: origin === "o2" ? 204 : 503 });
  };
  const [first, second] = [moving.take(NEW), moving.take(placement("o3", 7))];
  expect([await after(150, first), moving.given]).toEqual([true, true]);
  expect([await after(150, second), moving.given, heldBytes]).toEqual([false, true, MAX_BYTES]);
});

test("two orders to leave ask once, and count what was given once", async () => {
  const moving = handover();
  await after(0, Promise.all([moving.give(OLD), moving.give(OLD)]));
  expect([posts.length, moving.given, heldBytes]).toEqual([1, true, MAX_BYTES]);
  moving.forget();
  expect(heldBytes).toBe(0);
});

test.each(["goOn", "forget"] as const)("what is given after %s is not kept: it would be old by the next move", async (word) => {
  const moving = handover();
  const giving = moving.give(OLD);
  moving[word]();
  await after(0, giving);
  expect([moving.given, heldBytes]).toEqual([false, 0]);
  await after(0, moving.give(NEW));
  expect([moving.given, posts.at(-1)?.origin]).toEqual([true, "o2"]);
});
