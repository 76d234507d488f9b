// How soon a fleet of which half hangs is judged: 100 real origins of one ring, of which 50 accept connections and answer nothing from a moment on, the
// router as `limpet dev` runs it, the health checks' defaults. Looked at from outside: the admin API, four times a second.

import { createServer, type Server } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { startRouter } from "../../src/cli/router.ts";
import { LIMITS } from "../../src/core/config-limits.ts";
import { DOWN_SLOTS, PROBE_SLOTS } from "../../src/platform/limits.ts";
import type { Benchmark } from "../run.ts";
import type { Row } from "../rows.ts";

const ORIGINS = 100;
const HANGING = 50;
const LOOK_EVERY_MS = 250;
const POLICY = {
  intervalMs: LIMITS.healthIntervalMs.fallback,
  timeoutMs: LIMITS.healthTimeoutMs.fallback,
  fall: LIMITS.fall.fallback,
  rise: LIMITS.rise.fallback,
};
const JITTER = 1.1;
/** As docs/health.md tells it. */
const BOUND_MS = POLICY.fall * POLICY.intervalMs * JITTER + (HANGING * POLICY.fall * POLICY.timeoutMs) / (PROBE_SLOTS - DOWN_SLOTS);

class Origin {
  hangs = false;
  checkedCount = 0;
  readonly id: string;
  readonly #server: Server;

  constructor(index: number) {
    this.id = `o${index}`;
    this.#server = createServer((_, response) => {
      if (this.hangs) return; // accepted, and never answered
      this.checkedCount++;
      response.end("ready");
    });
  }

  async start(): Promise<string> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

interface RingView {
  readonly origins: readonly { readonly id: string; readonly health: string }[];
}

export async function detectBench(progress: (text: string) => void): Promise<Benchmark> {
  const origins = Array.from({ length: ORIGINS }, (_, index) => new Origin(index));
  const urls = await Promise.all(origins.map((origin) => origin.start()));
  const raw = {
    configRevision: 1,
    defaultRegion: "weur",
    regions: { weur: {} },
    pools: { fleet: { virtualNodes: 16, origins: origins.map(({ id }, index) => ({ id, region: "weur", url: urls[index] })) } },
    routes: [{ path: "/*", pool: "fleet" }],
  };
  const router = await startRouter({ raw, port: 0, pagesDir: new URL(".", import.meta.url).pathname, devInfo: {}, onLog: () => undefined });
  try {
    await until("every origin was checked", 60_000, () => origins.every(({ checkedCount }) => checkedCount > 0));
    const hanging = origins.filter((_, index) => index % (ORIGINS / HANGING) === 0);
    for (const origin of hanging) origin.hangs = true;
    const sinceMs = Date.now();
    progress(`${HANGING} of ${ORIGINS} origins hang now; all are to be known within ${Math.round(BOUND_MS / 1000)} s`);
    const downAtMs = new Map<string, number>();
    await until("all that hang are down", BOUND_MS + 10_000, async () => {
      const response = await fetch(`${router.url}/_limpet/v1/rings/fleet/weur`, { headers: { authorization: "Bearer dev" } });
      const ring = (await response.json()) as RingView;
      for (const { id, health } of ring.origins) if (health === "down" && !downAtMs.has(id)) downAtMs.set(id, Date.now() - sinceMs);
      return hanging.every(({ id }) => downAtMs.has(id));
    }).catch((error: unknown) => progress(String(error)));
    return figures(hanging, downAtMs);
  } finally {
    await router.stop();
    for (const origin of origins) origin.stop();
  }
}

function figures(hanging: readonly Origin[], downAtMs: ReadonlyMap<string, number>): Benchmark {
  const times = hanging.flatMap(({ id }) => downAtMs.get(id) ?? []).toSorted((a, b) => a - b);
  const wrongCount = downAtMs.size - times.length;
  const [firstMs = Infinity, lastMs] = [times[0], times.length === hanging.length ? (times.at(-1) ?? Infinity) : Infinity];
  const row = (metric: string, value: number, unit: string): Row => ({ bench: "detect", contestant: "limpet", metric, value, unit });
  return {
    rows: [
      row("first hanging origin known to be down", firstMs, "ms"),
      row("half of them", times[Math.floor(times.length / 2)] ?? Infinity, "ms"),
      row("detectMs: all of them", lastMs, "ms"),
      row("documented bound", BOUND_MS, "ms"),
      row("healthy origins judged wrongly", wrongCount, "origins"),
    ],
    bars: [
      { what: "detectMs within the documented bound", found: `${Math.round(lastMs)} of ${BOUND_MS} ms`, met: lastMs <= BOUND_MS },
      { what: "no healthy origin judged wrongly", found: `${wrongCount}`, met: wrongCount === 0 },
    ],
  };
}

async function until(what: string, limitMs: number, look: () => boolean | Promise<boolean>): Promise<void> {
  const endsAtMs = Date.now() + limitMs;
  while (!(await look())) {
    if (Date.now() > endsAtMs) throw new Error(`did not happen within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}
