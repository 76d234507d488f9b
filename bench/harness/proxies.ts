// NGINX and HAProxy as one would run them for session affinity: one process, one thread, a consistent hash on a cookie, keep-alive to the
// origins, and live connections under LIVE_PATH.

import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { accepts, freePort, orEnded, type Running } from "./processes.ts";

export interface RunningProxy extends Running {
  readonly port: number;
}

/** Where WebSockets and event streams are opened: nothing of them is buffered. */
export const LIVE_PATH = "/live/";

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
events { worker_connections 8192; }
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
    location ${LIVE_PATH} {
      proxy_pass http://origins;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";
      proxy_set_header Limpet origin;
      proxy_read_timeout 1h;
      proxy_buffering off;
    }
  }
}
`,
  );
  return startProxy("nginx", ["-p", folder, "-c", file, "-e", "stderr"], port);
}

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
  timeout tunnel 1h
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
