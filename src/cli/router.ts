// The router on this machine: the real Worker and its objects, bundled as a deployment bundles them, on Miniflare (workerd).

import { fileURLToPath } from "node:url";
import { Log, LogLevel, Miniflare } from "miniflare";
import { bundleWorker } from "./bundle.ts";
import { assertFree, HOST } from "./ports.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
export const COMPATIBILITY_DATE = "2026-11-17";

/** Of one address in each ring, as in wrangler.toml. Visitors of this machine are not counted. */
export const NEW_SESSIONS_PER_MINUTE = 600;

/** Of one address, as in wrangler.toml. */
export const ADMIN_FAILURES_PER_MINUTE = 10;

export interface RouterOptions {
  /** The Worker's main module; default: Limpet's own. */
  readonly entry?: string;
  /** Texts of the bundle and what stands in their place: addresses that a module says itself. */
  readonly replaced?: Readonly<Record<string, string>>;
  /** The configuration as written; checked already. */
  readonly raw: unknown;
  /** Worker secrets beside Limpet's own. */
  readonly secrets?: Readonly<Record<string, string>>;
  /** Workers behind service bindings, by the binding's name: each one's module. */
  readonly services?: Readonly<Record<string, string>>;
  /** 0: any free one. */
  readonly port: number;
  readonly pagesDir: string;
  /** What /_limpet/dev.json says. */
  readonly devInfo: object;
  readonly onLog: (line: string) => void;
  /** Another limit of new sessions of one address, for tests that reach it. */
  readonly newSessionsPerMinute?: number;
  /** Opens the runtime's inspector, for tests that look at its heap. */
  readonly inspect?: boolean;
  /** The folder of what objects and KV have stored, which outlives the router; without one it is forgotten. */
  readonly storage?: string;
}

export interface Router {
  readonly url: string;
  /** For tests that look into KV and objects, or evict them. */
  readonly miniflare: Miniflare;
  stop(): Promise<void>;
}

/** Resolves when the router answers and its ring objects are awake. */
export async function startRouter({
  entry = `${ROOT}/src/index.ts`,
  replaced,
  raw,
  secrets = {},
  services = {},
  port,
  pagesDir,
  devInfo,
  onLog,
  newSessionsPerMinute = NEW_SESSIONS_PER_MINUTE,
  inspect = false,
  storage,
}: RouterOptions): Promise<Router> {
  await assertFree(port);
  const script = Object.entries(replaced ?? {}).reduce((text, [from, to]) => text.replaceAll(from, to), await bundleWorker(entry, raw));
  const objects = { RingObject: "RING", CarrierObject: "CARRIER", ControlObject: "CONTROL" };
  const miniflare = new Miniflare({
    host: HOST,
    port,
    cf: {}, // nothing is known of where a visitor is, unless a request says so itself
    log: new Log(LogLevel.NONE),
    logRequests: false,
    telemetry: { enabled: false },
    ...(inspect ? { inspectorPort: 0 } : {}),
    ...(storage === undefined ? {} : { resourcePersistencePath: storage }),
    handleStructuredLogs: ({ message }: { message: string }) => onLog(message),
    workers: [
      {
        config: {
          name: "limpet",
          compatibilityDate: COMPATIBILITY_DATE,
          manifest: manifestOf(script),
          env: {
            AFFINITY: { type: "kv", id: "AFFINITY" },
            NEW_SESSIONS: { type: "rate-limit", namespace: "1001", simple: { limit: newSessionsPerMinute, period: 60 } },
            ADMIN_FAILURES: { type: "rate-limit", namespace: "1002", simple: { limit: ADMIN_FAILURES_PER_MINUTE, period: 60 } },
            ASSETS: { type: "assets" },
            ...Object.fromEntries(Object.entries(secrets).map(([name, value]) => [name, { type: "text", value }])),
            ...Object.fromEntries(Object.keys(services).map((name) => [name, { type: "worker", worker: serviceName(name) }])),
            LIMPET_DEV: { type: "text", value: "1" },
            LIMPET_DEV_INFO: { type: "text", value: JSON.stringify(devInfo) },
            ...Object.fromEntries(
              Object.entries(objects).map(([exportName, name]) => [name, { type: "durable-object", worker: "limpet", exportName }]),
            ),
          },
          exports: Object.fromEntries(Object.keys(objects).map((name) => [name, { type: "durable-object", storage: "sqlite" }])),
          assets: { directory: pagesDir, hasUserWorker: true, runWorkerFirst: true, htmlHandling: "auto-trailing-slash" },
        },
      },
      ...Object.entries(services).map(([name, module]) => ({
        config: { name: serviceName(name), compatibilityDate: COMPATIBILITY_DATE, manifest: manifestOf(module) },
      })),
    ],
  });
  const url = (await miniflare.ready).origin;
  // Ring objects start checking health when they are first asked; an admin API that is switched off leaves that to the first visitor.
  // Not by `fetch`: it refuses ports that browsers keep from other protocols (6000, 5060, 6665 …), which a router may well have.
  await (await miniflare.dispatchFetch(`http://${HOST}/_limpet/v1/rings`, { headers: { authorization: "Bearer dev" } })).arrayBuffer();
  return { url, miniflare, stop: () => miniflare.dispose() };
}

/** Names of Workers are in lower case. */
function serviceName(binding: string): string {
  return `service-${binding.toLowerCase()}`;
}

function manifestOf(module: string) {
  return { mainModule: "index.js", modulesRoot: ROOT, modules: { "index.js": { type: "esm" as const, contents: module } } };
}
