// One attempt at an origin, with an origin that is a function: what each end of it is called. (Of a real visitor who leaves workerd ends the whole
// request, and with it the origin's, by itself: test/e2e/carrying.test.ts.)

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { HANDSHAKE_TIMEOUT_MS } from "../../src/platform/limits.ts";
import { tryOrigin, type Tried } from "../../src/platform/try-origin.ts";

let send: (request: Request) => Promise<Response>;
let leave: AbortController;
let seen: Request[];

beforeEach(() => {
  seen = [];
  leave = new AbortController();
  vi.useFakeTimers({ now: 1_800_000_000_000 });
  vi.stubGlobal("fetch", async (url: string, init: RequestInit) => {
    const request = new Request(url, init);
    seen.push(request);
    return send(request);
  });
});

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** Never answers, but heeds its signal. */
const silent = (request: Request): Promise<Response> =>
  new Promise((_, reject) => request.signal.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError"))));

function attempt(deadlines: object = {}, spliced = false): Promise<Tried> {
  const pool = { id: "p" };
  const plain = {
    request: new Request("http://router/x", { signal: leave.signal }),
    requestId: "r",
    spliced,
    headers: () => ({ via: "1.1 limpet" }),
    target: "/x",
    route: { deadlines },
    pool,
    key: "k",
    point: { position: 1, lot: 2 },
  };
  const decision = { kind: "routed", origin: { id: "o1", url: "http://o1" }, region: "weur", epoch: 1, reason: "owner" };
  const platform = { env: {}, settings: { access: new Map(), config: { regions: { weur: {} } } }, ctx: { waitUntil: () => undefined } };
  return tryOrigin(platform as never, plain as never, { decision, views: [], body: { kind: "none" }, attempt: 1 } as never);
}

test("an attempt that is lost with its visitor is nobody's fault", async () => {
  send = async () => {
    leave.abort();
    throw new Error("Network connection lost.");
  };
  expect(await attempt()).toEqual({ kind: "failed", outcome: "client-gone" });
});

test("a first byte that does not come in the route's time is a time-out; without one the platform's own counts", async () => {
  send = silent;
  const hasty = attempt({ firstByteMs: 300 });
  await vi.advanceTimersByTimeAsync(300);
  expect(await hasty).toEqual({ kind: "failed", outcome: "timeout" });
  let patient: Tried | undefined;
  void attempt().then((tried) => (patient = tried));
  await vi.advanceTimersByTimeAsync(99_000);
  expect(patient).toBeUndefined();
});

test("a handshake that is spliced has its time even where the route says none", async () => {
  send = silent;
  for (const [deadlines, ms] of [
    [{}, HANDSHAKE_TIMEOUT_MS],
    [{ firstByteMs: 300 }, 300],
    [{ firstByteMs: 20_000 }, 20_000],
  ] as const) {
    let tried: Tried | undefined;
    void attempt(deadlines, true).then((result) => (tried = result));
    await vi.advanceTimersByTimeAsync(ms - 1);
    expect(tried).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(tried).toEqual({ kind: "failed", outcome: "timeout" });
  }
});

test("a stream that is spliced is the origin's very answer, which nothing cuts however long it is silent", async () => {
  const stream = new Response(new ReadableStream(), { headers: { "content-type": "text/event-stream" } });
  send = async () => stream;
  const tried = await attempt({}, true);
  expect(tried).toMatchObject({ kind: "answered" });
  expect(tried.kind === "answered" && tried.response).toBe(stream);
  await vi.advanceTimersByTimeAsync(600_000);
  expect(seen[0]?.signal.aborted).toBe(false);
});

test("what cannot be reached is the origin's fault", async () => {
  send = async () => {
    throw new Error("Network connection lost.");
  };
  expect(await attempt()).toEqual({ kind: "failed", outcome: "origin-fault" });
});

test("an answer in time leaves no deadline behind, and redirects and caches are kept out of it", async () => {
  send = async () => new Response("well");
  const tried = await attempt({ firstByteMs: 300 });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(tried.kind).toBe("answered");
  expect([seen[0]?.signal.aborted, seen[0]?.redirect, seen[0]?.cache]).toEqual([false, "manual", "no-store"]);
  expect(seen[0]?.headers.get("limpet")).toContain('session="k", origin="o1"');
});
