// What a session needs while it looks for a leg: resets in their window, asks that are late, waits that end at the deadline, legs that nobody wants.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { RESTART, STALE_HANDSHAKE } from "../../src/core/close-codes.ts";
import { backoff, discard, farewell, hasBegun, Resets, unlessLate } from "../../src/platform/connecting.ts";
import { RECONNECT_BACKOFF_MS, RESETS_WINDOW_MS } from "../../src/platform/limits.ts";
import { VirtualClock } from "./carried/virtual-clock.ts";

let clock: VirtualClock;
let restore: () => void;

beforeEach(() => {
  clock = new VirtualClock();
  restore = clock.install();
});
afterEach(() => {
  restore();
  vi.restoreAllMocks();
});

test("resets count within a window that begins with the first of them", () => {
  const resets = new Resets<string>();
  const counts = [0, 1, RESETS_WINDOW_MS - 1, RESETS_WINDOW_MS, RESETS_WINDOW_MS + 1].map((atMs) => resets.another("a", atMs));
  expect(counts).toEqual([1, 2, 3, 1, 2]);
  expect([resets.of("a"), resets.of("b")]).toEqual([2, 0]);
  resets.forget("a");
  expect([resets.of("a"), resets.another("a", 5)]).toEqual([0, 1]);
});

test.each([
  [-1, 10_000, 50],
  [0, 10_000, 50],
  [1, 10_000, 150],
  [4, 10_000, 1_000],
  [99, 10_000, 1_000],
  [4, 999, 999],
  [4, 0, 0],
  [4, -5, 0],
])("after %i failures, %i ms before the deadline, the next try comes in %i ms", (failures, leftMs, waitMs) => {
  expect(backoff(failures, clock.nowMs + leftMs)).toBe(waitMs);
});

test("waits grow", () => {
  expect(RECONNECT_BACKOFF_MS).toEqual([...RECONNECT_BACKOFF_MS].toSorted((a, b) => a - b));
});

test("an answer that comes before the deadline is heard, a later one is not waited for", async () => {
  const after = (ms: number): Promise<string> => new Promise((resolve) => setTimeout(() => resolve("answer"), ms));
  const asks = [unlessLate(after(99), clock.nowMs + 100), unlessLate(after(101), clock.nowMs + 100), unlessLate(after(1), clock.nowMs - 1)];
  await clock.pass(100);
  expect(await Promise.all(asks)).toEqual(["answer", undefined, undefined]);
});

test("a leg that breaks as it begins is none, and an answer that nobody wants is not read", () => {
  const logged = vi.spyOn(console, "error").mockImplementation(() => undefined);
  const discarded = vi.fn();
  expect(hasBegun({ kind: "open", begin: () => undefined, discard: discarded })).toBe(true);
  const broken = (): void => {
    throw new TypeError("closed already");
  };
  expect(hasBegun({ kind: "open", begin: broken, discard: discarded })).toBe(false);
  expect(logged).toHaveBeenCalledOnce();
  discard({ kind: "open", begin: broken, discard: discarded });
  expect(discarded).toHaveBeenCalledOnce();
  const cancelled = vi.fn();
  discard({ kind: "answered", response: new Response(new ReadableStream({ cancel: cancelled })) });
  expect(cancelled).toHaveBeenCalledOnce();
  discard({ kind: "answered", response: new Response(null) });
  discard({ kind: "unreachable" });
});

test("whoever is refused by the new origin is told to bring a fresh handshake, others that it starts again", () => {
  expect(farewell({ kind: "answered", response: new Response(null, { status: 401 }) })).toBe(STALE_HANDSHAKE);
  expect(farewell({ kind: "unreachable" })).toBe(RESTART);
  expect(farewell({ kind: "refused", why: "no-origin" })).toBe(RESTART);
  expect(farewell({ kind: "full" })).toBe(RESTART);
});
