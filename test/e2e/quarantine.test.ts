// A session whose frames kill its origins, and are replayed to the next, is not walked through the fleet.

import { afterEach, expect, test } from "vitest";
import { LiveStack, names } from "../support/live-stack.ts";
import { eventually } from "../support/stack.ts";
import type { Talker } from "../support/talker.ts";
import { refusedHandshake } from "../support/visitor.ts";

let stack: LiveStack;

afterEach(() => stack.stop());

const WINDOW_MS = 5_000;
const POISON = "poison";
/** The first frame is remembered and replayed: the poison goes with the session. */
const REMEMBERED = { resume: { mode: "transparent", prelude: { frames: 1, swallow: 0 } } };

async function start(ids: readonly string[]): Promise<void> {
  stack = await LiveStack.start({ ids, pool: { faultBudget: { deaths: 2, windowMs: WINDOW_MS } }, route: REMEMBERED });
  for (const { will } of stack.origins) will.poison = POISON;
}

const aliveCount = (): number => stack.origins.filter(({ alive }) => alive).length;

test.each([7, 4])(
  "in a ring of %i: after the budget its visitors get 1013, new ones 503, others stay, and after the window it is served",
  async (count) => {
    await start(names("o", count));
    const innocent = await stack.joinAll(names("s", 6));
    await Promise.all(innocent.map((talker) => talker.ask()));
    const [poisoner, friend] = [await stack.join("bad", "a"), await stack.join("bad", "b")];
    await friend.ask();
    poisoner.visitor.socket.send(POISON);
    for (const { visitor } of [poisoner, friend])
      expect(await visitor.closed).toMatchObject({ code: 1013, reason: expect.stringContaining("dying") as string });
    const closedAtMs = Date.now();
    // The first death is nobody's fault: the session had not been moved there. The next two are the budget.
    expect(aliveCount()).toBe(count - 3);
    const refused = await refusedHandshake(stack.url("bad"));
    expect([refused.status, (JSON.parse(refused.body) as { code: string }).code, refused.headers["content-type"]]).toEqual([
      503,
      "quarantined",
      "application/problem+json",
    ]);
    expect(Number(refused.headers["retry-after"])).toBeGreaterThan(0);
    const { quarantined } = await stack.settled();
    // Who went the same way could be the cause as well; nobody else is blamed.
    const isDead = (id: string): boolean => !stack.origin(id).alive;
    const wentAlong = innocent.filter(({ session }) => stack.legsOf(session).filter((leg) => leg.movedFrom && isDead(leg.origin)).length > 1);
    for (const talker of innocent) if (!wentAlong.includes(talker)) await talker.ask();
    expect([quarantined.length >= 1, quarantined.length <= 1 + wentAlong.length]).toEqual([true, true]);
    // Its time is over, and whoever comes without the poison is served.
    const again = await eventually("it is served again", () => stack.join("bad", "again").catch(() => undefined));
    expect(Date.now() - closedAtMs).toBeGreaterThan(WINDOW_MS - 1_000);
    await again.ask();
    expect([aliveCount(), (await stack.ring()).quarantined]).toEqual([count - 3, []]);
  },
);

test("half of the ring lost at once, and once more, is no session's doing: nobody is quarantined", async () => {
  await start(names("o", 4));
  const talkers: Talker[] = await stack.joinAll(names("s", 12));
  await Promise.all(talkers.map((talker) => talker.ask()));
  for (const ids of [
    ["o0", "o1"],
    ["o2", "o3"],
    ["o0", "o1"],
    ["o2", "o3"],
  ]) {
    for (const id of ids) if (!stack.origin(id).alive) await stack.origin(id).start();
    await Promise.all(stack.origins.map(({ id }) => stack.healthy(id)));
    await Promise.all(ids.map((id) => stack.origin(id).kill()));
    await Promise.all(ids.map((id) => stack.down(id)));
    await stack.emptied(...ids);
    for (const id of ids) await stack.origin(id).start();
    for (const talker of talkers) await talker.ask();
  }
  expect((await stack.ring()).quarantined).toEqual([]);
  expect(talkers.every(({ isOpen }) => isOpen)).toBe(true);
});
