// Parked sessions: no origin has a leg of theirs, their visitors' sockets stay, and nobody notices but by the cost. What wakes them, what they
// wake to, and what of it outlives the object's memory.

import { afterEach, expect, test } from "vitest";
import { LiveStack, type Options } from "../support/live-stack.ts";
import { eventually } from "../support/stack.ts";
import type { Talker } from "../support/talker.ts";

const AFTER_MS = 1_000;
/** A busy machine is no dead origin, nor is a runtime that stands still while it evicts an object: where a session is must not change by that. */
const PATIENT = { intervalMs: 200, timeoutMs: 2_000, rise: 1, fall: 50 };

let stack: LiveStack;

afterEach(() => stack.stop());

const start = (options: Partial<Options> = {}): Promise<LiveStack> =>
  LiveStack.start({
    ids: ["o0", "o1"],
    ...options,
    pool: { carriers: 1, health: PATIENT, ...options.pool },
    route: { park: { afterMs: AFTER_MS }, ...options.route },
  });

/** Until no origin has a leg of it, and the router says why. */
function parked(session: string): Promise<unknown> {
  return eventually(`${session} is parked`, async () => (await stack.session(session))?.state === "parked" && open(session) === 0, 5_000);
}

const open = (session: string): number => stack.origins.reduce((sum, origin) => sum + origin.open(session).length, 0);

const CARRIER = "v1:live@weur#g1/0";

/** The object's memory is gone; its sockets and what it wrote down are not. */
const evict = (): Promise<void> =>
  stack.router.miniflare.unsafeEvictDurableObject("limpet", "CarrierObject", { name: CARRIER, webSockets: "hibernate" });

async function expectWhole(...talkers: readonly Talker[]): Promise<void> {
  for (const talker of talkers) await talker.expectWhole();
  stack.expectOneOwner();
}

for (const [how, meanwhile] of [
  ["", async () => undefined],
  [", and its carrier's memory is lost meanwhile", evict],
] as const) {
  test(`a session at rest gives up its origin's legs and keeps its visitors; the next frame brings them back${how}`, async () => {
    stack = await start();
    const [a, b] = [await stack.join("s", "a"), await stack.join("s", "b")];
    await Promise.all([a.ask(), b.ask()]);
    const before = await stack.session("s");
    await parked("s");
    expect(await stack.session("s")).toMatchObject({ connections: 2, origin: before?.origin, fence: before?.fence });
    expect((await stack.ring()).sessions).toBe(1);
    await meanwhile();
    expect(await stack.session("s")).toMatchObject({ connections: 2, state: "parked" });
    await a.ask();
    expect(open("s"), "everyone of the session hears what one of them says").toBe(2);
    await b.ask();
    expect((await stack.session("s"))?.origin).toBe(before?.origin);
    await expectWhole(a, b);
    await parked("s");
    await b.ask();
    await expectWhole(a, b);
  });
}

test("a parked session is moved without a leg: its next frame goes to where it belongs by then, with a higher fence", async () => {
  stack = await start();
  const [a, b] = [await stack.join("s", "a"), await stack.join("s", "b")];
  await Promise.all([a.ask(), b.ask()]);
  const before = await stack.session("s");
  await parked("s");
  const legs = stack.legsOf("s").length;
  await stack.drain(before?.origin ?? "");
  await eventually("it is elsewhere", async () => (await stack.session("s"))?.origin !== before?.origin);
  expect(await stack.session("s")).toMatchObject({ state: "parked", connections: 2 });
  expect(stack.legsOf("s"), "nobody was dialled for it").toHaveLength(legs);
  await evict();
  await a.ask();
  await b.ask();
  const after = await stack.session("s");
  expect(after?.fence).toBeGreaterThan(before?.fence ?? Infinity);
  expect(stack.legsOf("s").at(-1)).toMatchObject({ origin: after?.origin, fence: after?.fence });
  await expectWhole(a, b);
});

