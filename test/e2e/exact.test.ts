// A route that is exact sees a live session's place at once, while its neighbour goes by what its isolate knows.

import { once } from "node:events";
import { afterEach, beforeEach, expect, test } from "vitest";
import { WebSocket } from "ws";
import { startRouter, type Router } from "../../src/cli/router.ts";
import { startScriptedOrigin, type ScriptedOrigin } from "../support/scripted-origin.ts";
import { clientOf, eventually } from "../support/stack.ts";

let origins: ScriptedOrigin[];
let router: Router;
let client: ReturnType<typeof clientOf>;
let records: { limpet: string; layer?: string; origin?: string; kind?: string }[];

beforeEach(async () => {
  records = [];
  origins = await Promise.all(["weur-1", "weur-2"].map((id) => startScriptedOrigin(id)));
  const route = { pool: "p", session: [{ path: "session" }], home: "session" };
  const raw = {
    configRevision: 1,
    defaultRegion: "weur",
    regions: { weur: {} },
    // Longer than the test: an isolate goes by what it has read at first.
    pools: { p: { horizonMs: 3_000_000, origins: origins.map(({ id, url }) => ({ id, region: "weur", url })) } },
    routes: [
      { path: "/live/:session", ...route, resume: { mode: "transparent", prelude: { frames: 1, bytes: 100 } } },
      { path: "/doc/:session", ...route },
      { path: "/exact/:session", ...route, exact: true },
      { path: "/exact", ...route, session: [{ header: "x-session-id" }], exact: true },
    ],
    record: { sampleShare: 1 },
  };
  router = await startRouter({
    raw,
    port: 0,
    pagesDir: new URL("../support", import.meta.url).pathname,
    devInfo: {},
    onLog: (line) => {
      if (line.startsWith("{")) records.push(JSON.parse(line) as (typeof records)[number]);
    },
  });
  client = clientOf(router.url);
});

afterEach(async () => {
  await router.stop();
  await Promise.all(origins.map((origin) => origin.stop()));
});

async function ask(path: string): Promise<string> {
  return (await client.fetch(path)).text();
}

test("a session that was moved: its exact route at once, the other within the horizon; the record says who answered", async () => {
  const socket = new WebSocket(`${router.url.replace("http", "ws")}/live/k`);
  await once(socket, "open");
  const owner = await ask("/doc/k");
  expect(await ask("/exact/k")).toBe(owner);
  await client.admin(`rings/p/weur/origins/${owner}/drain`, "POST");
  const moved = await eventually("the session has moved", async () => {
    const now = await client.session("k", "p");
    return now?.origin !== owner && now?.state === "settled" && now;
  });
  for (let n = 0; n < 3; n++) expect([await ask("/exact/k"), await ask("/doc/k")]).toEqual([moved.origin, owner]);
  const told = await eventually("it is in the log", () => {
    const http = records.filter(({ limpet, kind }) => limpet === "decision" && kind === "http").slice(-6);
    return http.length === 6 && http.map(({ origin, layer }) => `${origin} by ${layer}`);
  });
  expect(new Set(told)).toEqual(new Set([`${moved.origin} by ring`, `${owner} by memory`]));
  // Without a session there is nothing to be exact about.
  expect((await client.fetch("/exact")).status).toBe(200);
  socket.terminate();
});
