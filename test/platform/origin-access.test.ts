// What a deployment must have for origins that are not open to the world, said when the settings are read; and the way of a request then,
// over an environment whose bindings count.

import { afterEach, expect, test, vi } from "vitest";
import { CodeSettings, type Env, type Settings } from "../../src/platform/env.ts";
import { originFetch } from "../../src/platform/origin-fetch.ts";

const KEY = "a key of signatures that has many bytes";
const SECRETS = { LIMPET_SECRET: "limpet's own secret of many characters" };

afterEach(() => {
  vi.unstubAllGlobals();
});

/** The settings of a fresh isolate. */
async function settingsWith(pools: object, bindings: object): Promise<{ env: Env; settings: Settings }> {
  const config = { configRevision: 1, defaultRegion: "weur", regions: { weur: {} }, pools, routes: [] };
  const env = { ...SECRETS, ...bindings } as unknown as Env;
  return { env, settings: new CodeSettings(config).bundled(env) };
}

/** The sentences of a `SettingsFault`, each behind its path. */
async function faultsWith(pools: object, bindings: object): Promise<string[]> {
  try {
    await settingsWith(pools, bindings);
    return [];
  } catch (error) {
    const { SettingsFault } = await import("../../src/platform/env.ts"); // of the same isolate
    if (!(error instanceof SettingsFault)) throw error;
    return error.message
      .split("\n")
      .slice(1)
      .map((line) => line.trim());
  }
}

const origin = (id: string, more: object = {}): object => ({ id, region: "weur", url: `https://${id}.example.com`, ...more });

/** Keeps what it is asked. */
function counting(): { fetch: (input: Request | string, init?: RequestInit) => Promise<Response>; asked: Request[] } {
  const asked: Request[] = [];
  return { asked, fetch: (input, init) => (asked.push(new Request(input, init)), Promise.resolve(new Response("ok"))) };
}

test("everything that is missing or of no use is said at once, with what to do, and no secret is", async () => {
  const pools = {
    web: {
      headers: { "x-key": { secret: "BROKEN_LINE" } },
      signature: { secret: "SHORT" },
      origins: [origin("a", { binding: "ABSENT" }), origin("b", { binding: "A_TEXT" }), origin("c", { binding: "A_STORE" })],
    },
    other: { signature: { secret: "EMPTY" } },
  };
  const bindings = { BROKEN_LINE: "hunter2\n", SHORT: `${KEY},hunter2`, EMPTY: " , ", A_TEXT: "hunter2", A_STORE: { get: () => "hunter2" } };
  const faults = await faultsWith(pools, bindings);
  expect(faults).toEqual([
    "BROKEN_LINE cannot be sent as a header: it needs printable ASCII without blanks or line breaks at its ends.",
    "A key of SHORT has 7 bytes; a signature's needs at least 32.",
    "ABSENT, the binding of origin a, is not there: add it to wrangler.toml (services, vpc_services or mtls_certificates).",
    expect.stringMatching(/^A_TEXT, the binding of origin b, is nothing that requests can go through/),
    expect.stringMatching(/^A_STORE, the binding of origin c, is nothing that requests can go through/),
    "EMPTY is empty: signatures need a key, like the output of `openssl rand -hex 32`.",
  ]);
  expect(faults.join()).not.toContain("hunter2");
});

test("a secret that is not set is asked for by its name; in dev a binding may be absent, but nothing else may stand there", async () => {
  const pools = { web: { signature: { secret: "SIGNING" } } };
  expect(await faultsWith(pools, {})).toEqual(["pools.web.signature.secret: SIGNING is not set: run `npx wrangler secret put SIGNING`."]);
  const bound = { web: { origins: [origin("a", { binding: "VPC" })] } };
  expect(await faultsWith(bound, { LIMPET_DEV: "1" })).toEqual([]);
  expect(await faultsWith(bound, { LIMPET_DEV: "1", VPC: "a text" })).toHaveLength(1);
  expect(await faultsWith(bound, { VPC: counting() })).toEqual([]);
});

test("a request goes through its origin's binding, and through no other's; names of the environment's prototype are none", async () => {
  const [a, world] = [counting(), counting()];
  vi.stubGlobal("fetch", world.fetch);
  const pools = { web: { origins: [origin("a", { binding: "A" }), origin("b")] } };
  const { env, settings } = await settingsWith(pools, { A: a });
  const send = originFetch(env, settings, "web");
  for (const id of ["a", "b", "constructor"]) await send(id, `https://${id}.example.com/x?y`, { headers: {} });
  expect(a.asked.map(({ url }) => url)).toEqual(["https://a.example.com/x?y"]);
  expect(world.asked.map(({ url }) => url)).toEqual(["https://b.example.com/x?y", "https://constructor.example.com/x?y"]);
  expect(await faultsWith({ web: { origins: [origin("a", { binding: "toString" })] } }, {})).toHaveLength(1);
});

test("an origin that a ring still knows and the configuration does not is shown what all of the pool are, signed", async () => {
  const world = counting();
  vi.stubGlobal("fetch", world.fetch);
  const pools = {
    web: { headers: { "x-pool": "p" }, signature: { secret: "SIGNING" }, origins: [origin("a", { headers: { "x-own": "a", "X-Pool": "a" } })] },
  };
  const { env, settings } = await settingsWith(pools, { SIGNING: KEY });
  const send = originFetch(env, settings, "web");
  for (const id of ["a", "former"]) await send(id, `https://${id}.example.com/`, { headers: { "x-pool": "spoofed" } });
  const [known, former] = world.asked.map(({ headers }) => headers);
  expect([known?.get("x-pool"), known?.get("x-own"), known?.has("signature")]).toEqual(["a", "a", true]);
  expect([former?.get("x-pool"), former?.get("x-own"), former?.has("signature")]).toEqual(["p", null, true]);
});

test("a pool that asks for none of it has nothing done to its requests", async () => {
  const world = counting();
  vi.stubGlobal("fetch", world.fetch);
  const { env, settings } = await settingsWith({ web: { origins: [origin("a")] }, closed: { headers: { "x-a": "b" } } }, {});
  await originFetch(env, settings, "web")("a", "https://a.example.com/", { headers: { signature: "sig1=:AAAA:" } });
  expect(world.asked.map(({ url, headers }) => [url, [...headers]])).toEqual([["https://a.example.com/", [["signature", "sig1=:AAAA:"]]]]);
  expect([...settings.access.keys()]).toEqual(["closed"]);
});
