// What sessions do when the ring changes under them: with `hold: false` they follow it, at the pace; with `hold: true` they stay. And by
// bounded load nothing flaps.

import { afterEach, expect, test } from "vitest";
import { LiveStack, mostWithin, names } from "../support/live-stack.ts";
import { eventually } from "../support/stack.ts";
import type { Talker } from "../support/talker.ts";

let stack: LiveStack;

afterEach(() => stack.stop());

const SESSIONS = 40;
const IDS = ["o0", "o1", "o2"];

function owners(): Map<string, string> {
  const found = new Map<string, string>();
  for (const origin of stack.origins) for (const { session } of origin.open()) found.set(session, origin.id);
  return found;
}

function areAt(places: ReadonlyMap<string, string>): boolean {
  const now = owners();
  return now.size === places.size && [...places].every(([session, id]) => now.get(session) === id);
}

async function expectServed(talkers: readonly Talker[], deaths: number): Promise<void> {
  await Promise.all(talkers.map((talker) => talker.ask()));
  for (const talker of talkers) await (deaths > 0 ? talker.expectHoles(deaths) : talker.expectWhole());
  stack.expectOneOwner();
}

test("hold: false: an origin that was killed and comes back gets its sessions back at the pace, and no socket closes", async () => {
  const PER_SECOND = 20;
  stack = await LiveStack.start({ ids: IDS, pool: { hold: false, pace: { perOriginPerSecond: PER_SECOND } } });
  const talkers = await stack.joinAll(names("s", SESSIONS));
  const first = owners();
  const lost = [...first.values()].filter((id) => id === "o0").length;
  await stack.origin("o0").kill();
  await stack.down("o0");
  await stack.emptied("o0");
  await expectServed(talkers, 1);
  expect(owners().size).toBe(SESSIONS);
  const before = stack.origin("o0").handshakesAtMs.length;
  await stack.origin("o0").start();
  await eventually("all are where they were", () => areAt(first));
  const atMs = stack.origin("o0").handshakesAtMs.slice(before);
  expect(atMs).toHaveLength(lost);
  expect(mostWithin(atMs, 500)).toBeLessThanOrEqual(PER_SECOND / 2 + PER_SECOND / 4 + 8);
  await expectServed(talkers, 1);
  expect((await stack.settled()).moved).toEqual({ lost, follow: lost });
});

test("hold: false: an origin that is drained and undrained gets its sessions back, and nothing of them is lost", async () => {
  stack = await LiveStack.start({ ids: IDS, pool: { hold: false } });
  const talkers = await stack.joinAll(names("s", SESSIONS));
  const first = owners();
  for (const talker of talkers) talker.talk(50);
  await stack.drain("o0");
  await stack.emptied("o0");
  await stack.undrain("o0");
  await eventually("all are where they were", () => areAt(first));
  await expectServed(talkers, 0);
});

test("hold: true: they stay where they were moved", async () => {
  stack = await LiveStack.start({ ids: IDS });
  const talkers = await stack.joinAll(names("s", SESSIONS));
  await stack.drain("o0");
  await stack.emptied("o0");
  const moved = owners();
  await stack.undrain("o0");
  await stack.origin("o1").kill();
  await stack.down("o1");
  await stack.emptied("o1");
  await stack.origin("o1").start();
  await stack.healthy("o1");
  const { epoch } = await stack.settled();
  await eventually("everybody has seen that", async () => (await stack.ring()).epoch >= epoch);
  const now = owners();
  for (const [session, id] of moved) if (id === "o2") expect(now.get(session)).toBe("o2");
  expect([...now.values()].filter((id) => id === "o1")).toEqual([]);
  await expectServed(talkers, 1);
});

test("hold: false with bounded load: what the bound has put elsewhere does not go to and fro", async () => {
  stack = await LiveStack.start({ ids: IDS, pool: { hold: false, balance: "bounded-ring", boundFactor: 1.1, virtualNodes: 4 } });
  const talkers = await stack.joinAll(names("s", SESSIONS));
  await stack.drain("o0");
  await stack.emptied("o0");
  await stack.undrain("o0");
  // The number of moves stands still for several ticks of the ring's clock.
  let [last, standsSinceMs] = ["", Date.now()];
  await eventually("nothing moves any more", async () => {
    const { moved, waiting, moving } = await stack.ring();
    const now = JSON.stringify([moved, waiting, moving]);
    if (now !== last) [last, standsSinceMs] = [now, Date.now()];
    return Date.now() - standsSinceMs > 3_000;
  });
  const ring = await stack.ring();
  expect(Object.values(ring.moved).reduce((sum, count) => sum + count)).toBeLessThan(3 * SESSIONS);
  expect(Math.max(...ring.origins.map(({ sessions }) => sessions))).toBeLessThanOrEqual(Math.ceil((1.1 * SESSIONS) / 3) + 1);
  await expectServed(talkers, 0);
});
