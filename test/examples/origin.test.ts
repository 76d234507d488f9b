// The demo's origin, as a real process with its real clients: y-websocket, EventSource, fetch.

import { once } from "node:events";
import { connect } from "node:net";
import { EventSource, type FetchLike } from "eventsource";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import WebSocket from "ws";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";
import { Fleet } from "../../examples/collab/fleet.ts";
import { startControl } from "../../examples/collab/fleet-control.ts";
import { EVENT_EVERY_MS, MISSED_MAX, firstEventAfter, newestEvent } from "../../examples/collab/history.ts";
import { runOrigin, startOrigin, within, type OriginProcess } from "./origin-process.ts";

let first: OriginProcess;
let second: OriginProcess;
const cleanUp: (() => void)[] = [];

beforeAll(async () => {
  [first, second] = await Promise.all([startOrigin("weur-1"), startOrigin("weur-2")]);
});
afterEach(() => {
  for (const step of cleanUp.splice(0)) step();
});
afterAll(async () => {
  await Promise.all([first.signal("SIGKILL"), second.signal("SIGKILL")]);
});

describe("documents", () => {
  test("two visitors of one document see the same text and each other", async () => {
    const [ada, bo] = [visitor(first, "doc-1"), visitor(first, "doc-1")];
    ada.awareness.setLocalStateField("user", { name: "Ada" });
    ada.doc.getText("body").insert(0, "hello");
    await until(bo.doc, "update", () => textOf(bo) === "hello");
    bo.doc.getText("body").insert(5, " there");
    await until(ada.doc, "update", () => textOf(ada) === "hello there");
    await until(bo.awareness, "change", () => bo.awareness.getStates().get(ada.doc.clientID)?.["user"]?.name === "Ada");
  });

  test("a document's name may be any text, decoded once", async () => {
    const [ada, bo] = [visitor(first, "caf%C3%A9%2Fx"), visitor(first, "caf%c3%a9%2fx")];
    ada.doc.getText("body").insert(0, "same");
    await until(bo.doc, "update", () => textOf(bo) === "same");
  });

  test("visitors who come back after a restart bring the text with them", async () => {
    const origin = await startOrigin("weur-9");
    const ada = visitor(origin, "doc-2");
    ada.doc.getText("body").insert(0, "kept");
    await until(ada, "sync", () => ada.synced);
    const left = until(ada, "connection-close", () => !ada.wsconnected);
    await origin.signal("SIGKILL");
    await left;
    ada.serverUrl = wsUrl(second);
    const bo = visitor(second, "doc-2");
    await until(bo.doc, "update", () => textOf(bo) === "kept");
  });

  test("a socket to anything but one document is refused", async () => {
    for (const path of ["/", "/collab", "/collab/", "/collab/a/b", "/collab/%E0%A4%A", `/collab/${"x".repeat(257)}`]) {
      const socket = new WebSocket(wsUrl(first).replace("/collab", path));
      const [, response] = await within(once(socket, "unexpected-response"), path);
      expect(response.statusCode, path).toBe(404);
      response.destroy();
    }
  });
});

describe("events", () => {
  test("ids grow by one, each event says its number and its origin", async () => {
    const events = await take(eventsOf(first), 3);
    const start = Number(events[0]?.lastEventId);
    expect(events.map(({ lastEventId }) => Number(lastEventId))).toEqual([start, start + 1, start + 2]);
    expect(JSON.parse(String(events[0]?.data))).toEqual({ n: start, origin: "weur-1" });
  });

  test("another origin goes on where the first stopped, nothing missing and nothing twice", async () => {
    const before = await take(eventsOf(first), 2);
    const last = Number(before.at(-1)?.lastEventId);
    const after = await take(eventsOf(second, String(last)), 3);
    expect(after.map(({ data }) => JSON.parse(data))).toEqual([1, 2, 3].map((step) => ({ n: last + step, origin: "weur-2" })));
  });

  test("the last id may also come as a query", async () => {
    const from = newestEvent(Date.now()) - 10;
    const [event] = await take(listen(`${first.url}/events/s?lastEventId=${from}`), 1);
    expect(event?.lastEventId).toBe(String(from + 1));
  });

  test("what was missed is bounded, and an impossible id starts with the newest event", () => {
    const nowMs = 1_000_000 * EVENT_EVERY_MS;
    expect(firstEventAfter("999999", nowMs)).toBe(1_000_000);
    expect(firstEventAfter("1000000", nowMs)).toBe(1_000_001);
    expect(firstEventAfter("5", nowMs)).toBe(1_000_000 - MISSED_MAX + 1);
    for (const odd of [undefined, "", "-1", "1e3", "abc", "9".repeat(15), "9".repeat(40)]) expect(firstEventAfter(odd, nowMs)).toBe(1_000_000);
  });
});

