// NGINX as its users run it for affinity: a consistent hash of the path over the origins of both regions, a failed one tried again after ten
// seconds (its default), every change a new configuration and a reload. Old workers keep their connections for `worker_shutdown_timeout`,
// which users set so that reloads end: a second here, so that runs do. It checks nobody: of an origin that hangs it learns when a handshake
// is not answered in time, and what its visitors still send keeps the open sockets open.

import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { accepts, freePort, killTree, orEnded, stop, type Running } from "../harness/processes.ts";
import type { Contestant } from "../harness/sessions/contestant.ts";
import type { Placed } from "../harness/sessions/limpet.ts";

interface Server {
  readonly port: string;
  weight: number;
  down: boolean;
}

export async function startNginx(folder: string, origins: readonly Placed[]): Promise<Contestant> {
  const port = await freePort();
  const file = join(folder, "nginx.conf");
  const servers = new Map<string, Server>(origins.map(({ id, url }) => [id, { port: new URL(url).port, weight: 1, down: false }]));
  writeFileSync(file, configOf(folder, port, servers));
  const begun = async (): Promise<Running> => {
    const child = spawn("nginx", ["-p", folder, "-c", file, "-e", "stderr"], { stdio: ["ignore", "ignore", "inherit"] });
    await orEnded(accepts(port), child, "nginx");
    return { child };
  };
  let nginx = await begun();
  const reload = async (change: () => void): Promise<void> => {
    change();
    writeFileSync(file, configOf(folder, port, servers));
    nginx.child.kill("SIGHUP");
  };
  const changed = (id: string, change: Partial<Server>): Promise<void> => reload(() => Object.assign(servers.get(id) ?? {}, change));
  return {
    name: "nginx",
    url: `ws://127.0.0.1:${port}`,
    drain: (id) => changed(id, { down: true }),
    undrain: (id) => changed(id, { down: false }),
    join: (id, _region, originPort) => reload(() => servers.set(id, { port: String(originPort), weight: 1, down: false })),
    leave: (id) => reload(() => servers.delete(id)),
    reweight: (id, weight) => changed(id, { weight }),
    forgive: () => reload(() => {}),
    restart: async () => {
      await killTree(nginx);
      nginx = await begun();
    },
    stop: () => stop(nginx),
  };
}

function configOf(folder: string, port: number, servers: ReadonlyMap<string, Server>): string {
  const lines = [...servers.values()].map((each) => `server 127.0.0.1:${each.port} weight=${each.weight}${each.down ? " down" : ""};`);
  return `daemon off;
worker_processes 1;
worker_shutdown_timeout 1s;
worker_rlimit_nofile 16384;
pid ${folder}/nginx.pid;
error_log stderr emerg;
events { worker_connections 8192; }
http {
  access_log off;
  ${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${folder}/${kind};`).join(" ")}
  map $http_upgrade $connection_upgrade { default upgrade; "" ""; }
  upstream origins {
    hash $uri consistent;
    ${lines.join("\n    ")}
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://origins;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_connect_timeout 1s;
      proxy_read_timeout 5s;
      proxy_buffering off;
    }
  }
}
`;
}
