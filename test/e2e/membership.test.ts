// Origins that join, change and leave while visitors are there: real origins, a real router, the admin API alone.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { converged, openEditor, type Editor } from "../support/editor.ts";
import { eventually, startStack, type RingView, type Stack } from "../support/stack.ts";

const BEARER = { authorization: "Bearer dev" };
const CONFIGURED = ["weur-1", "weur-2", "enam-1"];

interface Told {
  readonly status: number;
  readonly body: { readonly [name: string]: unknown };
}

let stack: Stack;
let editors: Editor[];

beforeAll(async () => {
  stack = await startStack(
    (config) => {
      const origins = config.pools.collab.origins.filter(({ id }) => CONFIGURED.includes(id));
      // Where sessions stay when nobody else can take them is not this file's business: drains are short.
      return { ...config, pools: { collab: { ...config.pools.collab, origins, drain: { deadlineMs: 3_000, graceMs: 200 }, horizonMs: 400 } } };
    },
    [...CONFIGURED, "weur-3", "weur-4", "enam-2"],
  );
  editors = [];
});
afterAll(() => stack.stop());
afterEach(async () => {
  for (const editor of editors.splice(0)) editor.close();
  await Promise.all(["weur/origins/weur-3", "enam/origins/enam-2"].map((path) => send(path, "DELETE")));
  await eventually("the fleet is as configured again", async () => {
    const rings = await Promise.all(["weur", "enam"].map(ring));
    return (
      rings
        .flatMap(({ origins }) => origins.map(({ id }) => id))
        .toSorted()
        .join() === CONFIGURED.toSorted().join()
    );
  });
});

async function send(path: string, method: string, body?: unknown, headers: Record<string, string> = BEARER): Promise<Told> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await stack.fetch(`/_limpet/v1/rings/collab/${path}`, { method, headers, ...(body === undefined ? {} : { body: text }) });
  return { status: response.status, body: (await response.json()) as Told["body"] };
}

const ring = (region: string): Promise<RingView> => stack.admin<RingView>(`rings/collab/${region}`);
const url = (id: string): string => stack.fleet.url(id);
const saltsOf = ({ origins }: RingView): object => Object.fromEntries(origins.map(({ id, salt }) => [id, salt]));

async function open(room: string): Promise<Editor> {
  const editor = await openEditor(stack.wsUrl, room, "Anna");
  editors.push(editor);
  return editor;
}

/** A new document at that origin. */
async function openAt(origin: string): Promise<{ room: string; editor: Editor }> {
  return eventually(`a document at ${origin}`, async () => {
    const room = `room-${Math.random()}`;
    const editor = await open(room);
    return (await stack.session(room))?.origin === origin && { room, editor };
  });
}

/** Who answers for each of a hundred keys whose home is enam. */
async function answering(): Promise<Map<string, number>> {
  const keys = Array.from({ length: 100 }, (_, n) => `key-${n}`);
  const origins = await Promise.all(
    keys.map(async (key) => {
      const response = await stack.fetch(`/fixed/${key}/whoami`);
      await response.body?.cancel();
      return /origin="([^"]+)"/.exec(response.headers.get("limpet") ?? "")?.[1] ?? "";
    }),
  );
  return new Map([...Map.groupBy(origins, (origin) => origin)].map(([origin, all]) => [origin, all.length]));
}

test("an origin that joins gets its share of what is new, and nobody who is there moves", async () => {
  const before = await ring("weur");
  const { room, editor } = await openAt("weur-1");
  const joined = await send("weur/origins/weur-3", "PUT", { url: url("weur-3"), weight: 1 });
  expect(joined).toMatchObject({
    status: 201,
    body: { id: "weur-3", region: "weur", url: url("weur-3"), weight: 1, backup: false, state: "joining", share: 0 },
  });
  const after = await eventually("it has answered its first check", async () => {
    const now = await ring("weur");
    return now.origins.every(({ state }) => state === "active") && now;
  });
  expect(after.epoch).toBe(before.epoch + 2); // it joined, and it is active
  expect(saltsOf(after)).toEqual({ ...saltsOf(before), "weur-3": joined.body["salt"] });

  await openAt("weur-3");
  expect((await stack.session(room))?.origin).toBe("weur-1");
  expect(editor.statuses).toEqual(["connected"]);
  await eventually("it is probed", async () => (await ring("weur")).origins.some(({ id, health }) => id === "weur-3" && health === "healthy"));
  expect((await send("weur/origins/weur-3", "PUT", { url: `${url("weur-3")}/` })).status).toBe(200);
  expect((await ring("weur")).epoch).toBe(after.epoch); // the same again is no change
});

