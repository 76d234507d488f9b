// Whatever a visitor sends: cookies, tags, tokens, headers, paths. The router answers, as documented; says nothing of its inside; sends nobody to
// a session that they cannot name; and tells origins nothing that a visitor made up. LIMPET_FUZZ_RUNS and LIMPET_FUZZ_SEED make more of it.

import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import fc from "fast-check";
import { SignJWT } from "jose";
import { parseDictionary } from "structured-headers";
import { Pool } from "undici";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PROBLEMS } from "../../src/core/problem.ts";
import { startDev } from "../support/stack.ts";

const RUNS = Number(process.env["LIMPET_FUZZ_RUNS"] ?? 20_000);
const SEED = Number(process.env["LIMPET_FUZZ_SEED"] ?? Date.now() % 2 ** 31);
const AT_ONCE = 24;

const JWT_KEY = "a key for tokens of at least thirty-two bytes";
/** What no visitor may say, and no origin may hear from one. */
const SPOOF = "spoofed-by-the-visitor";

interface Heard {
  readonly origin: string;
  readonly session: string | undefined;
  readonly headers: IncomingMessage["headers"];
  readonly url: string;
}

let origins: Server[];
let router: Awaited<ReturnType<typeof startDev>>;
let pool: Pool;
let valid: { readonly cookie: string; readonly tagged: string; readonly mcp: string; readonly token: string };