describe("counter", () => {
  test("each session has its own count; POST adds one, GET reads", async () => {
    const limpet = 'session="s-1", origin="weur-1", epoch=3';
    expect(await count("POST", limpet)).toEqual({ status: 200, body: { origin: "weur-1", region: "weur", session: "s-1", count: 1, limpet } });
    expect((await count("POST", limpet)).body).toMatchObject({ count: 2 });
    expect((await count("GET", limpet)).body).toMatchObject({ count: 2 });
    expect((await count("GET", 'session="s-2"')).body).toMatchObject({ count: 0 });
  });

  test("a session that is not ASCII comes as a Display String", async () => {
    expect((await count("POST", 'session=%"caf%c3%a9"')).body).toMatchObject({ session: "café", count: 1 });
  });

  test("without a session there is nothing to count", async () => {
    for (const limpet of [undefined, "", 'origin="weur-1"', "session=12", "session=tok", 'session=("a")', '"']) {
      expect((await count("POST", limpet)).status, limpet).toBe(400);
    }
  });
});

describe("the process", () => {
  test("says that it is ready, and who it is", async () => {
    const health = await fetch(`${first.url}/healthz`);
    expect([health.status, await health.text()]).toEqual([200, '{"status":"ready"}']);
    const whoami = await fetch(`${first.url}/whoami`, { headers: { limpet: 'session="a"' } });
    expect(await whoami.json()).toEqual({ id: "weur-1", region: "weur", limpet: 'session="a"' });
  });

  test("a port in use is one sentence and code 1", async () => {
    const { code, complaint } = await runOrigin(["--id", "weur-3", "--region", "weur", "--port", String(first.port)]);
    expect(code).toBe(1);
    expect(complaint.trim()).toBe(`Port ${first.port} on 127.0.0.1 is in use: choose another with --port, or end what listens there.`);
  });

  test("wrong options are one line and code 1", async () => {
    for (const args of [
      [],
      ["--id", "a"],
      ["--id", "A", "--region", "b", "--port", "0"],
      ["--id", "a", "--region", "b", "--port", "x"],
      ["--nope"],
    ]) {
      const { code, complaint } = await runOrigin(args);
      expect([code, complaint.trim().split("\n").length], args.join(" ")).toEqual([1, 1]);
    }
  });

  test("SIGTERM closes sockets with 1012, ends streams, and is over within 2 s", async () => {
    const origin = await startOrigin("weur-4");
    const socket = new WebSocket(`${wsUrl(origin)}/doc`);
    await within(once(socket, "open"), "open");
    const stream = await fetch(`${origin.url}/events/s`);
    const closed = once(socket, "close");
    const { code, tookMs } = await origin.signal("SIGTERM");
    expect(code).toBe(0);
    expect(tookMs).toBeLessThan(2_000);
    expect((await within(closed, "close"))[0]).toBe(1012);
    await within(stream.text(), "the stream's end");
  });

  test("SIGTERM is over within 2 s also when visitors do not answer", async () => {
    const origin = await startOrigin("weur-5");
    const socket = connect(origin.port, "127.0.0.1");
    cleanUp.push(() => socket.destroy());
    socket.on("error", () => {});
    socket.write("GET /collab/doc HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n");
    socket.write("sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    await within(once(socket, "data"), "the handshake");
    const { code, tookMs } = await origin.signal("SIGTERM");
    expect(code).toBe(0);
    expect(tookMs).toBeLessThan(2_000);
  });

  test("with --with-parent it ends when its standard input closes", async () => {
    const origin = await startOrigin("weur-6", "--with-parent");
    expect(await origin.closeStdin()).toBe(0);
  });

  test("hostile input ends at most its own connection", async () => {
    const frames = [
      Buffer.alloc(0),
      Buffer.from([255, 255, 255]),
      Buffer.from([0, 2, 255, 255, 255, 255, 7]),
      Buffer.from([1, 200, 1]),
      Buffer.from([9]),
    ];
    for (const frame of frames) {
      const socket = new WebSocket(`${wsUrl(first)}/hostile`);
      await within(once(socket, "open"), "open");
      socket.send(frame);
      socket.send(frame.toString("latin1"));
      socket.close();
      await within(once(socket, "close"), "close");
    }
    for (const bytes of ["\0\0\0", "GET // HTTP/1.1\r\nhost: x\r\n\r\n", "GET http://[ HTTP/1.1\r\nhost: x\r\n\r\n", brokenFrame]) {
      const socket = connect(first.port, "127.0.0.1");
      socket.on("error", () => {});
      const closed = once(socket, "close");
      socket.end(bytes);
      socket.resume();
      await within(closed, JSON.stringify(bytes.slice(0, 40)));
    }
    for (let attempt = 0; attempt < 50; attempt++) {
      const socket = connect(first.port, "127.0.0.1");
      await within(once(socket, "connect"), "connect");
      socket.write("GET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", () => socket.resetAndDestroy());
      await within(once(socket, "close"), "close after a reset");
    }
    for (const path of ["/", "/events/", "/events/%", "/api/counter/x", "/../etc/passwd"])
      expect((await fetch(first.url + path)).status, path).toBe(404);
    expect((await fetch(`${first.url}/api/counter`, { method: "DELETE" })).status).toBe(405);
    expect(first.isRunning()).toBe(true);
    expect((await fetch(`${first.url}/healthz`)).status).toBe(200);
  });
});

describe("fleet", () => {
  test("a killed origin comes back on the same port, and only the router's pages may ask for it", async () => {
    const fleet = new Fleet([
      { id: "enam-1", region: "enam" },
      { id: "enam-2", region: "enam" },
    ]);
    await fleet.start();
    const control = await startControl(fleet, { routerOrigins: ["http://127.0.0.1:8787"] });
    try {
      const url = fleet.url("enam-1");
      const ours = { origin: "http://127.0.0.1:8787" };
      for (const headers of [{}, { origin: "http://127.0.0.1:8788" }, { origin: "https://evil.example" }, { origin: "null" }]) {
        expect((await fetch(`${control.url}/fleet/enam-1/kill`, { method: "POST", headers })).status).toBe(403);
      }
      expect(fleet.state("enam-1")).toBe("running");
      const killed = await fetch(`${control.url}/fleet/enam-1/kill`, { method: "POST", headers: ours });
      expect(await killed.json()).toEqual({ id: "enam-1", state: "killed" });
      expect(killed.headers.get("access-control-allow-origin")).toBe(ours.origin);
      await expect(fetch(`${url}/healthz`)).rejects.toThrow();
      expect(fleet.state("enam-2")).toBe("running");
      await fetch(`${control.url}/fleet/enam-1/revive`, { method: "POST", headers: ours });
      expect(fleet.url("enam-1")).toBe(url);
      expect((await fetch(`${url}/healthz`)).status).toBe(200);
      expect(await (await fetch(`${control.url}/fleet`, { headers: ours })).json()).toEqual({ origins: fleet.report() });
    } finally {
      await Promise.all([control.stop(), fleet.stop()]);
    }
    expect(fleet.ids.map((id) => fleet.state(id))).toEqual(["killed", "killed"]);
  });

  test("a fleet that cannot start says why and leaves nothing behind", async () => {
    const fleet = new Fleet([
      { id: "enam-1", region: "enam" },
      { id: "enam-2", region: "enam", port: first.port },
    ]);
    await expect(fleet.start()).rejects.toThrow(`enam-2 did not start. Port ${first.port} on 127.0.0.1 is in use`);
    expect(fleet.state("enam-1")).toBe("killed");
  });
});

/** A good handshake, then a frame with reserved bits, which no client may send. */
const brokenFrame =
  "GET /collab/hostile HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n" +
  "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x7f\x7f\x7f";

function wsUrl(origin: OriginProcess): string {
  return `${origin.url.replace("http", "ws")}/collab`;
}

function visitor(origin: OriginProcess, document: string): WebsocketProvider {
  const provider = new WebsocketProvider(wsUrl(origin), document, new Y.Doc(), {
    // `ws` has the browser's interface but not its type.
    WebSocketPolyfill: WebSocket as unknown as typeof globalThis.WebSocket,
    disableBc: true,
  });
  cleanUp.push(() => provider.destroy());
  return provider;
}

function textOf(provider: WebsocketProvider): string {
  return provider.doc.getText("body").toString();
}

/** Looks now and after each event of that name. */
async function until(source: object, event: string, holds: () => boolean): Promise<void> {
  const emitter = source as { on(name: string, f: () => void): void; off(name: string, f: () => void): void };
  let look = (): void => {};
  const held = new Promise<void>((resolve) => {
    look = () => {
      if (holds()) resolve();
    };
    emitter.on(event, look);
    look();
  });
  await within(held, `${event}: ${holds}`).finally(() => emitter.off(event, look));
}

function eventsOf(origin: OriginProcess, lastEventId?: string): EventSource {
  return listen(`${origin.url}/events/s`, lastEventId);
}

function listen(url: string, lastEventId?: string): EventSource {
  const withLastId: FetchLike = (input, init) =>
    fetch(input, { ...init, headers: { ...init.headers, ...(lastEventId === undefined ? {} : { "last-event-id": lastEventId }) } });
  const source = new EventSource(url, { fetch: withLastId });
  cleanUp.push(() => source.close());
  return source;
}

async function take(source: EventSource, count: number): Promise<MessageEvent<string>[]> {
  const events: MessageEvent<string>[] = [];
  const enough = new Promise<void>((resolve) => {
    source.onmessage = (event: MessageEvent<string>) => {
      if (events.push(event) === count) resolve();
    };
  });
  await within(enough, `${count} events`);
  source.close();
  return events.slice(0, count);
}

async function count(method: "GET" | "POST", limpet: string | undefined): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`${first.url}/api/counter`, { method, headers: limpet === undefined ? {} : { limpet } });
  return { status: response.status, body: await response.json() };
}
