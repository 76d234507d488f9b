// New sessions are bounded, by the address they come from, so that invented keys fill no table; whoever is known is not asked. And a session counts
// once its origin has accepted it.

import { afterEach, expect, test } from "vitest";
import { LiveStack, names } from "../support/live-stack.ts";
import { eventually } from "../support/stack.ts";
import { refusedHandshake, visit, type Visitor } from "../support/visitor.ts";

let stack: LiveStack;

afterEach(() => stack.stop());

const LIMIT = 20;
const ATTACKER = { "cf-connecting-ip": "2001:db8:1:2::bad" };
const NEIGHBOUR = { "cf-connecting-ip": "2001:DB8:1:2:ffff::1" };
const STRANGER = { "cf-connecting-ip": "2001:db8:1:3::1" };

const open = (session: string, headers: Record<string, string>): Promise<Visitor> => visit(stack.url(session), { headers });
const refusal = (session: string, headers: Record<string, string>) => refusedHandshake(stack.url(session), headers);

/** Invents sessions, which the origin does not know either, until they are too many. The limit's minute may end meanwhile. */
async function flood(prefix: string): Promise<Awaited<ReturnType<typeof refusal>>> {
  for (const session of names(prefix, 4 * LIMIT)) {
    const answer = await refusal(`${session}-invented`, ATTACKER);
    if (answer.status !== 401) return answer;
  }
  throw new Error("nobody was too many");
}

test(
  "invented sessions of one address are refused past its limit; those that are known, and other addresses, are served",
  { timeout: 90_000 },
  async () => {
    stack = await LiveStack.start({ ids: ["o0", "o1"], newSessionsPerMinute: LIMIT, mortal: true });
    for (const origin of stack.origins) origin.will.refuseTarget = { includes: "invented", status: 401 };
    const known = await open("known", ATTACKER);
    const held = await open("held", ATTACKER);
    const { status, headers, body } = await flood("a");
    expect([status, (JSON.parse(body) as { code: string }).code]).toEqual([429, "too-many-sessions"]);
    expect(Number(headers["retry-after"])).toBeGreaterThanOrEqual(1);
    expect(Number(headers["retry-after"])).toBeLessThanOrEqual(30);

    // One more connection of a session that is live, its return after it was over, and that after its carrier was lost.
    const second = await open("known", NEIGHBOUR);
    for (const { socket } of [known, second]) socket.close(1000);
    await eventually("it is over", async () => (await stack.session("known")) === undefined);
    const third = await open("known", ATTACKER);
    for (let slice = 0; slice < 4; slice++) await stack.abort("CARRIER", `v1:live@weur#g1/${slice}`);
    await Promise.all([third.closed, held.closed]);
    const heldAgain = await open("held", ATTACKER);
    const fourth = await open("known", ATTACKER);
    // Others, and those without an address.
    const others = [await open("of-a-stranger", STRANGER), await open("of-this-machine", {})];

    // A ring object that has just started knows nobody, and refuses nobody for it.
    await flood("b");
    await stack.abort("RING", "v1:live@weur#g1");
    for (const session of names("after", 3)) others.push(await open(session, ATTACKER));
    for (const { socket } of [fourth, heldAgain, ...others]) socket.close(1000);
  },
);

test("a session whose origin refuses its first handshake is counted by nobody and pinned nowhere; one that is accepted is", async () => {
  stack = await LiveStack.start({ ids: ["o0", "o1"], pool: { balance: "least-connections" } });
  for (const origin of stack.origins) Object.assign(origin.will, { handshakeMs: 400, refuse: 401 });
  const { hintsVersion } = await stack.ring();
  const answers = Promise.all(names("refused", 6).map((session) => refusal(session, {})));
  await eventually("their handshakes are under way", () => stack.origins.every(({ handshakesAtMs }) => handshakesAtMs.length === 3)); // bounded all the same
  const during = await stack.ring();
  expect((await answers).map(({ status }) => status)).toEqual(Array.from({ length: 6 }, () => 401));
  await eventually("their end is known", async () => (await stack.session("refused0")) === undefined);
  const after = await stack.ring();
  for (const ring of [during, after]) {
    expect([ring.sessions, ring.origins.map(({ sessions }) => sessions), ring.hintsVersion]).toEqual([0, [0, 0], hintsVersion]);
  }
  for (const origin of stack.origins) Object.assign(origin.will, { handshakeMs: 0, refuse: undefined });
  await stack.joinAll(names("accepted", 4));
  const ring = await stack.ring();
  expect([ring.sessions, ring.origins.map(({ sessions }) => sessions), ring.hintsVersion > hintsVersion]).toEqual([4, [2, 2], true]);
});
