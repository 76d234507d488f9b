// Signed requests (RFC 9421), as the example's origin verifies them: everything that the router sends is taken, and nothing else is. What
// is captured on the way is sent again, to the origin itself, with one thing changed.

import { createHmac } from "node:crypto";
import type { IncomingHttpHeaders, IncomingMessage, Server } from "node:http";
import { request as httpRequest } from "node:http";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { startOrigin } from "../../examples/verify-signature/origin-server.ts";
import { eventually, startDev, type RingView, type Stack } from "../support/stack.ts";
import { refusedHandshake, visit } from "../support/visitor.ts";

const NEW = "the new key of thirty-two bytes or more";
const OLD = "the old key of thirty-two bytes or more";
const SECRET_NAME = "LIMPET_TEST_SIGNATURE";

interface Captured {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
}

let origin: { url: string; server: Server };
let others: { url: string; server: Server }[] = [];
let router: Omit<Stack, "fleet">;
/** The latest request that reached the origin, by path. */
const captured = new Map<string, Captured>();

beforeAll(async () => {
  origin = await startOrigin({ port: 0, keys: [OLD, NEW] });
  const note = ({ method = "", url = "", headers }: IncomingMessage): void => void captured.set(url, { method, path: url, headers });
  origin.server.prependListener("request", note).prependListener("upgrade", note);
  process.env[SECRET_NAME] = `${NEW}, ${OLD}`;
  router = await startDev({
    defaultRegion: "weur",
    regions: { weur: {} },
    pools: {
      web: {
        health: { intervalMs: 200, timeoutMs: 1_000 },
        signature: { secret: SECRET_NAME },
        origins: [{ id: "a", region: "weur", url: origin.url }],
      },
    },
    routes: [{ path: "/doc/:session/*", pool: "web", session: [{ path: "session" }] }],
  });
});
afterEach(() => void vi.useRealTimers());
afterAll(async () => {
  delete process.env[SECRET_NAME];
  await router.stop();
  for (const { server } of [origin, ...others]) {
    server.closeAllConnections();
    server.close();
  }
});

/** Sends a request to an origin past the router. Not by `fetch`, which would not say another's `Host`. */
async function replay({ method, path, headers }: Captured, changes: Partial<Captured> = {}, url = origin.url): Promise<number | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  const { hostname, port } = new URL(url);
  const { "content-length": _, "transfer-encoding": __, connection: ___, ...rest } = changes.headers ?? headers;
  const options = { hostname, port, method: changes.method ?? method, path: changes.path ?? path, headers: rest };
  httpRequest(options, (response) => resolve(response.resume().statusCode))
    .on("error", reject)
    .end();
  return promise;
}

async function nextCheck(): Promise<Captured> {
  captured.delete("/healthz");
  return eventually("a health check", () => captured.get("/healthz"));
}

async function capture(path: string, init: RequestInit = {}): Promise<Captured> {
  const response = await router.fetch(path, init);
  expect(response.status).toBe(200);
  const found = captured.get(path);
  if (!found) throw new Error(`${path} did not reach the origin`);
  return found;
}

describe("what the router sends is taken", () => {
  test.each(["/doc/one/x", "/doc/one/", "/doc/one/x?a=1&b=%20%C3%A9&a=2", "/doc/one//x?", "/doc/caf%C3%A9%20%F0%9F%90%9A/x", "/doc/one/x?/?//"])(
    "GET %s",
    async (path) => {
      const response = await router.fetch(path);
      expect([response.status, await response.json()]).toEqual([200, expect.objectContaining({ method: "GET", url: path.replace(/\?$/, "") })]);
    },
  );

  test("POST with a body, and other methods", async () => {
    const posted = await router.fetch("/doc/one/post", { method: "POST", body: "a body" });
    expect([posted.status, await posted.json()]).toEqual([
      200,
      expect.objectContaining({ body: "a body", limpet: expect.stringContaining('session="one"') }),
    ]);
    for (const method of ["PUT", "DELETE", "OPTIONS", "PATCH"]) expect((await router.fetch("/doc/one/x", { method })).status).toBe(200);
  });

  test("a WebSocket handshake", async () => {
    const visitor = await visit(`${router.wsUrl}/doc/one/socket?a=1`);
    visitor.socket.send("hello");
    await eventually("the echo", () => visitor.heard.includes("hello"));
    visitor.socket.terminate();
  });

  test("the handshake of an event stream", async () => {
    await capture("/doc/one/stream", { headers: { accept: "text/event-stream" } });
  });

  test("a health check, whose signature has no session in it", async () => {
    const { headers } = await nextCheck();
    expect([headers.limpet, headers["signature-input"]]).toEqual([
      undefined,
      expect.stringMatching(/^limpet=\("@method" "@authority" "@path" "@query"\);created=\d+;expires=\d+;keyid="limpet";alg="hmac-sha256"$/),
    ]);
    const ring = await router.admin<RingView>("rings/web/weur");
    expect(ring.origins[0]?.health).toBe("healthy");
  });

  test("a visitor's own signature is not passed on, and hinders nothing", async () => {
    const { headers } = await capture("/doc/one/own", { headers: { signature: "sig1=:AAAA:", "signature-input": 'sig1=("@method")' } });
    expect([headers["signature"], headers["signature-input"]]).toEqual([
      expect.stringMatching(/^limpet=:[^:]+:$/),
      expect.not.stringContaining("sig1"),
    ]);
  });

  test("it lasts a minute", async () => {
    const { headers } = await capture("/doc/one/life");
    const [, created, expires] = /created=(\d+);expires=(\d+)/.exec(String(headers["signature-input"])) ?? [];
    expect(Number(expires) - Number(created)).toBe(60);
    expect(Math.abs(Number(created) - Date.now() / 1000)).toBeLessThan(20);
  });
});

