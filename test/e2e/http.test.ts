// Plain HTTP through the router: cookie sessions, faults on the way, and what comes back when something is wrong.

import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { parseDictionary } from "structured-headers";
import { openDoor, type Door } from "../support/door.ts";
import { eventually, NEW_YORK, PARIS, startStack, type Stack } from "../support/stack.ts";

let stack: Stack;

interface Counted {
  readonly origin: string;
  readonly region: string;
  readonly session: string;
  readonly count: number;
  readonly limpet: string;
}

/** A browser as far as cookies go. */
class Visitor {
  cookie = "";
  async count(init: RequestInit & { from?: object } = {}): Promise<Counted & { reason: string; status: number }> {
    const headers = new Headers(init.headers);
    if (this.cookie) headers.set("cookie", this.cookie);
    const response = await stack.fetch("/api/counter", { from: PARIS, ...init, headers });
    const set = response.headers.get("set-cookie");
    if (set) this.cookie = set.split(";")[0] ?? "";
    const body = (await response.json()) as Counted;
    return { ...body, status: response.status, reason: reasonOf(response) };
  }
}

function reasonOf(response: Response): string {
  const field = response.headers.get("limpet");
  return field ? String(parseDictionary(field).get("reason")?.[0]) : "";
}

describe("a visitor with a cookie", () => {
  beforeAll(async () => {
    stack = await startStack();
  });
  afterAll(() => stack.stop());

  test("is placed in the region nearest to them, and stays there when they travel", async () => {
    const [parisian, newYorker] = [new Visitor(), new Visitor()];
    expect((await parisian.count()).region).toBe("weur");
    expect((await newYorker.count({ from: NEW_YORK })).region).toBe("enam");
    expect((await parisian.count({ from: NEW_YORK })).region).toBe("weur");
  });

  test("has a fixed home where the route says so, from any place", async () => {
    for (const from of [PARIS, NEW_YORK]) {
      const response = await stack.fetch("/fixed/doc/whoami", { from });
      expect(response.headers.get("limpet")).toContain('region="enam"');
    }
  });

  test("keeps one origin: the counter goes up by one each time", async () => {
    const visitor = new Visitor();
    const first = await visitor.count({ method: "POST" });
    expect([first.count, first.reason]).toEqual([1, "owner"]);
    for (let n = 2; n <= 20; n++) {
      const next = await visitor.count({ method: "POST" });
      expect([next.count, next.origin, next.reason]).toEqual([n, first.origin, "claim"]);
    }
  });

  test("keeps its origin by a key of its own, from any place: header and cookie name the same session", async () => {
    const byHeader = await stack.fetch("/api/counter", { from: PARIS, headers: { "x-session-id": "user-7" } });
    const byCookie = await stack.fetch("/api/counter", { from: PARIS, headers: { cookie: "sid=user-7" } });
    const [one, two] = [(await byHeader.json()) as Counted, (await byCookie.json()) as Counted];
    expect([two.origin, two.session]).toEqual([one.origin, "user-7"]);
  });

  test("keeps its placement when a key of another source appears (a log-in)", async () => {
    const visitor = new Visitor();
    const before = await visitor.count();
    for (let n = 0; n < 8; n++) {
      const fresh = Object.assign(new Visitor(), { cookie: visitor.cookie });
      const after = await fresh.count({ headers: { "x-session-id": `account-${n}` } });
      expect([after.origin, after.reason, after.session]).toEqual([before.origin, "claim", `account-${n}`]);
    }
  });

  test("is forgotten by a forged, truncated or foreign cookie, without an error", async () => {
    const visitor = new Visitor();
    await visitor.count();
    const [name = "", value = ""] = visitor.cookie.split(/=(.*)/s);
    const forgeries = [
      value.slice(0, -4),
      `${value.slice(0, -6)}AAAAAA`,
      value.replace(/^1\./, "2."),
      "1.",
      "garbage",
      "x".repeat(8000),
      "1.eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..a.b.c",
    ];
    for (const forged of forgeries) {
      const answer = await Object.assign(new Visitor(), { cookie: `${name}=${forged}` }).count();
      expect([answer.status, answer.reason]).toEqual([200, "owner"]);
    }
  });

  test("never sends our cookie on to the origin", async () => {
    const visitor = new Visitor();
    await visitor.count();
    const response = await stack.fetch("/api/echo-missing", { headers: { cookie: `${visitor.cookie}; theme=dark` } });
    expect(response.status).toBe(404); // the origin's own answer: it came through
  });
});

