// What parseConfig promises: every fault at once, each at its path; nothing that is not built passes in silence; never a throw.
// `make(changes)` is a small good configuration with values put at paths; `faultsOf` is what is said of it.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HORIZON_LEAST_MS, LIMITS } from "../../src/core/config-limits.ts";
import { defineConfig, formatFaults, parseConfig, secretNames, type ConfigFault } from "../../src/core/config.ts";
import type { Config, SessionSource } from "../../src/core/config-types.ts";
import { locationHints } from "../../src/core/hints.ts";
import { secretOf } from "../../src/core/secret-point.ts";

type Changes = Readonly<Record<string, unknown>>;

const POOL = "pools.collab";
const ROUTE = "routes.0";
/** A protocol that bears to be without an origin for a while. */
const BEARS = { mode: "transparent", prelude: { frames: 1 } };
const ORIGIN = `${POOL}.origins.0`;
const SEED = "f3a1c7d2e4b59a60718293a4b5c6d7e8";

function base(): Record<string, unknown> {
  return {
    configRevision: 1,
    defaultRegion: "weur",
    regions: { weur: { secondary: ["enam"] }, enam: {} },
    pools: {
      collab: {
        origins: [
          { id: "weur-1", region: "weur", url: "https://weur-1.example.com" },
          { id: "enam-1", region: "enam", url: "https://enam-1.example.com" },
        ],
      },
    },
    routes: [{ path: "/collab/:session", pool: "collab", session: [{ path: "session" }], home: "session" }],
  };
}

/** The base with values put at dotted paths, in order; groups that are not there are made. */
function make(changes: Changes = {}): Record<string, unknown> {
  const config = base();
  for (const [path, value] of Object.entries(changes)) {
    const keys = path.split(".");
    const last = keys.pop() ?? "";
    let here = config;
    for (const key of keys) here = (here[key] ??= {}) as Record<string, unknown>;
    here[last] = value;
  }
  return config;
}

function faultsOf(input: unknown, dev = false): readonly ConfigFault[] {
  const result = parseConfig(input, { dev });
  return result.ok ? [] : result.faults;
}

function parsed(input: unknown, dev = false): Config {
  const result = parseConfig(input, { dev });
  if (!result.ok) throw new Error(formatFaults(result.faults));
  return result.config;
}

/** The configuration of the documentation, with the pool that its second route names. */
const EXAMPLE = defineConfig({
  configRevision: 1,
  defaultRegion: "weur",
  regions: { weur: { secondary: ["enam"], weight: 1 }, enam: { secondary: ["weur"] } },
  pools: {
    collab: {
      balance: "bounded-ring", boundFactor: 1.25, virtualNodes: 256,
      stickiness: "prefer", hold: true, affinity: "on", rollout: 1, panicShare: 0.5, overprovisioning: 1.4,
      failback: "sessions", holdDownMs: 30_000, carriers: 4, carrier: { maxConnections: 2000 }, horizonMs: 120_000,
      faultBudget: { deaths: 3, windowMs: 600_000 }, closeDeadlineMs: 2000,
      health: { path: "/healthz", intervalMs: 5000, timeoutMs: 1000, rise: 2, fall: 3 },
      ejection: { faults: 5, baseMs: 30_000, maxShare: 0.5 }, lease: { ttlMs: 30_000 },
      slowStart: { windowMs: 30_000 }, drain: { deadlineMs: 60_000, graceMs: 30_000, mode: "move" }, pace: { perOriginPerSecond: 200 },
      session: { idleMs: 1_800_000, maxLifeMs: 86_400_000 }, cookie: {},
      origins: [{ id: "weur-1", region: "weur", url: "https://weur-1.example.com", weight: 1 }],
    },
    web: { origins: [{ id: "enam-1", region: "enam", url: "https://enam-1.example.com" }] },
  },
  routes: [
    {
      path: "/collab/:session", pool: "collab", session: [{ path: "session" }], home: "session",
      carry: "relay", resume: { mode: "transparent", profile: "y-websocket" }, rehomeOn: [1001, 1006, 1012], quietMs: 100,
    },
    {
      path: "/*", host: "app.example.com", pool: "web", session: [{ cookie: "sid" }, { header: "x-session-id" }, { issue: true }], home: "visitor",
      replay: { bodyBytes: 0 }, retry: { idempotencyKey: false },
    },
  ],
  expose: false, forwarded: "x-forwarded", record: { sampleShare: 0.01 }, admin: {},
});

/** How plain requests are carried where nothing is said. */
const CARRIED = { exact: false, replay: { bodyBytes: 0 }, deadlines: {}, retry: { idempotencyKey: false } };

