// What objects keep and publish: KV's snapshot and hints, and what survives when an object is evicted under its sessions.

import { afterEach, beforeEach, expect, test } from "vitest";
import { startRouter, type Router } from "../../src/cli/router.ts";
import { decodeHints, decodeSnapshot, type Hints, type Snapshot } from "../../src/core/snapshot.ts";
import { Fleet } from "../../examples/collab/fleet.ts";
import { converged, openEditor, type Editor } from "../support/editor.ts";
import { clientOf, collabConfig, eventually, type RingView } from "../support/stack.ts";

let fleet: Fleet;
let router: Router;
let client: ReturnType<typeof clientOf>;
let editors: Editor[];
const HOLD_DOWN_MS = 600;
/** One of two keeps all: where sessions go is what a test says. */
const UNSPILT = { overprovisioning: 2, slowStart: { windowMs: 200 } };

/** Waiting for an idle moment takes a while on a busy machine. */
const EVICTING = { timeout: 150_000 };

beforeEach(async () => {
  editors = [];
  fleet = new Fleet(["weur-1", "weur-2", "enam-1", "enam-2"].map((id) => ({ id, region: id.split("-")[0] ?? "" })));
  await fleet.start();
  const config = collabConfig(fleet);
  // A visitor's own stream, beside their own requests under /api: one session, by one cookie.
  const mine = { path: "/events/mine", pool: "collab", session: [{ issue: true }], home: "visitor" };
  // Seldom probed, so that a ring object has idle moments; who fails to reach an origin has it probed at once all the same.
  const health = { ...config.pools.collab.health, intervalMs: 2_000, rise: 1 };
  const raw = {
    ...config,
    routes: [mine, ...config.routes],
    pools: { collab: { ...config.pools.collab, health, horizonMs: 4_000, holdDownMs: HOLD_DOWN_MS, ...UNSPILT } },
  };
  router = await startRouter({ raw, port: 0, pagesDir: new URL("../support", import.meta.url).pathname, devInfo: {}, onLog: () => undefined });
  client = clientOf(router.url);
});

afterEach(async () => {
  for (const editor of editors) editor.close();
  await router.stop();
  await fleet.stop();
});

async function open(room: string, name: string): Promise<Editor> {
  const editor = await openEditor(router.url.replace("http", "ws"), room, name);
  editors.push(editor);
  return editor;
}

async function published(region: string): Promise<{ snapshot: Snapshot; hints: Hints | undefined }> {
  const kv = await router.miniflare.getKVNamespace("AFFINITY");
  const snapshot = decodeSnapshot(await kv.get(`ring/collab/${region}`, "json"));
  if (!snapshot) throw new Error("no snapshot on KV");
  return { snapshot, hints: decodeHints(await kv.get(`hints/collab/${region}`, "json")) };
}

/** The runtime evicts an object only in a moment in which nothing asks it anything: such a moment is waited for, a few times. */
async function evict(className: string, name: string): Promise<void> {
  const TRIES = 5;
  for (let attempt = 1; ; attempt++) {
    try {
      return await router.miniflare.unsafeEvictDurableObject("limpet", className, { name });
    } catch (error) {
      if (attempt === TRIES || !String(error).includes("active references")) throw error;
    }
  }
}

/** A document whose home is weur, and its owner. */
async function openAtHome(): Promise<{ room: string; pair: Editor[]; origin: string }> {
  for (let n = 0; ; n++) {
    const room = `home-${n}`;
    const first = await open(room, "Anna");
    const session = await client.session(room);
    if (session?.region === "weur") return { room, pair: [first, await open(room, "Ben")], origin: session.origin };
    first.close();
  }
}

test("KV has the snapshot with health, and the hints of the sessions that are not where the ring says", async () => {
  const { room, origin } = await openAtHome();
  expect((await published("weur")).snapshot.origins.map(({ id, health }) => [id, health])).toEqual([
    ["weur-1", "healthy"],
    ["weur-2", "healthy"],
  ]);
  await fleet.kill(origin);
  const moved = await eventually("the session has moved", async () => {
    const now = await client.session(room);
    return now?.origin !== origin && now;
  });
  await eventually("KV says that the origin is down", async () =>
    (await published("weur")).snapshot.origins.some(({ id, health }) => id === origin && health === "down"),
  );
  await fleet.revive(origin);
  // The ring would have it back at its owner: it stays, and a hint says so.
  await eventually("the origin is healthy again, and the session is hinted", async () => {
    const { snapshot, hints } = await published("weur");
    if (snapshot.origins.some(({ health }) => health === "down")) return undefined;
    expect(hints?.version).toBe(snapshot.hintsVersion);
    return hints?.entries.some((entry) => entry.origin === moved.origin && entry.fence === moved.fence && /^[0-9a-f]{32}$/.test(entry.keyHash));
  });
  expect((await client.session(room))?.origin).toBe(moved.origin);
  // Plain HTTP of the same key goes where the socket is.
  const response = await client.fetch(`/doc/${room}/whoami`);
  expect(response.headers.get("limpet")).toContain(`origin="${moved.origin}", region="weur", reason=pin`);
});

