// The relay's own promises: what a handshake brings to either side, what becomes of a close, and what is under way when it comes.

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocketServer, type PerMessageDeflateOptions } from "ws";
import { HANDSHAKE_TIMEOUT_MS, SOCKET_BUFFER_MAX_BYTES, SOCKET_LOOK_BYTES } from "../../src/platform/limits.ts";
import { rawRequest } from "../support/raw-client.ts";
import { acceptRawWebSocket, BINARY, CLOSE, closePayload, CONTINUATION, openRawWebSocket, TEXT, type RawPeer } from "../support/raw-websocket.ts";
import { startRawOrigin, type RawOrigin, type RawRequest } from "../support/scripted-origin.ts";
import { eventually, startDev } from "../support/stack.ts";
import { refusedHandshake, visit } from "../support/visitor.ts";

const CLOSE_DEADLINE_MS = 700;

/** What servers may want of compression. */
const DEFLATING: Readonly<Record<string, PerMessageDeflateOptions>> = {
  "nothing-special": {},
  "no-context-takeover": { serverNoContextTakeover: true, clientNoContextTakeover: true },
  "a-server-window": { serverMaxWindowBits: 10 },
};

let origin: RawOrigin;
let deflating: Awaited<ReturnType<typeof startDeflating>>;
let router: Awaited<ReturnType<typeof startDev>>;
type Script = (
  socket: RawRequest & { readonly accept: (headers?: Record<string, string>) => RawPeer; readonly write: (text: string) => void },
) => unknown;
const scripts = new Map<string, Script>();
let lastKey = 0;

beforeAll(async () => {
  origin = await startRawOrigin("raw", (socket, request) => {
    const accept = (headers?: Record<string, string>): RawPeer => acceptRawWebSocket(socket, request, headers);
    return scripts.get(request.path)?.({ ...request, accept, write: (text) => socket.write(text) });
  });
  deflating = await startDeflating();
  const route = { pool: "raw", session: [{ path: "session" }], home: "weur" };
  const prelude = (frames: number): object => ({ mode: "transparent", prelude: { frames, bytes: 1000, swallow: 0, mute: false } });
  router = await startDev({
    configRevision: 1,
    defaultRegion: "weur",
    regions: { weur: {} },
    pools: {
      raw: { closeDeadlineMs: CLOSE_DEADLINE_MS, origins: [{ id: "o0", region: "weur", url: origin.url }] },
      deflating: { origins: [{ id: "o0", region: "weur", url: deflating.url }] },
    },
    routes: [
      { ...route, path: "/plain/:session" },
      { ...route, path: "/deflate/:session", pool: "deflating" },
      { ...route, path: "/moved/:session", resume: prelude(0) },
      {
        ...route,
        path: "/ours/:session",
        allowedOrigins: ["https://APP.example.com:443", "http://localhost:3000"],
      },
    ],
  });
});

afterAll(async () => {
  await router?.stop();
  await origin?.stop();
  await deflating?.stop();
});

function at(route: string, script: Script): string {
  const path = `/${route}/${++lastKey}`;
  scripts.set(path, script);
  return path;
}

/** A raw visitor and the raw origin's end of the same connection. */
async function pair(route = "plain"): Promise<{ visitor: RawPeer; origin: RawPeer; path: string }> {
  const opened = Promise.withResolvers<RawPeer>();
  const path = at(route, ({ accept }) => opened.resolve(accept()));
  const visitor = await openRawWebSocket(router.url, path);
  return { visitor, origin: await opened.promise, path };
}

const texts = ({ frames }: RawPeer): string[] => frames.filter(({ opcode }) => opcode === TEXT).map(({ payload }) => payload.toString());
const closes = ({ frames }: RawPeer): string[] =>
  frames
    .filter(({ opcode }) => opcode === CLOSE)
    .map(({ payload }) => (payload.length < 2 ? "no code" : `${payload.readUInt16BE(0)} ${payload.toString("utf8", 2)}`.trimEnd()));
const gone = (path: string): Promise<true> =>
  eventually("the session is over", async () => (await router.session(path.split("/").at(-1) ?? "", "raw")) === undefined);

