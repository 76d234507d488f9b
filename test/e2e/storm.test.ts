// A storm: everybody comes at once, to carriers that may wait for six handshakes each. Who can be served in time is; the others are told at once
// when to come back, and do, until all were served. The runtime does not grow meanwhile, and the ring object is asked in batches. A machine with two
// cores that are busy opens 50 connections a second, an idle one 350; the full measure is `STORM_VISITORS=5000 npm test test/e2e/storm.test.ts`.

import { afterEach, expect, test } from "vitest";
import { Cap } from "../support/live-origin.ts";
import { LiveStack, names } from "../support/live-stack.ts";
import { CLOSE, closePayload, openRawWebSocket } from "../support/raw-websocket.ts";
import { attach, runtimeBytes } from "../support/runtime-memory.ts";
import { eventually } from "../support/stack.ts";

let stack: LiveStack;

afterEach(() => stack.stop());

const VISITORS = Number(process.env["STORM_VISITORS"] ?? 2_000);
const CARRIERS = 4;
const SLOTS = 6;
const HANDSHAKE_MS = 100;
/** Only a hang takes as long. */
const LIMIT_MS = 240_000;
/** A visitor is answered within five seconds of an object's time; a machine that is late is late for all of them. */
const ANSWERED_WITHIN_MS = 30_000;
/** Growth of the heap per request that went through an object, all garbage collected, as in leak.test.ts. */
const HEAP_BYTES_EACH = 250;
/** Growth of the process per visitor, however often they came: all are there at once, and a visitor who is connected takes 305 KiB. */
const PROCESS_BYTES_EACH = 512 * 1024;
/** The runtime of a machine that is very late now and then forgets to pass a close on. The visitor leaves all the same. */
const PATIENCE_MS = 5_000;

interface Told {
  readonly status: number;
  readonly retryAfterS: number;
  readonly waitedMs: number;
}

/** As the counting worker tells them. */
interface Call {
  readonly what: "place" | "ended" | "report";
  readonly atMs: number;
  readonly count: number;
}

/** Comes, and comes back whenever told, until served; leaves at once. */
async function reconnect(url: string, path: string): Promise<Told[]> {
  const told: Told[] = [];
  for (const untilMs = Date.now() + LIMIT_MS; Date.now() < untilMs;) {
    const cameAtMs = Date.now();
    try {
      const peer = await openRawWebSocket(url, path);
      peer.send(CLOSE, closePayload(1000));
      await Promise.race([peer.ended, new Promise((resolve) => setTimeout(resolve, PATIENCE_MS))]);
      peer.socket.destroy();
      return told;
    } catch (error) {
      const head = String(error);
      const [status, retryAfterS] = [/HTTP\/1.1 (\d+)/, /^retry-after: (\d+)\r/im].map((field) => Number(field.exec(head)?.[1] ?? 0));
      told.push({ status: status ?? 0, retryAfterS: retryAfterS ?? 0, waitedMs: Date.now() - cameAtMs });
      await new Promise((resolve) => setTimeout(resolve, (retryAfterS ?? 0) * 1_000));
    }
  }
  throw new Error(`${path} was never served: ${JSON.stringify(told)}`);
}

test(
  "everybody at once, four carriers, handshakes of 100 ms: each is served, or told when to come back, and all are served in the end",
  {
    timeout: LIMIT_MS + 60_000,
  },
  async () => {
    const cap = new Cap(CARRIERS * SLOTS);
    stack = await LiveStack.start({ ids: ["o0", "o1", "o2", "o3"], pool: { carriers: CARRIERS }, cap, counting: true, inspect: true });
    const { url } = stack.router;
    const inspector = await attach(stack.router);
    const storm = (prefix: string, count: number): Promise<Told[][]> =>
      Promise.all(names(prefix, count).map((name) => reconnect(url, `/live/${name}`)));
    await storm("before", 200); // code is compiled, tables have grown
    for (const origin of stack.origins) origin.will.handshakeMs = HANDSHAKE_MS;
    const before = { heap: await inspector.heapBytes(), process: runtimeBytes() };

    const beganAtMs = Date.now();
    const visitors = await storm("s", VISITORS);
    const tookMs = Date.now() - beganAtMs;
    const told = visitors.flat();
    const requests = VISITORS + told.length;

    for (const { status, retryAfterS, waitedMs } of told) {
      expect(status).toBe(503);
      expect(retryAfterS).toBeGreaterThanOrEqual(1);
      expect(retryAfterS).toBeLessThanOrEqual(30);
      expect(waitedMs).toBeLessThan(ANSWERED_WITHIN_MS);
    }
    // More came than could be served in time, and they were not all told the same.
    expect(told.length).toBeGreaterThan(VISITORS / 10);
    const mostAtOnce = Math.max(...[...Map.groupBy(told, ({ retryAfterS }) => retryAfterS).values()].map(({ length }) => length));
    expect(mostAtOnce).toBeLessThan(0.7 * told.length);

    // Six handshakes of each carrier at once. (One that a carrier has given up an origin may notice late.)
    expect(cap.mostCount).toBe(CARRIERS * SLOTS);
    expect(cap.failedCount).toBeLessThan(VISITORS / 50);

    const calls = (await (await fetch(`${url}/calls/${encodeURIComponent("v1:live@weur#g1")}`)).json()) as Call[];
    const mostCalls = Math.max(...[...Map.groupBy(calls, ({ atMs }) => Math.floor(atMs / 1_000)).values()].map(({ length }) => length));
    const places = calls.filter(({ what }) => what === "place");
    expect(mostCalls).toBeLessThan(1_000);
    expect(places.length).toBeLessThan(places.reduce((sum, { count }) => sum + count, 0) / 2);

    const process = (runtimeBytes() - before.process) / VISITORS;
    await eventually("nothing is left of them", async () => ((await inspector.heapBytes()) - before.heap) / requests < HEAP_BYTES_EACH);
    inspector.close();
    expect(process).toBeLessThan(PROCESS_BYTES_EACH);
    await eventually("nobody is counted", async () => {
      const { sessions, connections } = await stack.ring();
      return sessions === 0 && connections === 0;
    });
    console.log(
      `${VISITORS} visitors in ${(tookMs / 1_000).toFixed(1)} s: ${told.length} times told to come back, at most ${Math.max(...visitors.map(({ length }) => length))} times each, ` +
        `after ${Math.max(...told.map(({ waitedMs }) => waitedMs))} ms at most; ${mostCalls} calls of the ring object in the busiest second; ${(process / 1024).toFixed(0)} KiB of the process a visitor`,
    );
  },
);
