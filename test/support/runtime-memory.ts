// What the router's runtime has in memory: on its heap, and as a process.

import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import WebSocket from "ws";
import type { Router } from "../../src/cli/router.ts";

/** The runtime's inspector: asked for what is on the router's heap once all garbage is collected. */
export async function attach(router: Router) {
  const { host } = await router.miniflare.getInspectorURL();
  const targets = (await (await fetch(`http://${host}/json`)).json()) as { id: string; webSocketDebuggerUrl: string }[];
  const socket = new WebSocket(targets.find(({ id }) => id === "core:user:limpet")?.webSocketDebuggerUrl ?? "");
  await once(socket, "open");
  const waiting = new Map<number, (result: { usedSize: number }) => void>();
  socket.on("message", (data) => {
    const { id, result } = JSON.parse(String(data)) as { id: number; result: { usedSize: number } };
    waiting.get(id)?.(result);
    waiting.delete(id);
  });
  let lastId = 0;
  const call = (method: string): Promise<{ usedSize: number }> =>
    new Promise((resolve) => {
      waiting.set(++lastId, resolve);
      socket.send(JSON.stringify({ id: lastId, method }));
    });
  await call("HeapProfiler.enable");
  return {
    heapBytes: async (): Promise<number> => {
      for (let n = 0; n < 2; n++) await call("HeapProfiler.collectGarbage");
      return (await call("Runtime.getHeapUsage")).usedSize;
    },
    close: () => socket.terminate(),
  };
}

/** Resident memory of every workerd that descends from this process. */
export function runtimeBytes(): number {
  const parents = new Map<number, number>();
  let bytes = 0;
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      parents.set(Number(pid), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
    } catch {
      // It has ended meanwhile.
    }
  }
  const isOurs = (pid: number): boolean => pid === process.pid || (parents.has(pid) && isOurs(parents.get(pid) ?? 0));
  for (const pid of parents.keys()) {
    if (pid === process.pid || !isOurs(pid)) continue;
    try {
      const status = readFileSync(`/proc/${pid}/status`, "utf8");
      if (status.startsWith("Name:\tworkerd")) bytes += Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
    } catch {
      // So has this one.
    }
  }
  return bytes;
}
