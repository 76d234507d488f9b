// Workers on workerd itself, one process for each contestant: no development proxy and no entry Worker in front. Whatever a Worker fetches
// goes to the one origin, by plain HTTP or its upgrade; its URLs are https, as Limpet demands outside development.

import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { bundled } from "./bundle.ts";
import { orEnded, type Running } from "./processes.ts";

export interface WorkerContestant {
  readonly entry: URL;
  /** Durable Object classes, and the binding of each. */
  readonly objects?: Readonly<Record<string, string>>;
  /** Limpet's configuration: with one it is Limpet, and has KV and a secret. */
  readonly config?: object;
  /** Has an entrypoint that tells its counts. */
  readonly counts?: boolean;
}

export interface RunningWorker extends Running {
  readonly port: number;
  /** The socket of the entrypoint that tells the counts. */
  readonly countsPort: number;
  /** From the start of the process until it listened, its modules evaluated. */
  readonly listeningAfterMs: number;
}

/** The binary for this machine; the package comes without types. */
const { default: workerdBinary } = createRequire(import.meta.url)("workerd") as { default: string };

const SECRET = "only-for-the-benchmark-0123456789abcdef";
const COMPATIBILITY_DATE =
  /^compatibility_date = "([\d-]+)"$/m.exec(readFileSync(new URL("../../wrangler.toml", import.meta.url), "utf8"))?.[1] ?? "";

const KV = new URL("workers/kv.ts", import.meta.url);

/** Writes a contestant's bundle and configuration into a folder of its name; the configuration's path. */
export async function prepareWorker(folder: string, name: string, contestant: WorkerContestant, originPort: number): Promise<string> {
  const place = join(folder, name);
  mkdirSync(place);
  writeFileSync(join(place, "worker.js"), await bundled(contestant.entry, contestant.config));
  if (contestant.config) writeFileSync(join(place, "kv.js"), await bundled(KV, undefined));
  const file = join(place, "workerd.capnp");
  writeFileSync(file, configOf(contestant, originPort));
  return file;
}

export async function startWorkerd(configFile: string): Promise<RunningWorker> {
  const startedAtMs = performance.now();
  // As fresh as KV, which is in memory: an object that remembered having published there would not do it again.
  const disk = mkdtempSync(join(dirname(configFile), "disk-"));
  const child = spawn(workerdBinary, ["serve", configFile, "--control-fd=3", `--directory-path=disk=${disk}`], {
    stdio: ["ignore", "ignore", "inherit", "pipe"],
  });
  const ports = new Map<string, number>();
  const { promise: ready, resolve } = Promise.withResolvers<void>();
  let told = "";
  child.stdio[3]?.on("data", (chunk: Buffer) => {
    told += chunk.toString();
    for (const line of told.split("\n").slice(0, -1)) {
      const { event, socket, port } = JSON.parse(line) as { event: string; socket: string; port: number }; // workerd's own
      if (event === "listen") ports.set(socket, port);
    }
    if (ports.has("http") && ports.has("counts")) resolve();
  });
  await orEnded(ready, child, "workerd");
  const listeningAfterMs = performance.now() - startedAtMs;
  return { child, port: ports.get("http") ?? 0, countsPort: ports.get("counts") ?? 0, listeningAfterMs };
}

function configOf({ objects = {}, config, counts = false }: WorkerContestant, originPort: number): string {
  const bindings = Object.entries(objects).map(([className, binding]) => `(name = "${binding}", durableObjectNamespace = "${className}")`);
  if (config) bindings.push('(name = "AFFINITY", kvNamespace = "kv")', `(name = "LIMPET_SECRET", text = "${SECRET}")`);
  const namespaces = Object.keys(objects).map((className) => `(className = "${className}", uniqueKey = "${className}", enableSql = true)`);
  const worker = (module: string, more: string): string =>
    `(compatibilityDate = "${COMPATIBILITY_DATE}", modules = [(name = "${module}", esModule = embed "${module}")], ${more})`;
  const storage = namespaces.length > 0 ? `durableObjectNamespaces = [${namespaces.join(", ")}], durableObjectStorage = (localDisk = "disk"), ` : "";
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "origin", external = (address = "127.0.0.1:${originPort}", http = ())),
    (name = "disk", disk = (writable = true)),
    (name = "worker", worker = ${worker("worker.js", `${storage}bindings = [${bindings.join(", ")}], globalOutbound = "origin"`)}),
    ${config ? `(name = "kv", worker = ${worker("kv.js", "")}),` : ""}
  ],
  sockets = [
    (name = "http", address = "127.0.0.1:0", http = (), service = "worker"),
    (name = "counts", address = "127.0.0.1:0", http = (), service = (name = "worker"${counts ? ', entrypoint = "counts"' : ""})),
  ],
);
`;
}
