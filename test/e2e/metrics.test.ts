// Metrics, audit and events of a real router: what is scraped is Prometheus's text with the names that its page lists, a scrape wakes and waits for no
// carrier, and who changed what is told, at once and afterwards.

import { readFile } from "node:fs/promises";
import parsePrometheus from "parse-prometheus-text-format";
import { afterEach, expect, test } from "vitest";
import { LiveStack } from "../support/live-stack.ts";
import { eventually } from "../support/stack.ts";

const METRICS_FILE = "../../src/http/metrics.ts"; // by a name that the compiler does not follow: the Worker's types are not Node's

interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly metrics: readonly {
    readonly value?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly buckets?: Readonly<Record<string, string>>;
  }[];
}

let stack: LiveStack;

afterEach(() => stack.stop());

const BEARER = { authorization: "Bearer dev" };

async function scrape(): Promise<readonly Family[]> {
  const response = await stack.client.fetch("/_limpet/metrics", { headers: BEARER });
  expect([response.status, response.headers.get("content-type")]).toEqual([200, "text/plain; version=0.0.4; charset=utf-8"]);
  return parsePrometheus(await response.text()) as readonly Family[];
}

/** The one sample that has these labels. */
function valueOf(families: readonly Family[], name: string, labels: Readonly<Record<string, string>> = {}): number | undefined {
  const samples = families.find((family) => family.name === name)?.metrics ?? [];
  const found = samples.filter((sample) => Object.entries(labels).every(([label, value]) => sample.labels?.[label] === value));
  expect(found.length, `${name} ${JSON.stringify(labels)}`).toBeLessThan(2);
  return found[0]?.value === undefined ? undefined : Number(found[0].value);
}

test("a scrape tells sessions, connections, moves, gaps, health, shares, places and the snapshot's age", async () => {
  stack = await LiveStack.start({ ids: ["o0", "o1"] });
  await stack.joinAll(["a", "b", "c"]);
  const owner = (await stack.session("a"))?.origin ?? "";
  const theirs = (await stack.ring()).origins.find(({ id }) => id === owner)?.sessions ?? 0;
  await stack.drain(owner);
  await stack.emptied(owner);
  const other = owner === "o0" ? "o1" : "o0";
  const ring = { pool: "live", region: "weur" };
  const families = await eventually("connections are told", async () => {
    const all = await scrape();
    return (
      valueOf(all, "limpet_connections", { origin: other }) === 3 &&
      all.find(({ name }) => name === "limpet_leg_gap_seconds")?.metrics[0]?.buckets?.["+Inf"] === String(theirs) &&
      all
    );
  });
  const told = (name: string, labels: Readonly<Record<string, string>> = {}): number | undefined => valueOf(families, name, { ...ring, ...labels });
  expect(told("limpet_ring_up")).toBe(1);
  expect(told("limpet_sessions")).toBe(3);
  expect(told("limpet_origin_sessions", { origin: other })).toBe(3);
  expect(told("limpet_moves_total", { reason: "drain" })).toBe(theirs);
  expect(told("limpet_origin_state", { origin: owner, state: "active" })).toBe(0);
  expect(told("limpet_origin_state", { origin: other, state: "active" })).toBe(1);
  expect(told("limpet_origin_health", { origin: other, health: "healthy" })).toBe(1);
  expect(told("limpet_origin_share", { origin: other })).toBe(1);
  expect(told("limpet_place_sessions_total")).toBe(3);
  expect(told("limpet_place_calls_total")).toBeGreaterThan(0);
  expect(told("limpet_ring_epoch")).toBeGreaterThanOrEqual(told("limpet_snapshot_epoch") ?? Infinity);
  expect(told("limpet_snapshot_age_seconds")).toBeLessThan(60);
  expect(told("limpet_requests_total", { origin: other, outcome: "ok" })).toBe(0);
  const gaps = families.find(({ name }) => name === "limpet_leg_gap_seconds");
  expect([gaps?.type, gaps?.metrics[0]?.buckets?.["+Inf"]]).toEqual(["HISTOGRAM", String(theirs)]);
});

test("page, code and scrape name the same metrics", async () => {
  stack = await LiveStack.start({ ids: ["o0"], pool: { origins: [] } });
  const { METRICS } = (await import(METRICS_FILE)) as { METRICS: Readonly<Record<string, readonly [type: string, help: string]>> };
  const page = await readFile(new URL("../../docs/metrics.md", import.meta.url), "utf8");
  const rows = [...page.matchAll(/^\| `(limpet_\w+)`[^|]*\| (\w+) \|/gm)].map(([, name, type]) => [name, type]);
  expect(rows).toEqual(Object.entries(METRICS).map(([name, [type]]) => [name, type]));
  for (const { name, type, help } of await scrape()) expect([name, type.toLowerCase(), help]).toEqual([name, ...(METRICS[name] ?? [])]);
});

const CARRIER = encodeURIComponent("v1:live@weur#g1/0");
const PATIENT = { intervalMs: 200, timeoutMs: 2_000, rise: 1, fall: 50 };