/** Answers what it has heard, and issues keys as servers do. */
async function startOrigin(id: string): Promise<Server> {
  const server = createServer((request, response) => {
    const field = parseDictionary(String(request.headers["limpet"] ?? ""));
    const session = field.get("session")?.[0];
    request.resume();
    if (request.url?.startsWith("/learn")) response.setHeader("set-cookie", `JSESSIONID=${id}${Math.random().toString(36).slice(2)}; Path=/`);
    if (request.url?.startsWith("/mcp")) response.setHeader("mcp-session-id", `${id}-${Math.random().toString(36).slice(2)}`);
    const heard: Heard = {
      origin: String(field.get("origin")?.[0]),
      session: session === undefined ? undefined : String(session),
      headers: request.headers,
      url: request.url ?? "",
    };
    response.setHeader("content-type", "application/json").setHeader("x-heard-by", id).end(JSON.stringify(heard));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

function urlOf(server: Server | undefined): string {
  const address = server?.address() as AddressInfo | undefined; // they listen on a port
  return `http://127.0.0.1:${address?.port}`;
}

beforeAll(async () => {
  const ids = ["weur-1", "weur-2", "weur-3"];
  origins = await Promise.all(ids.map(startOrigin));
  process.env["FUZZ_JWT_KEY"] = JWT_KEY;
  const p = { pool: "web" };
  router = await startDev({
    defaultRegion: "weur",
    regions: { weur: {} },
    pools: {
      web: {
        origins: ids.map((id, n) => ({ id, region: "weur", url: urlOf(origins[n]) })),
      },
    },
    routes: [
      { ...p, path: "/doc/:session/*", session: [{ path: "session" }] },
      { ...p, path: "/api/*", session: [{ cookie: "sid" }, { header: "x-session-id" }, { issue: true }], home: "visitor" },
      { ...p, path: "/token/*", session: [{ jwt: { claim: "sub", secret: "FUZZ_JWT_KEY" } }], required: true },
      { ...p, path: "/learn/*", session: [{ cookie: "JSESSIONID", learn: "wrap" }] },
      { ...p, path: "/mcp", preset: "mcp" },
      { ...p, path: "/io/*", preset: "socket.io" },
      { ...p, path: "/any/*", session: [{ query: "sid" }, { subprotocol: "s." }, { ip: true }] },
      { ...p, path: "/gold/*", header: { "x-tier": "gold" }, session: [{ header: "x-session-id" }], allowedOrigins: ["https://app.example.com"] },
    ],
  });
  pool = new Pool(router.url, { connections: AT_ONCE });
  const cookieOf = async (path: string): Promise<string> => (await router.fetch(path)).headers.get("set-cookie")?.split(";")[0] ?? "";
  valid = {
    cookie: await cookieOf("/api/x"),
    tagged: await cookieOf("/learn/x"),
    mcp: (await router.fetch("/mcp")).headers.get("mcp-session-id") ?? "",
    token: await new SignJWT({ sub: "ann" }).setProtectedHeader({ alg: "HS256" }).sign(new TextEncoder().encode(JWT_KEY)),
  };
  expect([valid.cookie, valid.tagged, valid.mcp]).toEqual([
    expect.stringMatching(/^limpet-web=1\./) as string,
    expect.stringMatching(/^JSESSIONID=.*~limpet\./) as string,
    expect.stringMatching(/~limpet\./) as string,
  ]);
}, 60_000);
afterAll(async () => {
  await pool?.destroy();
  await router?.stop();
  for (const origin of origins) origin.closeAllConnections();
  for (const origin of origins) origin.close();
});

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** Text as a header can bear it, and what attackers like to put there. */
const text = fc.oneof(
  fc.stringMatching(/^[\x21-\x7e]{0,40}$/),
  fc.stringMatching(/^[\x21-\x7e\xa1-\xff]{1,20}$/),
  fc.constantFrom(
    "",
    "..",
    "%00",
    "%",
    "%zz",
    "%c3%28",
    "a%2Fb",
    "__proto__",
    "constructor",
    "~limpet.",
    "x".repeat(300),
    "1.",
    "null",
    "${7*7}",
    "é",
  ),
);

/** A good value, damaged: cut, lengthened, a character changed, or doubled. */
function damaged(good: () => string): fc.Arbitrary<() => string> {
  return fc.tuple(fc.nat(400), fc.constantFrom("cut", "change", "add", "double", "whole")).map(([at, how]) => () => {
    const value = good();
    const place = at % value.length;
    if (how === "cut") return value.slice(0, place);
    if (how === "change") return `${value.slice(0, place)}${value[place] === "A" ? "B" : "A"}${value.slice(place + 1)}`;
    if (how === "add") return `${value.slice(0, place)}x${value.slice(place)}`;
    return how === "double" ? `${value}; ${value}` : value;
  });
}

const constant = fc.string({ maxLength: 0 }).map((empty) => () => empty);
const cookie = fc.oneof(
  constant,
  damaged(() => valid.cookie),
  damaged(() => valid.tagged),
  text.map((value) => () => `sid=${value}`),
  text.map((value) => () => `limpet-web=1.${value}; JSESSIONID=${value}`),
  fc
    .tuple(
      damaged(() => valid.cookie),
      damaged(() => valid.tagged),
    )
    .map(
      ([a, b]) =>
        () =>
          `${a()}; ${b()}; theme=dark`,
    ),
);
const token = fc.oneof(
  constant,
  damaged(() => valid.token),
  fc.constant(() => `${btoa('{"alg":"none"}').replaceAll("=", "")}.${btoa('{"sub":"root"}').replaceAll("=", "")}.`),
  text.map((value) => () => value),
);
const spoofed = fc.subarray([
  "limpet",
  "Limpet-Live",
  "limpet-placed",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
  "X-Forwarded-Port",
  "forwarded",
  "x-real-ip",
  "x-original-url",
  "true-client-ip",
  "proxy-authorization",
  "te",
]);
const segment = fc.oneof(text.map(encodeURI), fc.constantFrom("x", "a%2Fb", "%00", "%ff", "%", "..", ".", "", "é", "x".repeat(300), "a;b=c"));
const path = fc
  .tuple(
    fc.constantFrom(
      "/doc",
      "/api",
      "/token",
      "/learn",
      "/mcp",
      "/io",
      "/any",
      "/gold",
      "/_limpet",
      "/_limpet/v1",
      "/nowhere",
      "//doc",
      "/DOC",
      "/%64oc",
    ),
    fc.array(segment, { maxLength: 3 }),
    fc.oneof(
      fc.constant(""),
      text.map((value) => `?sid=${encodeURIComponent(value)}`),
      fc.constantFrom("?sid", "?sid=%", "?sid=a%7Elimpet.b&sid=c", "?EIO=4&transport=polling"),
    ),
  )
  .map(([first, rest, query]) => [first, ...rest].join("/").replaceAll(/[^\x21-\x7e]/g, "") + query);
const request: fc.Arbitrary<() => Sent> = fc
  .record({
    method: fc.constantFrom("GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"),
    path,
    cookie,
    token,
    spoofed,
    key: text,
    mcp: fc.oneof(
      constant,
      damaged(() => valid.mcp),
      text.map((value) => () => value),
    ),
    more: fc.array(
      fc.tuple(
        fc.constantFrom(
          "x-session-id",
          "x-tier",
          "accept",
          "connection",
          "via",
          "origin",
          "traceparent",
          "idempotency-key",
          "range",
          "sec-websocket-protocol",
          "limpet-dev-cf",
        ),
        text,
      ),
      { maxLength: 3 },
    ),
  })
  .map((made) => () => {
    const headers: [string, string][] = made.spoofed.map((name) => [name, SPOOF]);
    if (made.cookie() !== "") headers.push(["cookie", made.cookie()]);
    if (made.token() !== "") headers.push(["authorization", `Bearer ${made.token()}`]);
    if (made.mcp() !== "") headers.push(["mcp-session-id", made.mcp()]);
    for (const [name, value] of made.more)
      if (name !== "connection" || value === "x-session-id") headers.push([name, name === "via" && value === "1." ? "1.1 limpet" : value]);
    return { method: made.method, path: made.path, headers };
  });

/** A header that the client's own library refuses never leaves this machine. */
const isSendable = ([, value]: readonly [string, string]): boolean => /^[\t\x20-\x7e\x80-\xff]*$/.test(value);

async function send({ method, path: target, headers }: Sent): Promise<{ status: number; headers: Record<string, unknown>; body: string }> {
  const answer = await pool.request({
    method: method as "GET",
    path: target,
    headers: headers
      .filter(isSendable)
      .filter(([name]) => name !== "connection")
      .flat(),
    ...(["POST", "PUT", "PATCH"].includes(method) ? { body: "some body" } : {}),
  });
  return { status: answer.statusCode, headers: answer.headers, body: await answer.body.text() };
}

test(
  `${RUNS.toLocaleString("en")} requests (seed ${SEED}): every answer is a documented one, and no origin hears what a visitor made up`,
  { timeout: 60_000 + RUNS * 10 },
  async () => {
    const owners = new Map<string, string>();
    const counts = new Map<number, number>();
    const makers = fc.sample(request, { numRuns: RUNS, seed: SEED });
    let next = 0;
    const worker = async (): Promise<void> => {
      for (let make = makers[next++]; make; make = makers[next++]) {
        const sent = make();
        const answer = await send(sent);
        counts.set(answer.status, (counts.get(answer.status) ?? 0) + 1);
        const fault = faultOf(sent, answer, owners);
        if (fault !== undefined) throw new Error(`seed ${SEED}: ${fault}\n${JSON.stringify({ sent, answer }, undefined, 1)}`);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    // The test is worth something only while all of these happen.
    for (const status of [200, 400, 401, 404]) expect([status, (counts.get(status) ?? 0) > RUNS / 1_000]).toEqual([status, true]);
    expect(owners.size).toBeGreaterThan(RUNS / 1_000);
  },
);

/** What is wrong with an answer. */
function faultOf(sent: Sent, { status, headers, body }: Awaited<ReturnType<typeof send>>, owners: Map<string, string>): string | undefined {
  if (/\bat \S+ \(|\.ts:\d+|\.js:\d+|node_modules/.test(body)) return "a stack";
  if (headers["limpet-placed"] !== undefined || headers["limpet-live"] !== undefined) return "an internal header";
  const isOrigins = headers["x-heard-by"] !== undefined;
  if (!isOrigins) return sent.method === "HEAD" ? undefined : problemFault(status, headers, body);
  if (sent.method === "HEAD") return undefined;
  const heard = JSON.parse(body) as Heard;
  if (heard.origin !== headers["x-heard-by"]) return "an origin was told that it is another";
  for (const [name, value] of Object.entries(heard.headers)) if (String(value).includes(SPOOF)) return `${name} came through`;
  const tagged = [heard.url, heard.headers.cookie, sent.path.startsWith("/mcp") ? heard.headers["mcp-session-id"] : ""];
  if (tagged.some((each) => /~limpet\.[\w.-]/.test(String(each)))) return "a tag came through";
  if (/(^|; )limpet-web=/.test(String(heard.headers.cookie ?? ""))) return "our cookie came through";
  return sessionFault(sent, heard, owners);
}

function problemFault(status: number, headers: Record<string, unknown>, body: string): string | undefined {
  if (status < 400) return [200, 304, 307, 308].includes(status) ? undefined : `status ${status}`; // our own pages
  if (headers["content-type"] !== "application/problem+json") return `no problem of ours with ${status}`;
  const { code } = JSON.parse(body) as { code: keyof typeof PROBLEMS };
  if (PROBLEMS[code]?.status !== status) return `the problem ${code} with ${status}`;
  return status >= 500 && code !== "loop" ? `the problem ${code}, while every origin was well` : undefined;
}

/** A document has one origin; a session is heard of only where the request could name it. */
function sessionFault({ path: target, headers }: Sent, { session, origin }: Heard, owners: Map<string, string>): string | undefined {
  if (session === undefined) return undefined;
  const request = JSON.stringify(headers);
  if (/^\/(doc|%64oc)\//.test(target)) {
    const owner = owners.get(session) ?? origin;
    owners.set(session, origin);
    return owner === origin ? undefined : `the document ${session} at ${owner} and at ${origin}`;
  }
  if (target.startsWith("/token/"))
    return session === "ann" && request.includes(valid.token) ? undefined : `the session ${session} by a token that nobody signed`;
  const own = /^[0-9a-f]{32}$/.test(session) && target.startsWith("/api/");
  if (own && session === ownKey && !request.includes(valid.cookie)) return "somebody else's issued key";
  return undefined;
}

/** The key in the valid cookie, which only that cookie may bring. */
let ownKey = "";
beforeAll(async () => {
  const answer = await router.fetch("/api/x", { headers: { cookie: valid.cookie } });
  ownKey = ((await answer.json()) as Heard).session ?? "";
  expect(ownKey).toMatch(/^[0-9a-f]{32}$/);
});
