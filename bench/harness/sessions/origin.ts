// An origin, in a process of its own: a stateful server. Each frame is written to the session's log in memory, to a journal on disk, and to
// the store that all origins share (the parent), in this order, and answered 0–30 ms after it came, if the store took it and the leg is
// open. It pushes numbered frames on every leg. It answers nobody who has not said hello. A restarted one reads its journal first.
// Who asks for events gets the session's log (origin-streams.ts); who asks for a page gets one that says who made it, well or not (`Manner`).
// Arguments: its id, its port (0: any), its journal's file, and how many frames a second it pushes on a leg.

import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { parseDictionary } from "structured-headers";
import { WebSocketServer, type WebSocket } from "ws";
import type { LogEntry } from "./logs.ts";
import { keyOf, MADE_BY, numbersIn, PAGES, pathOf, sessionOf, sessionOfPath } from "./names.ts";
import { OriginStreams } from "./origin-streams.ts";

export type FromOrigin =
  | { readonly kind: "ready"; readonly port: number }
  | { readonly kind: "opened"; readonly visitor: number; readonly leg: number; readonly fence: number | undefined; readonly atMs: number }
  | { readonly kind: "ended"; readonly leg: number; readonly pushes: number; readonly atMs: number }
  | { readonly kind: "commit"; readonly frames: readonly Commit[] }
  /** A listener came; `last`: the event that it had last. */
  | { readonly kind: "listened"; readonly session: number; readonly stream: number; readonly last: number | undefined; readonly atMs: number }
  | { readonly kind: "unlistened"; readonly session: number; readonly stream: number };

export interface Commit {
  readonly visitor: number;
  readonly n: number;
  readonly leg: number;
  readonly fence: number | undefined;
}

export type ToOrigin =
  /** What the store says of the frames of one commit, in their order. */
  | { readonly kind: "verdicts"; readonly taken: readonly boolean[] }
  /** What a listener is to be told first; `joined`: where it begins, if it had no event before. */
  | { readonly kind: "begin"; readonly stream: number; readonly joined: number | undefined; readonly backlog: readonly LogEntry[] }
  /** For the listeners of a session. */
  | { readonly kind: "logged"; readonly session: number; readonly entry: LogEntry }
  | { readonly kind: "behave"; readonly manner: Manner };

/** How an origin answers plain requests: nothing else of it is any worse, its checks neither. */
export type Manner = "well" | "failing" | "slow";

/** Frames of so long are committed together. */
const COMMIT_EVERY_MS = 3;
const ANSWER_WITHIN_MS = 30;
const SLOW_MS = 2_000;
/** Legs are numbered through all origins and their restarts. */
const LEGS_PER_PROCESS = 1_000_000;

interface Leg {
  readonly socket: WebSocket;
  readonly number: number;
  readonly fence: number | undefined;
  visitor: number | undefined;
  /** Frames that are not handled yet, each with its time. */
  readonly queue: { readonly visitor: number; readonly n: number; readonly atMs: number }[];
  pushes: number;
}

const [id = "", port = "0", journal = "", pushesPerSecond = "1"] = process.argv.slice(2);
const logs = new Map<string, string[]>();
const waiting: { readonly leg: Leg; readonly commit: Commit }[] = [];
const committed: { readonly leg: Leg; readonly commit: Commit }[][] = [];
let legCount = 0;
let manner: Manner = "well";
let committing: NodeJS.Timeout | undefined;

process.title = `origin ${id}`;
process.once("disconnect", () => process.exit());
process.on("message", heed);
if (existsSync(journal)) for (const line of readFileSync(journal, "utf8").split("\n")) remember(line);

const streams = new OriginStreams(tell);
const server = createServer(respond);
const sockets = new WebSocketServer({ server, perMessageDeflate: false });
sockets.on("connection", (socket, request) => {
  const leg = { socket, number: process.pid * LEGS_PER_PROCESS + legCount++, fence: fenceOf(request) };
  serve({ ...leg, visitor: undefined, queue: [], pushes: 0 }, request.url ?? "");
});
server.listen(Number(port), "127.0.0.1", () => {
  const address = server.address();
  tell({ kind: "ready", port: typeof address === "object" && address !== null ? address.port : 0 });
});

/** A listener, whoever wants a page, or a check. */
function respond(request: IncomingMessage, response: ServerResponse): void {
  if (request.url?.startsWith(PAGES)) return makePage(response);
  const session = sessionOfPath(request.url ?? "");
  if (session === undefined || request.headers.accept !== "text/event-stream") {
    return void response.writeHead(request.url === "/healthz" ? 200 : 404).end();
  }
  fenceOf(request);
  streams.serve(session, request, response);
}

