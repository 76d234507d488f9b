// Several origins of a real server's in this process, and the router before them: one of them is drained, dies like a process, or
// loses a connection while it lives on.

import type { Server } from "node:http";
import type { Duplex } from "node:stream";
import { Socket } from "node:net";
import { listen } from "./mortal-server.ts";
import { eventually, startDev, type Stack } from "./stack.ts";

export interface LiveOrigin {
  readonly id: string;
  readonly url: string;
  /** Resets the oldest of its WebSockets; its port goes on listening. */
  cut(): void;
  /** Resets what is open, and its port refuses. */
  kill(): Promise<void>;
}

export async function liveOrigin(id: string, server: Server): Promise<LiveOrigin> {
  const upgraded = new Set<Socket>();
  server.on("upgrade", (_request, socket: Duplex) => {
    if (!(socket instanceof Socket)) return;
    upgraded.add(socket);
    socket.on("close", () => upgraded.delete(socket));
  });
  const mortal = await listen(server);
  return {
    ...mortal,
    id,
    cut: () => void [...upgraded][0]?.resetAndDestroy(),
  };
}

export interface LiveStack<Origin extends LiveOrigin> extends Omit<Stack, "fleet"> {
  readonly origins: readonly Origin[];
  ownerOf(key: string): Promise<Origin>;
  /** Resolves once the origin has none of the pool's sessions any more. */
  drain(origin: Origin): Promise<void>;
  /** Resolves once the session is somewhere else than there. */
  moved(key: string, from: Origin): Promise<Origin>;
}

/** A pool `live`, its origins in one region, and one route `/live/:session`. */
export async function startLive<Origin extends LiveOrigin>(
  origins: readonly Origin[],
  resume: object,
  pool: object = {},
  route: object = {},
): Promise<LiveStack<Origin>> {
  const router = await startDev({
    configRevision: 1,
    defaultRegion: "weur",
    regions: { weur: {} },
    pools: {
      live: {
        health: { intervalMs: 200, timeoutMs: 200, rise: 1, fall: 2 },
        closeDeadlineMs: 500,
        slowStart: { windowMs: 0 },
        ...pool,
        origins: origins.map(({ id, url }) => ({ id, region: "weur", url })),
      },
    },
    routes: [{ path: "/live/:session", pool: "live", session: [{ path: "session" }], home: "weur", resume, ...route }],
  });
  const settledAt = async (key: string): Promise<Origin | undefined> => {
    const session = await router.session(key, "live");
    return session?.state === "settled" ? origins.find(({ id }) => id === session.origin) : undefined;
  };
  return {
    ...router,
    origins,
    ownerOf: (key) => eventually(`${key} is somewhere`, () => settledAt(key)),
    drain: async ({ id }) => {
      await router.admin(`rings/live/weur/origins/${id}/drain`, "POST");
      const { state } = await router.admin<{ state: string }>(`rings/live/weur/origins/${id}?waitFor=drained&timeoutMs=20000`);
      if (state !== "drained") throw new Error(`${id} is ${state}`);
    },
    moved: (key, from) =>
      eventually(`${key} has left ${from.id}`, async () => {
        const owner = await settledAt(key);
        return owner === from ? undefined : owner;
      }),
    stop: async () => {
      await router.stop();
      await Promise.all(origins.map((origin) => origin.kill()));
    },
  };
}
