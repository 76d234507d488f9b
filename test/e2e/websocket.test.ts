// WebSockets through the router, frame by frame: what passes, what a close means, and what happens when legs are replaced.

import { parseDictionary } from "structured-headers";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openDoor, type Door } from "../support/door.ts";
import { startEchoOrigin, type EchoOrigin } from "../support/echo-origin.ts";
import { eventually, startDev, type RingView } from "../support/stack.ts";
import { refusedHandshake, visit, type Visitor } from "../support/visitor.ts";

let origins: EchoOrigin[];
let doors: Door[];
let router: Awaited<ReturnType<typeof startDev>>;
let visitors: Visitor[];

beforeEach(async () => {
  visitors = [];
  origins = await Promise.all([startEchoOrigin(), startEchoOrigin()]);
  doors = await Promise.all(origins.map((origin) => openDoor(origin.url)));
  const live = { pool: "echo", session: [{ path: "session" }], home: "weur" };
  router = await startDev({
    configRevision: 1,
    defaultRegion: "weur",
    regions: { weur: {} },
    pools: {
      echo: {
        health: { intervalMs: 200, timeoutMs: 200, rise: 1, fall: 2 },
        closeDeadlineMs: 500,
        origins: doors.map((door, index) => ({ id: `o${index}`, region: "weur", url: door.url })),
      },
    },
    routes: [
      { ...live, path: "/echo/:session", resume: { mode: "transparent", prelude: { frames: 1, bytes: 1000, swallow: 1, mute: false } } },
      { ...live, path: "/restart/:session" },
      { ...live, path: "/ours/:session", allowedOrigins: ["https://app.example.com"] },
    ],
  });
});

afterEach(async () => {
  for (const { socket } of visitors) socket.terminate();
  await router.stop();
  for (const door of doors) door.close();
  await Promise.all(origins.map((origin) => origin.stop()));
});

async function open(path: string, options?: Parameters<typeof visit>[1]): Promise<Visitor> {
  const visitor = await visit(router.wsUrl + path, options);
  visitors.push(visitor);
  return visitor;
}

async function ownerOf(key: string): Promise<number> {
  return Number((await router.session(key, "echo"))?.origin.slice(1));
}

const heardAll = (visitor: Visitor, count: number): Promise<unknown> => eventually(`${count} frames are heard`, () => visitor.heard.length >= count);

test("text, binary and empty frames pass both ways, in order", async () => {
  const visitor = await open("/echo/plain");
  const frames = ["one", Buffer.from([0, 1, 255]), "", Buffer.alloc(0), "zwölf ☃", Buffer.alloc(100_000, 7)];
  for (const frame of frames) visitor.socket.send(frame);
  await heardAll(visitor, frames.length);
  expect(visitor.heard).toEqual(frames);
});

test("the origin chooses the subprotocol, before the visitor is answered", async () => {
  const visitor = await open("/echo/spoken", { protocols: ["v1", "v2"] });
  expect(visitor.socket.protocol).toBe("v2");
});

test("the origin is told session, origin, epoch, fence and reason; the visitor's own field does not get through", async () => {
  await open("/echo/t%C3%B6ld", { headers: { limpet: 'session="root"', cookie: "a=b", authorization: "Bearer t" } });
  const owner = origins.find((origin) => origin.handshakes.length > 0);
  const handshake = owner?.handshakes[0];
  const field = parseDictionary(String(handshake?.headers["limpet"]));
  expect(String(field.get("session")?.[0])).toBe("töld");
  expect(field.get("origin")?.[0]).toBe(`o${origins.indexOf(owner as EchoOrigin)}`);
  expect(String(field.get("reason")?.[0])).toBe("owner");
  expect(field.get("fence")?.[0]).toBeGreaterThan(4e14);
  expect([handshake?.headers.cookie, handshake?.headers.authorization, handshake?.url]).toEqual(["a=b", "Bearer t", "/echo/t%C3%B6ld"]);
  expect(Object.keys(handshake?.headers ?? {}).filter((name) => name.startsWith("limpet"))).toEqual(["limpet"]);
});

test("a handshake that the origin refuses comes back as it is", async () => {
  for (const origin of origins) origin.refuseWith(401);
  const refused = await refusedHandshake(`${router.wsUrl}/echo/refused`);
  expect([refused.status, refused.headers["x-why"], refused.body]).toEqual([401, "tired", "no!\n"]);
  await eventually("no session is left behind", async () => (await router.session("refused", "echo")) === undefined);
});

test("a page of another origin is refused where the route allows only its own", async () => {
  expect((await refusedHandshake(`${router.wsUrl}/ours/a`, { origin: "https://evil.example.com" })).status).toBe(403);
  expect((await refusedHandshake(`${router.wsUrl}/ours/a`)).status).toBe(403);
  await open("/ours/a", { headers: { origin: "https://app.example.com" } });
});

