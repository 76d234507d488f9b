// Real clients of event streams through a cut, a drain and a death: Node's `eventsource`, `curl -N`, Chromium's own EventSource. A ledger each: no
// id is missing and none comes twice, on one connection, though the route says nothing of resuming.

import { spawn, spawnSync } from "node:child_process";
import { EventSource } from "eventsource";
import type { BrowserContext } from "playwright-core";
import { afterEach, beforeEach, expect, test } from "vitest";
import { findChromium, openBrowser } from "../support/browser.ts";
import { eventually } from "../support/stack.ts";
import { Ledger, StreamStack } from "../support/stream-stack.ts";

let stack: StreamStack;
let leave: (() => unknown)[];

beforeEach(async () => {
  leave = [];
  stack = await StreamStack.start({ ids: ["o0", "o1", "o2"], pool: { pace: { perOriginPerSecond: 1_000 } } });
});
afterEach(async () => {
  for (const each of leave) await each();
  await stack.stop();
});

/** One visitor, and how often its connection has been opened anew. */
type Client = (session: string) => Promise<{ readonly ledger: Ledger; readonly breaks: () => Promise<number> | number }>;

const eventSource: Client = async (session) => {
  const [source, ledger] = [new EventSource(stack.url(session)), new Ledger()];
  leave.push(() => source.close());
  let errorCount = 0;
  source.onerror = () => errorCount++;
  source.onmessage = ({ data }) => ledger.note(String(data));
  return { ledger, breaks: () => errorCount };
};

const curl: Client = async (session) => {
  const child = spawn("curl", ["-sN", "-H", "accept: text/event-stream", stack.url(session)], { stdio: ["ignore", "pipe", "ignore"] });
  leave.push(() => child.kill());
  const ledger = new Ledger();
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => {
    const lines = (text + part).split("\n");
    text = lines.pop() ?? "";
    for (const line of lines) if (line.startsWith("data: ")) ledger.note(line.slice(6));
  });
  return { ledger, breaks: () => (child.exitCode === null ? 0 : 1) };
};

const executable = findChromium();
let browser: BrowserContext | undefined;

const chromium: Client = async (session) => {
  browser = await openBrowser(executable ?? "");
  leave.push(() => browser?.close());
  const page = await browser.newPage();
  await page.goto(stack.url("page"));
  const ledger = new Ledger();
  await page.exposeFunction("note", (data: string) => ledger.note(data));
  await page.evaluate((url) => {
    const own = window as unknown as { note: (data: string) => void; errorCount: number };
    own.errorCount = 0;
    const source = new window.EventSource(url);
    source.addEventListener("error", () => own.errorCount++);
    source.addEventListener("message", ({ data }) => own.note(String(data)));
  }, stack.url(session));
  return { ledger, breaks: () => page.evaluate(() => (window as unknown as { errorCount: number }).errorCount) };
};

const CLIENTS: readonly (readonly [name: string, client: Client, isHere: boolean])[] = [
  ["eventsource", eventSource, true],
  ["curl -N", curl, spawnSync("curl", ["--version"]).status === 0],
  ["Chromium's EventSource", chromium, executable !== undefined],
];

for (const [name, client, isHere] of CLIENTS)
  test.skipIf(!isHere)(`${name} stays connected and gets every event once: the origin cuts, is drained, dies`, { timeout: 60_000 }, async () => {
    const { ledger, breaks } = await client("news");
    await ledger.more(20);
    const first = await stack.ownerOf("news");
    first.cut();
    await eventually("it is dialled anew", () => first.streams.length > 1);
    await ledger.more(20);
    await stack.drain(first.id);
    await eventually("another origin has it", async () => (await stack.ownerOf("news")) !== first);
    const second = await stack.ownerOf("news");
    await ledger.from(second.id);
    await ledger.more(20);
    await second.kill();
    await eventually("another origin has it", async () => (await stack.ownerOf("news")) !== second);
    const third = await stack.ownerOf("news");
    await ledger.from(third.id);
    await ledger.more(20);
    expect([ledger.isWhole, ledger.ids[0], await breaks()]).toEqual([true, 1, 0]);
    const asked = stack.streamsOf("news").map(({ origin, lastEventId, movedFrom }) => [origin, lastEventId !== undefined, movedFrom]);
    expect(asked.filter(([, resumed], index) => index > 0 && !resumed)).toEqual([]);
    expect(asked.at(-1)).toEqual([third.id, true, second.id]);
    expect(first.open()).toEqual([]); // the origin that was left knows it
    for (const each of leave.splice(0)) await each();
    await stack.expectEmpty();
  });

test("forty streams are drained at the pace, whole, and fewer at a time than would be a stampede", async () => {
  await stack.stop();
  stack = await StreamStack.start({ ids: ["o0", "o1"], pool: { pace: { perOriginPerSecond: 20 }, carriers: 1 } });
  await stack.drain("o1");
  const clients = await Promise.all(Array.from({ length: 40 }, (_, n) => eventSource(`s${n}`)));
  for (const { ledger } of clients) await ledger.more(1);
  await stack.client.admin("rings/live/weur/origins/o1/undrain", "POST");
  const beganAtMs = Date.now();
  await stack.drain("o0");
  await eventually("all have moved", () => stack.origin("o1").streams.length === 40, 20_000);
  expect(Date.now() - beganAtMs).toBeGreaterThan(1_000); // 40 at 20 a second, five of which may go at once
  for (const { ledger } of clients) await ledger.from("o1");
  expect(clients.filter(({ ledger }) => !ledger.isWhole)).toEqual([]);
  for (const { breaks } of clients) expect(await breaks()).toBe(0);
});