test("its origin dies while it is parked: nobody is blamed or told, and the next frame goes to another", async () => {
  stack = await start({ pool: { health: { ...PATIENT, fall: 5 } } });
  const a = await stack.join("s", "a");
  await a.ask();
  const owner = await stack.ownerOf("s");
  await parked("s");
  await owner.kill();
  await stack.down(owner.id);
  await a.ask();
  expect((await stack.ownerOf("s")).id).not.toBe(owner.id);
  await expectWhole(a);
});

test("who joins a parked session wakes it, and is heard by who was there", async () => {
  stack = await start();
  const a = await stack.join("s", "a");
  await a.ask();
  await parked("s");
  const b = await stack.join("s", "b");
  await eventually("both have legs", () => open("s") === 2);
  expect((await stack.session("s"))?.connections).toBe(2);
  await Promise.all([a.ask(), b.ask()]);
  await expectWhole(a, b);
});

test("an origin that has something to say wakes it", async () => {
  stack = await start();
  const a = await stack.join("s", "a");
  await a.ask();
  await parked("s");
  await evict();
  const woken = await stack.client.fetch("/_limpet/v1/sessions/live/s/wake", { method: "POST", headers: { authorization: "Bearer dev" } });
  expect(woken.status).toBe(204);
  const [leg] = (await stack.ownerOf("s")).open("s");
  leg?.socket.send("news");
  await eventually("the news are heard", () => a.visitor.heard.includes("news"));
  const nobody = await stack.client.fetch("/_limpet/v1/sessions/live/nobody/wake", { method: "POST", headers: { authorization: "Bearer dev" } });
  expect(nobody.status).toBe(404);
});

/** What is left of a move's waits ends within six seconds, and the runtime takes an object's memory after ten in which nothing keeps it. */
const ASLEEP_AFTER_MS = 20_000;

test(
  "nothing keeps an object awake whose sessions are all parked: the runtime takes its memory by itself, and nobody notices",
  { timeout: 60_000 },
  async () => {
    stack = await start({ mortal: true });
    const [a, b] = [await stack.join("s", "a"), await stack.join("t", "b")];
    await Promise.all([a.ask(), b.ask()]);
    await Promise.all([parked("s"), parked("t")]);
    const atRestAtMs = Date.now();
    await new Promise((resolve) => setTimeout(resolve, ASLEEP_AFTER_MS)); // whoever asked in between would wake it
    expect((await stored()).bornAtMs, "it has begun anew for this very question").toBeGreaterThan(atRestAtMs + ASLEEP_AFTER_MS / 2);
    await Promise.all([a.ask(), b.ask()]);
    await expectWhole(a, b);
  },
);

test("who leaves a parked session is answered and counted out; with the last the session is over, and nothing of it is left in storage", async () => {
  stack = await start({ mortal: true });
  const [a, b] = [await stack.join("s", "a"), await stack.join("s", "b")];
  await Promise.all([a.ask(), b.ask()]);
  await parked("s");
  expect((await stored()).rows).toBe(3);
  a.visitor.socket.close(4001, "enough");
  expect((await a.visitor.closed).code).toBe(4001);
  await eventually("one is left", async () => (await stack.session("s"))?.connections === 1);
  expect((await stack.session("s"))?.state).toBe("parked");
  await evict();
  b.visitor.socket.terminate();
  await eventually("the session is over", async () => (await stack.session("s")) === undefined);
  expect((await stack.ring()).sessions).toBe(0);
  expect((await stored()).rows).toBe(0);
});

test("no token, key or path of a visitor's lies open in storage, nor is any told", async () => {
  stack = await start({ mortal: true });
  const a = await stack.join("s3cr3t-session", "token=s3cr3t-token");
  await a.ask();
  await parked("s3cr3t-session");
  const { text } = await stored();
  expect(text, "the tables were read").toContain("o0".slice(0, 1));
  for (const told of [text, JSON.stringify(stack.records), JSON.stringify(await stack.ring()), JSON.stringify(await stack.session("s3cr3t-session"))])
    expect(told).not.toContain("s3cr3t");
  await a.ask();
  await expectWhole(a);
});