test("plain requests go to it too, as many as its weight says, until its weight says none", async () => {
  expect(await answering()).toEqual(new Map([["enam-1", 100]]));
  await send("enam/origins/enam-2", "PUT", { url: url("enam-2") });
  const half = await eventually("Workers know", async () => {
    const counts = await answering();
    return counts.has("enam-2") && counts;
  });
  expect(half.get("enam-2")).toBeGreaterThan(25);
  expect(half.get("enam-2")).toBeLessThan(75);
  expect(await send("enam/origins/enam-2", "PATCH", { weight: 8 })).toMatchObject({ status: 200, body: { weight: 8, url: url("enam-2") } });
  await eventually("it has most", async () => ((await answering()).get("enam-2") ?? 0) > 75);
  await send("enam/origins/enam-2", "PATCH", { weight: 0 });
  await eventually("it has none", async () => !(await answering()).has("enam-2"));
});

test("an origin that is removed is drained, then gone; its sessions' visitors notice nothing", async () => {
  await send("weur/origins/weur-3", "PUT", { url: url("weur-3"), weight: 4 });
  const { room, editor } = await openAt("weur-3");
  expect(await send("weur/origins/weur-3", "DELETE")).toMatchObject({ status: 202, body: { id: "weur-3", state: "draining" } });
  expect(await send("weur/origins/weur-3", "DELETE")).toMatchObject({ status: 202, body: { state: "draining" } });
  expect(await stack.admin<object>("rings/collab/weur/origins/weur-3?waitFor=drained&timeoutMs=20000")).toMatchObject({ state: "gone", share: 0 });
  expect((await ring("weur")).origins.map(({ id }) => id)).toEqual(["weur-1", "weur-2"]);
  expect((await stack.session(room))?.origin).not.toBe("weur-3");
  editor.type("still here");
  await converged([editor, await open(room)], ["still here"]);
  expect(editor.statuses).toEqual(["connected"]);
  expect(await send("weur/origins/weur-3", "DELETE")).toMatchObject({ status: 200, body: { state: "gone" } });
  expect((await send("weur/origins/weur-3", "PATCH", { weight: 1 })).status).toBe(404);
});

test("one that is being removed is brought back by a PUT, and by an undrain", async () => {
  expect((await send("weur/origins/weur-2", "DELETE")).status).toBe(202);
  expect(await send("weur/origins/weur-2", "PUT", { url: url("weur-2") })).toMatchObject({ status: 200, body: { state: "active" } });
  expect((await send("weur/origins/weur-2", "DELETE")).status).toBe(202);
  expect(await send("weur/origins/weur-2/undrain", "POST")).toMatchObject({ status: 200, body: { state: "active" } });
  expect((await ring("weur")).origins.map(({ state }) => state)).toEqual(["active", "active"]);
});

test("one that is drained already is gone at once, though it is configured, until it is put again", async () => {
  const before = saltsOf(await ring("weur"));
  await send("weur/origins/weur-2/drain", "POST");
  await stack.admin("rings/collab/weur/origins/weur-2?waitFor=drained&timeoutMs=20000");
  expect(await send("weur/origins/weur-2", "DELETE")).toMatchObject({ status: 200, body: { state: "gone" } });
  expect(saltsOf(await ring("weur"))).toEqual({ "weur-1": expect.any(Number) as number });
  expect(await send("weur/origins/weur-2", "PUT", { url: url("weur-2") })).toMatchObject({ status: 201, body: { state: "joining" } });
  expect(saltsOf(await ring("weur"))).toEqual(before); // with the points it had
});

test("its own drain outlasts a PUT, which is another order", async () => {
  await send("weur/origins/weur-3", "PUT", { url: url("weur-3") });
  await send("weur/origins/weur-3/drain", "POST");
  const again = await send("weur/origins/weur-3", "PUT", { url: url("weur-3"), weight: 2 });
  expect(again).toMatchObject({ status: 200, body: { weight: 2, state: expect.stringMatching(/^drain/) as string } });
});

test("live sessions follow their origin to another address, as wholes, and nobody is disconnected", async () => {
  await send("weur/origins/weur-3", "PUT", { url: url("weur-3"), weight: 4 });
  const { room, editor } = await openAt("weur-3");
  const before = await stack.session(room);
  expect((await send("weur/origins/weur-3", "PATCH", { url: url("weur-4") })).body).toMatchObject({ url: url("weur-4"), weight: 4 });
  await eventually("it has moved", async () => {
    const now = await stack.session(room);
    return now?.state === "settled" && now.fence > (before?.fence ?? 0);
  });
  await stack.fleet.kill("weur-3");
  editor.type("at the new address");
  await converged([editor, await open(room)], ["at the new address"]);
  expect(await stack.session(room)).toMatchObject({ origin: "weur-3", connections: 2 });
  expect(editor.statuses).toEqual(["connected"]);
  await stack.fleet.revive("weur-3");
});