describe("a close", () => {
  test("is answered by the other side, with what it says", async () => {
    const { visitor, origin: peer } = await pair();
    peer.onClose = () => peer.send(CLOSE, closePayload(4003, "and mine"));
    visitor.send(CLOSE, closePayload(4002, "my reasons"));
    await visitor.ended;
    expect([closes(peer), closes(visitor)]).toEqual([["4002 my reasons"], ["4003 and mine"]]);
  });

  test("of a visitor's ends nothing that its origin still says before it answers", async () => {
    const { visitor, origin: peer } = await pair();
    peer.onClose = ({ payload }) => {
      peer.send(TEXT, "late");
      setTimeout(() => {
        peer.send(TEXT, "later");
        peer.send(CLOSE, payload);
      }, 100);
    };
    visitor.send(TEXT, "last");
    visitor.send(CLOSE, closePayload(1000));
    await visitor.ended;
    expect([texts(peer), texts(visitor), closes(visitor)]).toEqual([["last"], ["late", "later"], ["1000"]]);
  });

  test("of an origin's ends nothing that its visitor still says before it answers", async () => {
    const { visitor, origin: peer } = await pair();
    visitor.onClose = ({ payload }) => {
      visitor.send(TEXT, "late");
      setTimeout(() => {
        visitor.send(TEXT, "later");
        visitor.send(CLOSE, payload);
      }, 100);
    };
    peer.send(TEXT, "last");
    peer.send(CLOSE, closePayload(4000, "done"));
    await peer.heard(3);
    expect([texts(visitor), texts(peer), closes(peer)]).toEqual([["last"], ["late", "later"], ["4000 done"]]);
  });

  test("from both sides at once reaches each with the other's code", async () => {
    const { visitor, origin: peer } = await pair();
    for (const each of [visitor, peer]) each.onClose = () => undefined; // both have said theirs
    visitor.send(CLOSE, closePayload(4001, "mine"));
    peer.send(CLOSE, closePayload(4002, "yours"));
    await Promise.all([visitor.heard(1), peer.heard(1)]);
    expect([closes(visitor), closes(peer)]).toEqual([["4002 yours"], ["4001 mine"]]);
  });

  test("that an origin never answers is answered for it in time, and its connection is cut", async () => {
    const { visitor, origin: peer, path } = await pair();
    peer.onClose = () => undefined;
    const startMs = performance.now();
    visitor.send(CLOSE, closePayload(4002, "bye"));
    await visitor.ended;
    expect(performance.now() - startMs).toBeGreaterThan(CLOSE_DEADLINE_MS - 50);
    expect(closes(visitor)).toEqual(["4002 bye"]);
    await gone(path);
    expect(await peer.ended).toBe("in order"); // without a close frame: TCP alone
    expect(peer.frames.length).toBe(1);
  });

  test("that a visitor never answers is answered for them in time", async () => {
    const { visitor, origin: peer, path } = await pair();
    visitor.onClose = () => undefined;
    peer.send(CLOSE, closePayload(4000, "bye"));
    await peer.heard(1);
    expect(closes(peer)).toEqual(["4000 bye"]);
    await gone(path);
    visitor.socket.destroy();
  });

  test("then an end of TCP without waiting for the answer is no second one", async () => {
    const { visitor, origin: peer, path } = await pair();
    peer.onClose = () => setTimeout(() => peer.send(CLOSE, closePayload(4002)), 100);
    visitor.socket.end(visitor.frame(CLOSE, closePayload(4002)));
    await peer.heard(1);
    expect(closes(peer)).toEqual(["4002"]);
    await gone(path);
  });

  test("of the runtime's for a lost visitor reaches the origin as 1011, and the session is over", async () => {
    const { visitor, origin: peer, path } = await pair();
    visitor.send(TEXT, "last words");
    await peer.heard(1);
    visitor.socket.resetAndDestroy();
    await peer.heard(2);
    expect([texts(peer), closes(peer)]).toEqual([["last words"], ["1011 the connection was lost"]]);
    await gone(path);
  });
});

