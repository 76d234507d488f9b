// Orders of origins: `Limpet: replay` sends a request, and from then on its session, to another origin; `Limpet: end` forgets it.

import { once } from "node:events";
import { afterEach, beforeEach, expect, test } from "vitest";
import { WebSocket } from "ws";
import { startRouter, type Router } from "../../src/cli/router.ts";
import type { RedirectAnswer } from "../../src/core/protocol.ts";
import { decodeHints } from "../../src/core/snapshot.ts";
import { keyedHash } from "../../src/platform/keyed-hash.ts";
import { pointOf } from "../../src/core/secret-point.ts";
import { startScriptedOrigin, toldIn, type ScriptedOrigin } from "../support/scripted-origin.ts";
import { clientOf, eventually, PARIS } from "../support/stack.ts";

let origins: ScriptedOrigin[];
let router: Router;
let client: ReturnType<typeof clientOf>;
/** Which origin sends whom where. */
let orders: Map<string, string>;
let records: Record<string, unknown>[];
const HORIZON_MS = 1_000;

beforeEach(async () => {
  orders = new Map();
  records = [];
  origins = await Promise.all(["weur-1", "weur-2", "enam-1", "enam-2"].map((id) => startScriptedOrigin(id)));
  for (const origin of origins) {
    origin.script = (request, response) => {
      let body = "";
      request.on("data", (part: Buffer) => (body += part.toString()));
      request.on("end", () => {
        const order = orders.get(origin.id);
        if (order !== undefined) response.setHeader("limpet", order);
        response.end(`${origin.id} ${body}`);
      });
    };
  }
  const bySession = { pool: "p", session: [{ path: "session" }], home: "session" };
  const raw = {
    configRevision: 1,
    defaultRegion: "weur",
    regions: { weur: { secondary: ["enam"] }, enam: { secondary: ["weur"] } },
    pools: {
      p: {
        health: { intervalMs: 2_000 },
        horizonMs: HORIZON_MS,
        origins: origins.map(({ id, url }) => ({ id, region: id.split("-")[0] ?? "", url })),
      },
    },
    routes: [
      { path: "/doc/:session/*", ...bySession },
      { path: "/kept/:session/*", ...bySession, replay: { bodyBytes: 1_000 } },
      { path: "/live/:session", ...bySession, resume: { mode: "transparent", prelude: { frames: 1, bytes: 100 } } },
      { path: "/me/*", pool: "p", session: [{ issue: true }], home: "visitor" },
      { path: "/any/*", pool: "p", home: "session" },
      { path: "/learn/*", pool: "p", session: [{ cookie: "SID", learn: "wrap" }] },
    ],
    record: { sampleShare: 1 },
  };
  router = await startRouter({
    raw,
    port: 0,
    pagesDir: new URL("../support", import.meta.url).pathname,
    devInfo: {},
    onLog: (line) => {
      if (line.startsWith("{")) records.push(JSON.parse(line) as Record<string, unknown>);
    },
  });
  client = clientOf(router.url);
});

afterEach(async () => {
  await router.stop();
  await Promise.all(origins.map((origin) => origin.stop()));
});

interface Seen {
  readonly status: number;
  /** Who answered; else the problem's code. */
  readonly by: string;
  readonly body: string;
  readonly reason: string;
  readonly cookie: string | undefined;
  readonly limpet: string;
}

async function ask(path: string, init: RequestInit & { from?: object } = {}): Promise<Seen> {
  const response = await client.fetch(path, { from: PARIS, ...init });
  const limpet = response.headers.get("limpet") ?? "";
  const text = await response.text();
  const [by = "", body = ""] = response.status < 400 ? text.split(" ") : [(JSON.parse(text) as { code: string }).code];
  const reason = /reason=(\w+)/.exec(limpet)?.[1] ?? "";
  return { status: response.status, by, body, reason, cookie: response.headers.getSetCookie()[0], limpet };
}

/** A session that is at home in weur: its key, its owner, and the other origin there. */
async function atHome(prefix: string, avoid = new Set<string>()): Promise<{ key: string; owner: string; other: string }> {
  for (let n = 0; ; n++) {
    const key = `${prefix}-${n}`;
    const { by } = await ask(`/doc/${key}/x`);
    if (by.startsWith("weur") && !avoid.has(by)) return { key, owner: by, other: by === "weur-1" ? "weur-2" : "weur-1" };
  }
}

