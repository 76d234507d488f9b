// How busy the sessions of a carrier are, for a ring object that moves the idlest first.

import type { Weight } from "../core/protocol.ts";
import type { CarriedSession } from "./carried-session.ts";
import { delay } from "./limits.ts";

interface Carried {
  readonly sessions: ReadonlyMap<string, CarriedSession>;
  readonly isParked: (keyHash: string) => boolean;
}

/** Connections, and frames that pass while they are watched. Those that are not here are left out; parked ones weigh nothing. */
export async function weigh({ sessions, isParked }: Carried, keyHashes: readonly string[], forMs: number): Promise<Weight[]> {
  const parked = keyHashes.filter(isParked).map((keyHash) => ({ keyHash, connections: 0, frames: 0 }));
  const awake = keyHashes.flatMap((keyHash) => sessions.get(keyHash) ?? []);
  const before = awake.map((session) => session.weigh().frames);
  await delay(forMs);
  const weights = awake.map((session, index) => {
    const weight = session.weigh();
    return { ...weight, frames: weight.frames - (before[index] ?? 0) };
  });
  return [...parked, ...weights];
}