describe("a visitor who leaves while there is no leg", () => {
  /** The first leg is cut; the second is accepted when the test says. */
  async function legless(): Promise<{ visitor: RawPeer; path: string; dialled: () => Promise<unknown>; accept: () => RawPeer }> {
    const accepts: (() => RawPeer)[] = [];
    const path = at("moved", ({ accept, nth }) => void (nth === 1 ? accept().socket.resetAndDestroy() : accepts.push(() => accept())));
    const visitor = await openRawWebSocket(router.url, path);
    const dialled = (): Promise<unknown> => eventually("it is dialled again", () => accepts.length > 0);
    return { visitor, path, dialled, accept: () => accepts[0]?.() as RawPeer };
  }

  test("is heard by the next: what they sent, and the close, and they hear its answers", async () => {
    const { visitor, path, dialled, accept } = await legless();
    await dialled();
    for (const text of ["one", "two"]) visitor.send(TEXT, text);
    visitor.send(CLOSE, closePayload(4001, "that is all"));
    const next = accept();
    next.onClose = ({ payload }) => {
      next.send(TEXT, "heard");
      next.send(CLOSE, payload);
    };
    await visitor.ended;
    expect([texts(next), closes(next), texts(visitor), closes(visitor)]).toEqual([
      ["one", "two"],
      ["4001 that is all"],
      ["heard"],
      ["4001 that is all"],
    ]);
    await gone(path);
  });

  test("is answered in time where the next takes long, and is still heard by it", async () => {
    const { visitor, path, dialled, accept } = await legless();
    await dialled();
    visitor.send(TEXT, "one");
    visitor.send(CLOSE, closePayload(4001));
    await visitor.ended;
    expect(closes(visitor)).toEqual(["4001"]);
    const next = accept();
    await next.heard(2);
    expect([texts(next), closes(next)]).toEqual([["one"], ["4001"]]);
    await gone(path);
  });

  test("by a cut is still heard by the next", async () => {
    const { visitor, path, dialled, accept } = await legless();
    await dialled();
    visitor.send(TEXT, "one");
    await new Promise<void>((resolve) => visitor.socket.end(() => resolve()));
    const next = accept();
    await next.heard(2);
    expect([texts(next), closes(next)]).toEqual([["one"], ["1011 the connection was lost"]]);
    await gone(path);
  });

  test("without having said anything is answered at once, and nobody is troubled", async () => {
    const { visitor, path, dialled, accept } = await legless();
    await dialled();
    const startMs = performance.now();
    visitor.send(CLOSE, closePayload(4001));
    await visitor.ended;
    expect(performance.now() - startMs).toBeLessThan(CLOSE_DEADLINE_MS);
    expect(closes(visitor)).toEqual(["4001"]);
    await gone(path);
    const next = accept();
    await next.ended;
    expect(texts(next)).toEqual([]);
  });
});

describe("a slow reader", () => {
  /** Sends until the reader is given up; what was sent by then, in bytes. */
  async function flood(from: RawPeer): Promise<number> {
    const frame = from.frame(BINARY, Buffer.alloc(64 * 1024));
    let sent = 0;
    let isOver = false;
    void from.heard(1).then(() => (isOver = true));
    while (!isOver && sent < 256 * 1024 * 1024) {
      sent += frame.length;
      if (!from.socket.write(frame)) await Promise.race([once(from.socket, "drain"), from.heard(1)]);
    }
    return sent;
  }

  test("among visitors is told 1013, and the origin that the visitor has gone", async () => {
    const { visitor, origin: peer, path } = await pair();
    visitor.socket.pause();
    const sent = await flood(peer);
    expect(closes(peer)).toEqual(["1001"]);
    // The bound, what was sent since the last look, and what fits into the buffers of four ends of TCP.
    expect(sent).toBeLessThan(SOCKET_BUFFER_MAX_BYTES + SOCKET_LOOK_BYTES + 32 * 1024 * 1024);
    await gone(path);
    visitor.socket.resume();
    await visitor.ended;
    expect(closes(visitor)).toEqual(["1013 you read too slowly: please reconnect"]);
  });

  test("among origins has its visitor told 1013", async () => {
    const { visitor, origin: peer, path } = await pair();
    peer.socket.pause();
    await flood(visitor);
    expect(closes(visitor)).toEqual(["1013 the origin reads too slowly: please reconnect"]);
    await gone(path);
    peer.socket.destroy();
  });
});

describe("an origin that sends what cannot be carried", () => {
  test.each([
    [
      "a message of more than 32 MiB",
      (peer: RawPeer) => {
        for (let n = 0; n < 33; n++) peer.send(n === 0 ? BINARY : CONTINUATION, Buffer.alloc(1024 * 1024), { fin: n === 32 });
      },
      "1011 the other side sent a message of more than 32 MiB",
    ],
    ["a frame that breaks the protocol", (peer: RawPeer) => peer.send(3, "?"), "1011 the other side broke the WebSocket protocol"],
  ])("%s is not dialled again for the same to come again", async (_, send, close) => {
    const path = at("moved", ({ accept }) => send(accept()));
    const visitor = await openRawWebSocket(router.url, path);
    await visitor.ended;
    expect(closes(visitor)).toEqual([close]);
    await gone(path);
    expect(origin.of(path).length).toBe(1);
  });
});

