// Limpet mounted in a Worker that has routes of its own (examples/hono), on the real runtime: each answers what is its own.

import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import WebSocket from "ws";
import { builtPages } from "../../src/cli/pages.ts";
import { startRouter, type Router } from "../../src/cli/router.ts";
import { startEchoOrigin, type EchoOrigin } from "../support/echo-origin.ts";

const ENTRY = fileURLToPath(new URL("../../examples/hono/worker.ts", import.meta.url));

let origins: EchoOrigin[];
let router: Router;

beforeAll(async () => {
  origins = [await startEchoOrigin(), await startEchoOrigin()];
  router = await startRouter({
    entry: ENTRY,
    replaced: Object.fromEntries(origins.map(({ url }, n) => [`http://127.0.0.1:930${n + 1}`, url])),
    raw: {},
    port: 0,
    pagesDir: await builtPages(),
    devInfo: {},
    onLog: () => undefined,
  });
});
afterAll(async () => {
  await router.stop();
  await Promise.all(origins.map((origin) => origin.stop()));
});

test("what the Worker registers after Limpet is the Worker's, middleware included", async () => {
  const own = await fetch(`${router.url}/hello`);
  expect([await own.text(), own.headers.get("x-powered-by"), own.headers.get("limpet")]).toEqual(["the Worker's own answer", "the worker", null]);
  expect((await fetch(`${router.url}/nowhere`)).status).toBe(404);
});

test("what the configuration routes goes to an origin, the same for everyone of a room, and is not the middleware's", async () => {
  const answers = await Promise.all([1, 2, 3].map(() => fetch(`${router.url}/rooms/seven/healthz`)));
  const told = answers.map((answer) => /origin="([^"]+)"/.exec(answer.headers.get("limpet") ?? "")?.[1]);
  expect(told).toEqual([told[0], told[0], told[0]]);
  expect(answers.map((answer) => answer.headers.get("x-powered-by"))).toEqual([null, null, null]);
});

test("an upgrade reaches an origin and comes back whole", async () => {
  const socket = new WebSocket(`${router.url.replace("http", "ws")}/rooms/seven/live`);
  const echo = new Promise<string>((resolve, reject) => {
    socket.on("message", (data: Buffer) => resolve(data.toString()));
    socket.on("error", reject);
  });
  socket.on("open", () => socket.send("hello, room"));
  expect(await echo).toBe("hello, room");
  socket.close();
});

test("the admin API and the problem pages are Limpet's", async () => {
  const rings = await fetch(`${router.url}/_limpet/v1/rings`, { headers: { authorization: "Bearer dev" } });
  expect(((await rings.json()) as { rings: { pool: string }[] }).rings.map((ring) => ring.pool)).toEqual(["rooms"]);
  expect((await fetch(`${router.url}/_limpet/problems/no-origin`)).status).toBe(200);
});
