// Round trips: every contestant's connections are open at once, and driven in turns, so that a noisy moment meets all of them.

import type { Measured } from "../harness/series.ts";
import type { Visitors } from "./visitors.ts";

export const CONNECTIONS = [1, 50, 500];
export const FRAME_BYTES = [128, 8_192];
const ROUNDS = 5;
const ROUND_MS = 1_000;
/** Until the code that is measured has been compiled for good: short warm-ups favour the smaller Worker. */
const WARM_MS = 4_000;
const WARM_CONNECTIONS = 50;

export interface Listening {
  readonly name: string;
  readonly port: number;
}

export async function measureSpeed(
  contestants: readonly Listening[],
  visitors: Visitors,
  measured: Measured,
  progress: (text: string) => void,
): Promise<void> {
  progress(`warming up ${contestants.map(({ name }) => name).join(", ")} …`);
  await openAll(contestants, visitors, WARM_CONNECTIONS);
  for (const frameBytes of FRAME_BYTES) for (const { name } of contestants) await visitors.drive(name, frameBytes, WARM_MS / FRAME_BYTES.length);
  for (const { name } of contestants) await visitors.close(name);

  for (const connections of CONNECTIONS) {
    await openAll(contestants, visitors, connections);
    for (const frameBytes of FRAME_BYTES) {
      progress(`${connections} connections, frames of ${frameBytes} bytes: ${ROUNDS} rounds of ${ROUND_MS / 1000} s each …`);
      for (let round = 0; round < ROUNDS; round++) {
        // Every other round the other way round: nobody always follows the same one.
        for (const { name } of round % 2 === 0 ? contestants : contestants.toReversed()) {
          const { roundTrips, tookMs, p50Ms, p99Ms } = await visitors.drive(name, frameBytes, ROUND_MS);
          const at = { contestant: name, connections, frameBytes };
          measured.add({ ...at, metric: "roundTripsPerSecond" }, "1/s", (roundTrips / tookMs) * 1000);
          measured.add({ ...at, metric: "p50Ms" }, "ms", p50Ms);
          measured.add({ ...at, metric: "p99Ms" }, "ms", p99Ms);
        }
      }
    }
    for (const { name } of contestants) await visitors.close(name);
  }
}

async function openAll(contestants: readonly Listening[], visitors: Visitors, connections: number): Promise<void> {
  for (const { name, port } of contestants) await visitors.open(name, port, connections);
}
