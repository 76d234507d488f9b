// A configuration that changes under live sockets: no deploy, nobody's socket closes, and everybody goes by it within the horizon.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Applying, withPool, type RawConfig } from "../support/applying.ts";
import { LiveStack, names, type LiveRing } from "../support/live-stack.ts";
import { LiveOrigin } from "../support/live-origin.ts";
import { eventually } from "../support/stack.ts";
import { visit } from "../support/visitor.ts";

const IDS = ["weur-1", "weur-2", "weur-3"];

let stack: LiveStack;
let applying: Applying;

describe("while sockets are open", () => {
  beforeEach(async () => {
    stack = await LiveStack.start({ ids: IDS, pool: { drain: { deadlineMs: 2_000, graceMs: 100 } } });
    applying = new Applying(() => stack.router.url);
  });
  afterEach(() => stack.stop());

  test("what holds is told with its ETag, and who has it", async () => {
    const { status, etag, body } = await applying.ask("GET", "config");
    expect([status, etag]).toEqual([200, '"1"']);
    expect(body).toMatchObject({
      revision: 1,
      source: "bundle",
      pending: [],
      rings: [{ pool: "live", region: "weur", revision: 1, source: "bundle" }],
    });
  });

  test("policy, routes and rollout change for the Worker and the ring, and every socket stays", async () => {
    const talkers = await stack.joinAll(names("doc-", 12));
    const revision = await applying.apply((config) => ({
      ...withPool(config, "live", { hold: false, rollout: 0.5, session: { idleMs: 60_000, maxLifeMs: 120_000 } }),
      routes: [...config.routes, { path: "/added/:session", pool: "live", session: [{ path: "session" }], home: "weur" }],
    }));
    expect(revision).toBe(2);
    await eventually("the Worker has the new route", async () => {
      const response = await fetch(`${stack.router.url}/added/k`);
      await response.body?.cancel();
      return response.headers.get("limpet")?.includes("origin=") === true;
    });
    for (const talker of talkers) await talker.expectWhole();
    expect(talkers.every((talker) => talker.isOpen)).toBe(true);
    stack.expectOneOwner();
  });

  test("an origin that is added takes what is new, and one that is dropped gives up what it has: nobody's socket closes", async () => {
    const talkers = await stack.joinAll(names("doc-", 12));
    const joiner = new LiveOrigin("weur-4", stack.journal);
    await joiner.start();
    try {
      await applying.apply((config) =>
        withPool(config, "live", { origins: [...(config.pools["live"]?.origins ?? []), { id: "weur-4", region: "weur", url: joiner.url }] }),
      );
      expect((await stack.ring()).origins.map(({ id }) => id)).toContain("weur-4");
      await applying.apply((config) =>
        withPool(config, "live", { origins: (config.pools["live"]?.origins ?? []).filter(({ id }) => id !== "weur-1") }),
      );
      await eventually("weur-1 has nobody", async () => {
        const ring = await stack.ring();
        return ring.moving === 0 && (ring.origins.find(({ id }) => id === "weur-1")?.sessions ?? 0) === 0 && ring.sessions === talkers.length;
      });
      for (const talker of talkers) await talker.expectWhole();
      expect(talkers.every((talker) => talker.isOpen)).toBe(true);
      stack.expectOneOwner();
    } finally {
      await joiner.kill();
    }
  });

  test("an operator's drain survives what is applied", async () => {
    await stack.drain("weur-2");
    await applying.apply((config) => withPool(config, "live", { hold: false }));
    expect((await stack.ring()).origins.find(({ id }) => id === "weur-2")?.state).toMatch(/drain/);
  });

  test("a dry run says what would change and move, and changes nothing", async () => {
    const { config } = await applying.config();
    const { configRevision: _, ...rest } = withPool(config, "live", { origins: (config.pools["live"]?.origins ?? []).slice(1) }) as RawConfig;
    const { status, body } = await applying.ask<{ revision: number; changes: object[]; plan: { movedShare: number; optimumShare: number }[] }>(
      "PUT",
      "config?dryRun=true",
      rest,
    );
    expect([status, body.revision, body.changes.map((each) => Reflect.get(each, "path") as string)]).toEqual([
      200,
      2,
      ["configRevision", "pools.live.origins.weur-1"],
    ]);
    expect(body.plan).toHaveLength(1);
    expect(body.plan[0]?.movedShare).toBeGreaterThan(0.2);
    expect(body.plan[0]?.movedShare).toBeCloseTo(body.plan[0]?.optimumShare ?? 0, 6);
    expect(await applying.config()).toMatchObject({ revision: 1, source: "bundle" });
  });

  test("undo brings back what held before, under a new revision, and undoing that brings it again", async () => {
    await applying.apply((config) => withPool(config, "live", { hold: false }));
    const undone = await applying.ask("POST", "config/undo", undefined, { "if-match": '"2"' });
    expect([undone.status, undone.body["revision"], undone.etag]).toEqual([200, 3, '"3"']);
    await applying.held(3);
    expect((await applying.config()).config.pools["live"]).not.toHaveProperty("hold");
    expect((await applying.ask("POST", "config/undo")).body["revision"]).toBe(4);
    await applying.held(4);
    expect((await applying.config()).config.pools["live"]).toHaveProperty("hold", false);
    const audit = await applying.ask<{
      entries: { ring: string; what: string; who: string; epoch: number; why?: string; changes: { path: string }[] }[];
    }>("GET", "audit");
    const entries = audit.body.entries.filter(({ ring }) => ring === "control");
    expect(entries.map(({ what, who, epoch }) => `${what} ${epoch} by ${who}`)).toEqual(["undo 4 by dev", "undo 3 by dev", "apply 2 by dev"]);
    expect(entries[1]?.why).toBe("back to what revision 1 said");
    expect(entries[2]?.changes.map(({ path }) => path)).toEqual(["configRevision", "pools.live.hold"]);
  });

  test("nothing applied, nothing to undo", async () => {
    expect((await applying.ask("POST", "config/undo")).status).toBe(409);
  });

  test("what holds already may be given twice: nothing changes, and there is nothing to undo", async () => {
    const { config } = await applying.config();
    for (const path of ["config", "config?dryRun=true"]) {
      const answer = await applying.ask<{ revision: number; changes: unknown[] }>("PUT", path, config);
      expect([answer.status, answer.body.revision, answer.body.changes]).toEqual([200, 1, []]);
    }
    expect((await applying.ask("POST", "config/undo")).status).toBe(409);
  });

  test("of two who change the same one, one is told that it has changed meanwhile", async () => {
    const { configRevision: _, ...config } = (await applying.config()).config;
    const put = () => applying.ask("PUT", "config", withPool(config as RawConfig, "live", { hold: false }), { "if-match": '"1"' });
    const answers = await Promise.all([put(), put()]);
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 412]);
    expect(answers.find(({ status }) => status === 412)).toMatchObject({ etag: '"2"', body: { code: "precondition-failed" } });
  });

  test.each<[string, (config: RawConfig) => unknown, number, RegExp]>([
    ["is no JSON", () => "{", 400, /JSON/],
    ["is nothing", () => undefined, 400, /whole configuration/],
    ["is a list", () => [], 400, /faults?/],
    ["has faults", (config) => ({ ...config, configRevision: 2, defaultRegion: "nowhere" }), 400, /defaultRegion/],
    [
      "names a secret that is not there",
      (config) => withPool({ ...config, configRevision: 2 }, "live", { headers: { "x-key": { secret: "NO_SUCH" } } }),
      400,
      /pools\.live\.headers\.x-key\.secret: NO_SUCH is not set/,
    ],
    [
      "has the revision that holds, and says something else",
      (config) => ({ ...config, expose: false, record: { sampleShare: 0.5 } }),
      409,
      /at least 2/,
    ],
    ["has a revision that leaves none after it", (config) => ({ ...config, configRevision: Number.MAX_SAFE_INTEGER }), 409, /at most/],
    ["is nested without end", () => "[".repeat(100_000) + "]".repeat(100_000), 400, /more than 32/],
    [
      "has a region of another jurisdiction",
      (config) => ({ ...config, configRevision: 2, regions: { ...config.regions, weur: { ...config.regions["weur"], jurisdiction: "eu" } } }),
      409,
      /regions\.weur cannot get another jurisdiction/,
    ],
    ["has other carriers", (config) => withPool({ ...config, configRevision: 2 }, "live", { carriers: 7 }), 409, /pools\.live\.carriers/],
    ["has another seed", (config) => withPool({ ...config, configRevision: 2 }, "live", { seed: "x".repeat(32) }), 409, /pools\.live\.seed/],
    ["has a seed that nobody has", (config) => withPool({ ...config, configRevision: 2 }, "live", { seed: "(kept)" }), 400, /pools\.live\.seed/],
    ["is too large", (config) => ({ ...config, padding: "x".repeat(1024 * 1024) }), 413, /1048576/],
  ])("what %s is refused with a sentence, and nothing changes", async (_, bodyOf, status, sentence) => {
    const { config } = await applying.config();
    const answer = await applying.ask<{ detail: string }>("PUT", "config", bodyOf(config));
    expect([answer.status, answer.body.detail]).toEqual([status, expect.stringMatching(sentence)]);
    expect(await applying.config()).toMatchObject({ revision: 1, source: "bundle" });
  });

  test("a condition that is none is refused", async () => {
    expect((await applying.ask("PUT", "config", {}, { "if-match": "7" })).status).toBe(400);
  });
});

