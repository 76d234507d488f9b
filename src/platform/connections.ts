// The connections of one session, and what is said of them together.

import { MOVING, type Close } from "../core/close-codes.ts";
import type { Connection, KeptConnection } from "./connection.ts";

export class Connections extends Set<Connection> {
  /** When somebody last asked that the session be awake. */
  wokenAtMs = 0;

  get hasLeg(): boolean {
    return [...this].some((connection) => connection.legOpen);
  }

  get frameCount(): number {
    return [...this].reduce((sum, connection) => sum + connection.frameCount, 0);
  }

  /** When anything last passed, and when something did that says more than that somebody is there. */
  get lastFrameAtMs(): number {
    return [...this].reduce((latest, { lastFrameAtMs }) => Math.max(latest, lastFrameAtMs), 0);
  }

  get busyAtMs(): number {
    return [...this].reduce((latest, { busyAtMs }) => Math.max(latest, busyAtMs), 0);
  }

  /** Whether none has said anything for as long as its route waits before it parks. */
  areAtRest(nowMs: number): boolean {
    return [...this].every(({ busyAtMs, parkAfterMs }) => parkAfterMs !== undefined && nowMs - Math.max(busyAtMs, this.wokenAtMs) >= parkAfterMs);
  }

  /** What all of them go on from; `undefined`: there is one that cannot be parked now. */
  keep(): KeptConnection[] | undefined {
    const kept = [...this].flatMap((connection) => connection.keep() ?? []);
    return kept.length > 0 && kept.length === this.size ? kept : undefined;
  }
}

/** `false`: an origin may not have heard everything. */
export async function closeLegs(connections: readonly Connection[], why: Close = MOVING): Promise<boolean> {
  for (const connection of connections) connection.mute();
  const closed = await Promise.all(connections.map((connection) => connection.closeLeg(why)));
  return closed.every(Boolean);
}