test("a scrape wakes no carrier that sleeps, and waits for none that hangs", async () => {
  stack = await LiveStack.start({ ids: ["o0"], mortal: true, pool: { carriers: 1, health: PATIENT }, route: { park: { afterMs: 1_000 } } });
  await stack.joinAll(["sleeper"]);
  await eventually("it is parked", async () => (await stack.session("sleeper"))?.state === "parked");
  await stack.router.miniflare.unsafeEvictDurableObject("limpet", "CarrierObject", { name: decodeURIComponent(CARRIER), webSockets: "hibernate" });
  for (let scrapes = 0; scrapes < 5; scrapes++) expect(valueOf(await scrape(), "limpet_sessions")).toBe(1);
  const scrapedAtMs = Date.now();
  const { bornAtMs } = (await (await stack.client.fetch(`/stored/CARRIER/${CARRIER}`)).json()) as { bornAtMs: number };
  expect(bornAtMs, "it has begun anew for this very question").toBeGreaterThanOrEqual(scrapedAtMs);

  await stack.client.fetch(`/hang/CARRIER/${CARRIER}/6000`, { method: "POST" });
  const hangs = stack.client.fetch(`/stored/CARRIER/${CARRIER}`).then(() => "answered");
  const first = await Promise.race([hangs, scrape().then((families) => valueOf(families, "limpet_sessions"))]);
  expect(first).toBe(1);
  await hangs;
});

interface Entry {
  readonly ring: string;
  readonly seq: number;
  readonly what: string;
  readonly who: string;
  readonly origin?: string;
}

const audit = async (query = ""): Promise<Entry[]> => (await stack.client.admin<{ entries: Entry[] }>(`audit${query}`)).entries;

test("who changed what is told, newest first, in as many entries as are asked for, and as lines", async () => {
  stack = await LiveStack.start({ ids: ["o0", "enam-1"], regions: { weur: {}, enam: {} } });
  await stack.drain("o0");
  await stack.drain("enam-1");
  await stack.undrain("o0");
  const orders = (await audit()).filter(({ who }) => who === "dev");
  expect(orders.map(({ ring, what, who, origin }) => [ring, what, who, origin])).toEqual([
    ["live@weur", "undrain", "dev", "o0"],
    ["live@enam", "drain", "dev", "enam-1"],
    ["live@weur", "drain", "dev", "o0"],
  ]);
  expect(await audit("?limit=1")).toHaveLength(1);
  const lines = await stack.client.fetch("/_limpet/v1/audit", { headers: { ...BEARER, accept: "application/x-ndjson" } });
  expect(lines.headers.get("content-type")).toBe("application/x-ndjson");
  const entries = (await lines.text()).trimEnd().split("\n");
  expect(entries.map((line) => (JSON.parse(line) as Entry).seq)).toEqual((await audit()).map(({ seq }) => seq));
});

/** Reads an event stream until `count` changes by people have come, then leaves. */
async function follow(count: number, lastEventId?: string): Promise<{ entries: Entry[]; lastId: string }> {
  const gone = new AbortController();
  const headers = { ...BEARER, ...(lastEventId === undefined ? {} : { "last-event-id": lastEventId }) };
  const response = await stack.client.fetch("/_limpet/v1/events", { headers, signal: gone.signal });
  expect([response.status, response.headers.get("content-type")]).toEqual([200, "text/event-stream"]);
  const entries: Entry[] = [];
  let [text, lastId] = ["", ""];
  const decoder = new TextDecoder();
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf("\n\n"); end >= 0 && entries.length < count; end = text.indexOf("\n\n")) {
      const lines = text.slice(0, end).split("\n");
      text = text.slice(end + 2);
      const field = (name: string): string | undefined => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      lastId = field("id") ?? lastId;
      const entry = field("data") === undefined ? undefined : (JSON.parse(field("data") ?? "") as Entry);
      if (entry?.who === "dev") entries.push(entry);
    }
    if (entries.length >= count) break;
  }
  gone.abort();
  return { entries, lastId };
}

test("changes are told as they happen, of all rings, and a listener who comes back misses none and gets none twice", async () => {
  stack = await LiveStack.start({ ids: ["o0", "enam-1"], regions: { weur: {}, enam: {} } });
  await stack.drain("o0"); // before anybody listens
  const heard = follow(2);
  await new Promise((resolve) => setTimeout(resolve, 1_500)); // the stream has asked the rings where they are
  await stack.undrain("o0");
  await stack.drain("enam-1");
  const { entries, lastId } = await heard;
  expect(entries.map(({ ring, what }) => [ring, what])).toEqual([
    ["live@weur", "undrain"],
    ["live@enam", "drain"],
  ]);
  await stack.undrain("enam-1");
  await stack.drain("o0");
  expect((await follow(2, lastId)).entries.map(({ ring, what }) => [ring, what])).toEqual([
    ["live@enam", "undrain"],
    ["live@weur", "drain"],
  ]);
});
