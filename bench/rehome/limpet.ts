// Limpet as `limpet dev` runs it, driven by its admin API.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { orEnded, stop } from "../harness/processes.ts";
import type { Contestant } from "./contestant.ts";
import { POOL, type Member } from "./places.ts";

const LIMPET = fileURLToPath(new URL("../../bin/limpet.js", import.meta.url));
const READY_WITHIN_MS = 60_000;
const ANSWER_WITHIN_MS = 10_000;
const LOG_MAX_CHARACTERS = 20_000;

/** Where an origin is: what a configuration says of it. */
export type Placed = Pick<Member, "id" | "region" | "url">;

export type LimpetConfig = ReturnType<typeof limpetConfig>;

/** Two regions that stand in for each other, sessions that follow the ring, and quick checks. The header of bench.ts tells what is chosen. */
export function limpetConfig(origins: readonly Placed[], hold: boolean) {
  const [first = "", second = ""] = new Set(origins.map(({ region }) => region));
  return {
    configRevision: 1,
    defaultRegion: first,
    regions: { [first]: { secondary: [second] }, [second]: { secondary: [first] } },
    pools: {
      [POOL]: {
        balance: "ring",
        hold,
        holdDownMs: 1_000,
        health: { intervalMs: 500, timeoutMs: 500, rise: 2, fall: 3 },
        origins: origins.map(({ id, region, url }) => ({ id, region, url, weight: 1 })),
      },
    },
    routes: [
      {
        path: "/s/:session",
        pool: POOL,
        session: [{ path: "session" }],
        home: "session",
        resume: { mode: "transparent", prelude: { frames: 1, bytes: 1_000, swallow: 0, mute: false } },
      },
    ],
  };
}

export async function startLimpet(folder: string, config: LimpetConfig): Promise<Contestant> {
  const file = join(folder, "limpet.config.json");
  writeFileSync(file, JSON.stringify(config));
  const child = spawn(process.execPath, [LIMPET, "dev", "--config", file, "--port", "0", "--json"], { stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log = (log + text).slice(-LOG_MAX_CHARACTERS);
    if (process.env["LIMPET_BENCH_LOG"]) process.stderr.write(text);
  });
  const line = once(createInterface({ input: child.stdout }), "line", { signal: AbortSignal.timeout(READY_WITHIN_MS) });
  const [text]: unknown[] = await orEnded(line, child, "limpet dev").catch((error: unknown) => {
    throw new Error(`the router did not start: ${log}`, { cause: error });
  });
  const { ready: url } = JSON.parse(String(text)) as { ready: string }; // written by `limpet dev --json`
  const regions = Object.keys(config.regions);
  const regionOf = new Map(config.pools[POOL]?.origins.map(({ id, region }) => [id, region]));
  const admin = async (method: string, path: string, body?: object): Promise<unknown> => {
    const headers = { authorization: "Bearer dev", ...(body ? { "content-type": "application/json" } : {}) };
    const signal = AbortSignal.timeout(ANSWER_WITHIN_MS);
    const response = await fetch(`${url}/_limpet/v1/${path}`, { method, headers, signal, ...(body ? { body: JSON.stringify(body) } : {}) });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.status === 204 ? undefined : response.json();
  };
  const order = async (method: string, id: string, suffix = "", body?: object): Promise<void> => {
    await admin(method, `rings/${POOL}/${regionOf.get(id) ?? ""}/origins/${id}${suffix}`, body);
  };
  return {
    name: "limpet",
    url: url.replace("http", "ws"),
    members: async () => {
      const { rings } = (await admin("GET", "rings")) as { rings: { region: string; origins: Member[] }[] }; // the admin API's own shape
      if (rings.length < regions.length) throw new Error("a ring is missing in the admin API's list");
      return rings.flatMap(({ region, origins }) => origins.map((origin) => ({ ...origin, region })));
    },
    drain: (id) => order("POST", id, "/drain"),
    undrain: (id) => order("POST", id, "/undrain"),
    join: (id, region, port) => {
      regionOf.set(id, region);
      return order("PUT", id, "", { url: `http://127.0.0.1:${port}`, weight: 1 });
    },
    leave: (id) => order("DELETE", id),
    reweight: (id, weight) => order("PATCH", id, "", { weight }),
    forgive: async () => {}, // its checks find out
    stop: () => stop({ child }),
  };
}
