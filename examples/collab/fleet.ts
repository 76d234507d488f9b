// A fleet of origins as child processes, for the demo and for tests: start, kill (SIGKILL, nothing is said to anybody), revive, stop.
// Each child's standard input is a pipe that only this process holds; an origin leaves when it closes (`--with-parent`), and the kernel
// closes it even when this process is SIGKILLed. So origins never outlive their fleet.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export interface OriginPlan {
  readonly id: string;
  readonly region: string;
  /** 0 or absent: any free port, kept for later revivals. */
  readonly port?: number;
}

export type OriginState = "running" | "killed";

export interface OriginReport {
  readonly id: string;
  readonly region: string;
  readonly url: string;
  readonly state: OriginState;
}

const ORIGIN_FILE = fileURLToPath(new URL("origin.ts", import.meta.url));

const START_WITHIN_MS = 10_000;

/** An origin leaves within 2 s by itself; past this it is killed. */
const STOP_WITHIN_MS = 2_500;

interface Member {
  readonly plan: OriginPlan;
  /** Known from the first start on; a revived origin comes back on the same port. */
  port: number;
  process: ChildProcess | undefined;
  /** While a start is under way, so that two calls do not start two. */
  starting: Promise<void> | undefined;
}

export class Fleet {
  readonly #members: ReadonlyMap<string, Member>;

  constructor(plans: readonly OriginPlan[]) {
    this.#members = new Map(plans.map((plan) => [plan.id, { plan, port: plan.port ?? 0, process: undefined, starting: undefined }]));
    if (this.#members.size !== plans.length) throw new Error("two origins of the fleet have the same id");
  }

  get ids(): readonly string[] {
    return [...this.#members.keys()];
  }

  /** Resolves when every origin listens. When one cannot, the others are stopped again and its own sentence is thrown. */
  async start(): Promise<void> {
    const results = await Promise.allSettled(this.ids.map((id) => this.revive(id)));
    const failed = results.find((result) => result.status === "rejected");
    if (failed === undefined) return;
    await this.stop();
    throw failed.reason;
  }

  /** Ends an origin the hard way; resolves when the process is gone. */
  async kill(id: string): Promise<void> {
    await ended(this.#member(id).process, "SIGKILL");
  }

  /** Starts an origin that is not running, on the port it had. */
  async revive(id: string): Promise<void> {
    const member = this.#member(id);
    if (member.starting === undefined && member.process !== undefined) return;
    member.starting ??= startMember(member).finally(() => (member.starting = undefined));
    await member.starting;
  }

  /** Asks every origin to leave; resolves when all are gone. */
  async stop(): Promise<void> {
    await Promise.all([...this.#members.values()].map(({ process }) => ended(process, "SIGTERM")));
  }

  state(id: string): OriginState {
    return this.#member(id).process === undefined ? "killed" : "running";
  }

  url(id: string): string {
    const { port } = this.#member(id);
    if (port === 0) throw new Error(`${id} has no port before its first start`);
    return `http://127.0.0.1:${port}`;
  }

  report(): readonly OriginReport[] {
    return this.ids.map((id) => ({ id, region: this.#member(id).plan.region, url: this.url(id), state: this.state(id) }));
  }

  #member(id: string): Member {
    const member = this.#members.get(id);
    if (member === undefined) throw new Error(`no origin ${JSON.stringify(id)} in the fleet: there are ${this.ids.join(", ")}`);
    return member;
  }
}

async function startMember(member: Member): Promise<void> {
  const { id, region } = member.plan;
  const args = [ORIGIN_FILE, "--id", id, "--region", region, "--port", String(member.port), "--with-parent"];
  const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "pipe"] });
  // Writing nothing, but a dead child resets the pipe.
  child.stdin.on("error", () => {});
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (complaint = (complaint + text).slice(-2_000)));
  child.once("exit", () => {
    if (member.process === child) member.process = undefined;
  });
  // Killed in mid-start is ended too: `kill` finds it here.
  member.process = child;
  const url = await readyUrl(child).catch(async (error: unknown) => {
    await ended(child, "SIGKILL");
    throw new Error(`${id} did not start. ${complaint.trim() || String(error)}`);
  });
  member.port = Number(url.port);
}

async function readyUrl(child: ChildProcess): Promise<URL> {
  if (child.stdout === null) throw new Error("the origin has no standard output");
  const lines = createInterface({ input: child.stdout });
  const waiting = new AbortController();
  const line = once(lines, "line", { signal: waiting.signal });
  const gone = once(child, "close", { signal: waiting.signal }).then(() => Promise.reject(new Error("it ended at once")));
  const late = AbortSignal.timeout(START_WITHIN_MS);
  const tooLate = once(late, "abort", { signal: waiting.signal }).then(() => Promise.reject(new Error(`not ready within ${START_WITHIN_MS} ms`)));
  try {
    const [text]: unknown[] = await Promise.race([line, gone, tooLate]);
    return new URL(readyIn(JSON.parse(String(text))));
  } finally {
    waiting.abort();
    await Promise.allSettled([line, gone, tooLate]);
  }
}

function readyIn(message: unknown): string {
  if (typeof message === "object" && message !== null && "ready" in message && typeof message.ready === "string") return message.ready;
  throw new Error(`its first line was ${JSON.stringify(message)}`);
}

async function ended(child: ChildProcess | undefined, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill(signal);
  const impatient = setTimeout(() => child.kill("SIGKILL"), STOP_WITHIN_MS);
  await exit;
  clearTimeout(impatient);
}
