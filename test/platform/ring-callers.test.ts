// Numbered calls: what a ring object makes of repeated, missing, overtaken and outdated ones.

import { expect, test } from "vitest";
import { Callers, type Noticed } from "../../src/platform/ring-callers.ts";

function callersWith(): { call: (incarnation: string, seq: number, version?: number) => Promise<string>; noticed: Noticed[]; done: string[] } {
  const callers = new Callers();
  const [noticed, done]: [Noticed[], string[]] = [[], []];
  const call = async (incarnation: string, seq: number, version = 1): Promise<string> =>
    callers.once(
      { version, slice: 0, incarnation, seq },
      (what) => noticed.push(what),
      async (late) => {
        done.push(`${incarnation}.${seq}${late ? " late" : ""}`);
        return `answer to ${incarnation}.${seq}`;
      },
    );
  return { call, noticed, done };
}

test("a repeated call gets its old answer, and its work is done once", async () => {
  const { call, done } = callersWith();
  expect([await call("a", 1), await call("a", 1)]).toEqual(["answer to a.1", "answer to a.1"]);
  expect(done).toEqual(["a.1"]);
});

test("a missing call is noticed at the next one; the missing one is late when it comes", async () => {
  const { call, noticed, done } = callersWith();
  for (const seq of [1, 2, 4, 3]) await call("a", seq);
  expect(noticed).toEqual(["first", "gap", "late"]);
  expect(done).toEqual(["a.1", "a.2", "a.4", "a.3 late"]);
});

test("a ring object that starts in mid-life of a carrier notices the gap; a reborn carrier is noticed, an older life refused", async () => {
  const { call, noticed } = callersWith();
  await call("b", 17);
  await call("c", 1);
  expect(noticed).toEqual(["gap", "reborn"]);
  await expect(call("b", 18)).rejects.toThrow("superseded");
});

test("a call that failed may be repeated for a better answer", async () => {
  const callers = new Callers();
  let tries = 0;
  const call = (): Promise<number> =>
    callers.once(
      { version: 1, slice: 0, incarnation: "a", seq: 1 },
      () => undefined,
      async () => {
        if (++tries === 1) throw new Error("storage is away");
        return tries;
      },
    );
  await expect(call()).rejects.toThrow("storage");
  expect(await call()).toBe(2);
});

test("neighbours may be one version away, not two", async () => {
  const { call } = callersWith();
  expect(await call("a", 1, 2)).toBe("answer to a.1");
  await expect(call("a", 2, 3)).rejects.toThrow("version 3");
});
