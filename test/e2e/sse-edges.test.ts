// Event streams at their edges: what an origin may answer, ids of any script, visitors who leave or do not read, origins that say nothing.

import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";
import { constants, createGzip } from "node:zlib";
import { afterEach, beforeEach, expect, test } from "vitest";
import { eventually } from "../support/stack.ts";
import { StreamStack, type Script, type Stream } from "../support/stream-stack.ts";
import { visit } from "../support/visitor.ts";

let stack: StreamStack;
let open: Socket[];

beforeEach(async () => {
  open = [];
  stack = await StreamStack.start({ pool: { carriers: 1 } });
});
afterEach(async () => {
  for (const socket of open) socket.destroy();
  await stack.stop();
});

const scripted = (script: Script): void => {
  for (const origin of stack.origins) [origin.script, origin.plain] = [script, script];
};

const begin = ({ response }: Stream, text = ""): void => {
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.flushHeaders();
  if (text !== "") response.write(text);
};

interface Answer {
  readonly response: IncomingMessage;
  /** What has come. */
  readonly text: () => string;
  readonly over: () => "ended" | "cut" | undefined;
}

/** A request as it is sent: `fetch` would decode, follow and refuse. */
async function ask(session: string, headers: Record<string, string> = {}, method = "GET", body?: string): Promise<Answer> {
  const request = httpRequest(stack.url(session), { method, headers: { accept: "text/event-stream", ...headers }, agent: false });
  request.on("socket", (socket) => open.push(socket)).on("error", () => undefined);
  request.end(body);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  const parts: Buffer[] = [];
  let over: "ended" | "cut" | undefined;
  response.on("data", (part: Buffer) => parts.push(part));
  response.on("end", () => (over = "ended")).on("error", () => (over = "cut"));
  return { response, text: () => Buffer.concat(parts).toString(), over: () => over };
}

test("headers are there before the first event", async () => {
  scripted((stream) => begin(stream));
  const beganAtMs = Date.now();
  const { response } = await ask("s");
  expect([response.statusCode, response.headers["content-type"]]).toEqual([200, "text/event-stream"]);
  expect(Date.now() - beganAtMs).toBeLessThan(2_000);
});

test.each<[what: string, answer: Script, status: number, text: string, header: [string, string]]>([
  ["JSON", ({ response }) => response.setHeader("content-type", "application/json").end("{}"), 200, "{}", ["content-type", "application/json"]],
  ["401", ({ response }) => response.writeHead(401, { "www-authenticate": "Basic" }).end("no"), 401, "no", ["www-authenticate", "Basic"]],
  ["a redirect", ({ response }) => response.writeHead(302, { location: "/elsewhere" }).end(), 302, "", ["location", "/elsewhere"]],
  ["204", ({ response }) => response.writeHead(204, { etag: '"e"' }).end(), 204, "", ["etag", '"e"']],
  [
    "206",
    ({ response }) => response.writeHead(206, { "content-type": "text/event-stream", "content-range": "bytes 0-4/9" }).end(":\n\n:\n"),
    206,
    ":\n\n:\n",
    ["content-range", "bytes 0-4/9"],
  ],
])("%s is no event stream, and comes back as it is", async (_, answer, status, text, [name, value]) => {
  scripted(answer);
  const got = await ask("s");
  await eventually("it ends", () => got.over());
  expect([got.response.statusCode, got.text(), got.response.headers[name], got.over()]).toEqual([status, text, value, "ended"]);
  await stack.expectEmpty();
});

test("HEAD asks for headers, of whatever", async () => {
  scripted(({ request, response }) => response.writeHead(200, { "content-type": "text/event-stream", "x-method": request.method }).end());
  const { response } = await ask("s", {}, "HEAD");
  expect([response.statusCode, response.headers["content-type"], response.headers["x-method"]]).toEqual([200, "text/event-stream", "HEAD"]);
});

test("a stream with a length and a character set ends where it is whole, and what is no event passes too", async () => {
  const text = "id: 1\ndata: é\n\ndata: [DONE]";
  scripted(({ response }) =>
    response.writeHead(200, { "content-type": "text/event-stream;charset=utf-8", "content-length": Buffer.byteLength(text) }).end(text),
  );
  const got = await ask("s");
  await eventually("it ends", () => got.over());
  expect([got.text(), got.over(), got.response.headers["content-type"]]).toEqual([text, "ended", "text/event-stream;charset=utf-8"]);
  expect(stack.streamsOf("s")).toHaveLength(1);
  await stack.expectEmpty();
});

