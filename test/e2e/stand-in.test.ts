// A region's objects cannot be reached: visitors are served by carriers of the secondary region, where the home ring has their session, and are sent back
// when home answers again. Nobody is sent to two origins.

import { afterEach, expect, test } from "vitest";
import { LiveStack, names } from "../support/live-stack.ts";
import { eventually } from "../support/stack.ts";
import { visit, type Visitor } from "../support/visitor.ts";

const RING = "v1:live@weur#g1";
const CARRIERS = [0, 1].map((slice) => `${RING}/${slice}`);

let stack: LiveStack;

afterEach(() => stack.stop());

function start(): Promise<LiveStack> {
  return LiveStack.start({
    ids: ["weur-0", "weur-1", "weur-2", "enam-0"],
    regions: { weur: { secondary: ["enam"] }, enam: {} },
    pool: { carriers: 2, overprovisioning: 10 }, // nobody is spilt, and comes home in the middle
    mortal: true,
  });
}

/** Where the legs of each session that are open are. */
function openAt(session: string): string[] {
  return stack.origins.flatMap((origin) =>
    origin
      .open()
      .filter((leg) => leg.session === session)
      .map(() => origin.id),
  );
}

async function visitAll(sessions: readonly string[], name: string): Promise<{ visitors: Visitor[]; tookMs: number }> {
  const fromMs = Date.now();
  const visitors = await Promise.all(sessions.map((session) => visit(stack.url(session, name))));
  return { visitors, tookMs: Date.now() - fromMs };
}

async function plainOrigin(session: string): Promise<string | undefined> {
  const answer = await stack.client.fetch(`/live/${session}`);
  return /origin="([^"]*)"/.exec(answer.headers.get("limpet") ?? "")?.[1];
}

test.each(["throw", "hang"] as const)(
  "carriers and ring object are out of reach (%s): everyone of a session is where it was, within three seconds more",
  async (how) => {
    stack = await start();
    const sessions = names("s", 10);
    await stack.drain("weur-1", "weur-2");
    const before = await visitAll(sessions, "a");
    await stack.undrain("weur-1", "weur-2"); // most are not where the ring says any more: the hints do
    const homes = new Map(sessions.map((session) => [session, openAt(session)[0]]));
    const kv = await stack.router.miniflare.getKVNamespace("AFFINITY");
    await eventually("KV has all hints", async () => {
      const told = (await kv.get("ring/live/weur", "json")) as { epoch: number; hintsVersion: number } | null;
      const { epoch, hintsVersion } = await stack.ring();
      return told?.epoch === epoch && told.hintsVersion === hintsVersion;
    });
    await stack.mute(how, RING, ...CARRIERS);
    const during = await visitAll(sessions, "b");
    expect(during.tookMs - before.tookMs).toBeLessThan(4_000);
    expect((await visitAll(sessions.slice(0, 3), "c")).tookMs).toBeLessThan(1_500); // who comes soon after does not wait for the verdict
    for (const session of sessions) expect(new Set(openAt(session))).toEqual(new Set([homes.get(session)]));
    await stack.mute("no", RING, ...CARRIERS);
    await Promise.all(during.visitors.map(async ({ closed }) => expect((await closed).code).toBe(1012)));
    const back = await visitAll(sessions, "b");
    for (const session of sessions) {
      expect((await stack.session(session))?.origin).toBe(homes.get(session));
      expect(new Set(openAt(session))).toEqual(new Set([homes.get(session)]));
    }
    expect(before.visitors.every((visitor) => visitor.isOpen())).toBe(true); // theirs were never closed
    for (const { socket } of [...before.visitors, ...back.visitors]) socket.close();
  },
  60_000,
);

test("the ring object answers and the carriers do not: its word holds for who is new, for plain requests, and for a drain", async () => {
  stack = await start();
  await stack.mute("throw", ...CARRIERS);
  const sessions = names("n", 12);
  const { visitors } = await visitAll(sessions, "a");
  for (const session of sessions) expect([openAt(session).length, await plainOrigin(session)]).toEqual([1, openAt(session)[0]]);
  expect((await stack.ring()).orders).toBe(12);
  const drained = sessions.filter((session) => openAt(session)[0] === "weur-0");
  expect(drained.length).toBeGreaterThan(0);
  await stack.drain("weur-0");
  await Promise.all(sessions.map(async (session, n) => drained.includes(session) && expect((await visitors[n]?.closed)?.code).toBe(1012)));
  const back = await visitAll(drained, "a");
  for (const session of drained) expect(openAt(session)).not.toContain("weur-0");
  for (const { socket } of [...visitors, ...back.visitors]) socket.close();
}, 60_000);

test("a carrier that is only slow to open a leg is no lost one", async () => {
  stack = await start();
  for (const origin of stack.origins) origin.will.handshakeMs = 1_500;
  const { visitors } = await visitAll(["slow"], "a");
  expect((await stack.session("slow"))?.connections).toBe(1);
  expect(stack.records.filter(({ limpet }) => limpet === "carrier-unreachable")).toEqual([]);
  for (const { socket } of visitors) socket.close();
});
