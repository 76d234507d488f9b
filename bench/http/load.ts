// The visitors, in a process of their own. It collects cookies by first visits, loads a router with them in turn, and looks whether known
// visitors keep their origin. Every answer that is not the expected one is a fault, and the first of them is told.
// Sent a `Task`, answers an `Outcome`; ends with its parent.

import { drive, type Answer } from "./client.ts";
import { TOLD } from "./origin.ts";

export type Task =
  | { readonly kind: "collect"; readonly port: number; readonly count: number }
  | { readonly kind: "load"; readonly port: number; readonly connections: number; readonly forMs: number; readonly visits: "known" | "first" }
  | { readonly kind: "verify"; readonly port: number; readonly count: number };

export interface Outcome {
  readonly requests: number;
  readonly faults: number;
  readonly firstFault: string | undefined;
  readonly tookMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

interface Visitor {
  /** Their request, whole. */
  readonly bytes: Buffer;
  readonly cookies: string;
  readonly origin: string;
}

const COLLECT_CONNECTIONS = 32;
const COOKIE = /^set-cookie: (__Host-limpet-web=[^;\r]+)/im;
const visitors: Visitor[] = [];
let turn = 0;
/** Longer than any round's answers; grows where they are more. */
let latenciesMs = new Float64Array(1_000_000);

if (process.argv[1] === import.meta.filename) {
  process.on("message", (task: Task) => void perform(task));
  process.once("disconnect", () => process.exit());
}

async function perform(task: Task): Promise<void> {
  const tally = new Tally();
  const startedAtMs = performance.now();
  try {
    await performed(task, tally);
  } catch (error) {
    tally.fault(String(error));
  }
  process.send?.(tally.outcome(performance.now() - startedAtMs));
}

function performed(task: Task, tally: Tally): Promise<void> {
  switch (task.kind) {
    case "collect":
      return collect(task, tally);
    case "load":
      return load(task, tally);
    case "verify":
      return verify(task, tally);
    default:
      return task satisfies never;
  }
}

function collect({ port, count }: { port: number; count: number }, tally: Tally): Promise<void> {
  let asked = 0;
  const bytes = requestOf(TOLD, undefined);
  const onAnswer = (answer: Answer): void => {
    const cookie = COOKIE.exec(answer.head)?.[1];
    const origin = originIn(answer.body);
    tally.add(answer, answer.status === 200 && cookie !== undefined && origin !== undefined);
    if (cookie === undefined || origin === undefined) return;
    const cookies = `sid=${visitors.length}; ${cookie}`; // the first is for proxies that hash one
    visitors.push({ bytes: requestOf("/", cookies), cookies, origin });
  };
  return drive({ port, connections: COLLECT_CONNECTIONS, next: () => (asked++ < count ? { bytes, onAnswer } : undefined) });
}

function load(task: Extract<Task, { kind: "load" }>, tally: Tally): Promise<void> {
  const first = {
    bytes: requestOf("/", undefined),
    onAnswer: (answer: Answer) => tally.add(answer, answer.status === 200 && COOKIE.test(answer.head)),
  };
  const onAnswer = (answer: Answer): void => tally.add(answer, answer.status === 200);
  const untilMs = performance.now() + task.forMs;
  const next = (): ReturnType<Parameters<typeof drive>[0]["next"]> => {
    if (performance.now() >= untilMs) return undefined;
    if (task.visits === "first") return first;
    turn = (turn + 1) % visitors.length;
    const visitor = visitors[turn];
    return visitor && { bytes: visitor.bytes, onAnswer };
  };
  return drive({ port: task.port, connections: task.connections, next });
}

/** Whether visitors, spread over all, are told to the origin that they had, by their cookie, and are given no other cookie. */
function verify({ port, count }: { port: number; count: number }, tally: Tally): Promise<void> {
  const step = Math.max(1, Math.floor(visitors.length / count));
  const sample = visitors.filter((_, index) => index % step === 0);
  let asked = 0;
  const next = (): ReturnType<Parameters<typeof drive>[0]["next"]> => {
    const visitor = sample[asked++];
    if (!visitor) return undefined;
    const onAnswer = (answer: Answer): void => {
      const kept = originIn(answer.body) === visitor.origin && /\breason=claim\b/.test(answer.body);
      tally.add(answer, answer.status === 200 && kept && !COOKIE.test(answer.head));
    };
    return { bytes: requestOf(TOLD, visitor.cookies), onAnswer };
  };
  return drive({ port, connections: COLLECT_CONNECTIONS, next });
}

/** What a browser sends, and what Cloudflare adds to it. */
function requestOf(path: string, cookies: string | undefined): Buffer {
  const lines = [
    `GET ${path} HTTP/1.1`,
    "Host: www.example.com",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language: en-US,en;q=0.5",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "CF-Connecting-IP: 192.0.2.17",
    "CF-Ray: 9a1f0c2d3e4b5a69-FRA",
    ...(cookies === undefined ? [] : [`Cookie: ${cookies}`]),
  ];
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
}

function originIn(told: string): string | undefined {
  return /\borigin="([^"]+)"/.exec(told)?.[1];
}

class Tally {
  #requests = 0;
  #faults = 0;
  #firstFault: string | undefined;

  add(answer: Answer, expected: boolean): void {
    if (this.#requests === latenciesMs.length) {
      const longer = new Float64Array(latenciesMs.length * 2);
      longer.set(latenciesMs);
      latenciesMs = longer;
    }
    latenciesMs[this.#requests++] = answer.tookMs;
    if (!expected) this.fault(`${answer.head}\n\n${answer.body}`);
  }

  fault(what: string): void {
    this.#faults++;
    this.#firstFault ??= what;
  }

  outcome(tookMs: number): Outcome {
    const sorted = latenciesMs.subarray(0, this.#requests).toSorted();
    const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
    return { requests: this.#requests, faults: this.#faults, firstFault: this.#firstFault, tookMs, p50Ms: at(0.5), p99Ms: at(0.99) };
  }
}
