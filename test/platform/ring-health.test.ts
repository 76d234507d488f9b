// Active checks of a ring on a clock of the test's own: who is probed when, what a check takes for well, and how soon a fleet of which half hangs is judged.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { OriginFetch } from "../../src/platform/origin-fetch.ts";
import { check } from "../../src/platform/health-check.ts";
import { DOWN_SLOTS, PROBE_SLOTS, VERDICT_SLOTS } from "../../src/platform/limits.ts";
import { Prober, type Probed } from "../../src/platform/ring-health.ts";

const POLICY = { path: "/healthz", intervalMs: 5_000, timeoutMs: 1_000, rise: 2, fall: 3 };
const START_MS = 1_800_000_000_000;

beforeEach(() => vi.useFakeTimers({ now: START_MS }));
afterEach(() => vi.useRealTimers());

/** Origins that answer, hang or refuse; and a ring object's clock, which begins what is due. */
class Fleet {
  readonly ids: readonly string[];
  readonly bad = new Map<string, "hangs" | "refuses">();
  readonly told: (Probed & { id: string; atMs: number })[] = [];
  readonly underWay = new Map<string, number>();
  readonly sent: { id: string; atMs: number }[] = [];
  most = 0;
  mostDown = 0;
  readonly prober: Prober;
  readonly #down = new Set<string>();
  #downUnderWay = 0;

  constructor(ids: readonly string[]) {
    this.ids = ids;
    this.prober = new Prober(
      () => POLICY,
      this.#send,
      (id, probed) => {
        this.told.push({ id, atMs: Date.now(), ...probed });
        if (probed.status === "down") this.#down.add(id);
        else this.#down.delete(id);
        if (probed.status !== probed.before && probed.status === "down") void this.prober.sweep(id);
      },
    );
    this.prober.watch(ids.map((id) => ({ id, url: `https://${id}.example.com`, health: "healthy" }) as never));
  }

  readonly #send: OriginFetch = async (id) => {
    this.sent.push({ id, atMs: Date.now() });
    this.underWay.set(id, (this.underWay.get(id) ?? 0) + 1);
    this.most = Math.max(
      this.most,
      [...this.underWay.values()].reduce((sum, each) => sum + each, 0),
    );
    const down = this.#down.has(id) ? 1 : 0; // known to be, when it was sent
    this.#downUnderWay += down;
    this.mostDown = Math.max(this.mostDown, this.#downUnderWay);
    try {
      const how = this.bad.get(id);
      await new Promise((resolve) => setTimeout(resolve, how === "hangs" ? POLICY.timeoutMs : 5));
      if (how) throw new Error(how);
      return new Response("ready");
    } finally {
      this.#downUnderWay -= down;
      this.underWay.set(id, (this.underWay.get(id) ?? 1) - 1);
    }
  };

  async run(ms: number): Promise<void> {
    const untilMs = Date.now() + ms;
    while (Date.now() < untilMs) {
      void this.prober.probeDue();
      const nextMs = Math.max(1, Math.min(this.prober.nextDueAtMs(), untilMs) - Date.now());
      await vi.advanceTimersByTimeAsync(nextMs);
    }
  }

  downAt(id: string): number | undefined {
    const fall = this.told.find((each) => each.id === id && each.before === "healthy" && each.status === "down");
    return fall && fall.atMs - START_MS;
  }
}

describe("a fleet of which half hangs", () => {
  const ids = Array.from({ length: 100 }, (_, n) => `o${n}`);
  /** As docs/health.md tells it. */
  const boundMs = POLICY.fall * POLICY.intervalMs * 1.1 + (50 * POLICY.fall * POLICY.timeoutMs) / (PROBE_SLOTS - DOWN_SLOTS);

  test("is judged within the documented time, and nobody is judged wrongly", async () => {
    const fleet = new Fleet(ids);
    for (const id of ids.filter((_, n) => n % 2 === 0)) fleet.bad.set(id, "hangs");
    await fleet.run(boundMs);
    for (const [n, id] of ids.entries()) expect([id, fleet.downAt(id) !== undefined]).toEqual([id, n % 2 === 0]);
    expect(fleet.most).toBeLessThanOrEqual(PROBE_SLOTS + VERDICT_SLOTS);
    expect(fleet.mostDown).toBeLessThanOrEqual(DOWN_SLOTS);
  });

  test("then holds up nobody: a healthy one that fails is noticed as soon as alone, and one that answers again comes back", async () => {
    const fleet = new Fleet(ids);
    for (const id of ids.filter((_, n) => n % 2 === 0)) fleet.bad.set(id, "hangs");
    await fleet.run(boundMs);
    fleet.bad.set("o1", "refuses");
    const failedAtMs = Date.now() - START_MS;
    await fleet.run(POLICY.fall * POLICY.intervalMs * 1.1 + POLICY.timeoutMs * 2);
    expect((fleet.downAt("o1") ?? Infinity) - failedAtMs).toBeLessThan(POLICY.fall * POLICY.intervalMs * 1.1 + POLICY.timeoutMs);
    fleet.bad.delete("o0");
    await fleet.run((50 / DOWN_SLOTS) * POLICY.timeoutMs + POLICY.intervalMs * 1.1 * POLICY.rise);
    expect(fleet.told.findLast(({ id }) => id === "o0")?.status).toBe("healthy");
  });

  test("somebody who waits for a verdict waits for nobody's turn", async () => {
    const fleet = new Fleet(ids);
    for (const id of ids.slice(1)) fleet.bad.set(id, "hangs");
    await fleet.run(500);
    const askedAtMs = Date.now();
    const verdict = fleet.prober.ask("o0");
    await vi.advanceTimersByTimeAsync(50);
    expect(await verdict).toEqual({ healthy: true, atMs: askedAtMs + 5 });
  });
});

