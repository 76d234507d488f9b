// Processes that the benchmark starts, and the two proxies among them. Each is ended by its own handle.

import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer, connect } from "node:net";
import { join } from "node:path";

export interface Running {
  readonly child: ChildProcess;
}

export interface RunningProxy extends Running {
  readonly port: number;
}

const READY_WITHIN_MS = 10_000;

/** What is awaited, unless a process ends first that should not. */
export async function orEnded<T>(awaited: Promise<T>, child: ChildProcess, name: string): Promise<T> {
  const settled = new AbortController();
  const ended = once(child, "exit", { signal: settled.signal }).then(([code]: (number | null)[]): never => {
    throw new Error(`${name} ended (${code}); what it said stands above`);
  });
  try {
    return await Promise.race([awaited, ended]);
  } finally {
    settled.abort();
  }
}

export async function stop({ child }: Running): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill();
  await gone;
}

export function isInstalled(program: string): boolean {
  return spawnSync(program, ["-v"]).error === undefined;
}

/** NGINX as one process, consistent hash on a cookie, keep-alive to the origins. */
export async function startNginx(folder: string, originPorts: readonly number[]): Promise<RunningProxy> {
  const port = await freePort();
  const file = join(folder, "nginx.conf");
  writeFileSync(
    file,
    `daemon off;
master_process off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log stderr error;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 100000000;
  ${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${folder}/${kind};`).join(" ")}
  upstream origins {
    hash $cookie_sid consistent;
    ${originPorts.map((each) => `server 127.0.0.1:${each};`).join(" ")}
    keepalive 64;
    keepalive_requests 100000000;
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://origins;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Limpet origin;
      add_header Limpet origin;
    }
  }
}
`,
  );
  return startProxy("nginx", ["-p", folder, "-c", file, "-e", "stderr"], port);
}

/** HAProxy with one thread, consistent hash on a cookie, keep-alive to the origins. */
export async function startHaproxy(folder: string, originPorts: readonly number[]): Promise<RunningProxy> {
  const port = await freePort();
  const file = join(folder, "haproxy.cfg");
  writeFileSync(
    file,
    `global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend visitors
  bind 127.0.0.1:${port}
  http-request set-header Limpet origin
  http-response set-header Limpet origin
  default_backend origins
backend origins
  balance hash req.cook(sid)
  hash-type consistent
${originPorts.map((each, index) => `  server web-${index + 1} 127.0.0.1:${each}`).join("\n")}
`,
  );
  return startProxy("haproxy", ["-f", file, "-q"], port);
}

async function startProxy(program: string, args: readonly string[], port: number): Promise<RunningProxy> {
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "inherit"] });
  await orEnded(accepts(port), child, program);
  return { child, port };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function accepts(port: number): Promise<void> {
  for (const untilMs = performance.now() + READY_WITHIN_MS; performance.now() < untilMs;) {
    if (await connects(port)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`nobody listens on port ${port}`);
}

function connects(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(port, "127.0.0.1");
  socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
  return promise.finally(() => socket.destroy());
}