describe("a good configuration", () => {
  test("the documented example parses, and its values arrive", () => {
    const config = parsed(EXAMPLE);
    expect(config.pools["collab"]).toMatchObject({ id: "collab", balance: "bounded-ring", boundFactor: 1.25, carrier: { maxConnections: 2000 } });
    expect(config.routes).toEqual([
      {
        path: "/collab/:session", header: {}, pool: "collab", session: [{ kind: "path", name: "session" }], home: { kind: "session" },
        carry: "relay", resume: { mode: "transparent", profile: "y-websocket" }, rehomeOn: [1001, 1006, 1012], quietMs: 100, required: false, ...CARRIED,
      },
      {
        path: "/*", host: "app.example.com", header: {}, pool: "web", home: { kind: "visitor" },
        session: [{ kind: "cookie", name: "sid", learn: false }, { kind: "header", name: "x-session-id", learn: false }, { kind: "issue" }],
        carry: "relay", resume: { mode: "restart" }, rehomeOn: [1001, 1006, 1012], quietMs: 100, required: false, ...CARRIED,
      },
    ]);
  });

  test("what is left out gets its documented default, and nothing else stands in the result", () => {
    expect(parsed(base())).toEqual({
      configRevision: 1,
      defaultRegion: "weur",
      regions: {
        weur: { id: "weur", secondary: ["enam"], weight: 1, hint: "weur", latitude: locationHints["weur"]?.latitude, longitude: locationHints["weur"]?.longitude },
        enam: { id: "enam", secondary: [], weight: 1, hint: "enam", latitude: locationHints["enam"]?.latitude, longitude: locationHints["enam"]?.longitude },
      },
      pools: {
        collab: {
          id: "collab", balance: "ring", boundFactor: 1.25, virtualNodes: 256, stickiness: "prefer", hold: true, affinity: "on", rollout: 1,
          holdDownMs: 30_000, carriers: 4, carrier: { maxConnections: 2000 }, horizonMs: 120_000, closeDeadlineMs: 2000,
          health: { path: "/healthz", intervalMs: 5000, timeoutMs: 1000, rise: 2, fall: 3 },
          panicShare: 0.5, overprovisioning: 1.4, failback: "sessions", ejection: { faults: 5, baseMs: 30_000, maxShare: 0.5 },
          lease: { ttlMs: 30_000 }, slowStart: { windowMs: 30_000 },
          drain: { deadlineMs: 60_000, graceMs: 30_000, mode: "move" }, faultBudget: { deaths: 3, windowMs: 600_000 }, pace: { perOriginPerSecond: 200 },
          session: { idleMs: 1_800_000, maxLifeMs: 86_400_000 },
          cookie: { path: "/", sameSite: "lax", partitioned: false, persistent: false },
          origins: [
            { id: "weur-1", region: "weur", url: "https://weur-1.example.com", weight: 1, backup: false },
            { id: "enam-1", region: "enam", url: "https://enam-1.example.com", weight: 1, backup: false },
          ],
        },
      },
      routes: [
        {
          path: "/collab/:session", header: {}, pool: "collab", session: [{ kind: "path", name: "session" }], home: { kind: "session" },
          carry: "relay", resume: { mode: "restart" }, rehomeOn: [1001, 1006, 1012], quietMs: 100, required: false, ...CARRIED,
        },
      ],
      expose: false, forwarded: "x-forwarded", record: { sampleShare: 0.01 }, admin: {},
    });
  });

  test("undefined counts as left out, everywhere", () => {
    const changes = { [`${POOL}.horizonMs`]: undefined, [`${POOL}.cookie`]: undefined, [`${ROUTE}.host`]: undefined, [`${ROUTE}.session`]: [{ path: "session", cookie: undefined }], admin: undefined };
    expect(parsed(make(changes))).toEqual(parsed(base()));
  });

  test("every built name takes another value than its default", () => {
    const config = parsed(
      make({
        "regions.weur": { secondary: ["enam"], weight: 2.5, hint: "eeur", latitude: 1, longitude: -2 },
        [POOL]: {
          balance: "bounded-ring", boundFactor: 2, virtualNodes: 64, stickiness: "strict", hold: false, affinity: "off", rollout: 0.25, holdDownMs: 0, carriers: 64,
          faultBudget: { deaths: 1, windowMs: 1000 }, pace: { perOriginPerSecond: 1 },
          carrier: { maxConnections: 1 }, horizonMs: 240_000, closeDeadlineMs: 1, health: { path: "/up?deep=1", intervalMs: 100, timeoutMs: 50, rise: 1, fall: 1 },
          panicShare: 0.3, overprovisioning: 2, failback: "new", ejection: { faults: 2, baseMs: 100, maxShare: 1 }, lease: { ttlMs: 1000 }, slowStart: { windowMs: 0 },
          drain: { deadlineMs: 1, graceMs: 2, mode: "finish" }, session: { idleMs: 1000, maxLifeMs: 2000 }, cookie: { domain: "Example.com", path: "/app", sameSite: "none", partitioned: true, persistent: true }, seed: SEED,
          origins: [{ id: "a", region: "weur", url: "HTTPS://A.example.com:443/", weight: 0.5, salt: 7, backup: true }],
        },
        [ROUTE]: {
          path: "/x/:doc/*", host: "App.example.com", header: { "X-Tier": "gold" }, pool: "collab", session: [{ header: "X-Session", learn: "wrap" }, { query: "Sid" }, { subprotocol: "s." }, { jwt: { claim: "org.id", cookie: "t", secret: "KEY", issuer: "i", audience: "a" } }], home: "visitor", required: true,
          exact: true, replay: { bodyBytes: 1024 }, deadlines: { firstByteMs: 1000, idleMs: 2000 }, retry: { idempotencyKey: true },
          resume: { mode: "handover", handover: { path: "/state", timeoutMs: 50 }, prelude: { frames: 2, mute: true } }, rehomeOn: [], quietMs: 500, originSilenceMs: 60_000, allowedOrigins: ["https://App.example.com:443/"],
        },
        expose: true, forwarded: "off", record: { sampleShare: 1 }, admin: { host: "Admin.example.com" }, configRevision: 7,
      }),
    );
    expect(config.regions["weur"]).toEqual({ id: "weur", secondary: ["enam"], weight: 2.5, hint: "eeur", latitude: 1, longitude: -2 });
    expect(config.pools["collab"]).toEqual({
      id: "collab", balance: "bounded-ring", boundFactor: 2, virtualNodes: 64, stickiness: "strict", hold: false, affinity: "off", rollout: 0.25, holdDownMs: 0, carriers: 64,
      faultBudget: { deaths: 1, windowMs: 1000 }, pace: { perOriginPerSecond: 1 },
      carrier: { maxConnections: 1 }, horizonMs: 240_000, closeDeadlineMs: 1, health: { path: "/up?deep=1", intervalMs: 100, timeoutMs: 50, rise: 1, fall: 1 }, pointSecret: secretOf(SEED),
      panicShare: 0.3, overprovisioning: 2, failback: "new", ejection: { faults: 2, baseMs: 100, maxShare: 1 }, lease: { ttlMs: 1000 }, slowStart: { windowMs: 0 },
      drain: { deadlineMs: 1, graceMs: 2, mode: "finish" }, session: { idleMs: 1000, maxLifeMs: 2000 }, cookie: { domain: "example.com", path: "/app", sameSite: "none", partitioned: true, persistent: true },
      origins: [{ id: "a", region: "weur", url: "https://a.example.com", weight: 0.5, salt: 7, backup: true }],
    });
    expect(config.routes).toEqual([
      {
        path: "/x/:doc/*", host: "app.example.com", header: { "x-tier": "gold" }, pool: "collab", session: [{ kind: "header", name: "x-session", learn: true }, { kind: "query", name: "Sid", learn: false }, { kind: "subprotocol", prefix: "s." },
          { kind: "jwt", claim: ["org", "id"], token: { cookie: "t" }, keys: { secret: "KEY" }, issuer: "i", audience: "a" }],
        home: { kind: "visitor" }, exact: true, replay: { bodyBytes: 1024 }, deadlines: { firstByteMs: 1000, idleMs: 2000 }, retry: { idempotencyKey: true }, carry: "relay", resume: { mode: "handover", handover: { path: "/state", maxBytes: 1_048_576, timeoutMs: 50 }, prelude: { frames: 2, bytes: 65_536, swallow: 0, mute: true } },
        rehomeOn: [], quietMs: 500, originSilenceMs: 60_000, required: true, allowedOrigins: ["https://app.example.com"],
      },
    ]);
    expect(config).toMatchObject({ expose: true, forwarded: "off", record: { sampleShare: 1 }, admin: { host: "admin.example.com" }, configRevision: 7 });
    expect(parsed(make({ admin: false })).admin).toBe(false);
  });

  test("a route that splices has nothing else to say about it, and all that it says in vain is told at once", () => {
    expect(parsed(make({ [`${ROUTE}.carry`]: "splice" })).routes[0]).toMatchObject({ carry: "splice", path: "/collab/:session" });
    const faults = faultsOf(make({
      [`${ROUTE}.carry`]: "splice", [`${ROUTE}.resume`]: { mode: "restart" }, [`${ROUTE}.rehomeOn`]: [], [`${ROUTE}.quietMs`]: 0, [`${ROUTE}.originSilenceMs`]: 1000, [`${ROUTE}.park`]: { afterMs: 1000 },
      [`${POOL}.balance`]: "bounded-ring", [`${POOL}.stickiness`]: "strict",
    }));
    expect(faults.map(({ path }) => path).toSorted()).toEqual(["carry", "carry", "originSilenceMs", "park", "quietMs", "rehomeOn", "resume"].map((name) => `routes[0].${name}`));
  });

  test("an empty fleet, no pools and no routes are allowed", () => {
    expect(parsed(make({ [`${POOL}.origins`]: [] })).pools["collab"]?.origins).toEqual([]);
    expect(parsed(make({ pools: {}, routes: [] })).routes).toEqual([]);
  });

  test("a region's place is the given one, else its hint's, else its id's where that is a hint, else none", () => {
    const { regions } = parsed(make({ "regions.west": { hint: "apac-ne" }, "regions.here": { latitude: 5, longitude: 6 }, "regions.nowhere": {} }));
    expect(regions["west"]).toMatchObject({ hint: "apac-ne", latitude: 35.7, longitude: 139.7 });
    expect(regions["here"]).toEqual({ id: "here", secondary: [], weight: 1, latitude: 5, longitude: 6 });
    expect(regions["nowhere"]).toEqual({ id: "nowhere", secondary: [], weight: 1 });
  });

  test("a salt that is left out stays out, so that the ring object finds one; 0 is one", () => {
    const [absent, zero, other] = [undefined, 0, 7].map((salt) => parsed(make({ [`${ORIGIN}.salt`]: salt })).pools["collab"]?.origins[0]);
    expect(absent && "salt" in absent).toBe(false);
    expect([zero?.salt, other?.salt]).toEqual([0, 7]);
  });

  test("a seed becomes the pool's secret, and is in nothing that is parsed; without one there is none", () => {
    const config = parsed(make({ [`${POOL}.seed`]: SEED }));
    expect(config.pools["collab"]?.pointSecret).toEqual(secretOf(SEED));
    expect(JSON.stringify(config)).not.toContain(SEED);
    expect(Object.keys(parsed(base()).pools["collab"] ?? {})).not.toContain("pointSecret");
  });

  test("what requests to origins bear arrives: names in lower case, secrets by name alone, and all of these names are known", () => {
    const headers = { "X-Pool": "a b", Authorization: { secret: "POOL_TOKEN" } };
    const config = parsed(make({ [`${POOL}.headers`]: headers, [`${POOL}.signature`]: { secret: "SIGNING" }, [`${ORIGIN}.headers`]: { "x-POOL": { secret: "OWN" } }, [`${ORIGIN}.binding`]: "collab_VPC", [`${ROUTE}.session`]: [{ jwt: { claim: "sub", secret: "TOKENS" } }] }));
    expect(config.pools["collab"]).toMatchObject({ headers: { "x-pool": "a b", authorization: { secret: "POOL_TOKEN" } }, signature: { secret: "SIGNING", keyId: "limpet" } });
    expect(config.pools["collab"]?.origins[0]).toMatchObject({ headers: { "x-pool": { secret: "OWN" } }, binding: "collab_VPC" });
    expect(secretNames(config).toSorted()).toEqual(["OWN", "POOL_TOKEN", "SIGNING", "TOKENS"]);
    expect(parsed(make({ [`${POOL}.headers`]: {}, [`${ORIGIN}.headers`]: {} }))).toEqual(parsed(base()));
  });

  test("home is by default the session's, and the visitor's on a stateless route", () => {
    expect(parsed(make({ [`${ROUTE}.home`]: undefined })).routes[0]?.home).toEqual({ kind: "session" });
    expect(parsed(make({ [`${ROUTE}.home`]: undefined, [`${ROUTE}.session`]: [] })).routes[0]?.home).toEqual({ kind: "visitor" });
    expect(parsed(make({ [`${ROUTE}.home`]: undefined, [`${POOL}.affinity`]: "off" })).routes[0]?.home).toEqual({ kind: "visitor" });
  });

  test("a later change to the input changes nothing in the result", () => {
    const input = make({ [`${ROUTE}.rehomeOn`]: [1001], [`${ROUTE}.header`]: { a: "b" }, [`${POOL}.health`]: { rise: 4 } });
    const config = parsed(input);
    const before = structuredClone(config);
    scramble(input);
    expect(config).toEqual(before);
  });

  test("300 origins in three regions parse within a few milliseconds", () => {
    const origins = ["weur", "enam", "apac"].flatMap((region) => Array.from({ length: 100 }, (_, i) => ({ id: `${region}-${i}`, region, url: `https://${region}-${i}.example.com` })));
    const input = make({ "regions.apac": {}, [`${POOL}.origins`]: origins });
    const times = Array.from({ length: 10 }, () => {
      const startMs = performance.now();
      expect(parsed(input).pools["collab"]?.origins).toHaveLength(300);
      return performance.now() - startMs;
    });
    // A bound against the quadratic, far above the 2 ms it takes: a busy machine must not fail it.
    expect(Math.min(...times)).toBeLessThan(25);
  });
});