test("one that fails is looked at before those that are only due", async () => {
  const fleet = new Fleet(["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]);
  for (const id of fleet.ids) fleet.bad.set(id, "hangs"); // every slot is taken for a second
  fleet.bad.set("a", "refuses");
  await fleet.run(16_000);
  expect(fleet.downAt("a")).toBeLessThan(fleet.downAt("j") ?? 0);
});

test("when one has fallen only those are asked that have not answered since it began to fail", async () => {
  const fleet = new Fleet(["a", "b", "c"]);
  await fleet.run(12_000);
  fleet.bad.set("a", "refuses");
  const before = fleet.sent.length;
  await Promise.all([fleet.prober.ask("a"), vi.advanceTimersByTimeAsync(1_000)]);
  expect(fleet.sent.slice(before).map(({ id }) => id)).toEqual(["a", "a", "a", "b", "c"]);
});

test("one that falls slowly makes nobody asked: the others have answered meanwhile", async () => {
  const fleet = new Fleet(["a", "b", "c"]);
  await fleet.run(12_000);
  fleet.bad.set("a", "refuses");
  const before = fleet.sent.length;
  await fleet.run(20_000);
  expect(fleet.downAt("a")).toBeDefined();
  const others = fleet.sent.slice(before).filter(({ id }) => id !== "a");
  expect(others.length).toBeLessThanOrEqual(2 * Math.ceil(20_000 / (POLICY.intervalMs * 0.9)));
});

test("an origin is tried again at the moment that was asked for", async () => {
  const fleet = new Fleet(["a"]);
  await fleet.run(1_000);
  fleet.prober.lookAt("a", START_MS + 2_345);
  await fleet.run(3_000);
  expect(fleet.sent.map(({ atMs }) => atMs - START_MS)).toContain(2_345);
});

describe("one check", () => {
  const ORIGIN = { id: "a", url: "https://a.example.com" };
  const answering = (response: () => Response | Promise<Response>): OriginFetch => vi.fn(async () => response());
  const READY = { down: false, maintenance: false, drain: false, share: 1 };

  test.each<[what: string, response: () => Response, policy: object, said: object | undefined]>([
    ["any 2xx is well", () => new Response(null, { status: 204 }), {}, READY],
    ["anything else is not", () => new Response("ready", { status: 404 }), {}, undefined],
    ["nor is a redirect", () => new Response(null, { status: 302, headers: { location: "/" } }), {}, undefined],
    ["unless it is expected", () => new Response("maint", { status: 503 }), { status: [200, 503] }, { ...READY, maintenance: true }],
    ["and then 2xx is not", () => new Response("ready", { status: 204 }), { status: [200] }, undefined],
    ["its words are heard", () => new Response("up 40%\n"), {}, { ...READY, share: 0.4 }],
    ["a page says nothing", () => new Response("<html>drain</html>"), {}, READY],
    ["nor do words that do not end", () => new Response(`${" ".repeat(252)}drain`), {}, READY],
    ["256 bytes are read", () => new Response(`${" ".repeat(251)}drain`), {}, { ...READY, drain: true }],
  ])("%s", async (_, response, policy, said) => {
    expect(await check(answering(response), ORIGIN, { ...POLICY, ...policy })).toEqual(said);
  });

  test("bears the configured headers, beside what says whose it is", async () => {
    const send = answering(() => new Response("ready"));
    await check(send, ORIGIN, { ...POLICY, headers: { "x-check": "1" } });
    expect(send).toHaveBeenCalledWith(
      "a",
      "https://a.example.com/healthz",
      expect.objectContaining({ headers: { "user-agent": "limpet-health", "x-check": "1" } }),
    );
  });

  test("a body that never ends is left after 256 bytes, and no more of it is asked for", async () => {
    let pulls = 0;
    const endless = new ReadableStream<Uint8Array>({ pull: (controller) => (pulls++, controller.enqueue(new Uint8Array(100))) });
    expect(
      await check(
        answering(() => new Response(endless)),
        ORIGIN,
        POLICY,
      ),
    ).toEqual(READY);
    expect(pulls).toBeLessThan(6);
  });

  test("one that stops in the middle of its body has said that it is well, and no word; it is not waited for longer than the check may take", async () => {
    vi.useRealTimers();
    const send: OriginFetch = async (_, __, { signal }) => {
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(new TextEncoder().encode("drain"));
          signal?.addEventListener("abort", () => controller.error(new Error("late"))); // as a fetch's signal ends its body
        },
      });
      return new Response(body);
    };
    const startedAtMs = performance.now();
    expect(await check(send, ORIGIN, { ...POLICY, timeoutMs: 100 })).toEqual(READY);
    expect(performance.now() - startedAtMs).toBeLessThan(2_000);
  });
});
