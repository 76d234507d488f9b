// Bodies that are kept while their request is under way: which, and no more than an isolate can bear.

import { expect, test } from "vitest";
import { bodyOf, KEPT_BYTES_MAX, mayRepeat, type Body } from "../../src/platform/request-body.ts";

const MIB = 1024 * 1024;

function request(
  bytes: number,
  { length = String(bytes), method = "POST", signal }: { length?: string; method?: string; signal?: AbortSignal } = {},
): Request {
  const init = { method, body: new Uint8Array(bytes), ...(signal ? { signal } : {}) };
  return new Request("http://router/x", { ...init, headers: { "content-length": length } });
}

const kindOf = async (given: Request, most: number): Promise<string | undefined> => {
  const body = await bodyOf(given, most);
  if (body?.kind === "kept") body.letGo();
  return body?.kind;
};

test.each<[what: string, given: Request, most: number, kind: string]>([
  ["of the greatest size", request(100), 100, "kept"],
  ["one byte longer", request(101), 100, "streamed"],
  ["that does not say its length", request(10, { length: "" }), 0, "streamed"],
  ["with a length that is none", request(10, { length: "ten" }), 100, "streamed"],
  ["on a route that keeps none", request(1), 0, "streamed"],
  ["that is not there", new Request("http://router/x", { method: "POST" }), 100, "none"],
])("a body %s", async (_, given, most, kind) => {
  expect(await kindOf(given, most)).toBe(kind);
});

test("all of them together have a bound, past which bodies are streamed; what is let go, or left by its visitor, makes room once", async () => {
  const held: Body[] = [];
  const leaving = new AbortController();
  const count = KEPT_BYTES_MAX / MIB;
  for (let n = 0; n < count; n++) held.push((await bodyOf(request(MIB, n === 0 ? { signal: leaving.signal } : {}), MIB)) ?? { kind: "none" });
  expect(new Set(held.map(({ kind }) => kind))).toEqual(new Set(["kept"]));
  expect(await kindOf(request(1), MIB)).toBe("streamed");
  leaving.abort();
  expect([await kindOf(request(MIB), MIB), await kindOf(request(MIB + 1), 2 * MIB)]).toEqual(["kept", "streamed"]);
  for (const body of [...held, ...held]) if (body.kind === "kept") body.letGo();
  expect(await kindOf(request(KEPT_BYTES_MAX), KEPT_BYTES_MAX)).toBe("kept");
  expect(await kindOf(request(KEPT_BYTES_MAX + 1), 2 * KEPT_BYTES_MAX)).toBe("streamed");
});

test.each([
  ["GET", false, "none", true],
  ["DELETE", false, "kept", true],
  ["PUT", false, "streamed", false],
  ["POST", false, "none", false],
  ["POST", true, "kept", true],
  ["POST", true, "streamed", false],
  ["PATCH", true, "none", true],
])("%s, with an Idempotency-Key %s and a body that is %s, may be sent again: %s", (method, byKey, kind, again) => {
  const given = new Request("http://router/x", { method, headers: byKey ? { "idempotency-key": "1" } : {} });
  const body = { kind, bytes: new ArrayBuffer(0), letGo: () => undefined, stream: new ReadableStream() } as unknown as Body;
  expect(mayRepeat(given, body, true)).toBe(again);
});
