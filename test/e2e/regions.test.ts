// Where nobody of the region is left: the other region takes its sessions at its own pace; and where nobody at all is left, visitors wait
// for as long as they may, and are served as soon as somebody is back.

import { afterEach, expect, test } from "vitest";
import { LiveStack, mostWithin, names } from "../support/live-stack.ts";
import { eventually } from "../support/stack.ts";

let stack: LiveStack;

afterEach(() => stack.stop());

test("a whole region dies: the other one's origin gets its sessions at its own pace, and they come home when it is back", async () => {
  const [SESSIONS, PER_SECOND] = [50, 20];
  stack = await LiveStack.start({
    ids: ["weur-0", "enam-0"],
    regions: { weur: { secondary: ["enam"] }, enam: {} },
    pool: { holdDownMs: 500, slowStart: { windowMs: 500 }, pace: { perOriginPerSecond: PER_SECOND } },
  });
  const talkers = await stack.joinAll(names("s", SESSIONS));
  await Promise.all(talkers.map((talker) => talker.ask()));
  await stack.origin("weur-0").kill();
  for (const talker of talkers) talker.say();
  await eventually("all are abroad", () => stack.origin("enam-0").open().length === SESSIONS);
  const atMs = stack.origin("enam-0").handshakesAtMs;
  expect(atMs).toHaveLength(SESSIONS);
  expect(mostWithin(atMs, 1_000)).toBeLessThanOrEqual(PER_SECOND + PER_SECOND / 4 + 8 + PER_SECOND / 4);
  for (const talker of talkers) await talker.expectHoles(1);
  expect((await stack.ring("enam")).origins.map(({ sessions }) => sessions)).toEqual([SESSIONS]);
  await stack.origin("weur-0").start();
  await eventually("all are home", () => stack.origin("weur-0").open().length === SESSIONS);
  await Promise.all(talkers.map((talker) => talker.ask()));
  for (const talker of talkers) await talker.expectHoles(1);
  stack.expectOneOwner();
  await eventually("nobody is abroad", async () => (await stack.ring("enam")).origins.every(({ sessions }) => sessions === 0));
});

test("a region that is taken out: its sessions go abroad without a close, who joins meanwhile is drained too, and what was drained before stays so", async () => {
  stack = await LiveStack.start({
    ids: ["weur-0", "weur-1", "weur-2", "enam-0"],
    regions: { weur: { secondary: ["enam"] }, enam: {} },
    pool: { holdDownMs: 500, slowStart: { windowMs: 500 }, drain: { deadlineMs: 20_000, graceMs: 0 } },
  });
  const states = async (): Promise<object> => Object.fromEntries((await stack.ring()).origins.map(({ id, state }) => [id, state]));
  const order = (word: string, region = "weur"): Promise<{ down: boolean; epoch: number }> =>
    stack.client.admin(`rings/live/${region}/${word}`, "POST");
  await stack.drain("weur-2");
  const talkers = await stack.joinAll(names("s", 12));
  await Promise.all(talkers.map((talker) => talker.ask()));
  const first = await order("down");
  expect([first.down, (await order("down")).epoch >= first.epoch]).toEqual([true, true]);
  await eventually("all are abroad", () => stack.origin("enam-0").open().length === 12);
  await Promise.all(talkers.map((talker) => talker.ask()));
  for (const talker of talkers) await talker.expectWhole();
  await eventually("all are drained", async () => Object.values(await states()).every((state) => state === "drained"));
  const { url } = stack.origin("weur-1");
  const put = { method: "PUT", headers: { authorization: "Bearer dev" }, body: JSON.stringify({ url: url.replace("127.0.0.1", "localhost") }) };
  expect((await stack.client.fetch("/_limpet/v1/rings/live/weur/origins/weur-9", put)).status).toBe(201);
  expect(await states()).toMatchObject({ "weur-9": expect.stringMatching(/^drain/) as string });
  expect((await order("up")).down).toBe(false);
  expect(await states()).toEqual({ "weur-0": "active", "weur-1": "active", "weur-2": "drained", "weur-9": "active" });
  await eventually("all are home", () => stack.origin("enam-0").open().length === 0);
  await Promise.all(talkers.map((talker) => talker.ask()));
  for (const talker of talkers) await talker.expectWhole();
  stack.expectOneOwner();
  for (const [path, method, status] of [
    ["rings/live/weur/down", "GET", 405],
    ["rings/live/oc/down", "POST", 404],
    ["rings/constructor/weur/up", "POST", 404],
  ] as const) {
    expect((await stack.client.fetch(`/_limpet/v1/${path}`, { method, headers: { authorization: "Bearer dev" } })).status).toBe(status);
  }
  expect((await stack.client.fetch("/_limpet/v1/rings/live/weur/down", { method: "POST" })).status).toBe(401);
});

test("the only origin dies and is back after a while: its visitors are served as soon as it is, and none is closed", async () => {
  stack = await LiveStack.start({ ids: ["o0"] });
  const talkers = await stack.joinAll(names("s", 10));
  await Promise.all(talkers.map((talker) => talker.ask()));
  await stack.origin("o0").kill();
  await stack.down("o0");
  for (const talker of talkers) talker.say(); // held back, and said when there is somebody to say it to
  await stack.origin("o0").start();
  await stack.healthy("o0");
  const backAtMs = Date.now();
  for (const talker of talkers) await talker.expectWhole();
  expect(Date.now() - backAtMs).toBeLessThan(3_000);
  stack.expectOneOwner();
});