describe("pools that come and go", () => {
  beforeEach(async () => {
    stack = await LiveStack.start({ ids: IDS, pool: { drain: { deadlineMs: 3_000, graceMs: 100 } } });
    applying = new Applying(() => stack.router.url);
  });
  afterEach(() => stack.stop());

  const withFresh = (config: RawConfig): object => ({
    ...config,
    pools: { ...config.pools, fresh: config.pools["live"] },
    routes: [...config.routes, { path: "/fresh/:session", pool: "fresh", session: [{ path: "session" }], home: "weur" }],
  });

  test("a pool that no bundle has is served, sockets too, by objects that never heard of it", async () => {
    await applying.apply(withFresh);
    const visitor = await eventually(
      "a socket of the new pool",
      () => visit(`${stack.router.url.replace("http", "ws")}/fresh/doc?a`).catch(() => undefined),
      20_000,
    );
    expect((await stack.client.admin<{ sessions: number }>("rings/fresh/weur")).sessions).toBe(1);
    visitor.socket.close();
  });

  test("the ring of a pool that is dropped is found until it is empty, and the pool may come back", async () => {
    await applying.apply(withFresh);
    const visitor = await eventually("somebody is there", () =>
      visit(`${stack.router.url.replace("http", "ws")}/fresh/doc?a`).catch(() => undefined),
    );
    const { configRevision: _, pools, ...config } = (await applying.config()).config;
    const { fresh: _fresh, ...others } = pools;
    const dropped = await applying.ask<{ revision: number }>("PUT", "config", { ...config, pools: others, routes: config.routes.slice(0, 1) });
    expect(dropped.status).toBe(200);
    await applying.held(dropped.body.revision);
    const { retired, rings } = await applying.config();
    expect(retired).toEqual([{ pool: "fresh", region: "weur" }]);
    expect(rings.find(({ pool }) => pool === "fresh")).toMatchObject({ retired: true, revision: 3 });
    const ring = await eventually("the Worker finds it all the same", () => stack.client.admin<LiveRing>("rings/fresh/weur").catch(() => undefined));
    const its = ring.origins.find(({ sessions }) => sessions === 1);
    expect([ring.sessions, its?.state]).toEqual([1, "draining"]);
    expect((await visitor.closed).code).toBe(1012); // when the drain's time is over: nobody else can take it
    await eventually("nobody is there any more", async () => (await applying.config()).retired.length === 0, 25_000);
    await applying.apply(withFresh);
    expect(await applying.config()).toMatchObject({ retired: [], revision: 4 });
  });
});