function makePage(response: ServerResponse): void {
  const status = manner === "failing" ? 500 : 200;
  const afterMs = manner === "slow" ? SLOW_MS : Math.random() * ANSWER_WITHIN_MS;
  setTimeout(() => response.writeHead(status, { [MADE_BY]: id, "cache-control": "no-store" }).end(`${id}\n`), afterMs);
}

/** By which it was sent here, if by any; what the router says of the session must be what the path says. */
function fenceOf({ headers, url }: IncomingMessage): number | undefined {
  const told = parseDictionary(String(headers["limpet"] ?? ""));
  const session = told.get("session")?.[0];
  if (typeof session === "string" && url !== `/s/${session}`) throw new Error(`the leg of ${session} came to ${url}`);
  const fence = told.get("fence")?.[0];
  return typeof fence === "number" ? fence : undefined;
}

function heed(message: ToOrigin): void {
  switch (message.kind) {
    case "verdicts":
      return answer(message.taken);
    case "begin":
      return streams.begin(message.stream, message.joined, message.backlog);
    case "logged":
      return streams.logged(message.session, message.entry);
    case "behave":
      return void (manner = message.manner);
    default:
      return message satisfies never;
  }
}

function serve(leg: Leg, path: string): void {
  const { socket, number, fence } = leg;
  let pushing: NodeJS.Timeout | undefined;
  const pushEveryMs = 1_000 / Number(pushesPerSecond);
  const push = (): void => {
    pushing = setTimeout(push, pushEveryMs);
    if (socket.readyState === socket.OPEN) socket.send(`p${number}.${leg.pushes++}`);
  };
  socket.on("error", () => socket.terminate());
  socket.on("message", (data: Buffer) => {
    const frame = data.toString();
    const [visitor, n] = numbersIn(frame);
    if (pathOf(visitor) !== path) throw new Error(`visitor ${visitor} came to ${path}`);
    if (!frame.startsWith("h")) return handle(leg, visitor, n);
    if (leg.visitor !== undefined) return; // a hello said twice
    leg.visitor = visitor;
    tell({ kind: "opened", visitor, leg: number, fence, atMs: Date.now() });
    pushing = setTimeout(push, Math.random() * pushEveryMs);
  });
  socket.on("close", () => {
    clearTimeout(pushing);
    if (leg.visitor !== undefined) tell({ kind: "ended", leg: number, pushes: leg.pushes, atMs: Date.now() });
  });
}

/** After its time, in the order in which the leg's frames came. */
function handle(leg: Leg, visitor: number, n: number): void {
  if (leg.visitor !== visitor) return; // said no hello: it is never answered
  const atMs = Math.max(leg.queue.at(-1)?.atMs ?? 0, performance.now() + Math.random() * ANSWER_WITHIN_MS);
  leg.queue.push({ visitor, n, atMs });
  if (leg.queue.length === 1) wait(leg);
}

/** One timer a leg: two that are due at once may come in either order. */
function wait(leg: Leg): void {
  const [next] = leg.queue;
  if (!next) return;
  setTimeout(
    () => {
      for (const nowMs = performance.now(); (leg.queue[0]?.atMs ?? Infinity) <= nowMs;) {
        const due = leg.queue.shift();
        if (due) waiting.push({ leg, commit: { visitor: due.visitor, n: due.n, leg: leg.number, fence: leg.fence } });
      }
      if (waiting.length > 0) committing ??= setTimeout(commit, COMMIT_EVERY_MS);
      wait(leg);
    },
    Math.max(0, next.atMs - performance.now()),
  );
}

function commit(): void {
  committing = undefined;
  const batch = waiting.splice(0);
  const lines = batch.map(({ commit: { visitor, n } }) => `${keyOf(sessionOf(visitor))} ${visitor}.${n}`);
  for (const line of lines) remember(line);
  appendFileSync(journal, `${lines.join("\n")}\n`);
  committed.push(batch);
  tell({ kind: "commit", frames: batch.map((each) => each.commit) });
}

function remember(line: string): void {
  const [key = "", frame = ""] = line.split(" ");
  const log = logs.get(key) ?? [];
  log.push(frame);
  logs.set(key, log);
}

function answer(taken: readonly boolean[]): void {
  committed.shift()?.forEach(({ leg: { socket }, commit: { visitor, n } }, index) => {
    if (taken[index] && socket.readyState === socket.OPEN) socket.send(`a${visitor}.${n}`);
  });
}

function tell(message: FromOrigin): void {
  process.send?.(message);
}
