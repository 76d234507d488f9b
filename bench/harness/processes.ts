// Processes that a benchmark starts: its origin, its load generator, whoever is measured. Each is ended by its own handle.

import { fork, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createServer, connect } from "node:net";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";

export interface Running {
  readonly child: ChildProcess;
}

const READY_WITHIN_MS = 10_000;
const STOPPED_WITHIN_MS = 2_000;

/** What is awaited, unless a process ends first that should not. */
export async function orEnded<T>(awaited: Promise<T>, child: ChildProcess, name: string): Promise<T> {
  const settled = new AbortController();
  const ended = once(child, "exit", { signal: settled.signal }).then(([code]: (number | null)[]): never => {
    throw new Error(`${name} ended (${code}); what it said stands above`);
  });
  try {
    return await Promise.race([awaited, ended]);
  } finally {
    settled.abort();
  }
}

/** A script of a benchmark, in a process of its own. `env`: what it has beside ours. */
export function startScript(script: URL, args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Running {
  return { child: fork(fileURLToPath(script), args, { env: { ...process.env, ...env } }) };
}

/** What a script answers to a task; rejects when it ends, or says nothing in time. */
export async function ask<Outcome>(child: ChildProcess, task: object, withinMs: number): Promise<Outcome> {
  child.send(task);
  return told<Outcome>(child, withinMs);
}

/** The next that a script tells of itself. The benchmark's own scripts: what they say has the shape that they were written to say. */
export async function told<Message>(child: ChildProcess, withinMs = READY_WITHIN_MS): Promise<Message> {
  const late = AbortSignal.timeout(withinMs);
  const [message] = (await orEnded(once(child, "message", { signal: late }), child, basename(child.spawnargs.at(-1) ?? ""))) as [Message];
  return message;
}

/** Asks it to end, and ends it where it waits for connections that nobody closes any more. */
export async function stop({ child }: Running): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill();
  const late = setTimeout(() => child.kill("SIGKILL"), STOPPED_WITHIN_MS);
  await gone;
  clearTimeout(late);
}

/** Ends a process and all that it has started, without a word of warning; resolves when they are gone, and their ports are free. */
export async function killTree({ child }: Running): Promise<void> {
  const pids = treeOf(child.pid ?? 0);
  const gone = child.exitCode === null && child.signalCode === null ? once(child, "exit") : undefined;
  for (const pid of pids) process.kill(pid, "SIGKILL");
  await gone;
  for (const untilMs = performance.now() + STOPPED_WITHIN_MS; performance.now() < untilMs && pids.some(isRunning);) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A process, if it still runs, and those that it has started, and so on. */
function treeOf(pid: number): number[] {
  if (!isRunning(pid)) return [];
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").split(" "));
  return [pid, ...children.filter((child) => child !== "").flatMap((child) => treeOf(Number(child)))];
}

/** One that has ended and is not waited for is listed still. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false; // it is listed no more
  }
}

export function isInstalled(program: string): boolean {
  return spawnSync(program, ["-v"]).error === undefined;
}

/** A port that nobody had a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** Resolves once somebody listens there. */
export async function accepts(port: number): Promise<void> {
  for (const untilMs = performance.now() + READY_WITHIN_MS; performance.now() < untilMs;) {
    if (await connects(port)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`nobody listens on port ${port}`);
}

function connects(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(port, "127.0.0.1");
  socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
  return promise.finally(() => socket.destroy());
}
