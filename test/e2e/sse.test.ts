// Event streams through the router, with the `eventsource` package as the client. The origins share their history (any of them can go on
// after any id), as the standard's resume needs.

import { EventSource } from "eventsource";
import { afterEach, beforeEach, expect, test } from "vitest";
import { eventually, startStack, type Stack } from "../support/stack.ts";

let stack: Stack;
let source: EventSource | undefined;

beforeEach(async () => {
  stack = await startStack();
});

afterEach(async () => {
  source?.close();
  await stack.stop();
});

/** Everything one client sees of a stream. */
function listen(path: string): { ids: number[]; origins: string[]; opens: () => number; errors: () => number } {
  const [ids, origins]: [number[], string[]] = [[], []];
  let [opens, errors] = [0, 0];
  source = new EventSource(stack.url + path);
  source.onopen = () => opens++;
  source.onerror = () => errors++;
  source.onmessage = ({ lastEventId, data }) => {
    ids.push(Number(lastEventId));
    origins.push((JSON.parse(data) as { origin: string }).origin);
  };
  return { ids, origins, opens: () => opens, errors: () => errors };
}

const isGapless = (ids: readonly number[]): boolean => ids.every((id, index) => index === 0 || id === (ids[index - 1] ?? 0) + 1);

test("when the origin is killed in mid-stream, the client sees every id once, in order, without a reconnect", async () => {
  const seen = listen("/events/news");
  await eventually("events arrive", () => seen.ids.length > 5);
  const first = await stack.session("news");
  await stack.fleet.kill(first?.origin ?? "");
  await eventually("events of another origin arrive", () => new Set(seen.origins).size === 2 && seen.ids.length > 20);
  expect(isGapless(seen.ids)).toBe(true);
  expect([seen.opens(), seen.errors()]).toEqual([1, 0]);
  expect((await stack.session("news"))?.origin).toBe(seen.origins.at(-1));
});

test("when the origin is drained, the stream goes on elsewhere without a gap", async () => {
  const seen = listen("/events/drained");
  await eventually("events arrive", () => seen.ids.length > 5);
  const first = await stack.session("drained");
  await stack.admin(`rings/collab/${first?.region}/origins/${first?.origin}/drain`, "POST");
  await eventually("events of another origin arrive", () => new Set(seen.origins).size === 2 && seen.ids.length > 20);
  expect(isGapless(seen.ids)).toBe(true);
  expect([seen.opens(), seen.errors()]).toEqual([1, 0]);
});

test("a client that resumes by itself gets what it missed", async () => {
  const now = Number((await firstId("/events/resumed")) ?? 0);
  const missed = await firstId("/events/resumed", String(now - 3));
  expect(Number(missed)).toBe(now - 2);
});

test("when the visitor leaves, the session ends and the origin's stream with it", async () => {
  const seen = listen("/events/left");
  await eventually("events arrive", () => seen.ids.length > 2);
  expect((await stack.session("left"))?.connections).toBe(1);
  source?.close();
  await eventually("the session is gone", async () => (await stack.session("left")) === undefined);
});

async function firstId(path: string, lastEventId?: string): Promise<string | undefined> {
  const response = await stack.fetch(path, { headers: { accept: "text/event-stream", ...(lastEventId ? { "last-event-id": lastEventId } : {}) } });
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    const id = /^id: (\d+)$/m.exec(text)?.[1];
    if (id !== undefined) {
      return id; // leaving the loop ends the stream
    }
  }
  return undefined;
}
