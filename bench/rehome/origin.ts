// An origin, in a process of its own: a stateful server. Each frame is written to the session's log in memory, to a journal on disk, and to
// the store that all origins share (the parent), in this order, and answered 0–30 ms after it came, if the store took it and the leg is
// open. It pushes numbered frames on every leg. It answers nobody who has not said hello. A restarted one reads its journal first.
// Arguments: its id, its port (0: any), its journal's file, and how many frames a second it pushes on a leg.

import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { parseDictionary } from "structured-headers";
import { WebSocketServer, type WebSocket } from "ws";
import { keyOf, numbersIn, pathOf, sessionOf } from "./names.ts";

export type FromOrigin =
  | { readonly kind: "ready"; readonly port: number }
  | { readonly kind: "opened"; readonly visitor: number; readonly leg: number; readonly fence: number | undefined; readonly atMs: number }
  | { readonly kind: "ended"; readonly leg: number; readonly pushes: number; readonly atMs: number }
  | { readonly kind: "commit"; readonly frames: readonly Commit[] };

export interface Commit {
  readonly visitor: number;
  readonly n: number;
  readonly leg: number;
  readonly fence: number | undefined;
}

/** What the store says of the frames of one commit, in their order. */
export type ToOrigin = readonly boolean[];

/** Frames of so long are committed together. */
const COMMIT_EVERY_MS = 3;
const ANSWER_WITHIN_MS = 30;
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
let committing: NodeJS.Timeout | undefined;

process.title = `origin ${id}`;
process.once("disconnect", () => process.exit());
process.on("message", (verdicts: ToOrigin) => answer(verdicts));
if (existsSync(journal)) for (const line of readFileSync(journal, "utf8").split("\n")) remember(line);

const server = createServer((request, response) => void response.writeHead(request.url === "/healthz" ? 200 : 404).end());
const sockets = new WebSocketServer({ server, perMessageDeflate: false });
sockets.on("connection", (socket, request) => {
  const told = parseDictionary(String(request.headers["limpet"] ?? ""));
  const fence = told.get("fence")?.[0];
  const session = told.get("session")?.[0];
  if (typeof session === "string" && request.url !== `/s/${session}`) throw new Error(`the leg of ${session} came to ${request.url}`);
  const leg = { socket, number: process.pid * LEGS_PER_PROCESS + legCount++, fence: typeof fence === "number" ? fence : undefined };
  serve({ ...leg, visitor: undefined, queue: [], pushes: 0 }, request.url ?? "");
});
server.listen(Number(port), "127.0.0.1", () => {
  const address = server.address();
  tell({ kind: "ready", port: typeof address === "object" && address !== null ? address.port : 0 });
});

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

function answer(verdicts: ToOrigin): void {
  committed.shift()?.forEach(({ leg: { socket }, commit: { visitor, n } }, index) => {
    if (verdicts[index] && socket.readyState === socket.OPEN) socket.send(`a${visitor}.${n}`);
  });
}

function tell(message: FromOrigin): void {
  process.send?.(message);
}
