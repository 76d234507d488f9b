// Limpet as `limpet dev` runs it (router.ts), driven by its admin API.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundleWorker } from "../../../src/cli/bundle.ts";
import { carrierObjectName, GENERATION } from "../../../src/core/names.ts";
import { killTree, startScript, told, type Running } from "../processes.ts";
import type { Contestant } from "./contestant.ts";
import { POOL, type Member } from "./places.ts";

/** Limpet's own, whose objects can be made to die. */
const MORTAL_WORKER = fileURLToPath(new URL("../../../test/platform/mortal-worker.ts", import.meta.url));
const READY_WITHIN_MS = 60_000;
const ANSWER_WITHIN_MS = 10_000;
/** A session's move waits for its turn. */
const MOVED_WITHIN_MS = 30_000;

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
        slowStart: { windowMs: 0 },
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

/** Of a configuration, what driving its router takes. */
export interface Runnable {
  readonly regions: Readonly<Record<string, object>>;
  readonly pools: Readonly<Record<typeof POOL, { readonly origins: readonly Placed[] }>>;
}

export interface Limpet extends Contestant {
  /** The admin API's answer; `path` below its version, `ifMatch` for what is changed only if it still is as it was seen. */
  readonly admin: (method: string, path: string, body?: object, options?: { withinMs?: number; ifMatch?: string }) => Promise<unknown>;
}

export async function startLimpet(folder: string, config: Runnable): Promise<Limpet> {
  const module = join(folder, "limpet.js");
  writeFileSync(module, await bundleWorker(MORTAL_WORKER, config));
  let router = await startRouter(folder, module, 0);
  const { url } = router;
  const regions = Object.keys(config.regions);
  const regionOf = new Map(config.pools[POOL].origins.map(({ id, region }) => [id, region]));
  const admin: Limpet["admin"] = async (method, path, body, { withinMs = ANSWER_WITHIN_MS, ifMatch } = {}) => {
    const headers = {
      authorization: "Bearer dev",
      ...(body ? { "content-type": "application/json" } : {}),
      ...(ifMatch === undefined ? {} : { "if-match": ifMatch }),
    };
    const signal = AbortSignal.timeout(withinMs);
    const response = await fetch(`${url}/_limpet/v1/${path}`, { method, headers, signal, ...(body ? { body: JSON.stringify(body) } : {}) });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.status === 204 ? undefined : response.json();
  };
  const order = async (method: string, id: string, suffix = "", body?: object): Promise<void> => {
    await admin(method, `rings/${POOL}/${regionOf.get(id) ?? ""}/origins/${id}${suffix}`, body);
  };
  return {
    name: "limpet",
    admin,
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
    order: async (key, id) => void (await admin("POST", `sessions/${POOL}/${key}/move`, { to: id }, { withinMs: MOVED_WITHIN_MS })),
    resetCarrier: async () => void (await (await fetch(`${url}/abort/CARRIER/${encodeURIComponent(carrierIn(regions))}`, { method: "POST" })).text()),
    restart: async () => {
      await killTree(router);
      router = await startRouter(folder, module, Number(new URL(url).port));
    },
    stop: () => killTree(router),
  };
}

/** Whatever it stores lies in the folder, where the next finds it. */
async function startRouter(folder: string, module: string, port: number): Promise<Running & { readonly url: string }> {
  const running = startScript(new URL("router.ts", import.meta.url), [String(port), join(folder, "stored"), module], { TMPDIR: folder });
  const { url } = await told<{ url: string }>(running.child, READY_WITHIN_MS);
  return { ...running, url };
}

/** One carrier of eight: of the first region, the first. */
function carrierIn([region = ""]: readonly string[]): string {
  return carrierObjectName({ ring: { pool: POOL, region, generation: GENERATION }, slice: 0 });
}
