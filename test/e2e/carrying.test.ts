// Plain requests between a visitor and an origin, byte by byte: what passes untouched and at once, what origins do wrong, deadlines,
// visitors who leave, and what is sent a second time. Origins and visitors are real, many of them below HTTP.

import { createHash } from "node:crypto";
import { once } from "node:events";
import { request as httpRequest, type ClientRequest, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { connectRaw, rawAnswer, rawRequest, type RawAnswer } from "../support/raw-client.ts";
import { startRawOrigin, startScriptedOrigin, toldIn, type RawOrigin, type Script, type ScriptedOrigin } from "../support/scripted-origin.ts";
import { eventually, startDev, type RingView, type Stack } from "../support/stack.ts";

type Router = Omit<Stack, "fleet">;

let router: Router;
let tame: ScriptedOrigin;
/** Two that write what they like; a session is at one of them. */
let wild: RawOrigin[];
const FIRST_BYTE_MS = 300;
const IDLE_MS = 300;

beforeAll(async () => {
  tame = await startScriptedOrigin("tame");
  wild = await Promise.all(["wild-1", "wild-2"].map((id) => startRawOrigin(id, misbehave)));
  const keyed = (path: string, pool: string, more: object = {}): object => ({
    path: `/${path}/:session/*`,
    pool,
    session: [{ path: "session" }],
    home: "session",
    ...more,
  });
  const poolOf = (origins: readonly { id: string; url: string }[]): object => ({
    health: { intervalMs: 2_000 },
    origins: origins.map(({ id, url }) => ({ id, region: "weur", url })),
  });
  router = await startDev({
    configRevision: 1,
    defaultRegion: "weur",
    regions: { weur: {} },
    pools: { tame: poolOf([tame]), wild: poolOf(wild), waster: poolOf(wild), walked: poolOf(wild) },
    routes: [
      keyed("tame", "tame"),
      keyed("wild", "wild"),
      keyed("kept", "wild", { replay: { bodyBytes: 1_000 }, retry: { idempotencyKey: true } }),
      keyed("unheeded", "wild", { replay: { bodyBytes: 1_000 } }),
      keyed("streamed", "wild", { retry: { idempotencyKey: true } }),
      keyed("hasty", "tame", { deadlines: { firstByteMs: FIRST_BYTE_MS } }),
      keyed("both", "tame", { deadlines: { firstByteMs: FIRST_BYTE_MS, idleMs: 10 * FIRST_BYTE_MS } }),
      keyed("idle", "tame", { deadlines: { idleMs: IDLE_MS } }),
      keyed("idle-wild", "wild", { deadlines: { idleMs: 5_000 } }),
      keyed("waste", "waster"),
      { path: "/walk/*", pool: "walked", home: "session" },
      { path: "/io/*", pool: "wild", preset: "socket.io" },
    ],
  });
});

afterAll(async () => {
  await router.stop();
  await Promise.all([tame, ...wild].map((origin) => origin.stop()));
});

const OK = "HTTP/1.1 200 OK\r\n";

/** Answers that no origin should give, by the last part of the path. `…-once`: the second request of a path is answered well. */
const MISBEHAVIOURS: Readonly<Record<string, (socket: Socket) => unknown>> = {
  "resets before its head": (socket) => socket.resetAndDestroy(),
  "closes without a word": (socket) => socket.end(),
  "ends in mid-head": (socket) => socket.end(`${OK}content-le`),
  "speaks no HTTP": (socket) => socket.end("SSH-2.0-OpenSSH_9.6\r\n\r\n"),
  "has two lengths": (socket) => socket.end(`${OK}content-length: 3\r\ncontent-length: 4\r\n\r\nhalf`),
  "has a negative length": (socket) => socket.end(`${OK}content-length: -3\r\n\r\nhalf`),
  "has a name that is none": (socket) => socket.end(`${OK}x bad: a\r\ncontent-length: 2\r\n\r\nok`),
  "says status 99": (socket) => socket.end("HTTP/1.1 99 Odd\r\ncontent-length: 0\r\n\r\n"),
  "says status 600": (socket) => socket.end("HTTP/1.1 600 Odd\r\ncontent-length: 2\r\n\r\nok"),
  "switches protocols unasked": (socket) => socket.end("HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nhi"),
  "sends less than its length": (socket) => socket.end(`${OK}content-length: 10\r\n\r\nhalf`),
  "resets in mid-body": (socket) => socket.write(`${OK}content-length: 10\r\n\r\nhalf`, () => setTimeout(() => socket.resetAndDestroy(), 30)),
  "ends between chunks": (socket) => socket.end(`${OK}transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n`),
  "has a broken chunk": (socket) => socket.end(`${OK}transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\nhalf\r\n0\r\n\r\n`),
  "sends more than its length": (socket) => socket.write(`${OK}content-length: 2\r\n\r\nok${OK}content-length: 4\r\n\r\nevil`),
  "has 64 KiB of one header": (socket) => socket.end(`${OK}x-bomb: ${"b".repeat(65_536)}\r\ncontent-length: 2\r\n\r\nok`),
  "has 64 KiB of headers": (socket) => socket.end(`${OK}${bombs()}content-length: 2\r\n\r\nok`),
  "hints early": (socket) => socket.end(`HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n${OK}content-length: 2\r\n\r\nok`),
  "ends by closing": (socket) => socket.end(`${OK}\r\nok`),
  "has trailers": (socket) => socket.end(`${OK}transfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 9\r\n\r\n`),
  "names its own connection's fields": (socket) =>
    socket.end(
      `${OK}connection: close, x-private\r\nx-private: 1\r\nkeep-alive: timeout=5\r\nproxy-authenticate: Basic\r\nx-public: 1\r\ncontent-length: 2\r\n\r\nok`,
    ),
};

const bombs = (): string => Array.from({ length: 1_000 }, (_, n) => `x-bomb-${n}: ${"b".repeat(56)}\r\n`).join("");
const slug = (name: string): string => name.replaceAll(/\W+/g, "-");
const bySlug = new Map(Object.entries(MISBEHAVIOURS).map(([name, answer]) => [slug(name), answer]));

function misbehave(socket: Socket, { path, nth }: { path: string; nth: number }): unknown {
  const [name = "", mark] = (path.split("?")[0]?.split("/").at(-1) ?? "").split("!");
  const answer = bySlug.get(name);
  if (answer && !(mark === "once" && nth > 1)) return answer(socket);
  return socket.end(`${OK}content-length: 4\r\n\r\nwell`);
}

/** workerd itself repeats a request without a body, once, that was lost on a kept-alive connection: the same attempt, seen twice. */
const seenOf = (path: string) => wild.flatMap((origin) => origin.of(path));
const attemptsOf = (path: string) => new Set(seenOf(path).map((request) => Number(toldIn(request).get("attempt") ?? 1))).size;

/** One request below HTTP, without any wish for compression, read until the router closes. */
function ask(method: string, path: string, head = "", body = ""): Promise<RawAnswer> {
  return rawRequest(router.url, `${method} ${path} HTTP/1.1\r\nhost: x\r\naccept-encoding: identity\r\nconnection: close\r\n${head}\r\n${body}`);
}

function problemOf({ status, headers, body }: RawAnswer): [status: number, code: string, proxyStatus: string | undefined] {
  expect(headers.get("content-type")).toBe("application/problem+json");
  expect(body).not.toMatch(/\bat .*:\d+:\d+|Error:/);
  return [status, (JSON.parse(body) as { code: string }).code, headers.get("proxy-status")];
}

/** A visitor's request by Node: streams both ways. */
function visit(method: string, path: string, headers: Record<string, string> = {}): ClientRequest {
  const request = httpRequest(router.url + path, { method, headers, agent: false });
  request.on("error", () => undefined); // looked for where it matters
  return request;
}

async function answerTo(request: ClientRequest): Promise<IncomingMessage> {
  const [answer] = (await once(request, "response")) as [IncomingMessage];
  return answer;
}

async function bytesOf(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Sets what the tame origin does, and waits for its next request. */
function nextAtTame(script: Script): Promise<{ request: IncomingMessage; response: ServerResponse }> {
  return new Promise((resolve) => {
    tame.script = (request, response) => {
      script(request, response);
      resolve({ request, response });
    };
  });
}

async function outcomesOf(pool: string): Promise<Record<string, number>> {
  const { origins } = await router.admin<RingView & { origins: { outcomes: Record<string, number> }[] }>(`rings/${pool}/weur`);
  const sum: Record<string, number> = {};
  for (const { outcomes } of origins) for (const [name, count] of Object.entries(outcomes)) sum[name] = (sum[name] ?? 0) + count;
  return sum;
}

describe("an origin that", () => {
  const UNREACHABLE = [503, "origin-unreachable", "limpet; error=destination_unavailable"];
  const PROTOCOL = [502, "origin-protocol", "limpet; error=http_protocol_error"];

  test.each([
    "resets before its head",
    "closes without a word",
    "ends in mid-head",
    "speaks no HTTP",
    "has two lengths",
    "has a negative length",
    "has a name that is none",
    "says status 99",
  ])("%s gives a problem, after three attempts at most", async (name) => {
    const path = `/wild/a/${slug(name)}`;
    expect(problemOf(await ask("GET", path))).toEqual(UNREACHABLE);
    expect(attemptsOf(path)).toBe(3); // twice the same, and once more because the ring object has found it well
    expect(new Set(seenOf(path).map((request) => toldIn(request).get("origin"))).size).toBe(1);
  });

  test.each(["says status 600", "switches protocols unasked"])(
    "%s gives a problem of its own, on a route with an idle deadline too",
    async (name) => {
      for (const route of ["wild", "idle-wild"]) {
        const path = `/${route}/a/${slug(name)}`;
        expect(problemOf(await ask("GET", path))).toEqual(PROTOCOL);
        expect(attemptsOf(path)).toBe(1);
      }
    },
  );

  test.each(["sends less than its length", "resets in mid-body", "ends between chunks", "has a broken chunk"])(
    "%s is seen to be cut off, and is not asked again",
    async (name) => {
      for (const route of ["wild", "idle-wild"]) {
        const path = `/${route}/a/${slug(name)}`;
        const answer = await ask("GET", path);
        expect([answer.status, answer.whole]).toEqual([200, false]);
        expect(seenOf(path)).toHaveLength(1);
        await expect(router.fetch(path).then((response) => response.text())).rejects.toThrow();
      }
    },
  );

  test("sends more than its length is heard as far as that, and the rest is in nobody's answer", async () => {
    for (let n = 0; n < 5; n++) {
      const answer = await ask("GET", `/wild/a/${slug("sends more than its length")}`);
      expect([answer.status, answer.body]).toEqual([200, "ok"]);
      expect((await ask("GET", "/wild/a/well")).body).toBe("well");
    }
  });

  test.each(["has 64 KiB of one header", "has 64 KiB of headers"])("%s is passed on whole", async (name) => {
    const { status, headers, body } = await ask("GET", `/wild/a/${slug(name)}`);
    const bytes = [...headers].filter(([header]) => header.startsWith("x-bomb")).reduce((sum, [, value]) => sum + value.length, 0);
    expect([status, body, bytes >= 56_000]).toEqual([200, "ok", true]);
  });

  test.each(["hints early", "ends by closing"])("%s is understood", async (name) => {
    const { status, body } = await ask("GET", `/wild/a/${slug(name)}`);
    expect([status, body.includes("ok")]).toEqual([200, true]);
  });

  test("has trailers is answered with its body alone: the platform hands on no trailers, and none are announced", async () => {
    const { status, headers, body } = await ask("GET", `/wild/a/${slug("has trailers")}`);
    expect([status, headers.has("trailer"), body]).toEqual([200, false, "2\r\nok\r\n0\r\n\r\n"]);
  });

  test("names its own connection's fields keeps them to itself", async () => {
    const { headers } = await ask("GET", `/wild/a/${slug("names its own connection's fields")}`);
    expect(["x-private", "keep-alive", "proxy-authenticate", "x-public"].map((name) => headers.has(name))).toEqual([false, false, false, true]);
  });

  test("is asked gets nothing of the visitor's own connection", async () => {
    await ask("GET", "/wild/hop/well", "connection: x-private\r\nx-private: 1\r\nte: trailers\r\nproxy-authorization: Basic eA==\r\nx-public: 1\r\n");
    const head = seenOf("/wild/hop/well")[0]?.head ?? "";
    expect(head).toMatch(/^x-public: 1$/im);
    expect(head).not.toMatch(/^(x-private|te|proxy-authorization|connection|keep-alive):/im);
    expect(head).toMatch(/^via: 1\.1 limpet$/im);
  });
});

describe("what passes untouched", () => {
  const raw = (answer: string | Buffer): Script => {
    return ({ socket }) => void socket.end(answer);
  };

  test("the length of a HEAD's answer", async () => {
    for (const route of ["tame", "idle"]) {
      tame.script = raw(`${OK}content-length: 12345\r\n\r\n`);
      const { status, headers, body } = await ask("HEAD", `/${route}/a/x`);
      expect([status, headers.get("content-length"), body]).toEqual([200, "12345", ""]);
    }
  });

  test("a part of a document, and the question for it", async () => {
    for (const route of ["tame", "idle"]) {
      tame.script = raw("HTTP/1.1 206 Partial Content\r\ncontent-range: bytes 2-5/10\r\naccept-ranges: bytes\r\ncontent-length: 4\r\n\r\n2345");
      const response = await router.fetch(`/${route}/a/x`, { headers: { range: "bytes=2-5", "if-range": '"v1"' } });
      expect([response.status, response.headers.get("content-range"), await response.text()]).toEqual([206, "bytes 2-5/10", "2345"]);
      expect([tame.seen.at(-1)?.headers.range, tame.seen.at(-1)?.headers["if-range"]]).toEqual(["bytes=2-5", '"v1"']);
    }
  });

  test.each([
    [304, 'HTTP/1.1 304 Not Modified\r\netag: "v1"\r\n\r\n'],
    [204, 'HTTP/1.1 204 No Content\r\netag: "v1"\r\n\r\n'],
  ])("an answer without a body: %i", async (status, answer) => {
    for (const route of ["tame", "idle"]) {
      tame.script = raw(answer);
      const got = await ask("GET", `/${route}/a/x`, 'if-none-match: "v1"\r\n');
      expect([got.status, got.headers.get("etag"), got.body]).toEqual([status, '"v1"', ""]);
      expect(tame.seen.at(-1)?.headers["if-none-match"]).toBe('"v1"');
    }
  });

  test.each([301, 302, 303, 307, 308])("a redirect: %i is the visitor's to follow", async (status) => {
    const before = tame.seen.length;
    tame.script = (_, response) => void response.writeHead(status, { location: "/tame/a/elsewhere?x=1#y" }).end();
    const got = await ask("POST", "/tame/a/x", "content-length: 1\r\n", "x");
    expect([got.status, got.headers.get("location"), tame.seen.length - before]).toEqual([status, "/tame/a/elsewhere?x=1#y", 1]);
  });

  test("compressed bytes, the very same", async () => {
    const squeezed = gzipSync("squeezed ".repeat(1_000), { level: 1 });
    tame.script = (_, response) => void response.writeHead(200, { "content-encoding": "gzip" }).end(squeezed);
    const answer = await answerTo(visit("GET", "/tame/a/x", { "accept-encoding": "gzip" }).end());
    expect([answer.headers["content-encoding"], (await bytesOf(answer)).equals(squeezed)]).toEqual(["gzip", true]);
  });

  test("nothing is kept: an answer that any cache may keep is asked for each time", async () => {
    let count = 0;
    tame.script = (_, response) => void response.writeHead(200, { "cache-control": "public, max-age=3600", etag: '"v1"' }).end(String(++count));
    const texts = [await router.fetch("/tame/a/cached"), await router.fetch("/tame/a/cached")].map((response) => response.text());
    expect(await Promise.all(texts)).toEqual(["1", "2"]);
    // The local platform has no cache: this is how one sees that the other was told not to use its own.
    expect(tame.seen.at(-1)?.headers["cache-control"]).toBe("no-cache");
  });

  test("path and query as they were written", async () => {
    tame.script = (_, response) => void response.end();
    await ask("GET", "/tame/a/x%2Fy;z=1/?q=%20a+b&&c=%e9#no");
    expect(tame.seen.at(-1)?.url).toBe("/tame/a/x%2Fy;z=1/?q=%20a+b&&c=%e9");
  });
});

describe("streams", () => {
  const MB = 1024 * 1024;
  const chunk = Buffer.alloc(64 * 1024, "limpet ");
  const expected = (bytes: number): string => {
    const hash = createHash("sha256");
    for (let sent = 0; sent < bytes; sent += chunk.length) hash.update(chunk);
    return hash.digest("hex");
  };

  /** Bytes that have left their sender and are not yet where they go, at most: what the way between holds, sockets included. */
  class Way {
    #under = 0;
    most = 0;

    async pour(into: ClientRequest | ServerResponse, bytes: number): Promise<void> {
      for (let sent = 0; sent < bytes; sent += chunk.length) {
        const waits = !into.write(chunk);
        this.#under += chunk.length;
        this.most = Math.max(this.most, this.#under);
        if (waits) await once(into, "drain");
      }
      into.end();
    }

    async digest(stream: AsyncIterable<Buffer>): Promise<string> {
      const hash = createHash("sha256");
      for await (const part of stream) {
        this.#under -= part.length;
        hash.update(part);
      }
      return hash.digest("hex");
    }
  }

  test.each([
    [100, "tame"],
    [50, "idle"],
  ])("%i MB down, and as much up with a length and without, arrive as they were, and are never held whole (%s)", async (megabytes, route) => {
    const bytes = megabytes * MB;
    const [down, up] = [new Way(), new Way()];
    tame.script = (_, response) => void down.pour(response, bytes);
    expect(await down.digest(await answerTo(visit("GET", `/${route}/a/down`).end()))).toBe(expected(bytes));
    tame.script = (request, response) => void up.digest(request).then((hex) => response.end(hex));
    for (const headers of [{ "content-length": String(bytes) }, { "transfer-encoding": "chunked" }]) {
      const upload = visit("POST", `/${route}/a/up`, headers);
      const [answer] = await Promise.all([answerTo(upload), up.pour(upload, bytes)]);
      expect((await bytesOf(answer)).toString()).toBe(expected(bytes));
    }
    expect(Math.max(down.most, up.most)).toBeLessThan(32 * MB); // four sockets' buffers hold a few each
  });

  const CHUNKS = 10_000;

  test("10,000 chunks down: the first is here before the last is sent", async () => {
    const started = nextAtTame((_, response) => void response.write("first\n"));
    const answer = await answerTo(visit("GET", "/tame/a/stream").end());
    const [first] = (await once(answer, "data")) as [Buffer];
    expect(first.toString()).toBe("first\n");
    const { response } = await started;
    const rest = bytesOf(answer);
    for (let n = 1; n < CHUNKS; n++) if (!response.write(`chunk ${n}\n`)) await once(response, "drain");
    response.end();
    const lines = (await rest).toString().split("\n");
    expect([lines.length, lines[0], lines.at(-2)]).toEqual([CHUNKS, "chunk 1", `chunk ${CHUNKS - 1}`]);
  });

  test("10,000 chunks up: the first is there before the last is sent", async () => {
    const started = nextAtTame(() => undefined);
    const upload = visit("POST", "/tame/a/stream", { "transfer-encoding": "chunked" });
    upload.write("first\n");
    const { request, response } = await started;
    const [first] = (await once(request, "data")) as [Buffer];
    expect(first.toString()).toBe("first\n");
    const rest = bytesOf(request);
    for (let n = 1; n < CHUNKS; n++) if (!upload.write(`chunk ${n}\n`)) await once(upload, "drain");
    upload.end();
    expect((await rest).toString().split("\n")).toHaveLength(CHUNKS);
    response.end("all");
    expect((await bytesOf(await answerTo(upload))).toString()).toBe("all");
  });

  test("both ways at once: a word, an answer, a word", async () => {
    tame.script = (request, response) =>
      void request.on("data", (part: Buffer) => response.write(`heard ${part.toString()}`)).on("end", () => response.end());
    const upload = visit("POST", "/tame/a/duplex", { "transfer-encoding": "chunked" });
    upload.write("one");
    const answer = await answerTo(upload);
    expect(String((await once(answer, "data"))[0])).toBe("heard one");
    upload.write("two");
    expect(String((await once(answer, "data"))[0])).toBe("heard two");
    upload.end();
    expect(await bytesOf(answer)).toHaveLength(0);
  });

  test.each(["tame", "idle"])("single bytes come one at a time (%s)", async (route) => {
    const started = nextAtTame((_, response) => response.flushHeaders());
    const answer = await answerTo(visit("GET", `/${route}/a/drip`).end());
    const { response } = await started;
    for (const letter of "drip") {
      response.write(letter);
      expect(String((await once(answer, "data"))[0])).toBe(letter);
    }
    response.end();
  });

  test.each(["content-length: 50000000", "transfer-encoding: chunked"])(
    "an answer that comes before an upload's end arrives at once (%s)",
    async (framing) => {
      tame.script = (_, response) => void response.writeHead(413, { "content-length": "8" }).end("too much");
      const socket = await connectRaw(router.url);
      const answer = rawAnswer(socket);
      const part = framing.startsWith("t") ? `4000\r\n${"a".repeat(16_384)}\r\n` : "a".repeat(16_384);
      socket.write(`POST /tame/a/early HTTP/1.1\r\nhost: x\r\n${framing}\r\n\r\n${part}`);
      await once(socket, "data");
      socket.end();
      expect(await answer).toMatchObject({ status: 413, body: "too much" });
    },
  );
});

// These visitors reset their connection. Of one that only closes its side (FIN) workerd learns when it next writes to it.
describe("a visitor who leaves", () => {
  /** What is told of a fault brings with it everything that was counted before. */
  async function settledOutcomes(): Promise<Record<string, number>> {
    const before = await outcomesOf("tame");
    tame.script = (_, response) => void response.writeHead(500).end();
    await ask("GET", "/tame/a/fault");
    const told = async () => {
      const now = await outcomesOf("tame");
      return (now["origin-fault"] ?? 0) > (before["origin-fault"] ?? 0) && now;
    };
    return eventually("outcomes are told", told);
  }

  let before: Record<string, number>;
  beforeEach(async () => {
    before = await settledOutcomes();
  });
  afterEach(async () => {
    const after = await settledOutcomes();
    expect([after["origin-fault"], after["timeout"]]).toEqual([(before["origin-fault"] ?? 0) + 1, before["timeout"]]); // nobody's but the one
  });

  test("before the head is seen by the origin", async () => {
    const started = nextAtTame(() => undefined);
    const visitor = await connectRaw(router.url);
    visitor.write("GET /tame/a/slow HTTP/1.1\r\nhost: x\r\n\r\n");
    const { response } = await started;
    visitor.resetAndDestroy();
    await eventually("the origin sees it", () => response.closed);
  });

  test.each(["tame", "idle"])("in mid-body is seen by the origin (%s)", async (route) => {
    const started = nextAtTame((_, response) => void response.write("first"));
    const visitor = await connectRaw(router.url);
    visitor.write(`GET /${route}/a/long HTTP/1.1\r\nhost: x\r\n\r\n`);
    await once(visitor, "data");
    const { response } = await started;
    visitor.resetAndDestroy();
    await eventually("the origin sees it", () => response.closed);
  });

  test("in mid-upload leaves no upload that looks whole", async () => {
    const started = nextAtTame(() => undefined);
    const visitor = await connectRaw(router.url);
    visitor.write("POST /tame/a/cut HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    const { request } = await started;
    request.on("error", () => undefined);
    await once(request, "data");
    visitor.resetAndDestroy();
    await eventually("the origin sees it", () => request.closed || request.errored !== null);
    expect(request.complete).toBe(false);
  });
});

describe("deadlines", () => {
  test("an origin that says nothing in time: 504 for whatever was asked, told as such, and not sent again", async () => {
    const before = await outcomesOf("tame");
    tame.script = () => undefined;
    for (const [method, head, body] of [
      ["GET", "", ""],
      ["PUT", "content-length: 2\r\n", "ab"],
      ["POST", "transfer-encoding: chunked\r\n", "2\r\nab\r\n0\r\n\r\n"],
    ] as const) {
      const count = tame.seen.length;
      expect(problemOf(await ask(method, "/hasty/a/x", head, body))).toEqual([504, "origin-timeout", "limpet; error=http_response_timeout"]);
      expect(tame.seen.length - count).toBe(1);
    }
    await eventually("they are told as time-outs", async () => ((await outcomesOf("tame"))["timeout"] ?? 0) === (before["timeout"] ?? 0) + 3);
  });

  test.each([
    ["with its length", { "content-length": "6" }],
    ["without", { "transfer-encoding": "chunked" }],
  ])("a visitor who uploads slowly, %s, is no delay of the origin's, which has its time from then on", async (_, headers) => {
    for (const answers of [true, false]) {
      let got = "";
      tame.script = (request, response) => {
        request.on("data", (part: Buffer) => (got += part.toString()));
        request.on("end", () => (answers ? response.end("all of it") : undefined));
      };
      const request = visit("POST", "/hasty/a/x", { ...headers, "accept-encoding": "identity" });
      const answer = answerTo(request);
      for (const part of ["ab", "cd", "ef"]) {
        request.write(part);
        await new Promise((resolve) => setTimeout(resolve, FIRST_BYTE_MS)); // the slowness itself
      }
      request.end();
      expect([(await answer).statusCode, got]).toEqual([answers ? 200 : 504, "abcdef"]);
    }
  });

  test.each(["hasty", "both"])("the first byte's deadline does not cut a body that takes longer (%s)", async (route) => {
    tame.script = (_, response) => {
      response.write("first ");
      setTimeout(() => response.end("last"), 3 * FIRST_BYTE_MS);
    };
    expect(await (await router.fetch(`/${route}/a/x`)).text()).toBe("first last");
  });

  test("a pause that is too long cuts the body, and the visitor sees that it is cut", async () => {
    const started = nextAtTame((_, response) => void response.write("first"));
    const answer = await ask("GET", "/idle/a/x");
    expect([answer.status, answer.whole]).toEqual([200, false]);
    const { response } = await started;
    await eventually("the origin's side is closed too", () => response.closed);
  });

  test("pauses that are not, do not, however many", async () => {
    tame.script = (_, response) => {
      let left = 4;
      const timer = setInterval(() => {
        response.write("drip ");
        if (--left > 0) return;
        clearInterval(timer);
        response.end();
      }, IDLE_MS / 2);
    };
    expect(await (await router.fetch("/idle/a/x")).text()).toBe("drip drip drip drip ");
  });

  test("a visitor who reads slowly is not the origin's pause", async () => {
    const bytes = 20 * 1024 * 1024;
    tame.script = (_, response) => void response.end(Buffer.alloc(bytes));
    const answer = await answerTo(visit("GET", "/idle/a/x").end());
    answer.pause();
    await new Promise((resolve) => setTimeout(resolve, 3 * IDLE_MS)); // the pause itself
    expect(await bytesOf(answer)).toHaveLength(bytes);
  });
});

test.each(["sends less than its length", "resets in mid-body"])("an origin whose open packet %s is told as its own fault", async (name) => {
  const answer = await ask("GET", `/io/${slug(name)}?EIO=4&transport=polling`);
  expect(problemOf(answer)).toEqual([502, "origin-protocol", "limpet; error=http_protocol_error"]);
});

describe("what is sent again", () => {
  const RESET = `${slug("resets before its head")}!once`;

  test("a GET of a session: to the same origin, with the attempt's number and one request id", async () => {
    for (const key of ["a", "b", "c", "d"]) {
      const path = `/wild/${key}/${RESET}`;
      const { status, body } = await ask("GET", path);
      expect([status, body]).toEqual([200, "well"]);
      const told = seenOf(path).map(toldIn);
      expect(new Set(told.map((field) => field.get("origin"))).size).toBe(1);
      expect(new Set(told.map((field) => field.get("request"))).size).toBe(1);
    }
  });

  test("the attempt's number is told from the second on, and the problem says the same request id", async () => {
    const path = `/wild/n/${slug("closes without a word")}`;
    const { body } = await ask("GET", path);
    const told = seenOf(path).map(toldIn);
    expect(new Set(told.map((field) => field.get("attempt")))).toEqual(new Set([undefined, 2, 3]));
    expect(new Set(told.map((field) => field.get("request")))).toEqual(new Set([(JSON.parse(body) as { requestId: string }).requestId]));
  });

  test.each([
    ["a POST", "wild", "POST", "", "abc"],
    ["a POST without a body", "wild", "POST", "", ""],
    ["a PATCH", "kept", "PATCH", "", "abc"],
    ["a POST whose body is kept", "kept", "POST", "", "abc"],
    ["a PUT whose body was streamed", "wild", "PUT", "", "abc"],
    ["a PUT whose body is longer than is kept", "kept", "PUT", "", "a".repeat(1_001)],
    ["a POST with a key that its route does not heed", "unheeded", "POST", "idempotency-key: k\r\n", "abc"],
    ["a POST with a key whose body was streamed", "streamed", "POST", "idempotency-key: k\r\n", "abc"],
  ])("not %s", async (name, route, method, head, body) => {
    const path = `/${route}/${slug(name)}/${RESET}`;
    expect(problemOf(await ask(method, path, `${head}content-length: ${body.length}\r\n`, body))[1]).toBe("origin-unreachable");
    expect(seenOf(path)).toHaveLength(1);
  });

  test.each([
    ["a PUT whose body is kept", "PUT", "", "abc"],
    ["a PUT whose body is as long as is kept", "PUT", "", "a".repeat(1_000)],
    ["a DELETE", "DELETE", "", ""],
    ["a POST with a key that its route heeds", "POST", "idempotency-key: k\r\n", "abc"],
    ["a PATCH with a key that its route heeds", "PATCH", "idempotency-key: k\r\n", "abc"],
  ])("%s, with the same body", async (name, method, head, body) => {
    const bodies: string[] = [];
    const path = `/kept/${slug(name)}/x`;
    for (const origin of wild) {
      origin.script = (socket, { nth }) => {
        let text = "";
        const heard = (): void => {
          bodies.push(text);
          if (nth === 1) socket.resetAndDestroy();
          else socket.end(`${OK}content-length: 4\r\n\r\nwell`);
        };
        if (body === "") return heard();
        socket.on("data", (part: Buffer) => {
          text += part.toString();
          if (text.length === body.length) heard();
        });
        return undefined;
      };
    }
    const answer = await ask(method, path, `${head}content-length: ${body.length}\r\n`, body);
    for (const origin of wild) origin.script = misbehave;
    expect([answer.status, answer.body]).toEqual([200, "well"]);
    expect(bodies).toEqual([body, body]);
    expect(new Set(seenOf(path).map((request) => toldIn(request).get("origin"))).size).toBe(1);
  });

  test("a stateless GET: along the walk, to each origin once", async () => {
    const path = `/walk/${slug("closes without a word")}`;
    await ask("GET", path);
    expect(new Set(seenOf(path).map((request) => toldIn(request).get("origin")))).toEqual(new Set(["wild-1", "wild-2"]));
    expect(attemptsOf(path)).toBe(2);
  });

  test.each([
    ["waste/k", 1_000],
    ["walk", 300],
  ])("no more than a fifth, and a hundred: of /%s", async (prefix, requests) => {
    const path = `/${prefix}/wasted`;
    for (const origin of wild) origin.script = (socket) => socket.end();
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        for (let n = 0; n < requests / 20; n++) expect((await router.fetch(path)).status).toBe(503);
      }),
    );
    for (const origin of wild) origin.script = misbehave;
    const attempts = new Set(seenOf(path).map((request) => [...toldIn(request)].join())).size; // the platform's own repeats are no attempts
    expect(attempts).toBeGreaterThan(requests + 50); // it does try
    expect(attempts).toBeLessThanOrEqual(requests * 1.2 + 100);
  });
});