test("when the ring object is evicted, it knows its sessions, drains and fences again", EVICTING, async () => {
  const { room, pair, origin } = await openAtHome();
  await client.admin(`rings/collab/weur/origins/${origin}/drain`, "POST");
  const moved = await eventually("the session has moved", async () => {
    const now = await client.session(room);
    return now?.origin !== origin && now?.state === "settled" && now;
  });
  await evict("RingObject", "v1:collab@weur#g1");
  const ring = await client.admin<RingView>("rings/collab/weur");
  expect(ring.origins.find(({ id }) => id === origin)?.state).toMatch(/^drain/);
  const after = await client.session(room);
  expect([after?.origin, after?.fence, after?.connections]).toEqual([moved.origin, moved.fence, 2]);
  await client.admin(`rings/collab/weur/origins/${origin}/undrain`, "POST");
  await client.admin(`rings/collab/weur/origins/${moved.origin}/drain`, "POST");
  const back = await eventually("it has moved back", async () => {
    const now = await client.session(room);
    return now?.origin === origin && now;
  });
  expect(back.fence).toBeGreaterThan(moved.fence);
  for (const editor of pair) expect(editor.statuses).toEqual(["connected"]);
});

test("when the ring object is evicted, its members are as operators ordered them", EVICTING, async () => {
  const order = async (id: string, method: string, body?: object): Promise<number> => {
    const init = { method, headers: { authorization: "Bearer dev" }, ...(body && { body: JSON.stringify(body) }) };
    return (await client.fetch(`/_limpet/v1/rings/collab/weur/origins/${id}`, init)).status;
  };
  expect(await order("weur-2", "DELETE")).toBe(202);
  await eventually("weur-2 is gone", async () => (await client.admin<RingView>("rings/collab/weur")).origins.length === 1);
  expect(await order("weur-3", "PUT", { url: fleet.url("weur-2"), weight: 3 })).toBe(201); // the address of one that is gone is free
  expect(await order("weur-1", "PATCH", { weight: 2 })).toBe(200);
  const before = await client.admin<RingView>("rings/collab/weur");
  await evict("RingObject", "v1:collab@weur#g1");
  const after = await client.admin<RingView>("rings/collab/weur");
  expect(after.origins.map(({ id, salt, state }) => [id, salt, state])).toEqual(before.origins.map(({ id, salt }) => [id, salt, "active"]));
  expect([after.epoch, after.origins.map(({ id }) => id)]).toEqual([before.epoch, ["weur-1", "weur-3"]]);
  expect(await client.admin<object>("rings/collab/weur/origins/weur-2")).toMatchObject({ state: "gone" });
  expect((await published("weur")).snapshot.origins.map(({ id, weight }) => [id, weight])).toEqual([
    ["weur-1", 2],
    ["weur-3", 3],
  ]);
});

test("sessions that went abroad come home once their region has been well for the hold-down, and nobody is disconnected", async () => {
  const { room, pair } = await openAtHome();
  await Promise.all(["weur-1", "weur-2"].map((id) => fleet.kill(id)));
  await eventually("the session is abroad", async () => (await client.session(room))?.region === "enam");
  pair[0]?.type("abroad ");
  await Promise.all(["weur-1", "weur-2"].map((id) => fleet.revive(id)));
  await eventually("the session is home", async () => (await client.session(room))?.region === "weur");
  pair[1]?.type("home ");
  await converged(pair, ["abroad", "home"]);
  for (const editor of pair) expect(editor.statuses).toEqual(["connected"]);
  const enam = await client.admin<RingView>("rings/collab/enam");
  expect(enam.origins.map(({ sessions }) => sessions)).toEqual([0, 0]);
});

test("a guest is moved when the origin that serves it abroad is drained", async () => {
  const { room, pair } = await openAtHome();
  await Promise.all(["weur-1", "weur-2"].map((id) => fleet.kill(id)));
  const abroad = await eventually("the session is abroad", async () => {
    const now = await client.session(room);
    return now?.region === "enam" && now;
  });
  await client.admin(`rings/collab/enam/origins/${abroad.origin}/drain`, "POST");
  const drained = await client.admin<{ state: string }>(`rings/collab/enam/origins/${abroad.origin}?waitFor=drained&timeoutMs=20000`);
  expect(drained.state).toBe("drained");
  const now = await client.session(room);
  expect([now?.region, now?.origin === abroad.origin]).toEqual(["enam", false]);
  for (const editor of pair) expect(editor.statuses).toEqual(["connected"]);
});

test("when the ring object is evicted after a failback, a visitor's plain requests and their socket still agree", EVICTING, async () => {
  const paris = { latitude: "48.86", longitude: "2.35" };
  const cookieOf = (response: Response): string => response.headers.getSetCookie()[0]?.split(";")[0] ?? "";
  let cookie = cookieOf(await client.fetch("/api/counter", { from: paris }));
  const ask = async (): Promise<string> => {
    const response = await client.fetch("/api/counter", { from: paris, headers: { cookie } });
    cookie = cookieOf(response) || cookie;
    return ((await response.json()) as { origin: string }).origin;
  };
  const { session } = (await (await client.fetch("/api/counter", { from: paris, headers: { cookie } })).json()) as { session: string };
  const abort = new AbortController();
  const stream = await client.fetch("/events/mine", { from: paris, headers: { cookie, accept: "text/event-stream" }, signal: abort.signal });
  expect([stream.status, (await client.session(session))?.origin]).toEqual([200, await ask()]);
  await Promise.all(["weur-1", "weur-2"].map((id) => fleet.kill(id)));
  await eventually("the session is abroad", async () => (await client.session(session))?.region === "enam");
  await eventually("and the cookie has learnt it", async () => (await ask()).startsWith("enam"));
  await Promise.all(["weur-1", "weur-2"].map((id) => fleet.revive(id)));
  await eventually("the session is home", async () => (await client.session(session))?.region === "weur");
  await evict("RingObject", "v1:collab@weur#g1");
  const serving = (await client.session(session))?.origin;
  await eventually("both agree", async () => (await ask()) === serving);
  abort.abort();
});
