// Session keys from signed tokens: by HMAC, and by an issuer's public keys that change, fail and hang.

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { once } from "node:events";
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from "jose";
import { parseDictionary } from "structured-headers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startEchoOrigin, type EchoOrigin } from "../support/echo-origin.ts";
import { startDev, type Stack } from "../support/stack.ts";

const SECRET_NAME = "LIMPET_TEST_JWT_KEY";
const SECRET = "a key of thirty-two bytes, or more";
const KEY = new TextEncoder().encode(SECRET);

let origins: EchoOrigin[];
let router: Omit<Stack, "fleet">;
let issuer: Server;
let published: { keys: JWK[] } | "broken" = { keys: [] };
let fetches = 0;

beforeAll(async () => {
  issuer = createServer((_, response) => {
    fetches++;
    if (published === "broken") response.writeHead(500).end("no");
    else response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(published));
  }).listen(0, "127.0.0.1");
  await once(issuer, "listening");
  const jwks = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}/jwks.json`;
  origins = await Promise.all([startEchoOrigin(), startEchoOrigin(), startEchoOrigin()]);
  process.env[SECRET_NAME] = SECRET;
  router = await startDev({
    configRevision: 1,
    defaultRegion: "weur",
    regions: { weur: {} },
    pools: { echo: { origins: origins.map(({ url }, n) => ({ id: `o${n}`, region: "weur", url })) } },
    routes: [
      {
        path: "/hmac/*",
        pool: "echo",
        required: true,
        session: [
          { jwt: { claim: "sub", secret: SECRET_NAME, issuer: "me", audience: "limpet" } },
          { jwt: { claim: "org.id", secret: SECRET_NAME, cookie: "t" } },
        ],
      },
      { path: "/keys/*", pool: "echo", required: true, session: [{ jwt: { claim: "sub", jwks, query: "token" } }] },
      { path: "/plain/*", pool: "echo", session: [{ header: "x-session-id" }] },
    ],
  });
});
afterAll(async () => {
  delete process.env[SECRET_NAME];
  await router.stop();
  await Promise.all(origins.map((origin) => origin.stop()));
  issuer.closeAllConnections();
  issuer.close();
});

async function outcome(path: string, headers: Record<string, string> = {}): Promise<string> {
  const response = await router.fetch(path, { headers });
  if (response.status === 401) return ((await response.json()) as { code: string }).code;
  return String(parseDictionary(response.headers.get("limpet") ?? "").get("origin")?.[0]);
}
const ownerOf = (key: string): Promise<string> => outcome("/plain/x", { "x-session-id": encodeURIComponent(key) });
const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });
const token = (claims: Record<string, unknown>, seconds = 60): SignJWT =>
  new SignJWT({ iss: "me", aud: "limpet", ...claims })
    .setProtectedHeader({ alg: "HS256" })
    .setExpirationTime(Math.floor(Date.now() / 1000) + seconds);

describe("a token signed with a secret", () => {
  test("names the session of its claim: the same as any other source with that key", async () => {
    const keys = Array.from({ length: 8 }, (_, n) => `user ${n}/ü%41`);
    const byToken = await Promise.all(keys.map(async (sub) => outcome("/hmac/x", bearer(await token({ sub }).sign(KEY)))));
    expect(byToken).toEqual(await Promise.all(keys.map(ownerOf)));
    expect(new Set(byToken).size).toBeGreaterThan(1);
  });

  test("is found in a cookie too, and deeper in its claims", async () => {
    const signed = await token({ org: { id: "acme" } }).sign(KEY);
    expect(await outcome("/hmac/x", { cookie: `t=${signed}` })).toBe(await ownerOf("acme"));
  });

  test("counts for nothing when it is forged, over, for somebody else, unsigned, or without the claim", async () => {
    const [header = "", payload = "", signature = ""] = (await token({ sub: "ann" }).sign(KEY)).split(".");
    const unsigned = `${Buffer.from('{"alg":"none"}').toString("base64url")}.${payload}.`;
    const bad = [
      `${header}.${Buffer.from('{"sub":"eve","iss":"me","aud":"limpet"}').toString("base64url")}.${signature}`,
      unsigned,
      await token({ sub: "ann" }).sign(new TextEncoder().encode("another key of thirty-two bytes, too")),
      await token({ sub: "ann" }, -10).sign(KEY),
      await token({ sub: "ann", iss: "you" }).sign(KEY),
      await token({ sub: "ann", aud: "others" }).sign(KEY),
      await token({ name: "ann" }).sign(KEY),
      await token({ sub: "x".repeat(9_000) }).sign(KEY),
      "a.b.c",
      "...",
    ];
    for (const each of bad) expect(await outcome("/hmac/x", bearer(each))).toBe("session-required");
    expect(await outcome("/hmac/x")).toBe("session-required");
  });
});

describe("a token signed by an issuer whose keys are public", () => {
  async function keyPair(kid: string): Promise<{ jwk: JWK; sign: (sub: string) => Promise<string> }> {
    const { publicKey, privateKey }: { publicKey: CryptoKey; privateKey: CryptoKey } = await generateKeyPair("ES256", { extractable: true });
    const jwk = { ...(await exportJWK(publicKey)), kid, alg: "ES256" };
    return { jwk, sign: (sub) => new SignJWT({ sub }).setProtectedHeader({ alg: "ES256", kid }).setExpirationTime("1m").sign(privateKey) };
  }

  test("is verified by keys that are fetched once; while they cannot be fetched it names nobody, and the old ones go on", async () => {
    const [first, second] = await Promise.all([keyPair("first"), keyPair("second")]);
    published = { keys: [first.jwk] };
    const signed = await first.sign("doc-1");
    expect(await outcome(`/keys/x?token=${signed}`)).toBe(await ownerOf("doc-1"));
    const after = fetches;
    for (let n = 0; n < 20; n++) await outcome(`/keys/x?token=${signed}`);
    expect(fetches).toBe(after);

    // A key that is not among them is looked for again, but not for each token that names one.
    const unknown = await second.sign("doc-2");
    for (let n = 0; n < 10; n++) expect(await outcome(`/keys/x?token=${unknown}`)).toBe("session-required");
    expect(fetches - after).toBeLessThanOrEqual(1);
    published = "broken";
    expect(await outcome(`/keys/x?token=${signed}`)).toBe(await ownerOf("doc-1"));
  });

  test("cannot be signed with the public key as if it were a secret", async () => {
    const pair = await keyPair("first");
    const forged = await new SignJWT({ sub: "eve" })
      .setProtectedHeader({ alg: "HS256", kid: "first" })
      .setExpirationTime("1m")
      .sign(new TextEncoder().encode(JSON.stringify(pair.jwk)));
    expect(await outcome(`/keys/x?token=${forged}`)).toBe("session-required");
  });
});

test("a configuration whose secret is not set does not start, and says which", async () => {
  const config = {
    defaultRegion: "weur",
    regions: { weur: {} },
    pools: { echo: {} },
    routes: [{ path: "/*", pool: "echo", session: [{ jwt: { claim: "sub", secret: "LIMPET_TEST_ABSENT" } }] }],
  };
  await expect(startDev(config)).rejects.toThrow(/LIMPET_TEST_ABSENT: set it in the environment/);
});