describe("anything else is refused", () => {
  const SENT = "/doc/one/captured?a=1";

  test("a request without a signature, plain or for a WebSocket", async () => {
    expect((await fetch(origin.url + SENT)).status).toBe(401);
    expect((await fetch(`${origin.url}/healthz`)).status).toBe(401);
    expect((await refusedHandshake(origin.url.replace("http", "ws") + SENT)).status).toBe(401);
  });

  test("a captured request that is changed in any part; unchanged it is good", async () => {
    const sent = await capture(SENT);
    expect(await replay(sent)).toBe(200);
    const limpet = String(sent.headers.limpet);
    const { limpet: _, ...without } = sent.headers;
    const changes: Partial<Captured>[] = [
      { path: "/doc/two/captured?a=1" },
      { path: "/doc/one/captured?a=2" },
      { path: "/doc/one/captured" },
      { path: `${origin.url}${SENT}` },
      { path: `${SENT}#x` },
      { method: "POST" },
      { headers: { ...sent.headers, limpet: limpet.replace('session="one"', 'session="two"') } },
      { headers: { ...sent.headers, limpet: limpet.replace(/epoch=\d+/, "epoch=999") } },
      { headers: without },
      { headers: { ...sent.headers, "signature-input": String(sent.headers["signature-input"]).replace(/;expires=\d+/, ";expires=9999999999") } },
      { headers: { ...sent.headers, "signature-input": String(sent.headers["signature-input"]).replace('"limpet"', '"other"') } },
      { headers: { ...sent.headers, signature: "limpet=:AAAA:" } },
      { headers: { ...sent.headers, signature: "what?" } },
    ];
    for (const change of changes) expect([await replay(sent, change), change]).toEqual([401, change]);
  });

  test("a captured health check with a session put beside it", async () => {
    const check = await nextCheck();
    expect(await replay(check)).toBe(200);
    expect(await replay(check, { headers: { ...check.headers, limpet: 'session="one", origin="a"' } })).toBe(401);
    expect(await replay(check, { path: "/doc/one/x" })).toBe(401);
  });

  test("one that is older than a minute, or of the future", async () => {
    const sent = await capture(SENT);
    for (const [ms, status] of [
      [60_000, 200], // the clocks may differ by 5 s
      [67_000, 401],
      [-30_000, 401],
    ] as const) {
      vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + ms });
      expect([ms, await replay(sent)]).toEqual([ms, status]);
      vi.useRealTimers();
    }
  });

  test("one that was made for another host, whatever its Host says", async () => {
    const sent = await capture(SENT);
    const other = await startOrigin({ port: 0, keys: [OLD, NEW] });
    others.push(other);
    expect(await replay(sent, {}, other.url)).toBe(401);
    expect(await replay(sent, { headers: { ...sent.headers, host: new URL(other.url).host } }, other.url)).toBe(401);
  });

  test("one that is signed by another key, or covers less", async () => {
    const sent = await capture(SENT);
    const parts: Readonly<Record<string, string>> = {
      "@method": "GET",
      "@authority": new URL(origin.url).host,
      "@path": "/doc/one/captured",
      "@query": "?a=1",
      limpet: String(sent.headers.limpet),
    };
    // By hand, from RFC 9421 §2.5: the router's signature is what the standard says, not only what its library reads.
    const signed = (key: string, names: readonly string[], keyid = "limpet", life = 60): Partial<Captured> => {
      const created = Math.floor(Date.now() / 1000);
      const input = `(${names.map((name) => `"${name}"`).join(" ")});created=${created};expires=${created + life};keyid="${keyid}";alg="hmac-sha256"`;
      const base = [...names.map((name) => `"${name}": ${parts[name]}`), `"@signature-params": ${input}`].join("\n");
      const signature = createHmac("sha256", key).update(base).digest("base64");
      return { headers: { ...sent.headers, signature: `limpet=:${signature}:`, "signature-input": `limpet=${input}` } };
    };
    const all = Object.keys(parts);
    expect(await replay(sent, signed(NEW, all))).toBe(200);
    expect(await replay(sent, signed(NEW, all, "other"))).toBe(401);
    expect(await replay(sent, signed("a key that nobody knows of many bytes", all))).toBe(401);
    for (const left of all) {
      const less = signed(
        NEW,
        all.filter((name) => name !== left),
      );
      expect([left, await replay(sent, less)]).toEqual([left, 401]);
    }
  });
});

test("the first of several keys signs: origins that know both take it, so that the old one can go", async () => {
  const sent = await capture("/doc/one/rotated");
  const authority = new URL(origin.url).host;
  const [oldOnly, newOnly] = await Promise.all([OLD, NEW].map((key) => startOrigin({ port: 0, authority, keys: [key] })));
  others = [...others, ...[oldOnly, newOnly].filter((each) => each !== undefined)];
  expect(await replay(sent, {}, oldOnly?.url)).toBe(401);
  expect(await replay(sent, {}, newOnly?.url)).toBe(200);
});
