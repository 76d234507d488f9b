// Addresses of our objects. Retries are bounded here: by default the runtime retries a stub for ten seconds, and failover would wait.

import type { Config } from "../core/config-types.ts";
import { carrierObjectName, CONTROL_OBJECT_NAME, ringObjectName, GENERATION, type RingName } from "../core/names.ts";
import type { CarrierObject } from "./carrier-object.ts";
import type { ControlObject } from "./control-object.ts";
import type { Env } from "./env.ts";
import type { RingObject } from "./ring-object.ts";

const RETRY = { maxRetries: 1, timeoutMs: 2000 } as const;

export function ringStub(env: Env, config: Config, pool: string, region: string): DurableObjectStub<RingObject> {
  const name = ringObjectName({ pool, region, generation: GENERATION });
  return objectIn(env, env.RING, config, region, name);
}

/** `standIn`: the region of the one that stands in for it. */
export function carrierStub(env: Env, config: Config, ring: RingName, slice: number, standIn?: string): DurableObjectStub<CarrierObject> {
  return objectIn(env, env.CARRIER, config, standIn ?? ring.region, carrierObjectName({ ring, slice, standIn }));
}

/** `undefined`: this deployment has none. */
export function controlStub(env: Env): DurableObjectStub<ControlObject> | undefined {
  return env.CONTROL?.get(env.CONTROL.idFromName(CONTROL_OBJECT_NAME), { retry: RETRY });
}

/** Whether a region's objects are found by this configuration: of one that it does not name the jurisdiction is not known, if there are any. */
export function isAddressable({ regions }: Config, region: string): boolean {
  return Object.hasOwn(regions, region) || Object.values(regions).every(({ jurisdiction }) => jurisdiction === undefined);
}

/**
 * A region's object, by its name. In a jurisdiction the same name is another object, which is made there and stays there; workerd by itself, and so dev,
 * has no jurisdictions (November 2026). Only an object's first access heeds the hint. The configuration was checked against the platform's lists.
 */
function objectIn<T extends Rpc.DurableObjectBranded>(
  env: Env,
  namespace: DurableObjectNamespace<T>,
  config: Config,
  region: string,
  name: string,
): DurableObjectStub<T> {
  const { hint, jurisdiction } = config.regions[region] ?? {};
  const objects = jurisdiction === undefined || env.LIMPET_DEV === "1" ? namespace : namespace.jurisdiction(jurisdiction);
  const located = hint === undefined ? {} : { locationHint: hint as DurableObjectLocationHint };
  return objects.get(objects.idFromName(name), { retry: RETRY, ...located });
}
