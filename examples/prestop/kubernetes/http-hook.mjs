// The sidecar of http-hook.yaml: keeps the origin's lease, and answers `GET /prestop` when the origin is drained (200) or could not be (503:
// Kubernetes ends the server either way). Each word to the router is limpet-origin.sh's.

import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";

const SCRIPT = process.env.LIMPET_ORIGIN_SH ?? fileURLToPath(new URL("limpet-origin.sh", import.meta.url));

const say = (word) => spawn("/bin/sh", [SCRIPT, word], { stdio: "inherit" });

const lease = process.env.LIMPET_ORIGIN_URL ? say("lease") : undefined;

/** Kubernetes may ask twice: one drain answers both. */
let draining;

createServer((request, response) => {
  if (request.method !== "GET" || request.url !== "/prestop") return response.writeHead(404).end();
  draining ??= new Promise((resolve) => say("drain").on("exit", resolve));
  draining.then((code) => response.writeHead(code === 0 ? 200 : 503).end());
}).listen(Number(process.env.LIMPET_HOOK_PORT ?? 8099));

for (const signal of ["SIGTERM", "SIGINT"])
  process.on(signal, () => {
    lease?.kill("SIGTERM");
    process.exit(0);
  });