test("another region's sessions come to an origin that joined there, and leave it when it goes", async () => {
  await send("enam/origins/enam-2", "PUT", { url: url("enam-2"), weight: 50 });
  await Promise.all(["weur-1", "weur-2"].map((id) => send(`weur/origins/${id}/drain`, "POST")));
  const { room, editor } = await eventually("a document of weur at enam-2", async () => {
    const found = await openAt("enam-2");
    return (await stack.admin<{ sessions: number }>("rings/collab/weur")).sessions > 0 && found;
  });
  const { sessions } = (await ring("enam")).origins.find(({ id }) => id === "enam-2") ?? {};
  expect(sessions).toBeGreaterThan(0);
  await send("enam/origins/enam-2", "DELETE");
  await eventually("it has left", async () => (await stack.session(room))?.origin === "enam-1");
  await stack.admin("rings/collab/enam/origins/enam-2?waitFor=drained&timeoutMs=20000");
  expect(editor.statuses).toEqual(["connected"]);
  await Promise.all(["weur-1", "weur-2"].map((id) => send(`weur/origins/${id}/undrain`, "POST")));
});

describe("what cannot be is told", () => {
  test.each<[method: string, body: unknown, paths: string[]]>([
    ["PUT", { weight: -1, salt: "x", backup: 1, url: "ftp://x", region: "enam" }, ["weight", "salt", "backup", "url", "region"]],
    ["PUT", {}, ["url"]],
    ["PUT", [], [""]],
    ["PATCH", {}, [""]],
    ["PATCH", { url: "http://u:p@x.example.com", weight: 101 }, ["url", "weight"]],
  ])("%s %j: every fault with its path", async (method, body, paths) => {
    const told = await send("weur/origins/weur-1", method, body);
    expect([told.status, told.body["code"]]).toEqual([400, "bad-request"]);
    expect((told.body["faults"] as { path: string }[]).map(({ path }) => path)).toEqual(paths);
    for (const path of paths) expect(told.body["detail"]).toContain(path);
  });

  test("an id that is none is a fault beside those of the body", async () => {
    const told = await send("weur/origins/No_1", "PUT", { weight: 200 });
    expect((told.body["faults"] as { path: string }[]).map(({ path }) => path)).toEqual(["weight", "url", "id"]);
  });

  test.each<[what: string, path: string, method: string, body: unknown, status: number, code: string]>([
    ["no JSON", "weur/origins/weur-3", "PUT", "{", 400, "bad-request"],
    ["a body that is too large", "weur/origins/weur-3", "PUT", " ".repeat(16_385), 413, "content-too-large"],
    ["an id of another region", "weur/origins/enam-1", "PUT", { url: "http://127.0.0.1:9" }, 409, "conflict"],
    ["another's address", "weur/origins/weur-3", "PUT", { url: "the-url-of-weur-1" }, 409, "conflict"],
    ["an address of another region's", "weur/origins/weur-1", "PATCH", { url: "the-url-of-enam-1" }, 409, "conflict"],
    ["a re-weighting of nobody", "weur/origins/nobody", "PATCH", { weight: 1 }, 404, "not-found"],
    ["a removal of nobody", "weur/origins/nobody", "DELETE", undefined, 404, "not-found"],
    ["a ring that is none", "mars/origins/weur-3", "PUT", { url: "http://127.0.0.1:9" }, 404, "not-found"],
  ])("%s", async (_, path, method, body, status, code) => {
    const text = (typeof body === "string" ? body : JSON.stringify(body))?.replace(/the-url-of-([a-z0-9-]+)/, (_all, id: string) => url(id));
    const told = await send(path, method, text);
    expect([told.status, told.body["code"] ?? ""]).toEqual([status, code]);
  });

  test("a body that does not say its length is counted as it comes", async () => {
    const body = new Blob([" ".repeat(17_000)]).stream();
    const init = { method: "PUT", headers: BEARER, body, duplex: "half" } as RequestInit;
    const response = await stack.fetch("/_limpet/v1/rings/collab/weur/origins/weur-3", init);
    expect(response.status).toBe(413);
  });

  test("only those who may operate may order it", async () => {
    for (const method of ["PUT", "PATCH", "DELETE"]) {
      expect((await send("weur/origins/weur-3", method, method === "DELETE" ? undefined : {}, {})).status).toBe(401);
    }
  });
});