describe("whatever dies meanwhile", () => {
  const CONTROL = "v1:control";
  const RING = "v1:live@weur#g1";
  beforeEach(async () => {
    stack = await LiveStack.start({ ids: IDS, mortal: true });
    applying = new Applying(() => stack.router.url);
  });
  afterEach(() => stack.stop());

  const doom = (...words: string[]): Promise<Response> => stack.client.fetch(`/doom/${words.map(encodeURIComponent).join("/")}`, { method: "POST" });

  /** Everybody has it in the end, whatever was answered. */
  async function appliesAll(): Promise<void> {
    const talkers = await stack.joinAll(names("doc-", 4));
    const { configRevision: _, ...config } = (await applying.config()).config;
    await applying.ask("PUT", "config", withPool(config as RawConfig, "live", { hold: false })).catch(() => undefined);
    await applying.held(2);
    const held = await stack.router.miniflare.getKVNamespace("AFFINITY");
    expect(await held.get("config", "json")).toMatchObject({ format: 1, revision: 2 });
    for (const talker of talkers) await talker.expectWhole();
    expect(talkers.every((talker) => talker.isOpen)).toBe(true);
  }

  test.each([
    ["before it has told a ring", ["RING", RING, "applyConfig", "before", "CONTROL", CONTROL]],
    ["after it has told a ring", ["RING", RING, "applyConfig", "after", "CONTROL", CONTROL]],
    ["before it publishes", ["CONTROL", CONTROL, "current", "before", "CONTROL", CONTROL]],
    ["after its answer", ["CONTROL", CONTROL, "put", "after", "CONTROL", CONTROL]],
  ])("the control object that dies %s goes on", async (_, words) => {
    await doom(...words);
    await appliesAll();
    const struck = (await (await stack.client.fetch("/struck")).json()) as string[];
    expect(struck).toHaveLength(1);
  });

  test.each(["before", "after"])("a ring object that dies %s it has taken it has it", async (when) => {
    await doom("RING", RING, "applyConfig", when, "RING", RING);
    await applying.apply((config) => withPool(config, "live", { hold: false }));
    expect((await applying.config()).rings).toMatchObject([{ revision: 2, source: "applied" }]);
  });

  test("a ring object that was not told asks when it starts", async () => {
    await applying.apply((config) => withPool(config, "live", { hold: false }));
    await stack.abort("RING", RING);
    expect((await applying.config()).rings).toMatchObject([{ revision: 2, source: "applied" }]);
  });

  test("while KV takes no writes the rings have it, and KV has it as soon as it does", async () => {
    await stack.client.fetch("/kv/fails", { method: "POST" });
    const { configRevision: _, ...config } = (await applying.config()).config;
    expect((await applying.ask("PUT", "config", withPool(config as RawConfig, "live", { hold: false }))).status).toBe(200);
    await eventually("the ring has it, KV has not", async () => {
      const { pending, rings } = await applying.config();
      return pending.join() === "kv" && rings[0]?.revision === 2;
    });
    await stack.client.fetch("/kv/works", { method: "POST" });
    await applying.held(2);
  });
});