const callsOf = (id: string, key: string): number =>
  origins.filter((origin) => origin.id === id).flatMap(({ seen }) => seen.filter(({ url }) => url?.split("/")[2] === key)).length;

const hashOf = (key: string): Promise<string> => keyedHash("limpet-dev-only", "p", key);

/** Orders of the home ring that KV tells everyone. */
async function hinted(region = "weur"): Promise<Map<string, string>> {
  const kv = await router.miniflare.getKVNamespace("AFFINITY");
  return new Map(decodeHints(await kv.get(`hints/p/${region}`, "json"))?.entries.map(({ keyHash, origin }) => [keyHash, origin]));
}

/** Until the isolate has a snapshot with this session's pin: it answers by KV or memory, and nothing that it was told counts any more. */
async function horizon(key: string, origin: string): Promise<void> {
  const hash = await hashOf(key);
  await eventually("KV has the hint", async () => (await hinted()).get(hash) === origin);
  const fromMs = Date.now() + 1.5 * HORIZON_MS;
  await eventually("the isolate's words are over", () => Date.now() > fromMs);
}

async function evict(name: string): Promise<void> {
  const TRIES = 20;
  for (let attempt = 1; ; attempt++) {
    try {
      return await router.miniflare.unsafeEvictDurableObject("limpet", "RingObject", { name });
    } catch (error) {
      if (attempt === TRIES || !String(error).includes("active references")) throw error;
    }
  }
}

test("a GET is answered by the origin that is named, at once and from then on, also for visitors without cookies", async () => {
  const { key, owner, other } = await atHome("get");
  orders.set(owner, `replay="${other}"`);
  const first = await ask(`/doc/${key}/x`);
  expect([first.status, first.by, first.reason]).toEqual([200, other, "replay"]);
  expect(first.limpet).not.toContain("replay="); // what the origin said is not the visitor's
  const asked = callsOf(owner, key);
  for (let n = 0; n < 5; n++) expect((await ask(`/doc/${key}/x`)).by).toBe(other);
  await horizon(key, other);
  const later = await ask(`/doc/${key}/x`);
  expect([later.by, later.reason]).toEqual([other, "pin"]);
  expect(callsOf(owner, key)).toBe(asked);
});

test("the attempts of a replay bear one request id, the second its number, and the fence of the order", async () => {
  const { key, owner, other } = await atHome("id");
  orders.set(owner, `replay="${other}"`);
  await ask(`/doc/${key}/x`);
  const [from, to] = [owner, other].map((id) => {
    const last = origins.find((origin) => origin.id === id)?.seen.at(-1);
    return last && toldIn(last);
  });
  expect(from?.get("request")).toBe(to?.get("request"));
  expect([from?.get("attempt"), to?.get("attempt")]).toEqual([undefined, 2]);
  expect(to?.get("fence")).toBeGreaterThan(0);
  const recorded = await eventually("it is in the log", () => records.find(({ requestId }) => requestId === to?.get("request")));
  expect(recorded).toMatchObject({ attempts: 2, origin: other, reason: "replay", layer: expect.stringMatching(/^(memory|kv)$/) as string });
});

test("a POST whose body is kept is sent on with it; one whose body was streamed is not, and its next try lands right", async () => {
  const kept = await atHome("kept");
  const streamed = await atHome("streamed", new Set([kept.other]));
  orders.set(kept.owner, `replay="${kept.other}"`);
  const first = await ask(`/kept/${kept.key}/x`, { method: "POST", body: "hello" });
  expect([first.status, first.by, first.body]).toEqual([200, kept.other, "hello"]);
  const refused = await client.fetch(`/doc/${streamed.key}/x`, { method: "POST", body: "hello" });
  expect([refused.status, refused.headers.get("retry-after"), ((await refused.json()) as { code: string }).code]).toEqual([503, "1", "replay-body"]);
  expect(callsOf(streamed.other, streamed.key)).toBe(0);
  const again = await ask(`/doc/${streamed.key}/x`, { method: "POST", body: "hello" });
  expect([again.status, again.by, again.body]).toEqual([200, streamed.other, "hello"]);
});

