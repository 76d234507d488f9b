// What happens to the sessions that have listeners: events at a steady rate, all of them evenly spread in time, whatever befalls origins and routers.

import type { Fleet } from "./fleet.ts";

const TICK_MS = 5;

/** One event of each session every so often; what is returned ends it. */
export function startPublisher(fleet: Fleet, sessions: readonly number[], everyMs: number): () => void {
  const beganAtMs = performance.now();
  let published = 0;
  const publishing = setInterval(() => {
    const due = ((performance.now() - beganAtMs) / everyMs) * sessions.length;
    for (; published < due; published++) fleet.publish(sessions[published % sessions.length] ?? 0);
  }, TICK_MS);
  return () => clearInterval(publishing);
}
