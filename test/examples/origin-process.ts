// Starts a real origin as a process for a test, and waits for what the test waits for, with a limit.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const ORIGIN_FILE = fileURLToPath(new URL("../../examples/collab/origin.ts", import.meta.url));

export const LIMIT_MS = 10_000;

export interface OriginProcess {
  readonly url: string;
  readonly port: number;
  isRunning(): boolean;
  /** Resolves with how the process ended. */
  signal(name: "SIGTERM" | "SIGKILL"): Promise<{ code: number | null; tookMs: number }>;
  closeStdin(): Promise<number | null>;
}

export async function startOrigin(id: string, ...more: string[]): Promise<OriginProcess> {
  const { child, exit } = spawnOrigin(["--id", id, "--region", "weur", "--port", "0", ...more]);
  const line = await within(firstLine(child.stdout), `${id} ready`);
  const { ready } = JSON.parse(line) as { ready: string };
  return {
    url: ready,
    port: Number(new URL(ready).port),
    isRunning: () => child.exitCode === null && child.signalCode === null,
    async signal(name) {
      const askedAtMs = performance.now();
      child.kill(name);
      return { code: await within(exit, `${id} ended`), tookMs: performance.now() - askedAtMs };
    },
    closeStdin() {
      child.stdin.end();
      return within(exit, `${id} ended`);
    },
  };
}

/** Runs an origin that is expected to end by itself. */
export async function runOrigin(args: string[]): Promise<{ code: number | null; complaint: string }> {
  const { child, exit } = spawnOrigin(args);
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (complaint += text));
  const code = await within(exit, "the origin ended");
  return { code, complaint };
}

export async function within<T>(work: Promise<T>, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${LIMIT_MS} ms for: ${what}`)), LIMIT_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function spawnOrigin(args: string[]) {
  const child = spawn(process.execPath, [ORIGIN_FILE, ...args], { stdio: ["pipe", "pipe", "pipe"] });
  const exit = once(child, "close").then(([code]: unknown[]) => (typeof code === "number" ? code : null));
  return { child, exit };
}

async function firstLine(stream: NodeJS.ReadableStream): Promise<string> {
  let text = "";
  for await (const piece of stream) {
    text += String(piece);
    if (text.includes("\n")) break;
  }
  return text;
}
