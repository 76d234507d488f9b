// A Worker's way to the carrier of a session: the one of its home region, or, while that cannot be reached, one of a secondary region that stands in for it.
// A carrier may take seconds to open an origin's leg: only one that does not even answer a ping is out of reach, and never one that is overloaded.

import type { Config, Pool } from "../core/config-types.ts";
import { regionOrder } from "../core/home.ts";
import { carrierObjectName, GENERATION, sliceOf } from "../core/names.ts";
import { RESTART } from "../core/close-codes.ts";
import type { Platform } from "./env.ts";
import { CARRIER_PING_AFTER_MS, CARRIER_PING_MS, CARRIER_SILENT_MS, within } from "./limits.ts";
import { carrierStub } from "./stubs.ts";

export interface CarrierOf {
  readonly pool: Pool;
  readonly home: string;
  readonly lot: number;
}

/** Carriers that did not answer a ping, by name, until when nobody tries them. */
const silentUntilMs = new Map<string, number>();

/** `request` is made anew for each carrier that is asked; one that stands in parks nobody. Rejects as the platform's stubs do. */
export async function askCarrier(
  { env, ctx, settings }: Platform,
  { pool, home, lot }: CarrierOf,
  request: (standsIn: boolean) => Request,
): Promise<Response> {
  const ring = { pool: pool.id, region: home, generation: GENERATION };
  const slice = sliceOf(lot, pool.carriers);
  const name = carrierObjectName({ ring, slice });
  const carrier = (standIn?: string): ReturnType<typeof carrierStub> => carrierStub(env, settings.config, ring, slice, standIn);
  const standIn = standInOf(settings.config, pool, home);
  if (standIn === undefined) return carrier().fetch(request(false));
  if (Date.now() < (silentUntilMs.get(name) ?? 0)) return carrier(standIn).fetch(request(true));
  const answer = carrier().fetch(request(false));
  try {
    return await within(answer, CARRIER_PING_AFTER_MS, "carrier");
  } catch (error) {
    if (isOverloaded(error) || (await isReached(carrier()))) return answer;
    const isNews = Date.now() >= (silentUntilMs.get(name) ?? 0);
    silentUntilMs.set(name, Date.now() + CARRIER_SILENT_MS);
    if (isNews) console.error(JSON.stringify({ limpet: "carrier-unreachable", ...ring, slice, standIn, error: String(error) }));
    ctx.waitUntil(answer.then(discard, () => undefined)); // it may come even so
    return carrier(standIn).fetch(request(true));
  }
}

/** The region whose carriers stand in: one that the pool is in, before one that it is not. Two Workers say the same. */
function standInOf(config: Config, pool: Pool, home: string): string | undefined {
  return regionOrder(config, pool, home)[1] ?? config.regions[home]?.secondary[0];
}

/** Whether a carrier answers at all. */
export async function isReached(carrier: ReturnType<typeof carrierStub>): Promise<boolean> {
  try {
    await within(carrier.ping(), CARRIER_PING_MS, "ping");
    return true;
  } catch (error) {
    return isOverloaded(error);
  }
}

/** The runtime says so on its own errors. */
function isOverloaded(error: unknown): boolean {
  return (error as { overloaded?: boolean }).overloaded === true;
}

function discard({ webSocket, body }: Response): void {
  webSocket?.accept();
  webSocket?.close(RESTART.code, RESTART.reason);
  void body?.cancel().catch(() => undefined); // nobody reads it any more
}
