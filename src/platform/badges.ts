// Visitors' sockets that outlive this object's memory: what each bears to be known again by, and how it is spoken to while nobody in memory
// holds it.

import { overloaded, type Close } from "../core/close-codes.ts";
import type { Frame } from "../core/profile.ts";
import { SOCKET_LOOK_BYTES } from "./limits.ts";

/** What a visitor's socket bears while this object sleeps. No more than that: it lies open. */
export interface Badge {
  readonly id: string;
  readonly keyHash: string;
  /** Its presence was renewed up to this clock, and then, since it was parked. */
  readonly clock?: number;
  readonly renewedAtMs?: number;
  /** Its session is awake, or a frame or close of it was taken and is not through yet: after a reset it cannot go on as if nothing had been said. */
  readonly busy?: boolean;
}

/** Whoever accepts a socket has written it. */
export function badgeOf(socket: WebSocket): Badge {
  return socket.deserializeAttachment() as Badge;
}

export function mark(socket: WebSocket, change: Partial<Badge>): void {
  socket.serializeAttachment({ ...badgeOf(socket), ...change });
}

/** What others show. `false`: its reader is behind, and was told to come back. */
export function show(socket: WebSocket, frame: Frame): boolean {
  const { bufferedAmount = 0 } = socket as { bufferedAmount?: number };
  if (bufferedAmount > SOCKET_LOOK_BYTES) {
    end(socket, overloaded("you read too slowly: please reconnect"));
    return false;
  }
  try {
    socket.send(frame);
  } catch {
    // It is closing: its close event follows.
  }
  return true;
}

export function end(socket: WebSocket, close: Close | undefined): void {
  try {
    if (close) socket.close(close.code, close.reason);
    else socket.close();
  } catch {
    // It is closed already: nothing is left to say.
  }
}