test("a stream that its origin compresses all the same comes event by event", async () => {
  let zip: ReturnType<typeof createGzip> | undefined;
  scripted(({ response }) => {
    zip = createGzip({ flush: constants.Z_SYNC_FLUSH });
    response.writeHead(200, { "content-type": "text/event-stream", "content-encoding": "gzip" });
    zip.pipe(response);
    zip.write("id: 1\ndata: a\n\n");
  });
  const got = await ask("s", { "accept-encoding": "gzip" });
  await eventually("the first event", () => got.text() === "id: 1\ndata: a\n\n");
  zip?.write("id: 2\ndata: b\n\n");
  await eventually("the second", () => got.text() === "id: 1\ndata: a\n\nid: 2\ndata: b\n\n");
  expect([got.response.headers["content-encoding"], stack.streamsOf("s")[0]?.request.headers["accept-encoding"]]).toEqual([undefined, "identity"]);
});

test.each(["é-日本-🦪", "a b  c", "1;q=0.5,2"])("the id %j reaches the next origin as its bytes, and so does a visitor's own", async (id) => {
  scripted((stream) => begin(stream, stream.lastEventId === undefined ? `id: ${id}\n\n` : `data: after ${stream.lastEventId}\n\n`));
  const got = await ask("s");
  await eventually("the id", () => got.text().includes(id));
  (await stack.ownerOf("s")).cut();
  await eventually("it is gone on after", () => got.text().includes(`data: after ${id}\n\n`));
  const own = await ask("own", { "last-event-id": Buffer.from(id).toString("latin1") });
  await eventually("the visitor's own", () => own.text() === `data: after ${id}\n\n`);
});

test("an event that is cut in its middle comes once, whole, from whoever goes on; bytes pass as they were", async () => {
  scripted((stream) => {
    if (stream.lastEventId === undefined) begin(stream, "\uFEFF: hello\r\nretry: 100\r\nid: 1\r\ndata: a\r\n\r\nid: 2\r\ndata: ha");
    else begin(stream, "\uFEFFid: 1\ndata: a\n\nid: 2\ndata: half\n\n");
  });
  const got = await ask("s");
  await eventually("the first", () => got.text().includes("id: 1"));
  (await stack.ownerOf("s")).cut();
  await eventually("the second", () => got.text().includes("id: 2"));
  expect(got.text()).toBe(": hello\r\nretry: 100\r\nid: 1\r\ndata: a\r\n\r\nid: 2\ndata: half\n\n");
});

test.each<[what: string, answer: Script]>([
  ["204", ({ response }) => response.writeHead(204).end()],
  ["401", ({ response }) => response.writeHead(401).end()],
  ["something else", ({ response }) => response.end("hello")],
])("%s to a dial of ours ends the stream: its visitor comes back and is told", async (_, answer) => {
  scripted((stream) => (stream.lastEventId === undefined ? begin(stream, "id: 1\n\n") : answer(stream)));
  const got = await ask("s");
  await eventually("the first event", () => got.text() !== "");
  (await stack.ownerOf("s")).cut();
  await eventually("it ends", () => got.over());
  expect(got.over()).toBe("ended");
  await stack.expectEmpty();
});

test("a stream whose newest id is longer than a header should be is not moved: it ends, and its visitor comes back", async () => {
  scripted((stream) => begin(stream, `id: ${"x".repeat(5_000)}\ndata: a\n\n`));
  const got = await ask("s");
  await eventually("the event", () => got.text().endsWith("data: a\n\n"));
  await stack.drain((await stack.ownerOf("s")).id);
  await eventually("it ends", () => got.over());
  expect([got.over(), stack.streamsOf("s").length]).toEqual(["ended", 1]);
});

test("an event of more than fits ends its stream, and is counted", async () => {
  scripted((stream) => begin(stream, `data: a\n\ndata: ${"x".repeat(1_100_000)}`));
  const got = await ask("s");
  await eventually("it ends", () => got.over());
  expect([got.over(), got.text()]).toEqual(["ended", "data: a\n\n"]);
  await stack.expectEmpty();
  await eventually("it is counted", async () => (await stack.ring()).refused === 1);
});

