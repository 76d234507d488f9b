// Who is measured, and how a process of each is started. On equal terms: one process each, and where Durable Objects relay, four of them share
// the connections, as a pool of Limpet's has four carriers by default (all are in one isolate here, so more of them would not be faster).

import { isInstalled } from "../harness/processes.ts";
import { startHaproxy, startNginx, type RunningProxy } from "../harness/proxies.ts";
import { prepareWorker, startWorkerd, type WorkerContestant } from "../harness/workerd.ts";
import { CONFIG, SPLICED } from "./config.ts";

export const RELAY = "limpet-relay";
export const BARE = "object-bare";
export const SPLICE = "limpet-splice";
export const PASS_THROUGH = "worker-bare";

export interface Contestant {
  readonly name: string;
  readonly start: () => Promise<RunningProxy>;
}

const WORKERS: Readonly<Record<string, WorkerContestant>> = {
  [PASS_THROUGH]: { entry: workerAt("bare") },
  [BARE]: { entry: workerAt("object"), objects: { Relay: "RELAY" } },
  "object-hibernatable": { entry: workerAt("hibernatable"), objects: { Relay: "RELAY" } },
  [RELAY]: limpet(CONFIG),
  [SPLICE]: limpet(SPLICED),
};

/** All that can be started here; who cannot is told of. */
export async function contestantsAt(folder: string, originPorts: readonly number[], progress: (text: string) => void): Promise<Contestant[]> {
  const contestants: Contestant[] = [];
  for (const [name, start] of Object.entries({ nginx: startNginx, haproxy: startHaproxy })) {
    if (isInstalled(name)) contestants.push({ name, start: () => start(folder, originPorts) });
    else progress(`${name} is not installed here, and is left out`);
  }
  for (const [name, worker] of Object.entries(WORKERS)) {
    const file = await prepareWorker(folder, name, worker, originPorts[0] ?? 0);
    contestants.push({ name, start: () => startWorkerd(file) });
  }
  return contestants;
}

/** Nothing is counted in it: it is what is deployed. */
export function limpet(config: object): WorkerContestant {
  return {
    entry: new URL("../../src/index.ts", import.meta.url),
    objects: { RingObject: "RING", CarrierObject: "CARRIER", ControlObject: "CONTROL" },
    config,
  };
}

function workerAt(name: string): URL {
  return new URL(`workers/${name}.ts`, import.meta.url);
}