describe("dev", () => {
  test("waits are short, origins are told, and the revision may be left out", () => {
    const config = parsed(make({ configRevision: undefined, [`${ORIGIN}.url`]: "http://127.0.0.1:4001" }), true);
    expect(config).toMatchObject({ configRevision: 1, expose: true });
    expect(config.pools["collab"]).toMatchObject({ horizonMs: 1000, drain: { graceMs: 1000, deadlineMs: 60_000 } });
    expect(config.pools["collab"]?.origins[0]?.url).toBe("http://127.0.0.1:4001");
  });

  test("what is written stays, but for expose", () => {
    const config = parsed(make({ configRevision: 5, [`${POOL}.horizonMs`]: 0, [`${POOL}.drain`]: { graceMs: 0 }, expose: false }), true);
    expect(config).toMatchObject({ configRevision: 5, expose: true });
    expect(config.pools["collab"]).toMatchObject({ horizonMs: 0, drain: { graceMs: 0 } });
  });

  test.each([
    ["configRevision", { configRevision: undefined }, "needed outside dev"],
    ["pools.collab.origins[0].url", { [`${ORIGIN}.url`]: "http://127.0.0.1:4001" }, "https"],
    ["pools.collab.origins[0].url", { [`${ORIGIN}.url`]: "http://origin.example.com" }, "https"],
    ["pools.collab.horizonMs", { [`${POOL}.horizonMs`]: HORIZON_LEAST_MS - 1 }, "at least 120000"],
  ])("outside dev, %s is a fault that dev allows", (path, changes, message) => {
    expect(faultsOf(make(changes), true)).toEqual([]);
    expect(faultsOf(make(changes))).toEqual([{ path, message: expect.stringContaining(message) }]);
  });

  test("the shortest horizon that KV can keep is allowed", () => {
    expect(faultsOf(make({ [`${POOL}.horizonMs`]: HORIZON_LEAST_MS }))).toEqual([]);
  });
});

const origins = (...urls: string[]): unknown => urls.map((url, index) => ({ id: `o-${index}`, region: "weur", url }));
const routes = (...list: object[]): unknown => list.map((each) => ({ pool: "collab", session: [{ issue: true }], ...each }));