describe("when something is wrong with the request", () => {
  beforeAll(async () => {
    stack = await startStack((config) => ({
      ...config,
      pools: { ...config.pools, empty: { origins: [] } },
      routes: [...config.routes, { path: "/empty/*", pool: "empty", session: [{ header: "x-session-id" }], home: "session" }],
    }));
  });
  afterAll(() => stack.stop());

  async function problemOf(response: Response): Promise<string> {
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    expect(response.headers.get("proxy-status")).toMatch(/^limpet; error=/);
    const body = (await response.json()) as { type: string; title: string; code: string; status: number; detail: string; requestId: string };
    expect(body.status).toBe(response.status);
    const page = await fetch(new URL(body.type, stack.url));
    expect([page.status, (await page.text()).includes(`<h1>${body.title}</h1>`)]).toEqual([200, true]);
    expect(body.requestId).toBeTruthy();
    expect(JSON.stringify(body)).not.toMatch(/\bat .*:\d+:\d+|node_modules|Error:/);
    return body.code;
  }

  test("an unknown route is told so", async () => {
    const response = await stack.fetch("/nowhere");
    expect([response.status, await problemOf(response)]).toEqual([404, "no-route"]);
  });

  test.each([
    ["longer than 256 bytes", `/doc/${"x".repeat(257)}/page`],
    ["longer than 256 bytes of UTF-8", `/doc/${encodeURIComponent("é".repeat(129))}/page`],
    ["with a broken percent sequence", "/doc/a%ZZ/page"],
    ["with a control character", "/doc/a%00b/page"],
  ])("a path whose session key is %s is refused", async (_, path) => {
    const response = await stack.fetch(path);
    expect([response.status, await problemOf(response)]).toEqual([400, "invalid-session-key"]);
  });

  test("an oversized key in a header is no key: the next source serves", async () => {
    const response = await stack.fetch("/api/counter", { headers: { "x-session-id": "x".repeat(300) } });
    expect(((await response.json()) as Counted).session).toMatch(/^[0-9a-f]{32}$/);
    const stateless = await stack.fetch("/whoami", { headers: { "x-session-id": "x".repeat(300) } });
    expect([stateless.status, reasonOf(stateless)]).toEqual([200, "balance"]);
  });

  test("a pool without origins answers 503 with Retry-After", async () => {
    const response = await stack.fetch("/empty/x", { headers: { "x-session-id": "a" } });
    expect(response.headers.get("retry-after")).toBe("1");
    expect([response.status, await problemOf(response)]).toEqual([503, "no-origin"]);
  });

  test("a visitor's own Limpet headers reach nobody", async () => {
    const spoofed = { limpet: 'session="root", origin="evil"', "limpet-live": "eyJ2ZXJzaW9uIjoxfQ", "limpet-placed": "{}", "x-session-id": "me" };
    const answer = (await (await stack.fetch("/api/counter", { headers: spoofed })).json()) as Counted;
    expect(answer.session).toBe("me");
    expect(answer.limpet).not.toContain("evil");
  });

  test("the admin API wants a token, and says so", async () => {
    for (const authorization of ["", "Bearer wrong", "Bearer ", "Basic ZGV2", `Bearer ${"x".repeat(5000)}`]) {
      const response = await fetch(`${stack.url}/_limpet/v1/rings`, { headers: { authorization } });
      expect([response.status, await problemOf(response)]).toEqual([401, "unauthorized"]);
    }
    const unknown = await fetch(`${stack.url}/_limpet/v1/rings/nope/nowhere`, { headers: { authorization: "Bearer dev" } });
    expect([unknown.status, await problemOf(unknown)]).toEqual([404, "not-found"]);
  });

  test("a key that is not ASCII reaches the origin as it was", async () => {
    const response = await stack.fetch(`/api/counter`, { headers: { cookie: `sid=${encodeURIComponent("日誌 ☃")}` } });
    expect(((await response.json()) as Counted).session).toBe("日誌 ☃");
  });
});

