// Plain requests all day, in a process of their own, at a steady rate whatever the answers take: half of them of keys that a header names,
// half of visitors in two regions whom Limpet's cookie brings back. One in ten is a POST that says it may be tried again.
// Sent a `Task`, answers its outcome; ends with its parent. It never stops by itself.

import { Agent, request } from "node:http";
import { MADE_BY, PAGES } from "../harness/sessions/names.ts";
import type { Asked } from "./pages.ts";

export type Task = { readonly kind: "begin"; readonly url: string; readonly perSecond: number } | { readonly kind: "notes" };

/** Of each kind; few enough that each is heard of again soon. */
const KEYS = 60;
const POST_EVERY = 10;
const TICK_MS = 5;
const ENDED_WITHIN_MS = 15_000;
/** London and New York. */
const PLACES = ['{"latitude":"51.5","longitude":"-0.1"}', '{"latitude":"40.7","longitude":"-74.0"}'];

const notes: Asked[] = [];
const cookies = new Map<string, string>();
const agent = new Agent({ keepAlive: true });

process.once("disconnect", () => process.exit());
process.on("message", (task: Task) => {
  if (task.kind === "begin") begin(task.url, task.perSecond);
  process.send?.({ outcome: task.kind === "notes" ? notes.splice(0) : undefined });
});

function begin(url: string, perSecond: number): void {
  const beganAtMs = performance.now();
  let asked = 0;
  setInterval(() => {
    const due = ((performance.now() - beganAtMs) / 1_000) * perSecond;
    for (; asked < due; asked++) void ask(url, asked).then((each) => notes.push(each));
  }, TICK_MS);
}

function ask(url: string, turn: number): Promise<Asked> {
  const who = Math.floor(turn / 2) % KEYS;
  const [key, path, own] =
    turn % 2 === 0
      ? [`key ${who}`, `${PAGES}keyed/${turn}`, { "x-session-id": `page-${who}` }]
      : [`visitor ${who}`, `${PAGES}own/${turn}`, { "limpet-dev-cf": PLACES[who % PLACES.length] ?? "", ...cookieOf(`visitor ${who}`) }];
  const method = Math.floor(turn / 2) % POST_EVERY === 0 ? "POST" : "GET";
  const body = method === "POST" ? `turn=${turn}` : "";
  const headers = { ...own, ...(body ? { "content-length": String(body.length), "idempotency-key": `turn-${turn}` } : {}) };
  const askedAtMs = Date.now();
  const { promise, resolve } = Promise.withResolvers<Asked>();
  const settle = (status: number, madeBy: string | undefined, why?: string): void =>
    resolve({ key, askedAtMs, endedAtMs: Date.now(), status, madeBy, ...(why === undefined ? {} : { why: `${method} ${path}: ${why}` }) });
  const asking = request(url + path, { method, headers, agent, signal: AbortSignal.timeout(ENDED_WITHIN_MS) }, (response) => {
    const { statusCode = 0, headers: answered } = response;
    const maker = answered[MADE_BY];
    let text = "";
    response.on("data", (bytes: Buffer) => (text += bytes.toString()));
    response.on("error", (error) => settle(0, undefined, `broke off: ${error.message}`));
    response.on("end", () => {
      for (const cookie of answered["set-cookie"] ?? []) cookies.set(key, cookie.split(";")[0] ?? "");
      if (typeof maker === "string") settle(statusCode, maker);
      else settle(statusCode, undefined, text.slice(0, 300));
    });
  });
  asking.on("error", (error) => settle(0, undefined, error.message));
  asking.end(body);
  return promise;
}

function cookieOf(key: string): { cookie?: string } {
  const cookie = cookies.get(key);
  return cookie === undefined ? {} : { cookie };
}
