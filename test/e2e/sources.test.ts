// Session keys from further sources, through the whole router: whoever names the same session is with the same origin, however it is said.

import { parseDictionary } from "structured-headers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startEchoOrigin, type EchoOrigin } from "../support/echo-origin.ts";
import { startDev, type Stack } from "../support/stack.ts";
import { refusedHandshake, visit } from "../support/visitor.ts";

let origins: EchoOrigin[];
let router: Omit<Stack, "fleet">;

beforeAll(async () => {
  origins = await Promise.all([startEchoOrigin(), startEchoOrigin(), startEchoOrigin()]);
  const session = [{ subprotocol: "limpet." }, { query: "sid" }, { header: "x-session-id" }];
  router = await startDev({
    configRevision: 1,
    defaultRegion: "weur",
    regions: { weur: {} },
    pools: { echo: { origins: origins.map(({ url }, n) => ({ id: `o${n}`, region: "weur", url })) } },
    routes: [
      { path: "/open/*", pool: "echo", session },
      { path: "/closed/*", pool: "echo", session, required: true },
      { path: "/by-address/*", pool: "echo", session: [{ ip: true }] },
    ],
  });
});
afterAll(async () => {
  await router.stop();
  await Promise.all(origins.map((origin) => origin.stop()));
});

async function servedBy(path: string, headers: Record<string, string> = {}): Promise<string> {
  const response = await router.fetch(path, { headers });
  return String(parseDictionary(response.headers.get("limpet") ?? "").get("origin")?.[0]);
}

const lastHandshake = () =>
  origins
    .flatMap(({ handshakes }) => handshakes)
    .toSorted((a, b) => String(a.headers["x-nth"]).localeCompare(String(b.headers["x-nth"])))
    .at(-1);

test("the same key in the query and in a header is the same session, and the origin sees the query as it was", async () => {
  const keys = Array.from({ length: 12 }, (_, n) => `doc ${n}/ü`);
  const [byQuery, byHeader] = await Promise.all([
    Promise.all(keys.map((key) => servedBy(`/open/x?a=1&sid=${encodeURIComponent(key)}&b=%20`))),
    Promise.all(keys.map((key) => servedBy("/open/x", { "x-session-id": encodeURIComponent(key) }))),
  ]);
  expect(byQuery).toEqual(byHeader);
  expect(new Set(byQuery).size).toBeGreaterThan(1);
});

describe("a key in the subprotocol", () => {
  test("names the session, and the origin never sees it; the rest is negotiated with the origin", async () => {
    const { socket, heard } = await visit(`${router.wsUrl}/open/ws`, { protocols: ["limpet.doc-1", "chat", "chat.v2"], headers: { "x-nth": "1" } });
    expect(socket.protocol).toBe("chat.v2"); // the origin takes the last that it is offered
    expect(lastHandshake()?.headers["sec-websocket-protocol"]?.replaceAll(" ", "")).toBe("chat,chat.v2");
    const served = origins.findIndex(({ handshakes }) => handshakes.some((handshake) => handshake.headers["x-nth"] === "1"));
    expect(await servedBy("/open/x?sid=doc-1")).toBe(`o${served}`);
    socket.send("hello");
    await expect.poll(() => heard).toEqual(["hello"]);
    socket.terminate();
  });

  test("alone, it is what the visitor is given: browsers close a socket whose offer nobody took", async () => {
    const { socket } = await visit(`${router.wsUrl}/open/ws`, { protocols: ["limpet.doc-2"], headers: { "x-nth": "2" } });
    expect(socket.protocol).toBe("limpet.doc-2");
    expect(lastHandshake()?.headers["sec-websocket-protocol"]).toBeUndefined();
    socket.terminate();
  });

  test("comes before the query, as the route says", async () => {
    const { socket } = await visit(`${router.wsUrl}/open/ws?sid=other`, { protocols: ["limpet.doc-1"], headers: { "x-nth": "3" } });
    const served = origins.findIndex(({ handshakes }) => handshakes.some((handshake) => handshake.headers["x-nth"] === "3"));
    expect(await servedBy("/open/x?sid=doc-1")).toBe(`o${served}`);
    socket.terminate();
  });
});

describe("a route that requires a session", () => {
  test.each([
    ["none", "/closed/x"],
    ["an empty one", "/closed/x?sid="],
    ["one that is none", "/closed/x?sid=%zz"],
  ])("refuses a request with %s, and says what is missing", async (_, path) => {
    const response = await router.fetch(path);
    expect([response.status, response.headers.get("www-authenticate"), response.headers.get("content-type")]).toEqual([
      401,
      "Session",
      "application/problem+json",
    ]);
    expect(await response.json()).toMatchObject({ code: "session-required", status: 401 });
  });

  test("lets a browser ask whether its page may: a preflight bears no session", async () => {
    const headers = { origin: "https://app.example.com", "access-control-request-method": "GET", "access-control-request-headers": "authorization" };
    expect((await router.fetch("/closed/x", { method: "OPTIONS", headers })).status).not.toBe(401);
    expect((await router.fetch("/closed/x", { method: "OPTIONS" })).status).toBe(401);
  });

  test("refuses a socket too, before any origin hears of it", async () => {
    const before = origins.reduce((sum, { handshakes }) => sum + handshakes.length, 0);
    expect((await refusedHandshake(`${router.wsUrl}/closed/ws`)).status).toBe(401);
    expect(origins.reduce((sum, { handshakes }) => sum + handshakes.length, 0)).toBe(before);
  });

  test("serves whoever names one", async () => {
    expect(await servedBy("/closed/x?sid=doc-1")).toBe(await servedBy("/open/x?sid=doc-1"));
  });
});

test("visitors of one address are with one origin, and of one IPv6 network too", async () => {
  const from = (address: string): Promise<string> => servedBy("/by-address/x", { "cf-connecting-ip": address });
  const many = await Promise.all(Array.from({ length: 12 }, (_, n) => from(`203.0.113.${n}`)));
  expect(await Promise.all(Array.from({ length: 12 }, (_, n) => from(`203.0.113.${n}`)))).toEqual(many);
  expect(new Set(many).size).toBeGreaterThan(1);
  const networks = await Promise.all(Array.from({ length: 12 }, (_, n) => from(`2001:db8:0:${n}::1`)));
  expect(await Promise.all(Array.from({ length: 12 }, (_, n) => from(`2001:db8:0:${n}:9:8:7:6`)))).toEqual(networks);
  expect(new Set(networks).size).toBeGreaterThan(1);
});