describe("a fault is at its path, says what is wrong, and is the only one", () => {
  test.each<[path: string, changes: Changes, message: string]>([
    // The whole
    ["configRevision", { configRevision: 0 }, "found 0; allowed is a whole number from 1"],
    ["configRevision", { configRevision: 1.5 }, "whole number"],
    ["defaultRegion", { defaultRegion: undefined }, "found nothing"],
    ["defaultRegion", { defaultRegion: "wuer" }, 'did you mean "weur"?'],
    ["defaultRegion", { defaultRegion: "mars" }, 'regions are "weur" or "enam"'],
    ["defaultRegion", { defaultRegion: "constructor" }, 'there is no region "constructor"'],
    ["regions", { regions: [] }, "found a list"],
    ["pools", { pools: "x" }, 'found "x"'],
    ["routes", { routes: {} }, "found an object; needed is a list of routes"],
    ["expose", { expose: "yes" }, "true or false"],
    ["forwarded", { forwarded: "x-forwared" }, 'did you mean "x-forwarded"?'],
    ["record.sampleShare", { "record.sampleShare": 1.01 }, "from 0 to 1"],
    ["admin", { admin: true }, "found true; needed is false, or"],
    ["admin.host", { "admin.host": "https://admin.example.com" }, "without scheme"],

    // Unknown names
    ["regons", { regons: {} }, 'unknown name; did you mean "regions"?'],
    ["regions.weur.wieght", { "regions.weur.wieght": 1 }, 'did you mean "weight"?'],
    ["pools.collab.boundfactor", { [`${POOL}.boundfactor`]: 1 }, 'did you mean "boundFactor"?'],
    ["pools.collab.health.colour", { [`${POOL}.health`]: { colour: 1 } }, "known here are path, intervalMs, timeoutMs, rise, fall"],
    ["pools.collab.health.constructor", { [`${POOL}.health`]: { constructor: 1 } }, "unknown name"],
    ["routes[0].session[0].cokie", { [`${ROUTE}.session`]: [{ cokie: "x" }] }, 'did you mean "cookie"?'],
    ["routes[0].handover", { [`${ROUTE}.handover`]: {} }, "unknown name"],

    // Regions
    ['regions["we ur"]', { "regions.we ur": {} }, "an id is 1 to 32"],
    ['regions.WEUR', { "regions.WEUR": {} }, "an id is 1 to 32"],
    [`regions.${"a".repeat(33)}`, { [`regions.${"a".repeat(33)}`]: {} }, "an id is 1 to 32"],
    ["regions.visitor", { "regions.visitor": {} }, "word of a route's home"],
    ["routes[0].home", { "regions.apac": {}, [`${ROUTE}.home`]: "apac" }, "no origin in \"apac\""],
    ["regions.session", { "regions.session": {} }, "word of a route's home"],
    ["regions.first", { "regions.first": {} }, "word of a route's home"],
    ["regions.weur.secondary[0]", { "regions.weur.secondary": ["weur"] }, "this region itself"],
    ["regions.weur.secondary[0]", { "regions.weur.secondary": ["enma"] }, 'did you mean "enam"?'],
    ["regions.weur.secondary[1]", { "regions.weur.secondary": ["enam", "enam"] }, "twice"],
    ["regions.weur.secondary", { "regions.weur.secondary": "enam" }, "needed is a list"],
    ["regions.weur.secondary[0]", { "regions.weur.jurisdiction": "eu" }, '"enam" is outside the jurisdiction "eu"'],
    ["regions.weur.secondary[0]", { "regions.weur.jurisdiction": "eu", "regions.enam.jurisdiction": "fedramp" }, '"enam" is outside the jurisdiction "eu"'],
    ["regions.weur.weight", { "regions.weur.weight": -1 }, "from 0 to 1000"],
    ["regions.weur.hint", { "regions.weur.hint": "weuro" }, 'did you mean "weur"?'],
    ["regions.weur.latitude", { "regions.weur.latitude": 91, "regions.weur.longitude": 0 }, "no such place"],
    ["regions.weur.longitude", { "regions.weur.latitude": 0 }, "give both, or neither"],
    ["regions.weur.latitude", { "regions.weur.longitude": 0 }, "give both, or neither"],

    // Pools
    ["pools.Collab", { "pools.Collab": {} }, "an id is 1 to 32"],
    ["pools.collab.balance", { [`${POOL}.balance`]: "rign" }, 'did you mean "ring"?'],
    ["pools.collab.boundFactor", { [`${POOL}.boundFactor`]: 1 }, "every origin is full at once"],
    ["pools.collab.boundFactor", { [`${POOL}.boundFactor`]: 10.1 }, "to 10"],
    ["pools.collab.virtualNodes", { [`${POOL}.virtualNodes`]: 2049 }, "from 1 to 2048"],
    ["pools.collab.virtualNodes", { [`${POOL}.virtualNodes`]: 2048, [`${ORIGIN}.weight`]: 65 }, "133120 points; allowed are 131072"],
    ["pools.collab.carriers", { [`${POOL}.carriers`]: 65 }, "from 1 to 64"],
    ["pools.collab.carrier.maxConnections", { [`${POOL}.carrier`]: { maxConnections: 0 } }, "from 1 to"],
    ["pools.collab.horizonMs", { [`${POOL}.horizonMs`]: -1 }, "(ms)"],
    ["pools.collab.health.path", { [`${POOL}.health`]: { path: "healthz" } }, 'starts with "/"'],
    ["pools.collab.health.path", { [`${POOL}.health`]: { path: "/a b" } }, '"/a%20b": write that'],
    ["pools.collab.health.path", { [`${POOL}.health`]: { path: "/a#b" } }, '"/a": write that'],
    ["pools.collab.cookie.domain", { [`${POOL}.cookie`]: { domain: ".example.com" } }, "a host name is like"],
    ["pools.collab.cookie.path", { [`${POOL}.cookie`]: { path: "/a;b" } }, "a cookie's path"],
    ["pools.collab.cookie.sameSite", { [`${POOL}.cookie`]: { sameSite: "Lax" } }, 'did you mean "lax"?'],

    // Origins
    ["pools.collab.origins[0].id", { [`${ORIGIN}.id`]: "Weur_1" }, "an id is 1 to 32"],
    ["pools.collab.origins[1].id", { [`${ORIGIN}.id`]: "enam-1" }, "the id of origins[0] too"],
    ["pools.collab.origins[0].region", { [`${ORIGIN}.region`]: "eeur" }, 'there is no region "eeur"'],
    ["pools.collab.origins[0].weight", { [`${ORIGIN}.weight`]: Number.NaN }, "found NaN"],
    ["pools.collab.origins[0].salt", { [`${ORIGIN}.salt`]: 2 ** 32 }, "32 bits"],
    ["pools.collab.origins[0].backup", { [`${ORIGIN}.backup`]: 1 }, "true or false"],
    ["pools.collab.origins[0].url", { [`${ORIGIN}.url`]: undefined }, "found nothing; an origin's url is like"],
    ["pools.collab.origins[0].url", { [`${ORIGIN}.url`]: "weur-1.example.com" }, "an origin's url is like"],
    ["pools.collab.origins[0].url", { [`${ORIGIN}.url`]: "wss://weur-1.example.com" }, 'the scheme "wss:"'],
    ["pools.collab.origins[0].url", { [`${ORIGIN}.url`]: "https://user:secret@weur-1.example.com" }, "credentials"],
    ["pools.collab.origins[0].url", { [`${ORIGIN}.url`]: "https://weur-1.example.com/app" }, "it has a path"],
    ["pools.collab.origins[0].url", { [`${ORIGIN}.url`]: "https://weur-1.example.com/?" }, "it has a query"],
    ["pools.collab.origins[0].url", { [`${ORIGIN}.url`]: "https://weur-1.example.com#" }, "it has a fragment"],
    ["pools.collab.origins[1].url", { [`${POOL}.origins`]: origins("https://a.example.com", "https://A.example.com:443/") }, "the address of origins[0] too"],

    // What requests to them bear
    ["pools.collab.headers.Host", { [`${POOL}.headers`]: { Host: "a" } }, '"Host" belongs to one request or connection, or is Limpet\'s own to say; take it out'],
    ...["connection", "TE", "upgrade", "content-length", "Limpet", "limpet-x", "via", "Cookie", "Sec-WebSocket-Protocol", "signature", "Signature-Input", "last-event-id"].map(
      (name): [string, Changes, string] => [`pools.collab.origins[0].headers.${name}`, { [`${ORIGIN}.headers`]: { [name]: "a" } }, "take it out"]),
    ['pools.collab.origins[0].headers["x key"]', { [`${ORIGIN}.headers`]: { "x key": "a" } }, "header's name"],
    ["pools.collab.origins[0].headers.x-key", { [`${ORIGIN}.headers`]: { "x-key": 5 } }, '{ secret: "NAME" }'],
    ["pools.collab.origins[0].headers.x-key.secret", { [`${ORIGIN}.headers`]: { "x-key": {} } }, "the *name* of a Worker secret"],
    ["pools.collab.origins[0].headers.x-key.secret", { [`${ORIGIN}.headers`]: { "x-key": { secret: "LIMPET_SECRET" } } }, "which is Limpet's own"],
    ["pools.collab.origins[0].headers.x-key.name", { [`${ORIGIN}.headers`]: { "x-key": { secret: "KEY", name: "a" } } }, "unknown name"],
    ["pools.collab.origins[0].headers.X-Key", { [`${ORIGIN}.headers`]: { "x-key": "a", "X-Key": "b" } }, "one header"],
    ["pools.collab.headers.X-Key", { [`${POOL}.headers`]: { "x-key": "a", "X-Key": "b" } }, "one header"],
    ["pools.collab.origins[0].headers", { [`${ORIGIN}.headers`]: ["x-key"] }, "found a list; needed is headers"],
    ["pools.collab.origins[0].binding", { [`${ORIGIN}.binding`]: "a-b" }, 'found "a-b"; needed is the name of a binding'],
    ["pools.collab.origins[0].binding", { [`${ORIGIN}.binding`]: { service: "a" } }, "found an object; needed is the name"],
    ...["RING", "CARRIER", "AFFINITY", "ASSETS", "CONTROL", "LIMPET_SECRET", "LIMPET_LATER"].map(
      (name): [string, Changes, string] => ["pools.collab.origins[0].binding", { [`${ORIGIN}.binding`]: name }, "which is Limpet's own"]),
    ["pools.collab.origins[1].url", { [`${POOL}.origins`]: [{ id: "a", region: "weur", url: "https://a.example.com", binding: "A" }, { id: "b", region: "weur", url: "https://a.example.com", binding: "A" }] }, "the address of origins[0] too"],
    ["pools.collab.signature.secret", { [`${POOL}.signature`]: {} }, "the *name* of a Worker secret"],
    ["pools.collab.signature.secret", { [`${POOL}.signature`]: { secret: "LIMPET_SECRET" } }, "which is Limpet's own"],
    ["pools.collab.signature.keyId", { [`${POOL}.signature`]: { secret: "KEY", keyId: 'a"b' } }, "a key's id"],
    ["pools.collab.signature.expires", { [`${POOL}.signature`]: { secret: "KEY", expires: 5 } }, "unknown name"],
    ["pools.collab.signature.secret", { [`${POOL}.headers`]: { "x-key": { secret: "KEY" } }, [`${POOL}.signature`]: { secret: "KEY" } }, "the value of a header too; each use needs a secret of its own"],
    ["routes[0].session[0].jwt.secret", { [`${POOL}.signature`]: { secret: "KEY" }, [`${ROUTE}.session`]: [{ jwt: { claim: "sub", secret: "KEY" } }] }, "the key of a signature too"],

    // Routes
    ["routes[0].path", { [`${ROUTE}.path`]: "collab/:session" }, 'starts with "/"'],
    ["routes[0].path", { [`${ROUTE}.path`]: "/collab-:session" }, '":name" is a whole segment'],
    ["routes[0].path", { [`${ROUTE}.path`]: "/:session/:" }, '":name" is a whole segment'],
    ["routes[0].path", { [`${ROUTE}.path`]: "/:session/:session" }, "twice"],
    ["routes[0].path", { [`${ROUTE}.path`]: "/*/:session" }, "only at the end"],
    ["routes[0].path", { [`${ROUTE}.path`]: "/:session/a*" }, "a segment of its own"],
    ["routes[0].path", { [`${ROUTE}.path`]: "/a//:session" }, "empty segment"],
    ["routes[0].path", { [`${ROUTE}.path`]: "/:session?x=1" }, '":name" is a whole segment'],
    ["routes[0].path", { [`${ROUTE}.path`]: "/:session/x?y" }, "no query"],
    ["routes[0].path", { [`${ROUTE}.path`]: "/:session/é" }, '"/:session/%C3%A9": write that'],
    ["routes[0].path", { [`${ROUTE}.path`]: "/:session/../x" }, "write that"],
    ["routes[0].path", { [`${ROUTE}.path`]: "/_limpet" }, "Limpet's own"],
    ["routes[0].path", { [`${ROUTE}.path`]: "/_limpet/:session" }, "Limpet's own"],
    ["routes[0].host", { [`${ROUTE}.host`]: "app.example.com:443" }, "without scheme, port or path"],
    ["routes[0].host", { [`${ROUTE}.host`]: "-app.example.com" }, "a host name is like"],
    ['routes[0].header["x tier"]', { [`${ROUTE}.header`]: { "x tier": "gold" } }, "header's name"],
    ["routes[0].header.x-tier", { [`${ROUTE}.header`]: { "x-tier": "gold " } }, "a header's value"],
    ["routes[0].header.X-Tier", { [`${ROUTE}.header`]: { "x-tier": "a", "X-Tier": "b" } }, "one header"],
    ["routes[0].pool", { [`${ROUTE}.pool`]: "colab" }, 'did you mean "collab"?'],
    ["routes[0].pool", { [`${ROUTE}.pool`]: "__proto__" }, "there is no pool"],
    ["routes[0].session[0]", { [`${ROUTE}.session`]: [{}] }, "it names no source; write one of { path: … }, { cookie: … }"],
    ["routes[0].session[0].query", { [`${ROUTE}.session`]: [{ query: "a b" }] }, 'found "a b"'],
    ["routes[0].session[0].subprotocol", { [`${ROUTE}.session`]: [{ subprotocol: "a,b" }] }, 'found "a,b"'],
    ["routes[0].session[0].jwt.claim", { [`${ROUTE}.session`]: [{ jwt: { claim: "a..b", secret: "KEY" } }] }, 'found "a..b"; a claim is a name'],
    ["routes[0].session[0].jwt.secret", { [`${ROUTE}.session`]: [{ jwt: { claim: "sub", secret: "hush-hush" } }] }, "needs the *name* of a Worker secret"],
    ["routes[0].session[0].jwt.secret", { [`${ROUTE}.session`]: [{ jwt: { claim: "sub", secret: "LIMPET_SECRET" } }] }, "which is Limpet's own"],
    ["routes[0].session[0].jwt.secret", { [`${ROUTE}.session`]: [{ jwt: { claim: "sub", secret: "AFFINITY" } }] }, "which is Limpet's own"],
    ["routes[0].session[0].jwt.jwks", { [`${ROUTE}.session`]: [{ jwt: { claim: "sub", jwks: "issuer.example.com" } }] }, "keys are at an address"],
    ["routes[0].session[0].jwt", { [`${ROUTE}.session`]: [{ jwt: { claim: "sub" } }] }, "nothing says whose signature counts"],
    ["routes[0].session[0].jwt.jwks", { [`${ROUTE}.session`]: [{ jwt: { claim: "sub", secret: "KEY", jwks: "https://issuer.example.com/jwks" } }] }, "take one out"],
    ["routes[0].session[0].jwt.query", { [`${ROUTE}.session`]: [{ jwt: { claim: "sub", secret: "KEY", cookie: "t", query: "t" } }] }, "one source for each place"],
    ["routes[0].session[0].ip", { [`${ROUTE}.session`]: [{ ip: false }] }, "found false; allowed is only true"],
    ["routes[0].session[1]", { [`${ROUTE}.session`]: [{ query: "sid" }, { query: "sid" }] }, "stands before already"],
    ["routes[0].required", { [`${ROUTE}.required`]: "yes" }, "found \"yes\"; allowed is true or false"],
    ["routes[0].required", { [`${ROUTE}.required`]: true, [`${ROUTE}.session`]: [] }, "every request would be refused"],
    ["routes[0].required", { [`${ROUTE}.required`]: true, [`${ROUTE}.session`]: [{ query: "sid" }, { ip: true }] }, "nothing is ever refused"],
    ["routes[0].session[0].learn", { [`${ROUTE}.session`]: [{ path: "session", learn: "wrap" }], [`${ROUTE}.home`]: "visitor" }, "of path nothing can be learned"],
    ["routes[0].session[0].learn", { [`${ROUTE}.session`]: [{ cookie: "sid", learn: "unwrap" }] , [`${ROUTE}.home`]: "visitor" }, 'allowed is "wrap"'],
    ["routes[0].home", { [`${ROUTE}.session`]: [{ cookie: "sid", learn: "wrap" }], [`${ROUTE}.home`]: "session" }, "take home out"],
    ["routes[0].required", { [`${ROUTE}.session`]: [{ cookie: "sid", learn: "wrap" }], [`${ROUTE}.required`]: true, [`${ROUTE}.home`]: undefined }, "nobody could ever begin"],
    ["routes[0].required", { [`${ROUTE}.session`]: undefined, [`${ROUTE}.preset`]: "mcp", [`${ROUTE}.required`]: true, [`${ROUTE}.home`]: undefined }, "nobody could ever begin"],
    ["routes[0].session", { [`${ROUTE}.preset`]: "socket.io", [`${ROUTE}.home`]: undefined }, 'preset "socket.io" says where'],
    ["routes[0].preset", { [`${ROUTE}.session`]: undefined, [`${ROUTE}.preset`]: "socketio", [`${ROUTE}.home`]: undefined }, 'did you mean "socket.io"?'],
    ["routes[0].exact", { [`${ROUTE}.exact`]: 1 }, "allowed is true or false"],
    ["routes[0].replay.bodyBytes", { [`${ROUTE}.replay`]: { bodyBytes: 1_048_577 } }, "from 0 to 1048576"],
    ["routes[0].deadlines.firstByteMs", { [`${ROUTE}.deadlines`]: { firstByteMs: 0 } }, "from 10 to 100000"],
    ["routes[0].deadlines.idleMs", { [`${ROUTE}.deadlines`]: { idleMs: 400_001 } }, "from 10 to 400000"],
    ["routes[0].retry.idempotencyKey", { [`${ROUTE}.retry`]: { idempotencyKey: "yes" } }, "allowed is true or false"],
    ["routes[0].session[0]", { [`${ROUTE}.session`]: [{ cookie: "a", header: "b" }] }, "it names 2 sources (cookie, header)"],
    ["routes[0].session[1]", { [`${ROUTE}.session`]: [{ header: "x-a" }, { header: "X-A" }] }, "stands before already"],
    ["routes[0].session[0]", { [`${ROUTE}.session`]: ["cookie"] }, "needed is a session source"],
    ["routes[0].session[0].path", { [`${ROUTE}.session`]: [{ path: "sesion" }] }, 'did you mean "session"?'],
    ["routes[0].session[0].path", { [`${ROUTE}.path`]: "/x" }, "it names none"],
    ["routes[0].session[0].cookie", { [`${ROUTE}.session`]: [{ cookie: "a b" }] }, "a cookie's or header's name"],
    ["routes[0].session[0].header", { [`${ROUTE}.session`]: [{ header: "a:" }] }, "a cookie's or header's name"],
    ["routes[0].session[0].issue", { [`${ROUTE}.session`]: [{ issue: false }] }, "allowed is only true"],
    ["routes[0].home", { [`${ROUTE}.home`]: "visitor" }, "nothing would remember"],
    ["routes[0].home", { [`${ROUTE}.home`]: "visitor", [`${ROUTE}.session`]: [] }, "nothing would remember"],
    ["routes[0].home", { [`${ROUTE}.home`]: "sesion" }, 'did you mean "session"?'],
    ["routes[0].home", { [`${ROUTE}.home`]: "eeur" }, 'there is no region "eeur"'],
    ["routes[0].resume.mode", { [`${ROUTE}.resume`]: {} }, "found nothing"],
    ["routes[0].resume", { [`${ROUTE}.resume`]: { mode: "transparent" } }, "must know what to replay"],
    ["routes[0].resume.prelude", { [`${ROUTE}.resume`]: { mode: "transparent", profile: "y-websocket", prelude: { frames: 1 } } }, "take one out"],
    ["routes[0].resume.profile", { [`${ROUTE}.resume`]: { mode: "restart", profile: "y-websocket" } }, "replays nothing"],
    ["routes[0].resume", { [`${ROUTE}.resume`]: { mode: "handover" } }, "must know whom to ask"],
    ["routes[0].resume.handover", { [`${ROUTE}.resume`]: { mode: "restart", handover: { path: "/h" } } }, 'only mode "handover" uses it'],
    ["routes[0].resume.handover.path", { [`${ROUTE}.resume`]: { mode: "handover", handover: { path: "h" } } }, "starts with"],
    ["routes[0].resume.handover.maxBytes", { [`${ROUTE}.resume`]: { mode: "handover", handover: { path: "/h", maxBytes: 0 } } }, "from 1 to"],
    ["routes[0].resume.prelude", { [`${ROUTE}.resume`]: { mode: "handover", handover: { path: "/h" }, profile: "y-websocket", prelude: { frames: 1 } } }, "take one out"],
    ["routes[0].park", { [`${ROUTE}.park`]: { afterMs: 1000 } }, "which only resume with mode"],
    ["routes[0].park", { [`${ROUTE}.park`]: { afterMs: 1000 }, [`${ROUTE}.resume`]: { mode: "transparent", profile: "mqtt" } }, "which only resume with mode"],
    ["routes[0].park.afterMs", { [`${ROUTE}.park`]: {}, [`${ROUTE}.resume`]: BEARS }, "found nothing"],
    ["routes[0].park.afterMs", { [`${ROUTE}.park`]: { afterMs: 999 }, [`${ROUTE}.resume`]: BEARS }, "from 1000 to"],
    ["routes[0].park.afterMs", { [`${ROUTE}.park`]: { afterMs: 1_800_000 }, [`${ROUTE}.resume`]: BEARS }, "nothing would ever be parked"],
    ["routes[0].park.autoResponse.response", { [`${ROUTE}.park`]: { afterMs: 1000, autoResponse: { request: "ping" } }, [`${ROUTE}.resume`]: BEARS }, "a whole message"],
    ["routes[0].park.autoResponse.request", { [`${ROUTE}.park`]: { afterMs: 1000, autoResponse: { request: "", response: "x" } }, [`${ROUTE}.resume`]: BEARS }, "a whole message"],
    ["routes[0].carry", { [`${ROUTE}.carry`]: "splise" }, 'did you mean "splice"?'],
    ["routes[0].carry", { [`${ROUTE}.carry`]: "splice", [`${POOL}.balance`]: "bounded-ring" }, 'balance "bounded-ring" goes by counted sessions'],
    ["routes[0].carry", { [`${ROUTE}.carry`]: "splice", [`${POOL}.balance`]: "least-connections" }, "a spliced one is not counted"],
    ["routes[0].carry", { [`${ROUTE}.carry`]: "splice", [`${POOL}.stickiness`]: "strict" }, 'stickiness "strict" promises one owner'],
    ["routes[0].resume", { [`${ROUTE}.carry`]: "splice", [`${ROUTE}.resume`]: { mode: "restart" } }, "nothing would heed it"],
    ["routes[0].rehomeOn", { [`${ROUTE}.carry`]: "splice", [`${ROUTE}.rehomeOn`]: [] }, "nothing would heed it"],
    ["routes[0].quietMs", { [`${ROUTE}.carry`]: "splice", [`${ROUTE}.quietMs`]: 100 }, "nothing would heed it"],
    ["routes[0].park", { [`${ROUTE}.carry`]: "splice", [`${ROUTE}.park`]: { afterMs: 1000 } }, "nothing would heed it"],
    ["routes[0].originSilenceMs", { [`${ROUTE}.carry`]: "splice", [`${ROUTE}.originSilenceMs`]: 60_000 }, "nothing would heed it"],
    ["routes[0].originSilenceMs", { [`${ROUTE}.originSilenceMs`]: 10 }, "from 1000 to"],
    ["pools.collab.hold", { [`${POOL}.hold`]: false, [`${POOL}.balance`]: "random" }, "no ring that a session could follow"],
    ["pools.collab.hold", { [`${POOL}.hold`]: "no" }, "true or false"],
    ["pools.collab.faultBudget.deaths", { [`${POOL}.faultBudget`]: { deaths: 0 } }, "from 1 to 100"],
    ["pools.collab.pace.perOriginPerSecond", { [`${POOL}.pace`]: { perOriginPerSecond: 0 } }, "from 1 to"],
    ["routes[0].resume.prelude.frames", { [`${ROUTE}.resume`]: { mode: "transparent", prelude: {} } }, "found nothing"],
    ["routes[0].resume.profile", { [`${ROUTE}.resume`]: { mode: "transparent", profile: "ywebsocket" } }, 'did you mean "y-websocket"?'],
    ["routes[0].rehomeOn[1]", { [`${ROUTE}.rehomeOn`]: [1001, 999] }, "from 1000 to 4999"],
    ["routes[0].rehomeOn[1]", { [`${ROUTE}.rehomeOn`]: [1001, 1001] }, "twice"],
    ["routes[0].quietMs", { [`${ROUTE}.quietMs`]: 501 }, "from 0 to 500"],
    ["routes[0].allowedOrigins[0]", { [`${ROUTE}.allowedOrigins`]: ["*"] }, "to allow all, leave allowedOrigins out"],
    ["routes[0].allowedOrigins[0]", { [`${ROUTE}.allowedOrigins`]: ["https://app.example.com/x"] }, "it has a path"],

    // Routes that never get a request
    ["routes[1]", { routes: routes({ path: "/a/:x" }, { path: "/a/:y" }) }, "routes[0] takes every request"],
    ["routes[1]", { routes: routes({ path: "/*" }, { path: "/*", host: "a.example.com" }) }, "put the narrower one first"],
    ["routes[1]", { routes: routes({ path: "/*", host: "A.example.com", header: { T: "1" } }, { path: "/*", host: "a.example.com", header: { t: "1", u: "2" } }) }, "routes[0] takes"],
    ["regions.mars", { "regions.mars": {}, [`${POOL}.origins`]: [{ id: "a", region: "mars", url: "https://a.example.com" }, { id: "b", region: "weur", url: "https://b.example.com" }], routes: routes({ path: "/", home: "visitor" }) }, "nearest to it"],
  ])("%s %j", (path, changes, message) => {
    expect(faultsOf(make(changes))).toEqual([{ path, message: expect.stringContaining(message) }]);
  });

  test.each<[why: string, changes: Changes]>([
    ["a route splices, over a ring or none", { [`${ROUTE}.carry`]: "splice", "pools.web": { balance: "round-robin", origins: origins("https://web-1.example.com") }, "routes.1": { path: "/w", pool: "web", carry: "splice" } }],
    ["a narrower route of one path stands first", { routes: routes({ path: "/*", host: "a.example.com" }, { path: "/*" }) }],
    ["two tiers share a path", { routes: routes({ path: "/*", header: { tier: "a" } }, { path: "/*", header: { tier: "b" } }) }],
    ["a path ends in a slash", { routes: routes({ path: "/a" }, { path: "/a/" }, { path: "/" }) }],
    ["a path only begins like ours", { routes: routes({ path: "/_limpets/*" }) }],
    ["a region without a place is the only one of its visitors' pool", { regions: { mars: {} }, defaultRegion: "mars", [`${POOL}.origins`]: [{ id: "a", region: "mars", url: "https://a.example.com" }], routes: routes({ path: "/", home: "visitor" }) }],
    ["a visitor's home on a pool without affinity", { [`${POOL}.affinity`]: "off", [`${ROUTE}.home`]: "visitor" }],
    ["two bindings lead to one address", { [`${POOL}.origins`]: [{ id: "a", region: "weur", url: "https://origin", binding: "A" }, { id: "b", region: "weur", url: "https://origin", binding: "B" }] }],
    ["a binding's address is http", { [`${ORIGIN}.url`]: "http://origin.internal", [`${ORIGIN}.binding`]: "VPC" }],
    ["two pools share a server and an id", { "pools.web": { origins: origins("https://weur-1.example.com") } }],
    ["a region and a pool are called like a built-in", { "regions.constructor": {}, "pools.constructor": {} }],
  ])("none where %s", (_why, changes) => {
    expect(faultsOf(make(changes))).toEqual([]);
  });
});

