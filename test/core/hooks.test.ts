// Every spelling of a hook's path that some origin takes for it is the same path here.

import { expect, test } from "vitest";
import { hooksOf, plainPath } from "../../src/core/hooks.ts";

const asked = (path: string): string => plainPath(new URL(`http://app.example.com${path}`).pathname);

test.each(["/handover", "/handover/", "//handover", "/HandOver", "/hand%6fver", "/x/..%2fhandover", "/.%2fhandover", "/x\\..\\handover", "/handover?session=s"])(
  "%s is the hook",
  (path) => expect(asked(path)).toBe("/handover"),
);

test.each(["/handovers", "/x/handover", "/hand-over", "/"])("%s is not", (path) => expect(asked(path)).not.toBe("/handover"));

test("a hook is known by its pool, whatever its letters and its query", () => {
  const route = (pool: string, path: string) => ({ pool, resume: { mode: "handover", handover: { path } } });
  const hooks = hooksOf({ routes: [route("a", "/\u00fcbergabe?deep=1"), route("b", "/State"), { pool: "c", resume: { mode: "restart" } }] } as never);
  expect([...hooks.keys()]).toEqual(["a", "b"]);
  expect([hooks.get("a")?.has(asked("/%C3%BCbergabe")), hooks.get("b")?.has(asked("/state"))]).toEqual([true, true]);
});