test("the application's own close codes pass through, either way", async () => {
  const visitor = await open("/echo/closing");
  visitor.socket.send("!close 4001 bye");
  expect(await visitor.closed).toEqual({ code: 4001, reason: "bye" });
  const other = await open("/echo/closing");
  other.socket.close(4002, "see-you");
  expect(await other.closed).toEqual({ code: 4002, reason: "see-you" });
  await eventually("the origin hears it", () =>
    origins.some((origin) => origin.closes.some(({ code, reason }) => code === 4002 && reason === "see-you")),
  );
});

test("an origin that cuts one connection is dialled again, and the visitor notices nothing", async () => {
  const visitor = await open("/echo/cut");
  visitor.socket.send("hello");
  await heardAll(visitor, 1);
  const owner = await ownerOf("cut");
  visitor.socket.send("!die");
  await eventually("the origin is dialled again", () => origins[owner]?.handshakes.length === 2);
  visitor.socket.send("still here");
  await heardAll(visitor, 2);
  expect(visitor.heard).toEqual(["hello", "still here"]);
  expect(origins[owner]?.received).toEqual(["hello", "!die", "hello", "still here"]); // the prelude was replayed, its answer swallowed
  expect(await ownerOf("cut")).toBe(owner);
});

test("an origin that keeps closing what it accepted is not dialled for ever", async () => {
  const visitor = await open("/echo/!die");
  visitor.socket.send("!die"); // the prelude itself kills each new leg
  expect((await visitor.closed).code).toBe(1012);
  const dials = origins.reduce((sum, origin) => sum + origin.handshakes.length, 0);
  expect(dials).toBeLessThan(20);
});

test("a drain moves a session as a whole: answers under way arrive, nothing is lost, doubled or out of order", async () => {
  const pair = [await open("/echo/moved"), await open("/echo/moved")];
  for (const visitor of pair) visitor.socket.send("prelude");
  await Promise.all(pair.map((visitor) => heardAll(visitor, 1)));
  const from = await ownerOf("moved");
  let sent = 0;
  const sender = setInterval(() => {
    for (const [index, visitor] of pair.entries()) visitor.socket.send(`${index}.${sent}`);
    sent++;
  }, 2);
  await router.admin(`rings/echo/weur/origins/o${from}/drain`, "POST");
  await eventually("the session has moved", async () => (await ownerOf("moved")) === 1 - from);
  await eventually("frames flow at the new origin", () => (origins[1 - from]?.received.length ?? 0) > 100);
  clearInterval(sender);
  await Promise.all(pair.map((visitor) => heardAll(visitor, sent + 1)));
  for (const [index, visitor] of pair.entries()) {
    expect(visitor.heard).toEqual(["prelude", ...Array.from({ length: sent }, (_, n) => `${index}.${n}`)]);
    expect(visitor.isOpen()).toBe(true);
  }
  const moved = parseDictionary(String(origins[1 - from]?.handshakes[0]?.headers["limpet"]));
  expect(moved.get("moved-from")?.[0]).toBe(`o${from}`);
  const first = parseDictionary(String(origins[from]?.handshakes[0]?.headers["limpet"]));
  expect(Number(moved.get("fence")?.[0])).toBeGreaterThan(Number(first.get("fence")?.[0]));
});

test("an origin that hangs without closing is left once its health checks say so", async () => {
  const visitor = await open("/echo/hung");
  visitor.socket.send("prelude");
  await heardAll(visitor, 1);
  const from = await ownerOf("hung");
  doors[from]?.freeze(true);
  await eventually("the session has moved", async () => (await ownerOf("hung")) === 1 - from);
  visitor.socket.send("after");
  await heardAll(visitor, 2);
  expect(visitor.heard).toEqual(["prelude", "after"]);
  doors[from]?.freeze(false);
  await eventually("it is healthy again", async () => {
    const ring = await router.admin<RingView>("rings/echo/weur");
    return ring.origins.every((origin) => origin.health === "healthy");
  });
  expect(await ownerOf("hung")).toBe(1 - from); // it keeps its origin when the ring changes under it
});

test("a protocol that cannot bear a new leg is told to come back, with 1012, and finds the new owner", async () => {
  const visitor = await open("/restart/strict");
  visitor.socket.send("hello");
  await heardAll(visitor, 1);
  const from = await ownerOf("strict");
  await router.admin(`rings/echo/weur/origins/o${from}/drain`, "POST");
  expect((await visitor.closed).code).toBe(1012);
  await open("/restart/strict");
  expect(await ownerOf("strict")).toBe(1 - from);
});

test("when the last origin is gone, visitors are told to come back and new ones get 503 with Retry-After", async () => {
  const visitor = await open("/echo/alone");
  await Promise.all(origins.map((origin) => origin.stop()));
  expect((await visitor.closed).code).toBe(1012);
  const refused = await refusedHandshake(`${router.wsUrl}/echo/alone`);
  expect([refused.status, refused.headers["content-type"]]).toEqual([503, "application/problem+json"]);
  expect(refused.headers["retry-after"]).toBeTruthy();
  origins = [];
}, 40_000);