describe("numbers", () => {
  const places: Readonly<Record<string, string>> = {
    boundFactor: POOL, virtualNodes: POOL, holdDownMs: POOL, carriers: POOL, horizonMs: POOL, closeDeadlineMs: POOL,
    quietMs: ROUTE, salt: ORIGIN,
  };
  test.each(Object.entries(places))("%s takes both ends of its range and nothing beyond", (name, place) => {
    const { least, most, whole } = LIMITS[name as keyof typeof LIMITS];
    const step = whole ? 1 : 0.0001;
    const faultCount = (value: number): number => faultsOf(make({ [`${place}.${name}`]: value }), true).length;
    expect([least - step, least, most, most + step].map(faultCount)).toEqual([1, 0, 0, 1]);
    expect([Number.NaN, Infinity, -Infinity].map(faultCount)).toEqual([1, 1, 1]);
  });

  test("every default lies within its range", () => {
    for (const [name, { fallback, least, most }] of Object.entries(LIMITS)) {
      if (fallback !== undefined) expect(fallback >= least && fallback <= most, name).toBe(true);
    }
  });

  test("a ring is counted by region, and its backups apart", () => {
    const heavy = (id: string, region: string, backup: boolean): object => ({ id, region, backup, url: `https://${id}.example.com`, weight: 60 });
    const changes = { [`${POOL}.virtualNodes`]: 2048, [`${POOL}.origins`]: [heavy("a", "weur", false), heavy("b", "weur", true), heavy("c", "enam", false)] };
    expect(faultsOf(make(changes))).toEqual([]);
  });
});