test("an order that is wrong says all that is; one that is meant for another epoch changes nothing", async () => {
  const wrong: [path: string, method: string, body: unknown, faults: string[]][] = [
    ["weur/origins/weur-1/drain", "POST", { mode: "rush", deadlineMs: -1, now: true }, ["deadlineMs", "mode", "now"]],
    [
      "weur/origins/weur-3/lease",
      "PUT",
      { url: "nowhere", weight: -1, ttlMs: 1, instance: "a b", salt: 1 },
      ["instance", "salt", "ttlMs", "url", "weight"],
    ],
    ["weur/origins/weur-3/lease", "PUT", {}, ["url"]],
    ["weur/origins/Weur/lease", "PUT", { url: url("weur-3") }, ["id"]],
  ];
  for (const [path, method, body, paths] of wrong) {
    const told = await send(path, method, body);
    expect([path, told.status, (told.body["faults"] as { path: string }[]).map((fault) => fault.path).toSorted()]).toEqual([path, 400, paths]);
  }
  const before = await stack.fetch("/_limpet/v1/rings/collab/weur", { headers: BEARER });
  const etag = before.headers.get("etag") ?? "";
  expect(etag).toBe(`"1.${((await before.json()) as RingView).epoch}"`);
  const conditional = (tag: string): Promise<Told> => send("weur/origins/weur-1/drain", "POST", undefined, { ...BEARER, "if-match": tag });
  const late = await conditional('"1.1", W/"1.2", nonsense');
  expect([late.status, late.body["code"], late.body["detail"]]).toEqual([412, "precondition-failed", expect.stringContaining(etag)]);
  expect((await conditional(`"9.9", ${etag}`)).body).toMatchObject({ state: "draining", drain: { by: "dev", mode: "move" } });
  expect((await conditional(etag)).status).toBe(412); // there is another epoch now
  expect((await send("weur/origins/weur-1/undrain", "POST", undefined, { ...BEARER, "if-match": "*" })).body).toMatchObject({ state: "active" });
  expect(await stack.admin<object>("rings/collab/weur/origins/weur-1?waitFor=serving&timeoutMs=20000")).toMatchObject({
    state: "active",
    serving: true,
  });
  const origin = await stack.fetch("/_limpet/v1/rings/collab/weur/origins/weur-1?waitFor=nothing", { headers: BEARER });
  expect(origin.status).toBe(400);
});

test("a drain that lets sessions finish leaves them where they are until they end; then it is over", async () => {
  const { room, editor } = await openAt("weur-1");
  const sent = await send("weur/origins/weur-1/drain", "POST", { mode: "finish", deadlineMs: 60_000 });
  expect(sent).toMatchObject({ status: 200, body: { state: "draining", serving: false, drain: { by: "dev", mode: "finish" } } });
  const waited = await stack.fetch("/_limpet/v1/rings/collab/weur/origins/weur-1?waitFor=drained&timeoutMs=1500", { headers: BEARER });
  expect([waited.status, ((await waited.json()) as Told["body"])["state"]]).toEqual([202, "draining"]);
  expect((await stack.session(room))?.origin).toBe("weur-1");
  const late = await open(room); // of a session that is there
  late.type("still here");
  await converged([editor, late], ["still here"]);
  for (const each of editors.splice(0)) each.close();
  expect(await stack.admin<object>("rings/collab/weur/origins/weur-1?waitFor=drained&timeoutMs=20000")).toMatchObject({
    state: "drained",
    sessions: 0,
  });
  expect((await send("weur/origins/weur-1/undrain", "POST")).body).toMatchObject({ state: "active" });
});

test("an origin that takes a lease serves as long as it renews, and an operator's word counts more", async () => {
  const renew = (): Promise<Told> => send("weur/origins/weur-3/lease", "PUT", { url: url("weur-3"), ttlMs: 1_000, instance: "one" });
  expect((await renew()).body["detail"]).toContain("removed by dev"); // by the tests before
  expect(await send("weur/origins/weur-3/undrain", "POST")).toMatchObject({ status: 200, body: { state: "gone" } });
  expect(await renew()).toMatchObject({ status: 201, body: { state: "joining", lease: { ttlMs: 1_000, instance: "one" } } });
  await openAt("weur-3");
  expect((await renew()).status).toBe(200);
  expect((await send("weur/origins/weur-1/lease", "PUT", { url: url("weur-1") })).status).toBe(409);
  await send("weur/origins/weur-3", "DELETE");
  expect(await renew()).toMatchObject({ status: 409, body: { code: "conflict", detail: expect.stringContaining("removed by dev") } });
});
