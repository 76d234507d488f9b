// Pools that need no ring: by load, by turn, by chance. Sockets are placed by the ring object, which counts them; plain requests by the
// Worker, by what it knows itself; and whoever has a place keeps it.

import { parseDictionary } from "structured-headers";
import { afterEach, expect, test } from "vitest";
import { startEchoOrigin, type EchoOrigin } from "../support/echo-origin.ts";
import { eventually, startDev, type RingView, type Stack } from "../support/stack.ts";
import { visit, type Visitor } from "../support/visitor.ts";

let origins: EchoOrigin[] = [];
let visitors: Visitor[] = [];
let router: Omit<Stack, "fleet">;

afterEach(async () => {
  for (const { socket } of visitors.splice(0)) socket.terminate();
  await router.stop();
  await Promise.all(origins.splice(0).map((origin) => origin.stop()));
});

async function start(balance: string, weights: readonly number[] = [1, 1, 1]): Promise<void> {
  origins = await Promise.all(weights.map(() => startEchoOrigin()));
  router = await startDev({
    configRevision: 1,
    defaultRegion: "weur",
    regions: { weur: {} },
    pools: { echo: { balance, origins: origins.map(({ url }, n) => ({ id: `o${n}`, region: "weur", url, weight: weights[n] })) } },
    routes: [
      { path: "/doc/:session", pool: "echo", session: [{ path: "session" }], home: "session", resume: { mode: "restart" } },
      { path: "/mine/*", pool: "echo", session: [{ issue: true }], home: "visitor" },
      { path: "/any/*", pool: "echo" },
    ],
  });
}

async function ask(path: string, cookie?: string): Promise<{ origin: string; reason: string; cookie: string }> {
  const response = await router.fetch(path, { headers: cookie === undefined ? {} : { cookie } });
  const field = parseDictionary(response.headers.get("limpet") ?? "");
  return {
    origin: String(field.get("origin")?.[0]),
    reason: String(field.get("reason")?.[0]),
    cookie: (response.headers.get("set-cookie") ?? "").split(";")[0] ?? "",
  };
}

const sessionsByOrigin = async (): Promise<number[]> => (await router.admin<RingView>("rings/echo/weur")).origins.map(({ sessions }) => sessions);
const open = async (name: string): Promise<Visitor> => {
  const visitor = await visit(`${router.wsUrl}/doc/${name}`);
  visitors.push(visitor);
  return visitor;
};
const counted = (names: readonly string[]): number[] => ["o0", "o1", "o2"].map((id) => names.filter((name) => name === id).length);

test("round robin: requests without a session go to each in its turn, weights counted", async () => {
  await start("round-robin");
  const served: string[] = [];
  for (let n = 0; n < 30; n++) served.push((await ask("/any/x")).origin);
  expect(counted(served)).toEqual([10, 10, 10]);
  for (let n = 3; n < 30; n++) expect(served[n]).toBe(served[n - 3]);
  await router.stop();
  await start("round-robin", [2, 1, 1]);
  const weighed: string[] = [];
  for (let n = 0; n < 40; n++) weighed.push((await ask("/any/x")).origin);
  expect(Math.abs((counted(weighed)[0] ?? 0) - 20)).toBeLessThanOrEqual(3);
});

test("least connections: sockets fill up whoever has fewest, and each document keeps its place, for plain requests too", async () => {
  await start("least-connections");
  for (let n = 0; n < 9; n++) await open(`d${n}`);
  expect(await sessionsByOrigin()).toEqual([3, 3, 3]);
  const origin = (await router.session("d0", "echo"))?.origin;
  for (const name of ["d3", "d4", "d5", "d6"]) {
    const session = await router.session(name, "echo");
    expect(await eventually(`plain requests of ${name} know its place`, async () => (await ask(`/doc/${name}`)).origin === session?.origin)).toBe(
      true,
    );
    expect((await ask(`/doc/${name}`)).reason).toBe("pin");
  }
  // A second visitor of a document joins the first, whatever the load.
  for (let n = 0; n < 3; n++) await open("d0");
  expect([await sessionsByOrigin(), (await router.session("d0", "echo"))?.origin]).toEqual([[3, 3, 3], origin]);
  // Whoever has lost sessions gets the next ones.
  const losers = await Promise.all(Array.from({ length: 9 }, async (_, n) => ({ n, at: (await router.session(`d${n}`, "echo"))?.origin })));
  const gone = losers.filter(({ n, at }) => n > 0 && at === losers[8]?.at).map(({ n }) => n);
  for (const n of gone) visitors[n]?.socket.terminate();
  await eventually("they are gone", async () => (await sessionsByOrigin()).reduce((sum, each) => sum + each) === 9 - gone.length);
  for (const n of gone) await open(`new-${n}`);
  expect(await sessionsByOrigin()).toEqual([3, 3, 3]);
});

test("by chance: a visitor with a cookie stays where chance has put them, and a drain moves sockets on", async () => {
  await start("random");
  const firsts = await Promise.all(Array.from({ length: 30 }, () => ask("/mine/x")));
  expect(new Set(firsts.map(({ origin }) => origin)).size).toBe(3);
  expect(new Set(firsts.map(({ reason }) => reason))).toEqual(new Set(["balance"]));
  for (const { origin, cookie } of firsts.slice(0, 10)) expect(await ask("/mine/x", cookie)).toMatchObject({ origin, reason: "claim" });
  for (let n = 0; n < 12; n++) await open(`d${n}`);
  const before = await sessionsByOrigin();
  await router.admin("rings/echo/weur/origins/o0/drain", "POST");
  const after = await eventually("o0 is empty", async () => {
    const now = await sessionsByOrigin();
    return now[0] === 0 && now.reduce((sum, each) => sum + each) >= 12 - (before[0] ?? 0) && now;
  });
  expect((after[1] ?? 0) + (after[2] ?? 0)).toBeGreaterThanOrEqual(12 - (before[0] ?? 0));
});

test("a document that nobody holds goes by the ring over plain HTTP: everybody agrees, though the pool goes by turn", async () => {
  await start("round-robin");
  const once = await Promise.all(Array.from({ length: 12 }, async (_, n) => (await ask(`/doc/d${n}`)).origin));
  const again = await Promise.all(Array.from({ length: 12 }, async (_, n) => (await ask(`/doc/d${n}`)).origin));
  expect(again).toEqual(once);
  expect(new Set(once).size).toBeGreaterThan(1);
});