/** Names of the fleet's policies, each with a value that is not its default and one that is not allowed. */
const POLICIES: readonly [path: string, good: unknown, bad: unknown, allowed: string][] = [
  ["regions.enam.jurisdiction", "eu", "mars", '"eu" or "fedramp"'],
  [`${POOL}.overprovisioning`, 1.2, 0.9, "from 1 to 10"],
  [`${POOL}.panicShare`, 0.3, 1.1, "from 0 to 1"],
  [`${POOL}.failback`, "new", "old", '"sessions" or "new"'],
  [`${POOL}.ejection.faults`, 6, 0, "from 1 to"],
  [`${POOL}.ejection.baseMs`, 1000, 1, "from 100 to"],
  [`${POOL}.ejection.maxShare`, 0.6, -1, "from 0 to 1"],
  [`${POOL}.lease.ttlMs`, 10_000, 10, "from 1000 to"],
  [`${POOL}.slowStart.windowMs`, 0, -1, "from 0 to"],
  [`${POOL}.drain.mode`, "finish", "wait", '"move" or "finish"'],
  [`${POOL}.health.status`, [200, 429], [99], "from 200 to 599"],
  [`${POOL}.health.headers`, { "x-check": "1" }, { "bad name": "1" }, ""],
  ["admin.originHosts", ["*.example.com"], ["https://x"], "*.example.com"],
];