test("a body longer than the route keeps is streamed, and not sent on", async () => {
  const { key, owner, other } = await atHome("long");
  orders.set(owner, `replay="${other}"`);
  const refused = await ask(`/kept/${key}/x`, { method: "POST", body: "x".repeat(1_001) });
  expect([refused.status, refused.by]).toEqual([503, "replay-body"]);
  const again = await ask(`/kept/${key}/x`, { method: "POST", body: "x".repeat(1_001) });
  expect([again.by, again.body.length]).toEqual([other, 1_001]);
});

test("a visitor's own session takes its cookie along", async () => {
  const first = await ask("/me/x");
  const cookie = first.cookie?.split(";")[0] ?? "";
  const other = first.by === "weur-1" ? "weur-2" : "weur-1";
  orders.set(first.by, `replay="${other}"`);
  const moved = await ask("/me/x", { headers: { cookie } });
  expect([moved.by, moved.reason]).toEqual([other, "replay"]);
  const next = moved.cookie?.split(";")[0] ?? "";
  expect(next).toMatch(/^limpet-p=.+/);
  expect(next).not.toBe(cookie);
  const asked = origins.find(({ id }) => id === first.by)?.seen.length;
  for (const brought of [next, cookie]) expect((await ask("/me/x", { headers: { cookie: brought } })).by).toBe(other); // the old one, too
  expect(origins.find(({ id }) => id === first.by)?.seen.length).toBe(asked);
});

test("a request without a session goes there alone", async () => {
  for (const id of ["weur-1", "enam-1", "enam-2"]) orders.set(id, 'replay="weur-2"');
  for (let n = 0; n < 10; n++) expect((await ask("/any/x")).by).toBe("weur-2");
  expect((await hinted()).size).toBe(0);
});

test("one that is sent to an origin of another region is served there, and stays", async () => {
  const { key, owner } = await atHome("abroad");
  orders.set(owner, 'replay="enam-2"');
  expect(await ask(`/doc/${key}/x`)).toMatchObject({ status: 200, by: "enam-2", reason: "replay" });
  await horizon(key, "enam-2");
  expect(await ask(`/doc/${key}/x`)).toMatchObject({ status: 200, by: "enam-2", reason: "pin" });
});

test("orders go one hop: to itself or round is a loop, and said to be", async () => {
  const { key, owner, other } = await atHome("loop");
  orders.set(owner, `replay="${owner}"`);
  const asked = callsOf(owner, key);
  expect(await ask(`/doc/${key}/x`)).toMatchObject({ status: 508, by: "loop" });
  expect(callsOf(owner, key)).toBe(asked + 1);
  orders.set(owner, `replay="${other}"`).set(other, `replay="${owner}"`);
  const before = [callsOf(owner, key), callsOf(other, key)];
  expect(await ask(`/doc/${key}/x`)).toMatchObject({ status: 508, by: "loop" });
  expect([callsOf(owner, key), callsOf(other, key)].map((calls, index) => calls - (before[index] ?? 0))).toEqual([1, 1]);
});

test("a third origin that is named in turn is another hop, and not followed", async () => {
  const { key, owner, other } = await atHome("third");
  orders.set(owner, `replay="${other}"`).set(other, 'replay="enam-1"');
  expect(await ask(`/doc/${key}/x`)).toMatchObject({ status: 508, by: "loop" });
  expect(callsOf("enam-1", key)).toBe(0);
});

test("a named origin that loses the connection is asked once more, as an owner is", async () => {
  const { key, owner, other } = await atHome("reset");
  orders.set(owner, `replay="${other}"`);
  const named = origins.find(({ id }) => id === other);
  const { script } = named ?? {};
  if (!named || !script) throw new Error("no such origin");
  named.script = ({ socket }) => {
    named.script = script;
    socket.resetAndDestroy();
  };
  expect(await ask(`/kept/${key}/x`, { method: "PUT", body: "once" })).toMatchObject({ status: 200, by: other, body: "once" });
  expect(named.seen.map((request) => toldIn(request).get("attempt")).at(-1)).toBe(3);
});

test("an origin that the pool does not have is the sender's fault, and nothing is remembered", async () => {
  const { key, owner } = await atHome("unknown");
  orders.set(owner, 'replay="nobody"');
  expect(await ask(`/doc/${key}/x`)).toMatchObject({ status: 502, by: "origin-protocol" });
  orders.clear();
  expect(await ask(`/doc/${key}/x`)).toMatchObject({ status: 200, by: owner, reason: "owner" });
});

