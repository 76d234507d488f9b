// HAProxy as its users run it for affinity: a consistent hash of the path over the origins of both regions, the same checks as Limpet's, the
// sessions of an origin that is down cut (else nobody would leave one that hangs), and every change by the runtime API: a drain and then
// the end of its sessions, weights in percent of the first, servers added and taken out.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { accepts, freePort, killTree, orEnded, stop, type Running } from "../harness/processes.ts";
import type { Contestant } from "../harness/sessions/contestant.ts";
import type { Placed } from "../harness/sessions/limpet.ts";

/** Of 256, so that weights can grow and shrink. */
const WEIGHT = 100;
const CHECKS = "check inter 500ms fall 3 rise 2 on-marked-down shutdown-sessions";

export async function startHaproxy(folder: string, origins: readonly Placed[]): Promise<Contestant> {
  const port = await freePort();
  const file = join(folder, "haproxy.cfg");
  const socket = join(folder, "haproxy.sock");
  writeFileSync(file, configOf(socket, port, origins));
  const begun = async (): Promise<Running> => {
    const child = spawn("haproxy", ["-f", file, "-q"], { stdio: ["ignore", "ignore", "ignore"] });
    await orEnded(accepts(port), child, "haproxy");
    return { child };
  };
  let haproxy = await begun();
  const orders = async (...lines: readonly string[]): Promise<void> => {
    for (const line of lines) await order(socket, line);
  };
  return {
    name: "haproxy",
    url: `ws://127.0.0.1:${port}`,
    drain: (id) => orders(`set server origins/${id} state drain`, `shutdown sessions server origins/${id}`),
    undrain: (id) => orders(`set server origins/${id} state ready`),
    join: (id, _region, originPort) =>
      orders(
        `add server origins/${id} 127.0.0.1:${originPort} weight ${WEIGHT} ${CHECKS}`,
        `enable health origins/${id}`,
        `enable server origins/${id}`,
      ),
    leave: (id) => orders(`set server origins/${id} state maint`, `shutdown sessions server origins/${id}`, `del server origins/${id}`),
    reweight: (id, weight) => orders(`set server origins/${id} weight ${WEIGHT * weight}`),
    forgive: async () => {}, // its checks find out
    restart: async () => {
      await killTree(haproxy);
      haproxy = await begun();
    },
    stop: () => stop(haproxy),
  };
}

/** What it answers to an order is nothing, or what became of a server; anything else is a fault. */
async function order(path: string, line: string): Promise<void> {
  const socket = connect(path);
  await once(socket, "connect");
  socket.end(`${line}\n`);
  const answer = (await text(socket)).trim();
  if (answer !== "" && !/^(New server registered|Server deleted)\.$/.test(answer)) throw new Error(`haproxy, ${line}: ${answer}`);
}

function configOf(socket: string, port: number, origins: readonly Placed[]): string {
  return `global
  nbthread 1
  stats socket ${socket} level admin
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 5s
  timeout tunnel 1h
  retries 3
  option redispatch 1
frontend visitors
  bind 127.0.0.1:${port}
  default_backend origins
backend origins
  balance uri
  hash-type consistent
  option httpchk GET /healthz
${origins.map(({ id, url }) => `  server ${id} ${new URL(url).host} weight ${WEIGHT} ${CHECKS}`).join("\n")}
`;
}