describe("what is stored outlives the router", () => {
  let storage: string;
  beforeEach(async () => {
    storage = await mkdtemp(join(tmpdir(), "limpet-apply-"));
  });
  afterEach(async () => {
    await stack.stop();
    await rm(storage, { recursive: true, force: true });
  });

  test("after a restart with the same bundle what was applied holds", async () => {
    stack = await LiveStack.start({ ids: IDS, storage });
    applying = new Applying(() => stack.router.url);
    const urls = stack.origins.map(({ url }) => url);
    await applying.apply((config) => withPool(config, "live", { hold: false }));
    await stack.router.stop();
    stack = await stack.restarted();
    expect(stack.origins.map(({ url }) => url)).toEqual(urls);
    const config = await applying.config();
    expect(config).toMatchObject({ revision: 2, source: "applied", rings: [{ revision: 2, source: "applied" }] });
  });

  test("in dev a bundle that was changed holds again, though its revision was not, and what comes next is newer than both", async () => {
    stack = await LiveStack.start({ ids: IDS, storage });
    applying = new Applying(() => stack.router.url);
    await applying.apply((config) => withPool(config, "live", { hold: false }));
    await stack.router.stop();
    stack = await stack.restarted((raw) => ({ ...raw, record: { sampleShare: 1 } }));
    expect(await applying.config()).toMatchObject({ revision: 1, source: "bundle", rings: [{ revision: 1, source: "bundle" }] });
    expect(await applying.apply((config) => withPool(config, "live", { hold: false }))).toBe(3);
  });
});
