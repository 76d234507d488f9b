// One attempt at an origin, with an origin that is a function: what each end of it is called. (Of a real visitor who leaves workerd ends the whole
// request, and with it the origin's, by itself: test/e2e/carrying.test.ts.)

import { afterEach, beforeEach, expect, test, vi } from "vitest";
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

function attempt(deadlines: object = {}): Promise<Tried> {
  const pool = { id: "p" };
  const plain = {
    request: new Request("http://router/x", { signal: leave.signal }),
    requestId: "r",
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