describe("policies of the fleet", () => {
  test.each(POLICIES)("%s: %j arrives, %j is refused with what is allowed", (path, good, bad, allowed) => {
    const at = (config: unknown): unknown => path.split(".").reduce<unknown>((here, key) => (here as Record<string, unknown>)[key], config);
    expect(at(parsed(make({ [path]: good })))).toEqual(good);
    const [fault, ...more] = faultsOf(make({ [path]: bad }));
    expect(more).toEqual([]);
    expect(fault?.path.startsWith(path)).toBe(true);
    expect(fault?.message).toContain(allowed);
  });

  test("the first visitor's region may be a home", () => {
    expect(parsed(make({ [`${ROUTE}.home`]: "first" })).routes[0]?.home).toEqual({ kind: "first" });
  });
});

describe("all faults together", () => {
  const broken = make({
    defaultRegion: "mars",
    [`${POOL}.boundFactor`]: 0,
    [`${POOL}.hold`]: 1,
    [`${POOL}.origins`]: [{ id: "a", region: "mars", url: "ftp://a" }, 5, { id: "a", url: "https://a.example.com" }],
    routes: [{ path: "/:a/:a", pool: "web", session: [{ path: "a" }, {}], home: "visitor", colour: 1 }, null],
    zeal: 1,
  });

  test("of shape and between places, in the order of the input", () => {
    expect(faultsOf(broken).map(({ path }) => path)).toEqual([
      "defaultRegion",
      "pools.collab.origins[0].region",
      "pools.collab.origins[0].url",
      "pools.collab.origins[1]",
      "pools.collab.origins[2].id",
      "pools.collab.origins[2].region",
      "pools.collab.boundFactor",
      "pools.collab.hold",
      "routes[0].path",
      "routes[0].pool",
      "routes[0].session[1]",
      "routes[0].home",
      "routes[0].colour",
      "routes[1]",
      "zeal",
    ]);
  });

  test("the same ones in the same order every time, none twice", () => {
    const faults = faultsOf(broken);
    expect(faultsOf(broken)).toEqual(faults);
    expect(new Set(faults.map((fault) => JSON.stringify(fault))).size).toBe(faults.length);
  });

  test("malformed parts hide no fault elsewhere, and raise none that follows from them", () => {
    expect(faultsOf(make({ regions: 5 })).map(({ path }) => path)).toEqual(["regions"]);
    expect(faultsOf(make({ pools: null })).map(({ path }) => path)).toEqual(["pools"]);
    expect(faultsOf(make({ [`${POOL}.origins`]: 7, [`${ROUTE}.quietMs`]: -1 })).map(({ path }) => path)).toEqual(["pools.collab.origins", "routes[0].quietMs"]);
  });

  test("an empty configuration is told everything that it needs", () => {
    expect(faultsOf({}).map(({ path }) => path)).toEqual(["defaultRegion", "regions", "pools", "routes", "configRevision"]);
    expect(faultsOf({}, true).map(({ path }) => path)).toEqual(["defaultRegion", "regions", "pools", "routes"]);
  });

  test("a person reads the number of faults, then a line each", () => {
    expect(formatFaults(faultsOf(make({ configRevision: 0, expose: 1 }))).split("\n")).toEqual([
      "The configuration has 2 faults:",
      expect.stringMatching(/^ {2}configRevision: found 0; /),
      "  expose: found 1; allowed is true or false",
    ]);
    expect(formatFaults(faultsOf(null))).toBe("The configuration has 1 fault:\n  found null; needed is a configuration: { … }");
  });
});

