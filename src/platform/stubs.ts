// Addresses of our objects. Retries are bounded here: by default the runtime retries a stub for ten seconds, and failover would wait.

import type { Config } from "../core/config-types.ts";
import { carrierObjectName, CONTROL_OBJECT_NAME, ringObjectName, GENERATION, type RingName } from "../core/names.ts";
import type { CarrierObject } from "./carrier-object.ts";
import type { ControlObject } from "./control-object.ts";
import type { Env } from "./env.ts";
import type { RingObject } from "./ring-object.ts";

const RETRY = { maxRetries: 1, timeoutMs: 2000 } as const;

export function ringStub(env: Env, config: Config, pool: string, region: string): DurableObjectStub<RingObject> {
  const id = env.RING.idFromName(ringObjectName({ pool, region, generation: GENERATION }));
  return env.RING.get(id, { retry: RETRY, ...hintOf(config, region) });
}

export function carrierStub(env: Env, config: Config, ring: RingName, slice: number): DurableObjectStub<CarrierObject> {
  const id = env.CARRIER.idFromName(carrierObjectName({ ring, slice }));
  return env.CARRIER.get(id, { retry: RETRY, ...hintOf(config, ring.region) });
}

/** `undefined`: this deployment has none. */
export function controlStub(env: Env): DurableObjectStub<ControlObject> | undefined {
  return env.CONTROL?.get(env.CONTROL.idFromName(CONTROL_OBJECT_NAME), { retry: RETRY });
}

/** Only an object's first access heeds the hint. The configuration was checked against the platform's list. */
function hintOf(config: Config, region: string): { locationHint?: DurableObjectLocationHint } {
  const hint = config.regions[region]?.hint;
  return hint === undefined ? {} : { locationHint: hint as DurableObjectLocationHint };
}
