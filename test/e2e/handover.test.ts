// Hand-over: a session's state goes from the old origin to the new one, between the last leg there and the first leg here. Where it cannot,
// the visitors are told to come back: never a session that has silently forgotten.

import { afterEach, expect, test } from "vitest";
import { LiveStack } from "../support/live-stack.ts";
import { eventually } from "../support/stack.ts";
import type { Talker } from "../support/talker.ts";

let stack: LiveStack;

afterEach(() => stack.stop());

const STATE = "the state of it";

/** A session with two visitors at `o0`, which knows its state. */
async function start(ids = ["o0", "o1"], handover: object = {}): Promise<[Talker, Talker]> {
  const resume = { mode: "handover", handover: { path: "/handover", maxBytes: 1_000, timeoutMs: 700, ...handover } };
  stack = await LiveStack.start({ ids, route: { resume, quietMs: 60 } });
  for (const { will } of stack.origins) {
    will.give = (session) => (session === "s" ? STATE : 404);
    will.take = () => 204;
  }
  const [others] = [ids.filter((id) => id !== "o0")];
  await stack.drain(...others);
  const pair: [Talker, Talker] = [await stack.join("s", "a"), await stack.join("s", "b")];
  await stack.undrain(...others);
  await Promise.all(pair.map((talker) => talker.ask()));
  return pair;
}

const hooksOf = (id: string): string[] => stack.origin(id).hooks.map(({ kind, body, openLegs }) => `${kind} "${body}" with ${openLegs} legs`);

async function expectSentBack(pair: readonly Talker[], code = 1012): Promise<void> {
  for (const { visitor } of pair) expect((await visitor.closed).code).toBe(code);
  const again = await stack.join("s", "again"); // and can come
  await again.ask();
}

test("a planned move carries the state: given once the old legs are closed, taken before the first new one opens", async () => {
  const pair = await start();
  for (const talker of pair) talker.talk(20);
  await stack.drain("o0");
  await stack.emptied("o0");
  for (const talker of pair) await talker.ask();
  for (const talker of pair) await talker.expectWhole();
  expect([hooksOf("o0"), hooksOf("o1")]).toEqual([['give "" with 0 legs'], [`take "${STATE}" with 0 legs`]]);
  const [give, take] = [stack.origin("o0").hooks[0], stack.origin("o1").hooks[0]];
  const [old, now] = [stack.origin("o0").legs[0], stack.origin("o1").legs[0]];
  expect([give?.session, give?.fence, take?.session, take?.fence, take?.movedFrom]).toEqual(["s", old?.fence, "s", now?.fence, "o0"]);
  stack.expectOneOwner();
  // And back again: what was taken is not given a second time.
  stack.origin("o1").will.give = () => "what became of it";
  await stack.undrain("o0");
  await stack.drain("o1");
  await stack.emptied("o1");
  for (const talker of pair) await talker.ask();
  expect(hooksOf("o0").at(-1)).toBe('take "what became of it" with 0 legs');
  stack.expectOneOwner();
});

test.each([
  ["is too large", () => "x".repeat(1_001)],
  ["is refused with 404", () => 404],
  ["is refused with 500", () => 500],
  ["never comes", () => undefined],
] as [string, () => string | number | undefined][])(
  "a state that %s: the visitors are told to come back, and nothing is offered to the new origin",
  async (_, give) => {
    const pair = await start();
    stack.origin("o0").will.give = give;
    await stack.drain("o0");
    await expectSentBack(pair);
    expect([hooksOf("o0").length, hooksOf("o1")]).toEqual([1, []]);
  },
);

test("the largest state that is allowed is carried", async () => {
  const pair = await start();
  stack.origin("o0").will.give = () => "x".repeat(1_000);
  await stack.drain("o0");
  await eventually("it is taken", () => stack.origin("o1").hooks[0]?.body.length === 1_000);
  for (const talker of pair) await talker.ask();
});

test("a new origin that dies at taking it: the next one gets the same state, and nobody's socket closes", async () => {
  const pair = await start(["o0", "o1", "o2"]);
  const dying = (id: string, other: string): void => {
    stack.origin(id).will.take = () => {
      stack.origin(other).will.take = () => 204;
      return "die";
    };
  };
  dying("o1", "o2");
  dying("o2", "o1");
  await stack.drain("o0");
  const survivor = await eventually("one has its legs", () => stack.origins.find(({ id, legs }) => id !== "o0" && legs.length === 2));
  for (const talker of pair) {
    await talker.ask();
    await talker.expectWhole();
  }
  expect(hooksOf(survivor.id)).toEqual([`take "${STATE}" with 0 legs`]);
  expect(hooksOf(survivor.id === "o1" ? "o2" : "o1").length).toBe(1);
  stack.expectOneOwner();
});

test("a new origin that does not take it, again and again: the next one does", async () => {
  const pair = await start(["o0", "o1", "o2"]);
  stack.origin("o1").will.take = () => 500;
  stack.origin("o2").will.take = () => 500;
  await stack.drain("o0");
  await eventually("both were asked", () => stack.origin("o1").hooks.length > 0 && stack.origin("o2").hooks.length > 0);
  stack.origin("o2").will.take = () => 204;
  await eventually("it has its legs", () => stack.origin("o2").open("s").length === 2);
  expect(stack.origin("o1").legs).toHaveLength(0);
  for (const talker of pair) {
    await talker.ask();
    await talker.expectWhole();
  }
});

test("an origin that is killed takes the state with it: the visitors are told to come back", async () => {
  const pair = await start();
  await stack.origin("o0").kill();
  await stack.down("o0");
  await expectSentBack(pair);
  expect(hooksOf("o1")).toEqual([]);
});

test("a single leg that is lost concerns its visitor alone", async () => {
  const [cut, other] = await start();
  const leg = stack.origin("o0").legs.find(({ target }) => target.endsWith("?a"));
  leg?.socket.terminate();
  expect((await cut.visitor.closed).code).toBe(1012);
  await other.ask();
  expect([hooksOf("o0"), stack.origin("o0").open("s").length]).toEqual([[], 1]);
});

test("no visitor reaches the hook, however its path is spelt, and the router does", async () => {
  const pair = await start(["o0", "o1"], { path: "/live/handover" });
  for (const path of ["/live/handover", "/live/hand%6fver", "/%6Cive/handover?session=s"]) {
    const init = { method: "POST", headers: { limpet: 'session="s", handover=give' } };
    const answer = await stack.client.fetch(path, init);
    expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([404, "not-found"]);
  }
  expect(hooksOf("o0")).toEqual([]);
  await stack.drain("o0");
  await stack.emptied("o0");
  for (const talker of pair) await talker.expectWhole();
  expect([hooksOf("o0").length, hooksOf("o1").length]).toEqual([1, 1]);
});
