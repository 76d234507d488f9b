// Visitors of event streams who read nothing, all of one carrier's at once, behind an origin with large events: memory stays flat, those who have
// kept the carrier waiting longest are ended, and whoever reads has every event.

import { connect, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { runtimeBytes } from "../support/runtime-memory.ts";
import { eventually } from "../support/stack.ts";
import { StreamStack, type Stream } from "../support/stream-stack.ts";

const MIB = 1024 * 1024;
const EVENT = `data: ${"x".repeat(960 * 1024)}\n\n`;
/** What the kernels take of each stream before anything waits in the router, and then as much as waits. */
const EVENTS_EACH = 10;
const PAUSED = 60;
/** Of waiting pieces twice 32 MiB at most; the rest is the runtime's own, which grows with every stream. Without a bound on all it is 60 MiB more and never given back. */
const GROWTH_MAX_BYTES = 400 * MIB;

let stack: StreamStack;
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await stack.stop();
});

/** A visitor who asks, and reads only if they are to. */
function visit(session: string, reads: boolean): { bytes: () => number; isOpen: () => boolean } {
  const { hostname, port } = new URL(stack.router.url);
  const socket = connect(Number(port), hostname, () =>
    socket.write(`GET /live/${session} HTTP/1.1\r\nHost: ${hostname}\r\nAccept: text/event-stream\r\n\r\n`),
  );
  sockets.push(socket);
  socket.on("error", () => undefined);
  let bytes = 0;
  socket.on("data", (data) => {
    bytes += data.length;
    if (!reads) socket.pause(); // once its head is here
  });
  return { bytes: () => bytes, isOpen: () => !socket.destroyed };
}

/** No faster than the router takes it: the origin itself holds nothing. */
async function send({ response }: Stream, events: number): Promise<void> {
  const closed = new Promise((resolve) => response.once("close", resolve));
  for (let n = 0; n < events && !response.destroyed; n++) {
    if (!response.write(EVENT)) await Promise.race([new Promise((resolve) => response.once("drain", resolve)), closed]);
  }
}

test(
  "all visitors of a carrier read nothing: memory stays flat, who waits longest is ended, and who reads has everything",
  { timeout: 120_000 },
  async () => {
    stack = await StreamStack.start({ ids: ["o0"], pool: { carriers: 1, health: { intervalMs: 500, timeoutMs: 5_000, rise: 1, fall: 20 } } });
    const origin = stack.origin("o0");
    origin.script = ({ response }) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.flushHeaders();
    };
    const reader = visit("reader", true);
    for (let n = 0; n < PAUSED; n++) visit(`paused${n}`, false);
    await eventually("all streams are open", () => origin.open().length === PAUSED + 1, 30_000);
    const [read, paused] = [origin.open().filter(({ session }) => session === "reader"), origin.open().filter(({ session }) => session !== "reader")];
    const before = runtimeBytes();
    for (const stream of paused) void send(stream, EVENTS_EACH); // ends with its stream
    await eventually("some are ended, long before each would be by itself", () => origin.open().length <= PAUSED + 1 - 10, 20_000);
    for (const stream of read) await send(stream, EVENTS_EACH);
    await eventually("the reader has every event", () => reader.bytes() > EVENTS_EACH * EVENT.length, 20_000);
    const grownBytes = runtimeBytes() - before;
    console.log(`the runtime grew by ${(grownBytes / MIB).toFixed(0)} MiB, ${PAUSED + 1 - origin.open().length} streams were ended`);
    expect(grownBytes).toBeLessThan(GROWTH_MAX_BYTES);
    expect(reader.isOpen()).toBe(true);
    await eventually("they are counted", async () => (await stack.ring()).refused >= 10);
  },
);