describe("hostile input", () => {
  test.each([[null], [undefined], [0], ["x"], [true], [Symbol("x")], [10n], [[]], [[[]]], [() => 1], [new Map()], [new Date(0)]])("%s is a fault, not a throw", (input) => {
    expect(faultsOf(input).length).toBeGreaterThan(0);
  });

  test("names of the prototype are unknown names, wherever they stand", () => {
    const text = `{"__proto__":{"expose":true},"constructor":{"prototype":{}},"configRevision":1,"defaultRegion":"weur",
      "regions":{"weur":{"__proto__":1},"__proto__":{}},"pools":{"__proto__":{}},"routes":[{"path":"/","pool":"__proto__","header":{"__proto__":"x"}}]}`;
    expect(faultsOf(JSON.parse(text)).map(({ path }) => path)).toEqual(["__proto__", "constructor", "regions.weur.__proto__", "regions.__proto__", "pools.__proto__"]);
    expect(Object.getPrototypeOf({})).toBe(Object.prototype);
    expect(Reflect.get({}, "expose")).toBe(undefined);
  });

  test("looking up a name that nobody wrote finds nothing", () => {
    const { regions, pools, routes: [route] } = parsed(base());
    for (const table of [regions, pools, route?.header]) expect([table?.["constructor"], table?.["__proto__"], table?.["toString"]]).toEqual([undefined, undefined, undefined]);
  });

  test("a field that an object inherits is no field of the input", () => {
    expect(faultsOf(Object.create(base())).map(({ path }) => path)).toEqual(["defaultRegion", "regions", "pools", "routes", "configRevision"]);
  });

  test("huge texts and names are shown in a line", () => {
    const huge = "x".repeat(5_000_000);
    const faults = faultsOf(make({ defaultRegion: `${huge}y`, [huge]: 1, [`${ORIGIN}.url`]: `https://${huge}`, [`${ROUTE}.path`]: `/${huge}`, [`${ROUTE}.host`]: huge, [`${ROUTE}.pool`]: huge, [`regions.${huge}`]: {} }));
    expect(faults).toHaveLength(7);
    for (const { path, message } of faults) expect(path.length + message.length).toBeLessThan(400);
  });

  test("deep nesting and cycles are read no deeper than the configuration goes", () => {
    let deep: unknown = 1;
    for (let depth = 0; depth < 100_000; depth++) deep = depth % 2 ? [deep] : { deep };
    const cycle: Record<string, unknown> = base();
    cycle["regions"] = cycle;
    cycle["admin"] = cycle;
    for (const input of [deep, make({ regions: deep, [`${ROUTE}.home`]: deep, zeal: deep }), cycle]) expect(faultsOf(input).length).toBeGreaterThan(0);
  });

  test("thousands of faults in one place take no quadratic time", () => {
    const unknown = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`name-${i}`, i]));
    const startMs = performance.now();
    expect(faultsOf(make({ [`${POOL}.health`]: unknown }))).toHaveLength(20_000);
    expect(performance.now() - startMs).toBeLessThan(5000);
  });

  test("credentials of a URL are in no message", () => {
    for (const url of ["https://user:hunter2@x.example.com", "https://user:hunter2@x example com", "https://user:hunter2/x@x.example.com", `https://hunter2${"x".repeat(100)}@x y`, "ftp://user:hunter2@x.example.com", "https://x.example.com/?token=hunter2"]) {
      expect(formatFaults(faultsOf(make({ [`${ORIGIN}.url`]: url, [`${ROUTE}.allowedOrigins`]: [url] })))).not.toContain("hunter2");
    }
  });

  test("a seed is a text of 16 to 256 characters; a refused one is in no message", () => {
    for (const seed of ["s".repeat(16), "s".repeat(256), SEED, " ".repeat(16), "Zürich 🐚 Zürich", "\u0000".repeat(16)]) expect(faultsOf(make({ [`${POOL}.seed`]: seed }))).toEqual([]);
    const refused: unknown[] = ["", "s", "hunter2", "hunter2-hunter2", "s".repeat(257), `hunter2${"x".repeat(5_000_000)}`, 8127349, true, null, ["hunter2-hunter2-hunter2"], { hunter2: "hunter2-hunter2-hunter2" }];
    for (const seed of refused) {
      const [fault, ...others] = faultsOf(make({ [`${POOL}.seed`]: seed }));
      expect([fault?.path, others]).toEqual(["pools.collab.seed", []]);
      expect(fault?.message).toBe('a seed is a text of 16 to 256 characters that nobody can guess, like the output of "openssl rand -hex 16"');
    }
    // Nor is one in the message of another fault beside it, or of its own name misspelt.
    for (const changes of [{ [`${POOL}.sed`]: "hunter2-hunter2-hunter2" }, { [`${POOL}.seed`]: "hunter2-hunter2-hunter2", zeal: 1 }, { seed: "hunter2-hunter2-hunter2" }]) {
      const faults = faultsOf(make(changes));
      expect([faults.length, formatFaults(faults).includes("hunter2")]).toEqual([1, false]);
    }
  });

  test("a header's value, which may be a secret, is in no message", () => {
    for (const text of [" hunter2", "hunter2\n", "hunter2 ", "hünter2 hunter2", "hunter2".repeat(1000)]) {
      const faults = faultsOf(make({ [`${POOL}.headers`]: { authorization: text }, [`${ORIGIN}.headers`]: { "x-key": { secret: text } } }));
      expect([faults.length, formatFaults(faults).includes("hunter2")]).toEqual([2, false]);
    }
  });

  const paths = ["configRevision", "defaultRegion", "regions", "regions.weur", "regions.weur.secondary", "pools", POOL, `${POOL}.origins`, ORIGIN, `${ORIGIN}.url`, `${ORIGIN}.headers`, `${ORIGIN}.binding`, `${POOL}.headers`, `${POOL}.headers.x`, `${POOL}.signature`, `${POOL}.signature.keyId`,
    `${POOL}.health`, `${POOL}.cookie`, "routes", ROUTE, `${ROUTE}.path`, `${ROUTE}.header`, `${ROUTE}.session`, `${ROUTE}.session.0`, `${ROUTE}.resume`, `${ROUTE}.rehomeOn`, "admin"];
  test("anything, anywhere: an answer, never a throw, and what passes is complete", () => {
    fc.assert(
      fc.property(fc.constantFrom(...paths), fc.anything({ withNullPrototype: true, withBigInt: true, withSparseArray: true, withDate: true, withMap: true }), fc.boolean(), (path, value, dev) => {
        const result = parseConfig(make({ [path]: value }), { dev });
        if (!result.ok) return result.faults.length > 0 && formatFaults(result.faults).length > 0;
        return JSON.stringify(parsed(structuredInput(result.config), dev)) === JSON.stringify(result.config);
      }),
      { numRuns: 2000 },
    );
  });

  test("any text as any name: an answer, never a throw", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        for (const at of ["defaultRegion", `${ROUTE}.pool`, `${ROUTE}.home`, `${ROUTE}.path`, `${ROUTE}.host`, `${ORIGIN}.url`, `${ORIGIN}.id`]) if (faultsOf(make({ [at]: text })).some(({ message }) => message.includes("undefined"))) return false;
        return true;
      }),
      { numRuns: 200 },
    );
  });
});

function writtenSource(source: SessionSource): object {
  switch (source.kind) {
    case "issue":
    case "ip":
      return { [source.kind]: true };
    case "subprotocol":
      return { subprotocol: source.prefix };
    case "jwt": {
      const { claim, token, keys, kind: _, ...rest } = source;
      return { jwt: { claim: claim.join("."), ...(token === "bearer" ? {} : token), ...keys, ...rest } };
    }
    default:
      return { [source.kind]: source.name, ...("learn" in source && source.learn ? { learn: "wrap" } : {}) };
  }
}

/** A parsed configuration as somebody would write it. */
function structuredInput(config: Config): unknown {
  const { regions, pools } = config;
  return {
    ...config,
    regions: Object.fromEntries(Object.values(regions).map(({ id, ...region }) => [id, region])),
    pools: Object.fromEntries(Object.values(pools).map(({ id, ...pool }) => [id, pool])),
    routes: config.routes.map((route) => ({
      ...route,
      session: route.session.map(writtenSource),
      home: route.home.kind === "region" ? route.home.region : route.home.kind,
    })),
  };
}

/** Overwrites every leaf of an input, deep down. */
function scramble(value: object): void {
  for (const key of Object.keys(value)) {
    const inner: unknown = Reflect.get(value, key);
    if (typeof inner === "object" && inner !== null) scramble(inner);
    else Reflect.set(value, key, "scrambled");
  }
}