test("whenever somebody speaks, everything is answered once and in order: before, while and after the session is parked", async () => {
  stack = await start();
  const talkers = await stack.joinAll(["s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7"]);
  const second = await Promise.all(talkers.map(({ session }) => stack.join(session, "b")));
  const pauses = talkers.map((_, n) => AFTER_MS + n * 90); // parking begins at the next look, every half second
  await Promise.all(
    talkers.map(async (talker, n) => {
      for (let round = 0; round < 4; round++) {
        for (let burst = 0; burst < 5; burst++) {
          talker.say();
          second[n]?.say();
        }
        await new Promise((resolve) => setTimeout(resolve, pauses[n]));
      }
    }),
  );
  await expectWhole(...talkers, ...second);
  expect(stack.legsOf("s7").length, "some were parked and came back").toBeGreaterThan(2);
});

test("operators end a session, parked or not: its visitors are told that it is over", async () => {
  stack = await start();
  const [a, b] = [await stack.join("s", "a"), await stack.join("t", "b")];
  await Promise.all([a.ask(), b.ask()]);
  await parked("s");
  await b.ask();
  for (const talker of [a, b]) {
    const ended = await stack.client.fetch(`/_limpet/v1/sessions/live/${talker.session}`, {
      method: "DELETE",
      headers: { authorization: "Bearer dev" },
    });
    expect(ended.status).toBe(204);
    expect(await talker.visitor.closed).toEqual({ code: 1000, reason: "this session is over" });
  }
  await eventually("nobody is left", async () => (await stack.ring()).sessions === 0);
  const again = await stack.client.fetch("/_limpet/v1/sessions/live/s", { method: "DELETE", headers: { authorization: "Bearer dev" } });
  expect(again.status).toBe(404);
});

test("a session that says nothing for as long as its pool allows is over, awake or parked", async () => {
  stack = await start({ pool: { session: { idleMs: 3_000 } } });
  const a = await stack.join("s", "a");
  await a.ask();
  await parked("s");
  expect((await a.visitor.closed).code).toBe(1001);
  await eventually("nobody is left", async () => (await stack.ring()).sessions === 0);
});

test("a session that lives for as long as its pool allows is over, parked or not, and its visitors come back", async () => {
  stack = await start({ pool: { session: { idleMs: 60_000, maxLifeMs: 3_000 } } });
  const [a, b] = [await stack.join("s", "a"), await stack.join("t", "b")];
  b.talk(200);
  await a.ask();
  const closes = await Promise.all([a.visitor.closed, b.visitor.closed]);
  expect(closes.map(({ code }) => code)).toEqual([1012, 1012]);
});

test("a ping that the route names is answered by the runtime, asleep or not, and wakes nobody", async () => {
  stack = await start({ route: { park: { afterMs: AFTER_MS, autoResponse: { request: "ping", response: "pong" } } } });
  const a = await stack.join("s", "a");
  await a.ask();
  const ping = async (count: number): Promise<unknown> => {
    a.visitor.socket.send("ping");
    return eventually("it is answered", () => a.visitor.heard.filter((frame) => frame === "pong").length === count);
  };
  await ping(1);
  await parked("s");
  await evict();
  await ping(2);
  expect(open("s")).toBe(0);
  expect(stack.legsOf("s").flatMap(({ received }) => received)).not.toContain("ping");
  await a.ask();
});

/** What the carrier has written down of parked sessions: rows, and everything of them as text. */
async function stored(): Promise<{ rows: number; text: string; bornAtMs: number }> {
  return (await (await stack.client.fetch(`/stored/CARRIER/${encodeURIComponent(CARRIER)}`)).json()) as {
    rows: number;
    text: string;
    bornAtMs: number;
  };
}
