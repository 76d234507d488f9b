// A real stack for a test: collaboration origins as processes, and the router as `limpet dev` starts it, on free ports.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Fleet } from "../../examples/collab/fleet.ts";

const LIMPET = fileURLToPath(new URL("../../bin/limpet.js", import.meta.url));

export const PARIS = { latitude: "48.86", longitude: "2.35", continent: "EU" };
export const NEW_YORK = { latitude: "40.71", longitude: "-74.01", continent: "NA" };

export interface Stack {
  readonly fleet: Fleet;
  readonly url: string;
  readonly wsUrl: string;
  fetch(path: string, init?: RequestInit & { from?: object }): Promise<Response>;
  admin<T>(path: string, method?: string): Promise<T>;
  /** Who serves a live session now. */
  session(key: string, pool?: string): Promise<SessionView | undefined>;
  stop(): Promise<void>;
}

export interface SessionView {
  readonly origin: string;
  readonly region: string;
  readonly fence: number;
  readonly epoch: number;
  readonly reason: string;
  readonly connections: number;
  readonly state: string;
}

export interface RingView {
  readonly pool: string;
  readonly region: string;
  readonly epoch: number;
  readonly origins: readonly { id: string; salt: number; state: string; health: string; share: number; sessions: number; connections: number }[];
}

/** Origins `weur-1 weur-2 enam-1 enam-2`, unless others are named; the configuration may be changed before it is used. */
export async function startStack(
  change: (config: ReturnType<typeof collabConfig>) => object | Promise<object> = (config) => config,
  ids: readonly string[] = ["weur-1", "weur-2", "enam-1", "enam-2"],
): Promise<Stack> {
  const fleet = new Fleet(ids.map((id) => ({ id, region: id.split("-")[0] ?? "" })));
  await fleet.start();
  try {
    const router = await startDev(await change(collabConfig(fleet)));
    return { fleet, ...router, stop: async () => void (await Promise.all([router.stop(), fleet.stop()])) };
  } catch (error) {
    await fleet.stop();
    throw error;
  }
}

/** The router alone, over a configuration. Rejects with what it printed when it does not start. */
export async function startDev(config: object): Promise<Omit<Stack, "fleet">> {
  const folder = await mkdtemp(join(tmpdir(), "limpet-test-"));
  const file = join(folder, "limpet.config.json");
  await writeFile(file, JSON.stringify(config));
  const child = spawn(process.execPath, [LIMPET, "dev", "--config", file, "--port", "0", "--json"], { stdio: ["ignore", "pipe", "pipe"] });
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint = (complaint + text).slice(-20_000);
    if (process.env["LIMPET_TEST_LOG"]) process.stderr.write(text);
  });
  const stop = async (): Promise<void> => {
    await ended(child);
    await rm(folder, { recursive: true, force: true });
  };
  const line = await Promise.race([once(createInterface({ input: child.stdout }), "line"), once(child, "exit")]);
  if (typeof line[0] !== "string" || !line[0].startsWith("{")) {
    await stop();
    throw new Error(`the router did not start: ${complaint}`);
  }
  const { ready: url } = JSON.parse(line[0]) as { ready: string };
  return { url, wsUrl: url.replace("http", "ws"), stop, ...clientOf(url) };
}

export function clientOf(url: string): Pick<Stack, "fetch" | "admin" | "session"> {
  const admin = async <T>(path: string, method = "GET"): Promise<T> => {
    const response = await fetch(`${url}/_limpet/v1/${path}`, { method, headers: { authorization: "Bearer dev" } });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  };
  return {
    admin,
    fetch: (path, { from, ...init } = {}) => {
      const headers = new Headers(init.headers);
      if (from) headers.set("limpet-dev-cf", JSON.stringify(from));
      return fetch(url + path, { ...init, headers });
    },
    session: async (key, pool = "collab") => {
      const response = await fetch(`${url}/_limpet/v1/sessions/${pool}/${encodeURIComponent(key)}`, { headers: { authorization: "Bearer dev" } });
      return response.ok ? ((await response.json()) as SessionView) : undefined;
    },
  };
}

/** Polls until `look` gives a value; fails with `what` when the limit passes. */
export async function eventually<T>(what: string, look: () => Promise<T | undefined | false> | T | undefined | false, limitMs = 15_000): Promise<T> {
  const untilMs = Date.now() + limitMs;
  for (;;) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen;
    if (Date.now() > untilMs) throw new Error(`did not happen within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

export function collabConfig(fleet: Fleet) {
  return {
    configRevision: 1,
    defaultRegion: "weur",
    regions: { weur: { secondary: ["enam"] }, enam: { secondary: ["weur"] } },
    pools: {
      collab: {
        health: { intervalMs: 500, timeoutMs: 500, rise: 2, fall: 3 },
        slowStart: { windowMs: 0 },
        origins: fleet.report().map(({ id, region, url }) => ({ id, region, url })),
      },
    },
    routes: [
      {
        path: "/collab/:session",
        pool: "collab",
        session: [{ path: "session" }],
        home: "session",
        resume: { mode: "transparent", profile: "y-websocket" },
      },
      { path: "/events/:session", pool: "collab", session: [{ path: "session" }], home: "session" },
      { path: "/api/*", pool: "collab", session: [{ cookie: "sid" }, { header: "x-session-id" }, { issue: true }], home: "visitor" },
      { path: "/doc/:session/*", pool: "collab", session: [{ path: "session" }], home: "session" },
      { path: "/fixed/:session/*", pool: "collab", session: [{ path: "session" }], home: "enam" },
      { path: "/whoami", pool: "collab", session: [{ header: "x-session-id" }], home: "session" },
    ],
  };
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill("SIGTERM");
  const impatient = setTimeout(() => child.kill("SIGKILL"), 5_000);
  await exit;
  clearTimeout(impatient);
}