describe("a handshake", () => {
  test("brings the origin's own headers to the visitor, and none that belong to its connection", async () => {
    const path = at("plain", ({ accept }) =>
      accept({
        "set-cookie": "a=1",
        "x-own": "yes",
        "x-hop": "no",
        connection: "Upgrade, X-Hop",
        "keep-alive": "timeout=5",
        "sec-websocket-protocol": "v2",
      }),
    );
    const { head } = await openRawWebSocket(router.url, path, { "sec-websocket-protocol": "v1, v2" });
    expect(head).toMatch(/^set-cookie: a=1\r?$/im);
    expect(head).toMatch(/^x-own: yes\r?$/im);
    expect(head).toMatch(/^sec-websocket-protocol: v2\r?$/im);
    expect(head).not.toMatch(/^(x-hop|keep-alive|limpet-[^:]*):/im);
    expect(origin.of(path)[0]?.head).toMatch(/^sec-websocket-protocol: v1, v2$/im);
  });

  test.each([
    [
      "401 with its body",
      "HTTP/1.1 401 No\r\nconnection: close\r\nwww-authenticate: Bearer\r\nx-own: 1\r\ncontent-length: 3\r\n\r\nno!",
      401,
      { "www-authenticate": "Bearer", "x-own": "1" },
      "no!",
    ],
    [
      "302 to elsewhere",
      "HTTP/1.1 302 Found\r\nconnection: close\r\nlocation: https://elsewhere.example/log-in\r\ncontent-length: 0\r\n\r\n",
      302,
      { location: "https://elsewhere.example/log-in" },
      "",
    ],
    [
      "200 without an upgrade",
      "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello",
      200,
      { "content-type": "text/plain" },
      "hello",
    ],
    [
      "426 for another version",
      "HTTP/1.1 426 Upgrade Required\r\nconnection: close\r\nsec-websocket-version: 13\r\ncontent-length: 0\r\n\r\n",
      426,
      {},
      "",
    ],
    ["429 with a time", "HTTP/1.1 429 Slow\r\nconnection: close\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n", 429, { "retry-after": "7" }, ""],
  ])("that is refused comes back as it is: %s", async (_, answer, status, headers, body) => {
    const path = at("plain", ({ write }) => write(answer));
    const refused = await refusedHandshake(router.wsUrl + path);
    expect([refused.status, refused.body]).toEqual([status, body]);
    expect(refused.headers).toMatchObject(headers);
    await gone(path);
  });

  test("is compressed on the origin's leg where visitor and origin both offer it", async () => {
    const path = at("plain", ({ accept, head }) => {
      const peer = accept(/permessage-deflate/i.test(head) ? { "sec-websocket-extensions": "permessage-deflate" } : {});
      void peer.heard(1).then(() => peer.socket.write(peer.frame(TEXT, "plain")));
      opened.resolve(peer);
    });
    const opened = Promise.withResolvers<RawPeer>();
    const visitor = await visit(router.wsUrl + path);
    expect(visitor.socket.extensions).toBe("permessage-deflate");
    visitor.socket.send("a".repeat(5000));
    const peer = await opened.promise;
    await peer.heard(1);
    expect([peer.frames[0]?.rsv, (peer.frames[0]?.payload.length ?? 0) < 100]).toEqual([4, true]);
    await eventually("an answer that is not compressed is heard too", () => visitor.heard.includes("plain"));
    visitor.socket.terminate();
    const without = at("plain", ({ accept }) => void accept());
    (await openRawWebSocket(router.url, without, { "sec-websocket-extensions": "x-other; permessage-deflate=no" })).socket.destroy();
    expect(origin.of(without)[0]?.head).not.toMatch(/sec-websocket-extensions/i);
  });

  test.each(Object.keys(DEFLATING))("agrees on compression with a server that wants %s, and every message is whole", async (kind) => {
    const visitor = await visit(`${router.wsUrl}/deflate/${kind}`);
    const messages = ["", "a", "zwölf ☃".repeat(1000), "a".repeat(1024 * 1024), "again ".repeat(1000), "again ".repeat(1000)];
    for (const message of messages) visitor.socket.send(message);
    await eventually("all are echoed", () => visitor.heard.length === messages.length);
    expect(visitor.heard).toEqual(messages);
    expect(deflating.extensions.get(`/deflate/${kind}`)).toBe("permessage-deflate");
    visitor.socket.close();
    await visitor.closed;
  });

  test(
    "that is never answered is given up in time, and leaves nothing behind that cuts what is established after it",
    { timeout: 40_000 },
    async () => {
      const hung = at("plain", () => undefined);
      const startMs = performance.now();
      const refused = refusedHandshake(router.wsUrl + hung).then(({ status }) => ({ status, tookMs: performance.now() - startMs }));

      // Its first leg is cut, its second is never answered, its third is there for longer than a handshake may take.
      const legs: RawPeer[] = [];
      const path = at("moved", ({ accept, nth }) => {
        if (nth !== 2) legs.push(accept());
      });
      const visitor = await openRawWebSocket(router.url, path);
      legs[0]?.socket.resetAndDestroy();
      await eventually("the third leg is there", () => legs[1]);
      visitor.send(TEXT, "before");
      await new Promise((resolve) => setTimeout(resolve, HANDSHAKE_TIMEOUT_MS + 500));
      visitor.send(TEXT, "after");
      await legs[1]?.heard(2);
      expect([texts(legs[1] as RawPeer), closes(visitor), origin.of(path).length]).toEqual([["before", "after"], [], 3]);
      visitor.socket.destroy();

      const { status, tookMs } = await refused;
      expect(status).toBe(503);
      expect(tookMs).toBeLessThan(HANDSHAKE_TIMEOUT_MS + 1_500);
      await gone(hung);
    },
  );

  test("with a new leg that chooses another subprotocol closes the visitor, who was told one, with 1012", async () => {
    const path = at("moved", ({ accept, nth }) => {
      const peer = accept({ "sec-websocket-protocol": nth === 1 ? "v1" : "v2" });
      if (nth === 1) setTimeout(() => peer.socket.resetAndDestroy(), 50);
      else others.push(peer);
    });
    const others: RawPeer[] = [];
    const visitor = await openRawWebSocket(router.url, path, { "sec-websocket-protocol": "v1, v2" });
    await visitor.ended;
    expect(closes(visitor)[0]).toMatch(/^1012 /);
    await others[0]?.ended;
    expect(texts(others[0] as RawPeer)).toEqual([]);
    await gone(path);
  });
});