test("a drained origin takes nobody: 503, and no pin", async () => {
  const { key, owner, other } = await atHome("drained");
  await client.admin(`rings/p/weur/origins/${other}/drain`, "POST");
  orders.set(owner, `replay="${other}"`);
  const response = await client.fetch(`/doc/${key}/x`);
  expect([response.status, response.headers.get("retry-after"), ((await response.json()) as { code: string }).code]).toEqual([503, "1", "no-origin"]);
  orders.clear();
  await client.admin(`rings/p/weur/origins/${other}/undrain`, "POST");
  expect(await ask(`/doc/${key}/x`)).toMatchObject({ status: 200, by: owner });
  expect((await hinted()).has(await hashOf(key))).toBe(false);
});

test.each([
  ["a word that is no dictionary", 'replay="weur-'],
  ["a replay that is no id", "replay=7"],
  ["an end that is not true", "end=?0"],
  ["names of nobody's", 'pin="weur-2"'],
])("%s says nothing", async (_, word) => {
  const { key, owner } = await atHome("odd");
  for (const { id } of origins) orders.set(id, word);
  const answer = await ask(`/doc/${key}/x`);
  expect([answer.status, answer.by]).toEqual([200, owner]);
  expect(answer.limpet).toMatch(/^origin="/); // ours, and nothing of theirs
});

test.each(["/learn/x", "/me/x"])(
  "a session that is not where the ring says, but where its visitor brings that it is, can be ordered elsewhere: %s",
  async (path) => {
    const targets = new Set<string>();
    for (let n = 0; n < 12; n++) {
      for (const { id } of origins) orders.set(id, "");
      for (const origin of origins) {
        origin.script = (_, response) => {
          if (path === "/learn/x") response.setHeader("set-cookie", `SID=${n}x${origin.id}; Path=/`);
          response.end(origin.id);
        };
      }
      const first = await ask(path);
      let cookie = first.cookie?.split(";")[0] ?? "";
      const to = n % 2 === 0 ? "enam-1" : first.by === "weur-1" ? "weur-2" : "weur-1";
      for (const origin of origins) {
        origin.script = (_, response) => {
          if (origin.id !== to) response.setHeader("limpet", `replay="${to}"`);
          response.end(origin.id);
        };
      }
      const ordered = await ask(path, { headers: { cookie } });
      expect([n, first.by, ordered.status, ordered.by, ordered.reason]).toEqual([n, first.by, 200, to, "replay"]);
      if (path === "/me/x") cookie = ordered.cookie?.split(";")[0] ?? "";
      const next = await ask(path, { headers: { cookie } });
      expect([next.by, ["pin", "claim"].includes(next.reason)]).toEqual([to, true]); // without another detour
      targets.add(to);
    }
    expect(targets.size).toBeGreaterThan(1);
  },
);

test("a live session moves as a whole, and its socket stays", async () => {
  const { key, owner, other } = await atHome("live");
  const sockets = await Promise.all(
    [1, 2].map(async () => {
      const socket = new WebSocket(`${router.url.replace("http", "ws")}/live/${key}`);
      await once(socket, "open");
      return socket;
    }),
  );
  const echo = async (socket: WebSocket, text: string): Promise<string> => {
    const heard = once(socket, "message");
    socket.send(text);
    return String((await heard)[0]);
  };
  for (const socket of sockets) expect(await echo(socket, "hello")).toBe(`${owner}: hello`);
  const before = await client.session(key, "p");
  orders.set(owner, `replay="${other}"`);
  expect((await ask(`/doc/${key}/x`)).by).toBe(other);
  const after = await eventually("the session is there", async () => {
    const now = await client.session(key, "p");
    return now?.origin === other && now.state === "settled" && now;
  });
  expect([after.connections, after.fence > (before?.fence ?? 0)]).toEqual([2, true]);
  for (const [index, socket] of sockets.entries()) {
    await eventually("frames go there", async () => (await echo(socket, `again ${index}`)).startsWith(other));
    expect(socket.readyState).toBe(WebSocket.OPEN);
  }
  // The order outlives the connections: the next visitor's socket is there, too.
  for (const socket of sockets) socket.close();
  await eventually("nobody is connected", async () => (await client.session(key, "p")) === undefined);
  expect((await ask(`/doc/${key}/x`)).by).toBe(other);
  const late = new WebSocket(`${router.url.replace("http", "ws")}/live/${key}`);
  await once(late, "open");
  expect(await echo(late, "late")).toBe(`${other}: late`);
  late.terminate();
});

test("an order is on disk: the ring object that starts anew knows it", { timeout: 150_000 }, async () => {
  const { key, owner, other } = await atHome("evicted");
  orders.set(owner, `replay="${other}"`);
  expect((await ask(`/doc/${key}/x`)).by).toBe(other);
  await evict("v1:p@weur#g1");
  const found = await ring("weur").find(await itemOf(key));
  expect(found).toMatchObject({ kind: "routed", reason: "pin", origin: { id: other } });
  expect((await ask(`/doc/${key}/x`)).by).toBe(other);
});

test("`end` forgets the session: its order at the ring, its cookie at the visitor", async () => {
  const { key, owner, other } = await atHome("end");
  orders.set(owner, `replay="${other}"`);
  await ask(`/doc/${key}/x`);
  await horizon(key, other);
  orders.clear();
  orders.set(other, "end");
  const last = await ask(`/doc/${key}/x`);
  expect([last.by, last.limpet.includes("end")]).toEqual([other, false]);
  orders.clear();
  await eventually("its owner has it again", async () => (await ask(`/doc/${key}/x`)).by === owner);
  expect((await hinted()).has(await hashOf(key))).toBe(false);

  // By the very request that was sent on.
  orders.set(owner, `replay="${other}"`).set(other, "end");
  expect((await ask(`/doc/${key}/x`)).by).toBe(other);
  orders.clear();
  await eventually("its owner has it again", async () => (await ask(`/doc/${key}/x`)).by === owner);

  const mine = await ask("/me/x");
  const cookie = mine.cookie?.split(";")[0] ?? "";
  orders.set(mine.by, "end");
  const ended = await ask("/me/x", { headers: { cookie } });
  expect(ended.cookie).toMatch(/^limpet-p=;.*Max-Age=0/i);
  orders.clear();
  expect((await ask("/me/x")).cookie).toMatch(/^limpet-p=[^;]+/);
});

test("an origin that speaks for a session it has lost changes nothing", async () => {
  const { key, owner, other } = await atHome("stale");
  const redirect = (from: string, to: string) => itemOf(key).then((item) => ring("weur").redirect({ ...item, from, to }));
  const moved = await redirect(owner, other);
  expect(moved).toMatchObject({ kind: "placed", decision: { origin: { id: other }, reason: "replay" } });
  // The old place, by a Worker that still sends there: it would have the session abroad.
  expect(await redirect(owner, "enam-1")).toMatchObject({ kind: "placed", decision: { origin: { id: other } } });
  expect(await ring("weur").find(await itemOf(key))).toMatchObject({ origin: { id: other } });
  // Said twice it is one order, with one fence.
  const again = await redirect(owner, other);
  if (moved.kind !== "placed" || again.kind !== "placed") throw new Error("not placed");
  expect(again.decision.fence).toBe(moved.decision.fence);
  // An end that an older place has said does not end it either.
  await ring("weur").endOrder({ keyHash: await hashOf(key), fence: (moved.decision.fence ?? 0) - 1 });
  expect(await ring("weur").find(await itemOf(key))).toMatchObject({ origin: { id: other }, reason: "pin" });
  // The present place may send it on, and back.
  expect(await redirect(other, owner)).toMatchObject({ kind: "placed", decision: { origin: { id: owner } } });
});

/** The ring object itself, as a Worker asks it. */
function ring(region: string) {
  const call = (method: string) => async (item: object) => {
    const namespace = await router.miniflare.getDurableObjectNamespace("RING", "limpet");
    const stub = namespace.get(namespace.idFromName(`v1:p@${region}#g1`)) as unknown as Record<string, (item: object) => Promise<unknown>>;
    return stub[method]?.(item);
  };
  return { find: call("find"), endOrder: call("endOrder"), redirect: call("redirect") as (item: object) => Promise<RedirectAnswer> };
}

async function itemOf(key: string): Promise<object> {
  return { keyHash: await hashOf(key), ...pointOf(key, undefined), keyed: true, excluded: [] };
}
