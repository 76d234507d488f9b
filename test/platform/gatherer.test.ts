// Asks that are gathered: one call a place and moment, each ask with its own answer, and none left without.

import { afterEach, beforeEach, expect, test } from "vitest";
import { Gatherer } from "../../src/platform/gatherer.ts";
import { BATCH_MAX } from "../../src/platform/limits.ts";
import { VirtualClock } from "./carried/virtual-clock.ts";

const FOR_MS = 2;
let clock: VirtualClock;
let restore: () => void;
let calls: (readonly [place: string, items: readonly number[]])[];
let answer: (items: readonly number[]) => Promise<readonly string[]>;
let gatherer: Gatherer<number, string>;

beforeEach(() => {
  clock = new VirtualClock();
  restore = clock.install();
  calls = [];
  answer = async (items) => items.map((item) => `answer ${item}`);
  gatherer = new Gatherer(FOR_MS, (place, items) => {
    calls.push([place, items]);
    return answer(items);
  });
});
afterEach(() => restore());

test("what comes within the moment goes in one call a place, in its order, and each has its own answer", async () => {
  const asks = [gatherer.ask("weur", 1), gatherer.ask("enam", 2), gatherer.ask("weur", 3)];
  await clock.pass(FOR_MS - 1);
  asks.push(gatherer.ask("weur", 4));
  expect(calls).toEqual([]);
  await clock.pass(1);
  expect(calls).toEqual([
    ["weur", [1, 3, 4]],
    ["enam", [2]],
  ]);
  expect(await Promise.all(asks)).toEqual(["answer 1", "answer 2", "answer 3", "answer 4"]);
});

test("what comes after it is another call, whether the first was answered or not", async () => {
  answer = () => new Promise(() => undefined);
  void gatherer.ask("weur", 1);
  await clock.pass(FOR_MS);
  void gatherer.ask("weur", 2);
  await clock.pass(FOR_MS);
  expect(calls.map(([, items]) => items)).toEqual([[1], [2]]);
});

test.each([BATCH_MAX - 1, BATCH_MAX, BATCH_MAX + 1, 3 * BATCH_MAX])("%i asks go in as few calls as their bound allows", async (count) => {
  const asks = Array.from({ length: count }, (_, item) => gatherer.ask("weur", item));
  await clock.pass(FOR_MS);
  expect(calls.map(([, items]) => items.length)).toHaveLength(Math.ceil(count / BATCH_MAX));
  expect(calls.flatMap(([, items]) => items)).toEqual(Array.from({ length: count }, (_, item) => item));
  expect(await Promise.all(asks)).toEqual(Array.from({ length: count }, (_, item) => `answer ${item}`));
});

test("a call that fails is told to each that was in it, and to no other", async () => {
  answer = async ([first]) => {
    if (first === 1) throw new Error("away");
    return ["well"];
  };
  const asks = Promise.allSettled([gatherer.ask("weur", 1), gatherer.ask("weur", 2), gatherer.ask("enam", 3)]);
  await clock.pass(FOR_MS);
  expect((await asks).map(({ status }) => status)).toEqual(["rejected", "rejected", "fulfilled"]);
});

test("an ask that the answers leave out is told so", async () => {
  answer = async () => ["only one"];
  const asks = Promise.allSettled([gatherer.ask("weur", 1), gatherer.ask("weur", 2)]);
  await clock.pass(FOR_MS);
  expect(await asks).toMatchObject([
    { status: "fulfilled", value: "only one" },
    { status: "rejected", reason: { message: "weur left an ask without an answer" } },
  ]);
});