describe("allowed origins", () => {
  const from = async (path: string, ...origins: string[]): Promise<number> => {
    const fields = origins.map((each) => `origin: ${each}\r\n`).join("");
    const answer = rawRequest(
      router.url,
      `GET ${path} HTTP/1.1\r\nhost: ${new URL(router.url).host}\r\nupgrade: websocket\r\nconnection: Upgrade, close\r\nsec-websocket-version: 13\r\nsec-websocket-key: MTIzNDU2Nzg5MDEyMzQ1Ng==\r\n${fields}\r\n`,
    );
    return (await answer).status;
  };

  test.each([
    ["none", []],
    ["null, as of a sandboxed frame", ["null"]],
    ["another host", ["https://evil.example.com"]],
    ["another scheme", ["http://app.example.com"]],
    ["another port", ["https://app.example.com:8443"]],
    ["the default port, which no browser writes", ["https://app.example.com:443"]],
    ["upper case, which no browser writes", ["https://APP.example.com"]],
    ["a path behind it", ["https://app.example.com/"]],
    ["a host that begins alike", ["https://app.example.com.evil.example"]],
    ["two of them", ["https://app.example.com", "https://evil.example.com"]],
    ["two of them in one line", ["https://app.example.com, https://evil.example.com"]],
  ])("refuse a socket whose page says %s", async (_, origins) => {
    expect(await from("/ours/a", ...origins)).toBe(403);
  });

  test("are asked before the session: neither a bad key nor an unreachable issuer is looked at", async () => {
    expect(await from("/ours/%ff", "https://evil.example.com")).toBe(403);
    expect(await from("/ours/%ff", "https://app.example.com")).toBe(400);
  });

  test.each(["https://app.example.com", "http://localhost:3000"])("let a page of %s in", async (page) => {
    const path = at("ours", ({ accept }) => void accept());
    (await openRawWebSocket(router.url, path, { origin: page })).socket.destroy();
    expect(origin.of(path)[0]?.head).toMatch(new RegExp(`^origin: ${page}$`, "im"));
  });
});

/** Origins of the `ws` library that echo, compressed as their path says. */
async function startDeflating() {
  const extensions = new Map<string, string>();
  const server = createServer((_, response) => void response.end("ok"));
  const servers = Object.entries(DEFLATING).map(([kind, options]) => {
    return [`/deflate/${kind}`, new WebSocketServer({ noServer: true, perMessageDeflate: { threshold: 0, ...options } })] as const;
  });
  server.on("upgrade", (request, socket, head) => {
    const [path, sockets] = servers.find(([each]) => each === request.url) ?? [];
    if (path === undefined) return void socket.destroy();
    sockets?.handleUpgrade(request, socket, head, (connection) => {
      extensions.set(path, connection.extensions);
      connection.on("message", (data, binary) => connection.send(data as Buffer, { binary }));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    extensions,
    stop: async () => {
      for (const [, { clients }] of servers) for (const connection of clients) connection.terminate();
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
