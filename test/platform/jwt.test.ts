// Public keys over time: fetched once, again when a token names a new one (but not often), kept while they cannot be fetched.

import { exportJWK, generateKeyPair, SignJWT, type JWK } from "jose";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { JwtSource } from "../../src/core/config-types.ts";
import { KeysUnavailable, verifiedClaim } from "../../src/platform/jwt.ts";

let answers: (() => Promise<Response>) | undefined;
let fetches: number;

beforeEach(() => {
  fetches = 0;
  vi.useFakeTimers({ toFake: ["Date"], now: 1_800_000_000_000 });
  vi.spyOn(console, "error").mockReturnValue();
  vi.stubGlobal("fetch", () => {
    fetches++;
    return answers ? answers() : Promise.reject(new Error("nobody"));
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const sourceAt = (url: string): JwtSource => ({ kind: "jwt", claim: ["sub"], token: "bearer", keys: { jwks: url } });
const publish =
  (...keys: JWK[]) =>
  (): Promise<Response> =>
    Promise.resolve(Response.json({ keys }));

async function signer(kid: string): Promise<{ jwk: JWK; token: string }> {
  const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
  const token = await new SignJWT({ sub: kid }).setProtectedHeader({ alg: "ES256", kid }).sign(privateKey);
  return { jwk: { ...(await exportJWK(publicKey)), kid, alg: "ES256" }, token };
}
const passMs = (ms: number): void => void vi.setSystemTime(Date.now() + ms);
const claim = (url: string, token: string): Promise<string | undefined> => verifiedClaim(sourceAt(url), token, new Map());

test("a rotated key is found within half a minute, and the one before it is gone when the issuer says so", async () => {
  const URL = "https://issuer.example.com/rotation";
  const [old, next] = await Promise.all([signer("old"), signer("next")]);
  answers = publish(old.jwk);
  expect([await claim(URL, old.token), fetches]).toEqual(["old", 1]);
  answers = publish(next.jwk);
  expect([await claim(URL, next.token), await claim(URL, next.token), fetches]).toEqual([undefined, undefined, 1]);
  passMs(30_000);
  expect([await claim(URL, next.token), fetches]).toEqual(["next", 2]);
  expect(await claim(URL, old.token)).toBeUndefined();
});

test("keys are fetched anew every ten minutes, and kept while that fails", async () => {
  const URL = "https://issuer.example.com/outage";
  const { jwk, token } = await signer("one");
  answers = publish(jwk);
  expect(await claim(URL, token)).toBe("one");
  passMs(599_999);
  expect([await claim(URL, token), fetches]).toEqual(["one", 1]);
  passMs(1);
  answers = undefined;
  expect([await claim(URL, token), fetches]).toEqual(["one", 2]);
  expect([await claim(URL, token), fetches]).toEqual(["one", 2]);
});

test.each<[what: string, answer: () => Promise<Response>]>([
  ["an error", () => Promise.resolve(new Response("no", { status: 500 }))],
  ["a redirect", () => Promise.resolve(new Response(null, { status: 302, headers: { location: "http://elsewhere.example" } }))],
  ["what is no JSON", () => Promise.resolve(new Response("<html>"))],
  ["what is no key set", () => Promise.resolve(Response.json({ keys: 7 }))],
  ["far too much", () => Promise.resolve(new Response(" ".repeat(300_000)))],
])("where the issuer answers with %s, nothing is said of a token, and the issuer is asked again after a second", async (what, answer) => {
  const url = `https://issuer.example.com/${encodeURIComponent(what)}`;
  const { jwk, token } = await signer("one");
  answers = answer;
  for (let n = 0; n < 2; n++) await expect(claim(url, token)).rejects.toThrow(KeysUnavailable);
  expect(fetches).toBe(1);
  answers = publish(jwk);
  passMs(1_000);
  expect([await claim(url, token), fetches]).toEqual(["one", 2]);
});

test("while nothing is known yet, everybody who asks is answered: each fetches for itself", async () => {
  const URL = "https://issuer.example.com/cold";
  const { jwk, token } = await signer("one");
  const gate = Promise.withResolvers<Response>();
  answers = () => gate.promise.then((response) => response.clone());
  const asked = [claim(URL, token), claim(URL, token), claim(URL, token)];
  gate.resolve(Response.json({ keys: [jwk] }));
  expect([await Promise.all(asked), fetches]).toEqual([["one", "one", "one"], 3]);
  expect([await claim(URL, token), fetches]).toEqual(["one", 3]);
});

test("while known keys are fetched anew the others go on with those", async () => {
  const URL = "https://issuer.example.com/refresh";
  const { jwk, token } = await signer("one");
  answers = publish(jwk);
  expect(await claim(URL, token)).toBe("one");
  passMs(600_000);
  const gate = Promise.withResolvers<Response>();
  answers = () => gate.promise;
  const first = claim(URL, token);
  expect([await claim(URL, token), fetches]).toEqual(["one", 2]);
  gate.resolve(Response.json({ keys: [jwk] }));
  expect(await first).toBe("one");
});

test("a token that names no key is tried with each of its kind", async () => {
  const URL = "https://issuer.example.com/nameless";
  const pairs = await Promise.all([1, 2].map(() => generateKeyPair("ES256", { extractable: true })));
  answers = publish(...(await Promise.all(pairs.map(async ({ publicKey }) => ({ ...(await exportJWK(publicKey)), alg: "ES256" })))));
  for (const { privateKey } of pairs) {
    const token = await new SignJWT({ sub: "ann" }).setProtectedHeader({ alg: "ES256" }).sign(privateKey);
    expect(await claim(URL, token)).toBe("ann");
  }
  const { privateKey } = await generateKeyPair("ES256");
  expect(await claim(URL, await new SignJWT({ sub: "eve" }).setProtectedHeader({ alg: "ES256" }).sign(privateKey))).toBeUndefined();
});
