// Which ring an origin is in, when only its id was given: ids are looked for over all pools, and what is not certain is asked, not guessed.

import type { AdminClient } from "./admin-client.ts";
import { CommandFault } from "./fault.ts";
import { listed } from "./text.ts";

export interface WhereOptions {
  readonly pool?: string;
  readonly region?: string;
}

/** An origin's place in the admin API. */
export interface Place {
  readonly pool: string;
  readonly region: string;
  readonly id: string;
}

export async function findOrigin(client: AdminClient, id: string, { pool, region }: WhereOptions): Promise<Place> {
  if (pool !== undefined && region !== undefined) return { pool, region, id };
  const { rings } = await client.ask((api) => api.rings.$get());
  const asked = rings.filter((ring) => (pool ?? ring.pool) === ring.pool && (region ?? ring.region) === ring.region);
  const found = asked.filter((ring) => ring.origins.some((origin) => origin.id === id));
  const [only] = found;
  if (only && found.length === 1) return { pool: only.pool, region: only.region, id };
  if (only) {
    const choices = found.map((each) => `${each.pool}@${each.region}`);
    throw new CommandFault(`${id} is in ${listed(choices)}: say which by --pool POOL and --region REGION.`);
  }
  const silent = asked.filter((ring) => "unreachable" in ring);
  if (silent.length > 0) {
    const names = listed(silent.map((each) => `${each.pool}@${each.region}`));
    throw new CommandFault(
      `${id} is in no ring that answers, and ${names} ${silent.length === 1 ? "does" : "do"} not: try again, or say where it is by --pool and --region.`,
    );
  }
  const known = [...new Set(asked.flatMap((ring) => ring.origins.map((origin) => origin.id)))].toSorted();
  const where = asked.length < rings.length ? ` in ${[pool, region].filter(Boolean).join("@")}` : "";
  throw new CommandFault(`There is no origin ${id}${where}. ${known.length === 0 ? "There is none at all." : `Known are ${listed(known)}.`}`);
}

export function nameOf({ pool, region, id }: Place): string {
  return `${id} (${pool}@${region})`;
}