describe("between visitor and origin", () => {
  let evil: Server;
  let seen: IncomingMessage | undefined;
  beforeAll(async () => {
    evil = createServer((request, response) => {
      seen = request;
      if (request.url === "/healthz") return void response.end("ok");
      if (request.url === "/web/odd") return void request.socket.end("HTTP/1.1 600 Odd\r\ncontent-length: 0\r\n\r\n");
      const cacheControl = new URL(request.url ?? "", "http://x").searchParams.get("cache-control");
      if (cacheControl !== null) response.setHeader("cache-control", cacheControl);
      if (request.url === "/web/cdn") response.setHeader("cdn-cache-control", "max-age=60");
      if (request.url === "/web/public") response.setHeader("cache-control", "public, max-age=60");
      if (request.url === "/web/late") return void setTimeout(() => response.setHeader("server-timing", "db;dur=7").end("late"), 150);
      if (request.url === "/web/gzip") return void response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync("squeezed"));
      response.setHeader("set-cookie", ["theirs=1; Path=/", "limpet-web=evil", "__Host-limpet-other=evil; Secure; Path=/"]);
      response.setHeader("limpet-placed", "{}");
      response.end("hello");
      return undefined;
    }).listen(0, "127.0.0.1");
    await once(evil, "listening");
    const url = `http://127.0.0.1:${(evil.address() as AddressInfo).port}`;
    const web = { path: "/web/*", pool: "web", session: [{ issue: true }], home: "visitor" };
    const documents = {
      path: "/named/:session",
      pool: "web",
      session: [{ path: "session" }],
      home: "session",
      allowedOrigins: ["https://app.example.com"],
    };
    stack = await startStack((config) => ({
      ...config,
      pools: { ...config.pools, web: { origins: [{ id: "evil", region: "weur", url }] } },
      routes: [web, documents, { path: "/*", pool: "web", home: "session" }],
    }));
  });
  afterAll(async () => {
    await stack.stop();
    evil.closeAllConnections();
    evil.close();
  });

  test("a visitor is told what each step took, beside what the origin says of itself", async () => {
    const response = await stack.fetch("/web/late");
    const steps = Object.fromEntries((response.headers.get("server-timing") ?? "").split(", ").map((step) => step.split(";dur=")));
    expect(Object.keys(steps).toSorted()).toEqual(["db", "decide", "identify", "origin"]);
    expect(Number(steps["origin"])).toBeGreaterThanOrEqual(140);
    expect(Number(steps["decide"])).toBeLessThan(1_000);
    expect(steps["db"]).toBe("7");
  });

  test("a visitor's trace goes on with a part of ours", async () => {
    const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    await stack.fetch("/web/x", { headers: { traceparent: `00-${trace}-1111111111111111-01` } });
    expect(seen?.headers["traceparent"]).toMatch(new RegExp(`^00-${trace}-(?!1111111111111111|0000000000000000)[0-9a-f]{16}-01$`));
  });

  test("no origin sees a cookie of ours, of any pool", async () => {
    await stack.fetch("/web/x", { headers: { cookie: "a=1; limpet-web=1.x; __Host-limpet-other=1.y; b=2" } });
    expect(seen?.headers.cookie).toBe("a=1; b=2");
  });

  test("no origin sets a cookie of ours, nor a header of ours", async () => {
    const response = await stack.fetch("/web/x");
    expect(response.headers.getSetCookie().map((cookie) => cookie.split(";")[0])).toEqual([
      "theirs=1",
      expect.stringMatching(/^limpet-web=1\.[\w-]{100,}$/) as string,
    ]);
    expect(response.headers.has("limpet-placed")).toBe(false);
  });

  test("our cookie is on no answer that shared caches may keep, and makes others private", async () => {
    expect((await stack.fetch("/web/public")).headers.getSetCookie().filter((cookie) => cookie.startsWith("limpet-"))).toEqual([]);
    expect((await stack.fetch("/web/x")).headers.get("cache-control")).toBe("private");
  });

  test.each([
    ["max-age=600", false],
    ["must-revalidate, max-age=60", false],
    ["s-maxage=1", false],
    ["no-cache", true],
    ["no-store, max-age=0", true],
    ["private, max-age=60", true],
  ])("an answer with Cache-Control: %s gets our cookie: %s", async (cacheControl, gets) => {
    const response = await stack.fetch(`/web/x?cache-control=${encodeURIComponent(cacheControl)}`);
    expect(response.headers.getSetCookie().some((cookie) => cookie.startsWith("limpet-"))).toBe(gets);
    expect(response.headers.get("cache-control")).toBe(cacheControl);
  });

  test("nor is it on one that a provider's cache may keep", async () => {
    expect((await stack.fetch("/web/cdn")).headers.getSetCookie().filter((cookie) => cookie.startsWith("limpet-"))).toEqual([]);
  });

  test("a GET with a body or a length is a GET", async () => {
    expect(await rawRequest(stack.url, "GET /web/x HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi")).toMatch(
      /^HTTP\/1.1 200/,
    );
    expect(await rawRequest(stack.url, "GET /web/x HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")).toMatch(/^HTTP\/1.1 200/);
  });

  test("a compressed answer arrives as it was", async () => {
    expect(await (await stack.fetch("/web/gzip")).text()).toBe("squeezed");
  });

  test("a status that is none is the origin's fault, and said to be", async () => {
    const response = await stack.fetch("/web/odd");
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([502, "origin-protocol"]);
  });

  test("a request that has been here is not sent round again", async () => {
    const response = await stack.fetch("/web/x", { headers: { via: "1.1 other, 1.1 limpet" } });
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([508, "loop"]);
    await stack.fetch("/web/x", { headers: { via: "1.1 other" } });
    expect(seen?.headers.via).toBe("1.1 other, 1.1 limpet");
  });

  test("another spelling of a document's path is the same document, or refused", async () => {
    const session = async (path: string): Promise<unknown> => {
      const response = await rawRequest(stack.url, `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
      return response.startsWith("HTTP/1.1 200")
        ? parseDictionary(String(seen?.headers["limpet"])).get("session")?.[0]
        : Number(response.slice(9, 12));
    };
    expect([await session("/named/k"), await session("/%6eamed/k"), await session("//named/k"), await session("/named//k")]).toEqual([
      "k",
      "k",
      400,
      400,
    ]);
  });

  test("a page of another origin is refused on a route that allows only its own; the page's own GET says no origin", async () => {
    const status = async (headers: Record<string, string>): Promise<number> => (await stack.fetch("/named/k", { headers })).status;
    expect(await status({ origin: "https://evil.example.com" })).toBe(403);
    expect(await status({ origin: "https://evil.example.com", accept: "text/event-stream" })).toBe(403);
    expect(await status({})).toBe(200);
    expect(await status({ origin: "https://app.example.com" })).toBe(200);
  });
});

async function rawRequest(url: string, text: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.write(text);
  let answer = "";
  for await (const chunk of socket) answer += String(chunk);
  return answer;
}

describe("when an origin fails", () => {
  beforeAll(async () => {
    const overprovisioning = 2; // one of two keeps all
    stack = await startStack((config) => ({ ...config, pools: { collab: { ...config.pools.collab, overprovisioning } } }));
  });
  afterAll(() => stack.stop());
  const killed: string[] = [];
  afterEach(async () => {
    for (const id of killed.splice(0)) await stack.fleet.revive(id);
    await eventually("everyone is healthy", async () => {
      const { rings } = await stack.admin<{ rings: { origins: { health: string }[] }[] }>("rings");
      return rings.every((ring) => ring.origins.every((origin) => origin.health === "healthy"));
    });
  });

  async function kill(id: string): Promise<void> {
    killed.push(id);
    await stack.fleet.kill(id);
  }

  test("the next request is answered by another, and says why; the session then stays there", async () => {
    const visitor = new Visitor();
    const before = await visitor.count();
    await kill(before.origin);
    const after = await visitor.count();
    expect([after.status, after.reason]).toEqual([200, "next"]);
    expect(after.origin).not.toBe(before.origin);
    const later = await visitor.count();
    expect([later.origin, later.reason]).toEqual([after.origin, "claim"]);
  });

  test("a POST that may have reached the dead origin is not sent twice; the one after it is served", async () => {
    const visitor = new Visitor();
    const before = await visitor.count();
    await kill(before.origin);
    const lost = await visitor.count({ method: "POST", body: "x" });
    expect([502, 503]).toContain(lost.status);
    const after = await visitor.count({ method: "POST" });
    expect([after.status, after.count]).toEqual([200, 1]);
  });

  test("a stateless request walks on at once", async () => {
    await kill("weur-1");
    const statuses = await Promise.all(Array.from({ length: 20 }, async () => (await stack.fetch("/whoami")).status));
    expect(new Set(statuses)).toEqual(new Set([200]));
  });

  test("when the whole home region is gone, the secondary region answers", async () => {
    const visitor = new Visitor();
    expect((await visitor.count()).region).toBe("weur");
    await Promise.all([kill("weur-1"), kill("weur-2")]);
    const after = await eventually("the other region answers", async () => {
      const answer = await visitor.count();
      return answer.status === 200 && answer;
    });
    expect([after.region, after.reason]).toEqual(["enam", "failover"]);
  });
});

test("all of a region die at once: whoever finds out first is answered by the other", async () => {
  const dying = ["weur-1", "weur-2", "weur-3", "weur-4"];
  const unwatched = { health: { intervalMs: 60_000 }, overprovisioning: 10 }; // nobody finds out but by asking, and no key spills before
  stack = await startStack((config) => ({ ...config, pools: { collab: { ...config.pools.collab, ...unwatched } } }), [...dying, "enam-1"]);
  try {
    const visitors = Array.from({ length: 40 }, () => new Visitor());
    await Promise.all(visitors.map((visitor) => visitor.count()));
    await Promise.all(dying.map((id) => stack.fleet.kill(id)));
    const after = await Promise.all(visitors.map((visitor) => visitor.count()));
    expect(after.map(({ status, region }) => [status, region])).toEqual(visitors.map(() => [200, "enam"]));
  } finally {
    await stack.stop();
  }
});

test("a few refused connections never move a session whose origin lives: the counter never jumps back", async () => {
  const doors: Door[] = [];
  stack = await startStack(async (config) => {
    for (const origin of config.pools.collab.origins) doors.push(await openDoor(origin.url));
    return {
      ...config,
      pools: {
        collab: {
          ...config.pools.collab,
          origins: config.pools.collab.origins.map((origin, index) => ({ ...origin, url: doors[index]?.url ?? "" })),
        },
      },
    };
  });
  const visitor = new Visitor();
  try {
    const first = await visitor.count({ method: "POST" });
    let counted = first.count;
    for (let round = 0; round < 12; round++) {
      for (const door of doors) door.refuse(1 + (round % 2));
      const read = await visitor.count();
      if (read.status === 200) expect([read.origin, read.count]).toEqual([first.origin, counted]);
      else expect(read.status).toBe(503);
      for (const door of doors) door.refuse(0);
      const next = await eventually("it is served again", async () => {
        const answer = await visitor.count({ method: "POST" });
        return answer.status === 200 && answer;
      });
      expect([next.origin, next.count]).toEqual([first.origin, ++counted]);
    }
  } finally {
    await stack.stop();
    for (const door of doors) door.close();
  }
});
