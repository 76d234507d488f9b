// A door between router and origin: a TCP proxy that can refuse the next connections, cut the open ones, or let nothing through.

import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import type { AddressInfo } from "node:net";

export interface Door {
  readonly url: string;
  /** Cuts what is open and resets the next `count` connections. */
  refuse(count: number): void;
  /** Connections stay open, but nothing passes either way: an origin that hangs. */
  freeze(frozen: boolean): void;
  /** The same for those that are open now alone: what comes anew passes. */
  freezeOpen(): void;
  close(): void;
}

export async function openDoor(originUrl: string): Promise<Door> {
  const port = Number(new URL(originUrl).port);
  const open = new Set<Socket>();
  let refusals = 0;
  let frozen = false;
  const server = createServer((visitor) => {
    if (refusals > 0) {
      refusals--;
      visitor.resetAndDestroy();
      return;
    }
    const origin = connect(port, "127.0.0.1");
    for (const [from, to] of [
      [visitor, origin],
      [origin, visitor],
    ] as const) {
      open.add(from);
      if (frozen) from.pause();
      from.on("data", (chunk) => to.write(chunk));
      from.on("close", () => {
        open.delete(from);
        to.destroy();
      });
      from.on("error", () => to.destroy());
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    refuse: (count) => {
      refusals = count;
      if (count > 0) for (const socket of open) socket.resetAndDestroy();
    },
    freeze: (now) => {
      frozen = now;
      for (const socket of open) {
        if (now) socket.pause();
        else socket.resume();
      }
    },
    freezeOpen: () => {
      for (const socket of open) socket.pause();
    },
    close: () => {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}