test.each<[when: string, script: Script, leaves: (socket: Socket | undefined) => void]>([
  ["while events come", (stream) => stack.feed.follow(stream), (socket) => socket?.destroy()],
  ["in a silence, by a reset", (stream) => begin(stream, ":\n"), (socket) => socket?.resetAndDestroy()],
])("a visitor who leaves %s is gone for its origin within a second", async (_, script, leaves) => {
  scripted(script);
  const got = await ask("s");
  await eventually("something", () => got.text() !== "");
  const leftAtMs = Date.now();
  leaves(open[0]);
  const stream = stack.streamsOf("s")[0];
  await eventually("the origin knows", () => stream?.closedAtMs);
  expect((stream?.closedAtMs ?? Infinity) - leftAtMs).toBeLessThan(1_000);
  await stack.expectEmpty();
});

test("a visitor who leaves before there are headers is gone for its origin, too", async () => {
  scripted(() => undefined);
  const request = httpRequest(stack.url("s"), { headers: { accept: "text/event-stream" } }).on("error", () => undefined);
  request.end();
  const stream = await eventually("it is dialled", () => stack.streamsOf("s")[0]);
  const leftAtMs = Date.now();
  request.socket?.resetAndDestroy();
  await eventually("the origin knows", () => stream.closedAtMs);
  expect((stream.closedAtMs ?? Infinity) - leftAtMs).toBeLessThan(1_000);
  await stack.expectEmpty();
});

test("streams whose headers do not come are given up, and hold up no WebSocket, at that origin or another", { timeout: 40_000 }, async () => {
  scripted(() => undefined);
  const streams = Array.from({ length: 30 }, (_, n) => ask(`stream${n}`));
  await eventually("some are dialled", () => stack.origins.reduce((sum, origin) => sum + origin.streams.length, 0) >= 3);
  const took: number[] = [];
  for (let n = 0; n < 30; n++) {
    const beganAtMs = Date.now();
    const visitor = await visit(stack.url(`socket${n}`).replace("http", "ws"));
    took.push(Date.now() - beganAtMs);
    visitor.socket.terminate();
  }
  expect(Math.max(...took)).toBeLessThan(1_000);
  expect(stack.origins.map((origin) => origin.open().length <= 2)).toEqual([true, true]);
  const answers = await Promise.all(streams);
  expect(answers.map(({ response }) => response.statusCode)).toEqual(answers.map(() => 503));
  await stack.expectEmpty();
});

test("a visitor who does not read holds its origin back until they do", { timeout: 60_000 }, async () => {
  let writtenBytes = 0;
  const event = `data: ${"x".repeat(60_000)}\n\n`;
  scripted(({ response }) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    const write = (): void => {
      for (;;) {
        writtenBytes += event.length;
        if (!response.write(event)) return void response.once("drain", write);
      }
    };
    write();
  });
  const socket = connect(Number(new URL(stack.router.url).port), "127.0.0.1");
  open.push(socket.on("error", () => undefined));
  socket.write("GET /live/s HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n");
  await eventually("the origin is held back", async () => {
    const before = writtenBytes;
    await new Promise((resolve) => setTimeout(resolve, 500));
    return before > 0 && writtenBytes === before;
  });
  expect(writtenBytes).toBeLessThan(24 * 1024 * 1024); // what sockets take by themselves
  let readBytes = 0;
  socket.on("data", (part) => (readBytes += part.length));
  const was = writtenBytes;
  await eventually("it goes on when the visitor reads", () => writtenBytes > was + 10_000_000 && readBytes > was);
});

test.each<[what: string, answer: Script]>([
  ["is cut in mid-stream", (stream) => (begin(stream, "id: 1\ndata: a\n\n"), setTimeout(() => stream.response.socket?.resetAndDestroy(), 50))],
  ["is cut before its headers", ({ response }) => response.socket?.resetAndDestroy()],
  ["refuses", ({ response }) => response.writeHead(503).end()],
])("a POST whose event stream %s is sent once", async (_, answer) => {
  scripted(answer);
  const got = await ask("s", { "content-type": "application/json", "content-length": "2" }, "POST", "{}");
  await eventually("it is over", () => got.over());
  await new Promise((resolve) => setTimeout(resolve, 500)); // whoever would send it again has had the time
  expect(stack.origins.flatMap(({ streams }) => streams).map(({ request }) => request.method)).toEqual(["POST"]);
  await stack.expectEmpty();
});

test("a POST's event stream comes as its origin says it, through no carrier", async () => {
  scripted((stream) => (begin(stream, "data: ha"), setTimeout(() => stream.response.end("lf"), 300)));
  const got = await ask("s", { "content-length": "2" }, "POST", "{}");
  await eventually("half an event", () => got.text() === "data: ha");
  expect((await stack.ring()).connections).toBe(0);
  await eventually("it ends", () => got.over());
  expect([got.text(), got.over()]).toEqual(["data: half", "ended"]);
});
